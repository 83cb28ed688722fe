"""The faults of the two vendors, as a table. To add one, add a line: how it strikes is made of the parts below.

A fault that lasts is taken back when it is over; one that waits to be noticed says how long that may take.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.bench.chaos_judge import Window
from tests.bench.chaos_play import Fault, Strike
from tests.bench.chaos_stage import Stage
from tests.e2e.live_run import PYANNOTE_KNOBS
from tests.fakes import openai_items, pyannote_stream
from tests.fakes.standin import knobs_from

PING_S = 20.0
"""A connection that is no longer there is noticed within so long: a ping each 8 s, and 10 s for its answer."""
STALL_S = 8.0
"""A transcriber that takes no more audio, or answers no commit, is noticed within so long."""
SETUP_S = 20.0
"""A connection that is never set up is given up within so long."""
TWO_TEXTS_S = 15.0
"""A text without a word is asked for again behind the turn that is being spoken."""
TRIAL_S = 15.0
"""A transcriber that fails at everything is tried again so often, once that has lasted for half a minute."""
TWO_ANSWERS_S = 17.0
"""A completion is waited for twice, 8 s each time, before the deltas become the text."""
RETRY_S = 8.0
"""Behind an outage of some seconds the next attempt comes within so long."""
UNDERSTOOD_S = 45.0
"""Events that cannot be used as they are count again within so long: understood, or from another connection."""
LONG_S = 180.0
FOR_GOOD = 0

USUAL: Mapping[str, Mapping[str, Any]] = {
    "openai": asdict(openai_items.Knobs()),
    "pyannote": asdict(knobs_from(pyannote_stream.Knobs, PYANNOTE_KNOBS)),
}
"""The knobs of each stand-in as they are when all is well."""


# --- how they strike --------------------------------------------------------------------------------------------------


def breaks(vendor: str, do: str, noticed_s: float = 0.0, **facts: Any) -> Strike:
    """Do something to the live connection, once."""

    async def strike(stage: Stage) -> Window:
        await stage.order(vendor, break_={"do": do, **facts})
        now = time.time()
        return Window(now, now, noticed_s)

    return strike


def lasts(
    vendor: str,
    for_s: float,
    faults: Sequence[Mapping[str, Any]] = (),
    knobs: Mapping[str, Any] | None = None,
    broken: bool = False,
    noticed_s: float = 0.0,
) -> Strike:
    """Let faults and knobs hold for a while; `broken`: the live connection is reset, so that a new one meets them."""

    async def strike(stage: Stage) -> Window:
        began_at = time.time()
        await stage.order(vendor, faults=[{"times": FOR_GOOD, **fault} for fault in faults], knobs=knobs or {})
        if broken:
            await stage.order(vendor, break_={"do": "reset"})
        await asyncio.sleep(for_s)
        await stage.order(vendor, clear_faults=True, knobs={name: USUAL[vendor][name] for name in knobs or {}})
        return Window(began_at, time.time(), noticed_s)

    return strike


def once(vendor: str, fault: Mapping[str, Any], noticed_s: float) -> Strike:
    """Reset the live connection, and let the next one meet a fault."""

    async def strike(stage: Stage) -> Window:
        await stage.order(vendor, faults=[{"times": 1, **fault}])
        await stage.order(vendor, break_={"do": "reset"})
        now = time.time()
        return Window(now, now, noticed_s)

    return strike


def from_now_on(
    vendor: str,
    faults: Sequence[Mapping[str, Any]] = (),
    knobs: Mapping[str, Any] | None = None,
    broken: bool = False,
) -> Strike:
    """Let faults and knobs hold to the end; from then on everything is as well as it can be."""

    async def strike(stage: Stage) -> Window:
        await stage.order(vendor, faults=[{"times": FOR_GOOD, **fault} for fault in faults], knobs=knobs or {})
        if broken:
            await stage.order(vendor, break_={"do": "reset"})
        now = time.time()
        return Window(now, now)

    return strike


def speaks(dialect: str, broken: bool = False) -> Strike:
    """Have pyannote's events written otherwise from now on (pyannote_dialects): understood after a while."""

    async def strike(stage: Stage) -> Window:
        await stage.order("pyannote", knobs={"dialect": dialect})
        if broken:
            await stage.order("pyannote", break_={"do": "reset"})
        now = time.time()
        return Window(now, now, UNDERSTOOD_S)

    return strike


def away(for_s: float, *vendors: str, mode: str = "reset") -> Strike:
    """Nobody is there for a while."""

    async def strike(stage: Stage) -> Window:
        began_at = time.time()
        for vendor in vendors:
            await asyncio.to_thread(stage.vendor(vendor).outage, for_s, mode)
        await asyncio.sleep(for_s)
        return Window(began_at, time.time(), RETRY_S if for_s < LONG_S / 6 else 0.0)

    return strike


def frozen(vendor: str, for_s: float) -> Strike:
    """The vendor's process stands still for a while (SIGSTOP)."""

    async def strike(stage: Stage) -> Window:
        pid, began_at = stage.vendor(vendor).process.pid, time.time()
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            os.kill(pid, signal.SIGCONT)
        return Window(began_at, time.time(), RETRY_S)

    return strike


def _upgrade(**facts: Any) -> list[Mapping[str, Any]]:
    return [{"at": "upgrade", **facts}]


def _post(**facts: Any) -> list[Mapping[str, Any]]:
    return [{"at": "post", **facts}]


def _status(status: int, **facts: Any) -> dict[str, Any]:
    return {"do": "status", "status": status, **facts}


def _commit(do: str, **facts: Any) -> list[Mapping[str, Any]]:
    return [{"at": "commit", "do": do, **facts}]


# --- the table --------------------------------------------------------------------------------------------------------


def _openai(name: str, strike: Strike, **more: Any) -> Fault:
    return Fault(f"openai: {name}", "openai", strike, **more)


def _pyannote(name: str, strike: Strike, **more: Any) -> Fault:
    return Fault(f"pyannote: {name}", "pyannote", strike, **more)


_O, _P = "openai", "pyannote"
_RATE = {"code": "rate_limit_exceeded", "message": "429 Too Many Requests"}
_WAITS = {"length_s": 60.0}

OPENAI: Sequence[Fault] = (
    _openai("401 for good", from_now_on(_O, _upgrade(**_status(401)), broken=True), refused=True),
    _openai("402 for good", from_now_on(_O, _upgrade(**_status(402)), broken=True), refused=True),
    _openai("403 for good", from_now_on(_O, _upgrade(**_status(403)), broken=True), refused=True),
    _openai("429, Retry-After 4", lasts(_O, 6, _upgrade(**_status(429, retry_after=4)), None, True, RETRY_S)),
    _openai("503 for 8 s", lasts(_O, 8, _upgrade(**_status(503)), None, True, RETRY_S)),
    _openai("accepts after 6 s", lasts(_O, 7, (), {"accept_s": 6.0}, True, RETRY_S)),
    _openai("no answer to the upgrade", once(_O, {"at": "upgrade", "do": "hang"}, SETUP_S), **_WAITS),
    _openai("never session.created", once(_O, {"at": "upgrade", "do": "no_created"}, SETUP_S), **_WAITS),
    _openai("never session.updated", once(_O, {"at": "update", "do": "never"}, SETUP_S), **_WAITS),
    _openai("error in mid-session", breaks(_O, "error")),
    _openai("error, then 1011", breaks(_O, "error_then_close")),
    _openai("session_expired, then 1001", breaks(_O, "expire", how="both")),
    _openai("session_expired, no close", breaks(_O, "expire", how="error")),
    _openai("1001 without a word", breaks(_O, "expire", how="close")),
    _openai("1011", breaks(_O, "close", code=1011)),
    _openai("TCP reset", breaks(_O, "reset")),
    _openai("half-open: silent for ever", breaks(_O, "freeze", PING_S), **_WAITS),
    _openai("no pong, all else works", breaks(_O, "no_pong", PING_S), **_WAITS),
    _openai("reads no more", breaks(_O, "freeze_reading", PING_S), **_WAITS),
    _openai("sends no more", breaks(_O, "freeze_sending", PING_S), **_WAITS),
    _openai("process stopped for 12 s", frozen(_O, 12), **_WAITS),
    _openai("completions missing, no deltas", lasts(_O, 6, _commit("missing"), {"delta_s": 60.0}), **_WAITS),
    _openai("failed: 429", lasts(_O, 6, _commit("failed", **_RATE)), **_WAITS),
    _openai("failed: audio_unintelligible", lasts(_O, 6, _commit("failed")), **_WAITS),
    _openai(
        "failed for 60 s", lasts(_O, 60, _commit("failed"), noticed_s=TRIAL_S), length_s=LONG_S, strike_s=40.0, sent=1.3
    ),
    _openai("every second text empty", from_now_on(_O, _commit("says", every=2, transcript="")), slower_s=TWO_TEXTS_S),
    _openai("every text without a word", lasts(_O, 8, _commit("says", transcript=" ... ")), slower_s=TWO_TEXTS_S),
    _openai("texts that are null", lasts(_O, 8, _commit("says", transcript=None)), slower_s=TWO_TEXTS_S),
    _openai("completions twice", from_now_on(_O, _commit("twice"))),
    _openai("half of the completions late", from_now_on(_O, knobs={"out_of_order": 0.5}), slower_s=2.0),
    _openai("completions 20 s late", lasts(_O, 6, _commit("late", by_s=20.0)), **_WAITS),
    _openai("completions without deltas", from_now_on(_O, _commit("no_deltas"), {"delta_s": 60.0})),
    _openai("deltas, never completed", from_now_on(_O, _commit("deltas_only")), slower_s=TWO_ANSWERS_S),
    _openai("deltas the text has not", lasts(_O, 6, _commit("differs"))),
    _openai("deltas under another item", from_now_on(_O, knobs={"early_item_id_differs": True})),
    _openai("commits never acknowledged", lasts(_O, 5, _commit("never_committed"), noticed_s=STALL_S), **_WAITS),
    _openai("commits acknowledged after 3 s", lasts(_O, 6, _commit("slow_commit", by_s=3.0))),
    _openai("commits refused", lasts(_O, 5, _commit("refused"), noticed_s=STALL_S), **_WAITS),
    _openai("garbage", breaks(_O, "garbage")),
    _openai("events nobody knows", breaks(_O, "send", message={"type": "session.mood", "mood": "blue"})),
    _openai("not there at the start", away(15, _O), strike_s=0.0, length_s=60.0),
    _openai("away for 60 s", away(60, _O), length_s=LONG_S, strike_s=40.0),
)

PYANNOTE: Sequence[Fault] = (
    _pyannote("401 for good", from_now_on(_P, _post(**_status(401)), broken=True), refused=True),
    _pyannote("402 for good", from_now_on(_P, _post(**_status(402)), broken=True), refused=True),
    _pyannote("403 for good", from_now_on(_P, _post(**_status(403)), broken=True), refused=True),
    _pyannote("429, Retry-After 4", lasts(_P, 6, _post(**_status(429, retry_after=4)), None, True, RETRY_S)),
    _pyannote("500 for 8 s", lasts(_P, 8, _post(**_status(500)), None, True, RETRY_S)),
    _pyannote("no answer to the request", once(_P, {"at": "post", "do": "hang"}, SETUP_S), **_WAITS),
    _pyannote("nonsense as answer", lasts(_P, 4, _post(do="nonsense"), None, True, RETRY_S)),
    _pyannote(
        "a URL that is none",
        lasts(_P, 4, _post(do="nonsense", body={"id": "1", "url": "wss:/nowhere at all"}), None, True, RETRY_S),
    ),
    _pyannote("upgrade refused", lasts(_P, 4, _upgrade(**_status(403)), None, True, RETRY_S)),
    _pyannote("opens after 8 s", lasts(_P, 9, (), {"cold_start_s": 8.0}, True, RETRY_S), **_WAITS),
    _pyannote("1008", breaks(_P, "close", code=1008)),
    _pyannote("1011", breaks(_P, "close", code=1011)),
    _pyannote("error event", breaks(_P, "error")),
    _pyannote("TCP reset (1006)", breaks(_P, "reset")),
    _pyannote("half-open: silent for ever", breaks(_P, "freeze", PING_S), **_WAITS),
    _pyannote("reads no more", breaks(_P, "freeze_reading", PING_S), **_WAITS),
    _pyannote("process stopped for 12 s", frozen(_P, 12), **_WAITS),
    _pyannote("garbage", breaks(_P, "garbage")),
    _pyannote("events twice", from_now_on(_P, knobs={"duplicate_ends": 0.5, "duplicate_starts": 0.5})),
    _pyannote("ends without a start", from_now_on(_P, knobs={"orphan_ends": 0.5})),
    _pyannote("stretches of no length", from_now_on(_P, knobs={"zero_length": 0.5})),
    _pyannote("events 2 s later for 8 s", lasts(_P, 8, (), {"latency_s": 2.3})),
    _pyannote("events out of order for 8 s", lasts(_P, 8, (), {"out_of_order": 0.5})),
    _pyannote("every end lost for 6 s", lasts(_P, 6, (), {"lost_ends": 1.0})),
    _pyannote("not there at the start", away(15, _P), strike_s=0.0, length_s=60.0),
    _pyannote("away for 30 s", away(30, _P), length_s=LONG_S, strike_s=40.0),
)

SLIPS: Sequence[Fault] = (
    _openai("401 once on a reconnect", once(_O, {"at": "upgrade", **_status(401)}, RETRY_S)),
    _openai("404 once on a reconnect", once(_O, {"at": "upgrade", **_status(404)}, RETRY_S)),
    _openai("402 for 15 s", lasts(_O, 15, _upgrade(**_status(402)), None, True, RETRY_S), **_WAITS),
    _pyannote("401 once on a reconnect", once(_P, {"at": "post", **_status(401)}, RETRY_S)),
    _pyannote("402 for 15 s", lasts(_P, 15, _post(**_status(402)), None, True, RETRY_S), **_WAITS),
)
"""Refusals that pass. Not in storms: many of them are, taken together, one that lasts."""

_SPEAKS = {"length_s": 95.0}

DIALECTS: Sequence[Fault] = (
    _pyannote("times in milliseconds", speaks("milliseconds"), **_SPEAKS),
    _pyannote("times since 1970, from a reset on", speaks("unix", broken=True), **_SPEAKS),
    _pyannote("times run on behind a reset", speaks("running_on", broken=True), **_SPEAKS),
    _pyannote("times as text", from_now_on(_P, knobs={"dialect": "strings"})),
    _pyannote("events renamed on one connection", breaks(_P, "dialect", UNDERSTOOD_S, name="renamed"), **_SPEAKS),
    _pyannote("times missing on one connection", breaks(_P, "dialect", UNDERSTOOD_S, name="no_timestamp"), **_SPEAKS),
    _pyannote("events renamed for good", from_now_on(_P, knobs={"dialect": "renamed"}), refused=True, length_s=95.0),
    _pyannote("random times for good", from_now_on(_P, knobs={"dialect": "random"}), refused=True, length_s=95.0),
)
"""What pyannote says may be written otherwise. They have no place in a storm, where nothing lasts until it is known."""

BOTH: Sequence[Fault] = (
    Fault("both: reset at once", "both", away(0.5, _O, _P)),
    Fault("both: not there at the start", "both", away(15, _O, _P), strike_s=0.0, length_s=60.0),
    Fault("both: away for 60 s", "both", away(60, _O, _P), length_s=LONG_S, strike_s=40.0),
    Fault("both: unanswering for 20 s", "both", away(20, _O, _P, mode="hang"), length_s=75.0),
)

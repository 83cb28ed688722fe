"""A vendor that refuses, fails or talks nonsense: the session goes on with the other one, and says why.

Each session is opened while its fault is played, and all run at once. What may pass by itself is tried again: 429 and
503 ask for a long wait, and what met nonsense meets the refusal after it. A refusal holds for all sessions: the last of
them is told of it without a request to the vendor.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from minuted import AsyncClient, Attribution, Link, LinkHealth, Session, SessionState, TextSource, Turn
from minuted_daemon.service.retries.gate import ASKED_AGAIN_S
from tests.bench.scoring import score
from tests.e2e.daemon_process import KEYS, DaemonProcess, run_daemon
from tests.e2e.following import ended, follow
from tests.e2e.live_run import PYANNOTE_KNOBS, scored
from tests.fakes.meeting import load_meeting, write_wav
from tests.fakes.processes import StandInProcess, openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOM = load_meeting("ES2011d", 939.5, 9)
ASKED_AT_MOST = 12
"""Once for each fault, and some more for nonsense, which is tried again at once."""
REFUSED, DOWN = LinkHealth.LINK_HEALTH_REFUSED, LinkHealth.LINK_HEALTH_DOWN

# A session's name: the fault, and what its link says then.
PYANNOTE: dict[str, tuple[dict[str, Any], int, str]] = {
    "r429": ({"do": "status", "status": 429, "retry_after": 90}, DOWN, "RATE_LIMITED"),
    "r503": ({"do": "status", "status": 503, "retry_after": 90}, DOWN, "VENDOR_DOWN"),
    "nonsense": ({"do": "nonsense"}, DOWN, "BAD_ANSWER"),
    "r402": ({"do": "status", "status": 402}, REFUSED, "PAYMENT_REQUIRED"),
    "later": ({"do": "status", "status": 402}, REFUSED, "PAYMENT_REQUIRED"),
}
OPENAI = {
    name: (fault, health, "QUOTA_EXHAUSTED" if health == REFUSED else reason)
    for name, (fault, health, reason) in PYANNOTE.items()
}


async def link_says(client: AsyncClient, name: str, link_of: Callable[[Session], Link], reason: str) -> Session:
    """Wait until a session's link gives a reason; give the session as GetSession tells it then."""
    async with aclosing(client.watch_sessions()) as changes:
        async for session in changes:
            if session.name == name and link_of(session).reason:
                told = await client.session(name)
                assert link_of(told).reason == reason
                return told
    raise AssertionError("the watch ended")


async def open_all(
    client: AsyncClient,
    vendor: StandInProcess,
    at: str,
    cases: dict[str, tuple[dict[str, Any], int, str]],
    link_of: Callable[[Session], Link],
    place: Path,
) -> None:
    write_wav(place / "room.wav", ROOM)
    for name, (fault, health, reason) in cases.items():
        vendor.control(clear_faults=True, faults=[{"at": at, "times": 0, **fault}])
        await client.start(name, device=f"file:{place}/room.wav")
        told = await link_says(client, name, link_of, reason)
        link = link_of(told)
        assert link.health == health
        assert told.degraded
        assert told.state in (SessionState.SESSION_STATE_STARTING, SessionState.SESSION_STATE_RUNNING)
        assert link.detail.endswith(".")
        assert link.HasField("since")
        assert link.next_attempt.ToSeconds() >= link.since.ToSeconds()
        assert not any(key in link.detail for key in KEYS.values())
    assert vendor.stats()["counts"][at] <= ASKED_AT_MOST, "the session that came last asked nothing"


async def turns_of(client: AsyncClient, name: str) -> list[Turn]:
    return [turn async for turn in client.turns(name)]


def assert_quiet_about_secrets(daemon: DaemonProcess) -> None:
    assert not any(key in daemon.log for key in KEYS.values())
    assert "token=" not in daemon.log


async def test_without_the_diarizer_every_word_is_there_and_nobody_is_named(place: Path) -> None:
    with pyannote_standin([ROOM]) as pyannote, openai_standin([ROOM]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            await open_all(client, pyannote, "post", PYANNOTE, lambda session: session.diarizer_link, place)
            await follow(client, ended(len(PYANNOTE)))
            for name in PYANNOTE:
                turns = await turns_of(client, name)
                ours = score(ROOM, scored(turns))
                assert (ours.words_lost, ours.words_repeated) == (0, 0), name
                assert ours.unknown == 1.0
                assert {turn.attribution for turn in turns} == {Attribution.ATTRIBUTION_UNKNOWN}
                assert (await client.session(name)).state == SessionState.SESSION_STATE_STOPPED
            assert_quiet_about_secrets(daemon)


async def test_without_the_transcriber_it_is_known_who_spoke_when(place: Path) -> None:
    """SIGTERM comes when all was heard: what still waits for a transcriber that is away is settled without text."""
    with pyannote_standin([ROOM]) as pyannote, openai_standin([ROOM]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon:
            async with daemon.client() as client:
                await open_all(client, openai, "upgrade", OPENAI, lambda session: session.transcriber_link, place)
                gone = sum(health == REFUSED for _, health, _ in OPENAI.values())
                await follow(client, ended(gone))
            await daemon.stop()
            assert_quiet_about_secrets(daemon)
            await daemon.start()
            async with daemon.client() as client:
                for name in OPENAI:
                    turns = await turns_of(client, name)
                    assert len({turn.speaker.label for turn in turns}) >= 2, name
                    assert {turn.attribution for turn in turns} <= {
                        Attribution.ATTRIBUTION_DIARIZED,
                        Attribution.ATTRIBUTION_UNKNOWN,
                    }
                    assert {(turn.text, turn.text_source) for turn in turns} == {("", TextSource.TEXT_SOURCE_NONE)}
                    assert (await client.session(name)).state == SessionState.SESSION_STATE_STOPPED


async def test_a_vendor_that_comes_back_is_taken_back(place: Path) -> None:
    """Nonsense and failures pass: both links are up again without anybody's help, and the session is whole."""
    away = [{"at": at, "do": "status", "status": 500, "nth": 1} for at in ("post", "upgrade")]
    nonsense = [{"at": at, "do": "nonsense", "nth": 2} for at in ("post", "upgrade")]
    with (
        pyannote_standin([ROOM], script=[away[0], nonsense[0]]) as pyannote,
        openai_standin([ROOM], script=[away[1], nonsense[1]]) as openai,
    ):
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            write_wav(place / "room.wav", ROOM)
            await client.start("room", device=f"file:{place}/room.wav")
            reasons: list[set[str]] = [set(), set()]
            async with aclosing(client.watch_sessions()) as changes:
                async for session in changes:
                    for number, link in enumerate((session.diarizer_link, session.transcriber_link)):
                        reasons[number] |= {link.reason} - {""}
                    if not session.degraded and session.state == SessionState.SESSION_STATE_RUNNING:
                        break
            assert reasons == [{"VENDOR_DOWN", "BAD_ANSWER"}] * 2
            await follow(client, ended(), "room")
            ours = score(ROOM, scored(await turns_of(client, "room")))
            assert (ours.words_lost, ours.words_repeated) == (0, 0)


async def test_a_slip_costs_nothing_and_what_lasts_is_mended_on_demand(place: Path) -> None:
    """Both vendors refuse once on a reconnect; later the transcriber does until it is mended, and somebody says so."""
    room = load_meeting("ES2011d", 939.5, 33)
    with pyannote_standin([room], knobs=PYANNOTE_KNOBS) as pyannote, openai_standin([room]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            write_wav(place / "room.wav", room)
            await client.start("room", device=f"file:{place}/room.wav")
            await asyncio.sleep(5.0)
            for vendor, at in ((pyannote, "post"), (openai, "upgrade")):
                once = {"at": at, "do": "status", "status": 401, "times": 1}
                await asyncio.to_thread(vendor.control, faults=[once], break_={"do": "reset"})
            await asyncio.sleep(6.0)
            assert not (await client.session("room")).degraded
            lasts = {"at": "upgrade", "do": "status", "status": 402, "times": 0}
            await asyncio.to_thread(openai.control, faults=[lasts], break_={"do": "reset"})
            await asyncio.sleep(8.5 + ASKED_AGAIN_S)
            assert (await client.session("room")).transcriber_link.health == REFUSED
            await asyncio.to_thread(openai.control, clear_faults=True)
            (retried,) = await client.retry("room")
            assert (retried.role, retried.asked) == ("transcriber", True)
            assert retried.link.health == LinkHealth.LINK_HEALTH_UP
            await follow(client, ended(), "room")
            ours = score(room, scored(await turns_of(client, "room")))
            assert (ours.words_lost, ours.words_repeated) == (0, 0)
            sent_s = (await client.session("room")).transcriber_sent.ToNanoseconds() / 1e9
            assert sent_s <= 1.3 * room.duration
            assert_quiet_about_secrets(daemon)

"""What the two vendor stand-ins share: knobs, fault scripts, outages, their control endpoint and their main function.

Control: `POST /_control` takes {"knobs": {...}, "faults": [...], "clear_faults": true, "outage": {...} or null,
"break": {...}}; `GET /_stats` tells what was seen. Both work during an outage.

A fault is {"at": PLACE, "do": ACTION, "nth": n, "times": m, "every": e, "after_s": t, ...}. It fires at occurrences
nth..nth+m-1 of its place (counted from 1 over the life of the process), or, without nth, at the next m occurrences (m
is 1 by default, 0 means always); with `every`, only at those whose number it divides. At `stream` the occurrence is the
connection, and `after_s` counts seconds of its audio.

An outage is {"for_s": s, "mode": "reset" | "status" | "hang", "status": 503, "keep": false}: new requests are reset,
refused or never answered; live connections are reset, closed with 1011 or frozen unless `keep`.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from tests.fakes.meeting import Meeting, parse_spec
from tests.fakes.recogniser import Recogniser
from tests.fakes.wire import Hang, Reply, Request, Reset, Socket, serving

GARBAGE: tuple[str | bytes, ...] = ("not json {", "[]", '"text"', "{}", '{"type": 7}', b"\x00\xff\x10", "null")


@dataclasses.dataclass(slots=True)
class Fault:
    """One entry of a script; `facts` are its other keys."""

    at: str
    do: str
    nth: int | None
    times: int
    after_s: float
    facts: dict[str, Any]
    every: int = 1
    fired: int = 0

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> "Fault":
        """Read an entry. Raises KeyError, TypeError or ValueError for nonsense."""
        facts = dict(entry)
        nth = facts.pop("nth", None)
        return cls(
            facts.pop("at"),
            facts.pop("do"),
            None if nth is None else int(nth),
            int(facts.pop("times", 1)),
            float(facts.pop("after_s", 0.0)),
            facts,
            every=int(facts.pop("every", 1)),
        )

    def matches(self, at: str, number: int, seconds: float) -> bool:
        """Whether this fires now."""
        if self.at != at or seconds < self.after_s or (self.times and self.fired >= self.times) or number % self.every:
            return False
        if self.nth is None:
            return True
        return number >= self.nth and (not self.times or number < self.nth + self.times)


class Connection:
    """One accepted WebSocket of a stand-in. `say_error` is the vendor's error message for the action `error`."""

    def __init__(self, standin: "StandIn", socket: Socket, number: int) -> None:
        self.standin = standin
        self.socket = socket
        self.number = number
        self.loop = asyncio.get_running_loop()
        self.opened = self.loop.time()
        self.opened_at = time.time()
        self.rng = np.random.default_rng([standin.seed, number])
        self._timers: set[asyncio.TimerHandle] = set()
        self._done: set[int] = set()

    def later(self, due: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        """Do something at loop time `due`, unless the connection has ended by then."""

        def run() -> None:
            self._timers.discard(handle)
            if self.socket.is_open:
                act()

        handle = self.loop.call_at(due, run)
        self._timers.add(handle)
        return handle

    def run_faults(self, seconds: float) -> None:
        """Fire what is due after this much audio of the stream."""
        for fault in self.standin.faults:
            if id(fault) not in self._done and fault.matches("stream", self.number, seconds):
                self._done.add(id(fault))
                fault.fired += 1
                self.act(fault.do, fault.facts)

    def act(self, do: str, facts: Mapping[str, Any]) -> None:
        """Do one thing to the live connection. Raises ValueError for an unknown action."""
        socket = self.socket
        if do == "close":
            socket.close(int(facts.get("code", 1011)), str(facts.get("reason", "")))
        elif do == "reset":
            socket.reset()
        elif do == "freeze_reading":
            socket.freeze_reading()
        elif do == "freeze_sending":
            socket.muted = True
        elif do == "freeze":
            socket.muted = True
            socket.freeze_reading()
        elif do == "thaw":
            socket.thaw()
        elif do == "no_pong":
            socket.stop_pongs()
        elif do == "garbage":
            for rubbish in GARBAGE:
                socket.send(rubbish)
        elif do == "send":
            socket.send(dict(facts["message"]))
        elif do in ("error", "error_then_close"):
            self.say_error(facts)
            if do == "error_then_close":
                socket.close(int(facts.get("close_code", 1011)))
        else:
            raise ValueError(f"unknown action {do}")

    def say_error(self, facts: Mapping[str, Any]) -> None:
        """Send the vendor's error message."""
        raise NotImplementedError

    async def run(self) -> None:
        """Converse until the connection ends."""
        raise NotImplementedError

    def end(self) -> None:
        """Forget all timers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def stats(self) -> dict[str, Any]:
        """What was seen of this connection."""
        return {
            "number": self.number,
            "opened_at": self.opened_at,
            "open": self.socket.is_open,
            "close_code": self.socket.close_code,
            "closed_by": self.socket.closed_by,
        }


class StandIn:
    """A vendor on loopback. `knobs` is a dataclass whose fields may be changed while it runs."""

    def __init__(self, meetings: Sequence[Meeting], knobs: Any, script: Sequence[Mapping[str, Any]], seed: int) -> None:
        self.knobs = knobs
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.recogniser = Recogniser(meetings)
        self.faults = [Fault.parse(entry) for entry in script]
        self.counts: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.connections: list[Connection] = []
        self.port = 0
        self._outage: dict[str, Any] | None = None
        self._outage_until = 0.0

    # --- to be given by the vendor

    async def respond(self, request: Request) -> Reply | None:
        """Answer a request; None to a handshake accepts it."""
        raise NotImplementedError

    def connection(self, request: Request, socket: Socket, number: int) -> Connection:
        """Make the other side of an accepted WebSocket."""
        raise NotImplementedError

    @property
    def base_url(self) -> str:
        """What to configure as the vendor's base_url."""
        return f"http://127.0.0.1:{self.port}"

    def summary(self) -> dict[str, Any]:
        """Vendor-wide figures for /_stats."""
        return {}

    # --- shared

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["StandIn"]:
        """Serve on 127.0.0.1 within this event loop."""
        async with serving(self._respond, self._converse, port) as self.port:
            yield self

    def count(self, what: str) -> int:
        """Count an occurrence; gives its number, from 1."""
        self.counts[what] = self.counts.get(what, 0) + 1
        return self.counts[what]

    def fault(self, at: str, number: int) -> Fault | None:
        """The fault that fires at this occurrence, if any."""
        for fault in self.faults:
            if fault.matches(at, number, float("inf")):
                fault.fired += 1
                return fault
        return None

    async def http_fault(self, fault: Fault | None) -> Reply | None:
        """Play a fault of a request: delay it, hang, reset, or answer with a status or with nonsense."""
        if fault is None:
            return None
        await asyncio.sleep(float(fault.facts.get("delay_s", 0.0)))
        if fault.do == "delay":
            return None
        if fault.do == "hang":
            raise Hang
        if fault.do == "reset":
            raise Reset
        if fault.do == "nonsense":
            return Reply(200, fault.facts.get("body", "<html>no</html>"))
        if fault.do == "status":
            status = int(fault.facts["status"])
            headers = {"Retry-After": str(fault.facts["retry_after"])} if "retry_after" in fault.facts else {}
            return Reply(status, fault.facts.get("body", self.error_body(status)), headers)
        raise ValueError(f"unknown action {fault.do}")

    def error_body(self, status: int) -> Any:
        """The vendor's usual body for a status."""
        return {"message": f"status {status}"}

    def control(self, order: Mapping[str, Any]) -> None:
        """Change knobs, faults or outage. Raises ValueError, KeyError or TypeError for nonsense."""
        unknown = set(order) - {"knobs", "faults", "clear_faults", "outage", "break"}
        if unknown:
            raise ValueError(f"unknown orders {sorted(unknown)}")
        names = {field.name for field in dataclasses.fields(self.knobs)}
        wrong = set(order.get("knobs", {})) - names
        if wrong:
            raise ValueError(f"unknown knobs {sorted(wrong)}")
        for name, value in order.get("knobs", {}).items():
            setattr(self.knobs, name, value)
        if order.get("clear_faults"):
            self.faults.clear()
        self.faults += [Fault.parse(entry) for entry in order.get("faults", [])]
        if "outage" in order:
            self._start_outage(order["outage"])
        if "break" in order:
            facts = dict(order["break"])
            do = facts.pop("do")
            for connection in self.connections:
                if connection.socket.is_open:
                    connection.act(do, facts)

    def _start_outage(self, outage: Mapping[str, Any] | None) -> None:
        loop = asyncio.get_running_loop()
        self._outage = None if outage is None else dict(outage)
        self._outage_until = loop.time() + float(outage.get("for_s", 30.0)) if outage else 0.0
        if outage is None or outage.get("keep"):
            return
        mode = outage.get("mode", "reset")
        for connection in self.connections:
            if not connection.socket.is_open:
                continue
            if mode == "hang":
                connection.act("freeze", {})
                loop.call_at(self._outage_until, connection.socket.reset)
            elif mode == "status":
                connection.act("close", {"code": 1011})
            else:
                connection.act("reset", {})

    async def _during_outage(self) -> Reply | None:
        loop = asyncio.get_running_loop()
        outage = self._outage
        if outage is None or loop.time() >= self._outage_until:
            return None
        mode = outage.get("mode", "reset")
        self.refused[mode] = self.refused.get(mode, 0) + 1
        if mode == "status":
            return Reply(int(outage.get("status", 503)), self.error_body(int(outage.get("status", 503))))
        if mode == "hang":
            await asyncio.sleep(self._outage_until - loop.time())
        raise Reset

    async def _respond(self, request: Request) -> Reply | None:
        if request.path == "/_stats":
            return Reply(200, self.stats())
        if request.path == "/_control":
            try:
                self.control(json.loads(request.body or b"{}"))
            except (ValueError, KeyError, TypeError) as error:
                return Reply(400, {"message": repr(error)})
            return Reply(200, {})
        refused = await self._during_outage()
        return refused or await self.respond(request)

    async def _converse(self, request: Request, socket: Socket) -> None:
        connection = self.connection(request, socket, self.count("connection"))
        self.connections.append(connection)
        try:
            await connection.run()
        finally:
            connection.end()

    def stats(self) -> dict[str, Any]:
        """What /_stats tells."""
        return {
            "counts": self.counts,
            "refused_in_outage": self.refused,
            "searches": self.recogniser.searches,
            "live": sum(connection.socket.is_open for connection in self.connections),
            "connections": [connection.stats() for connection in self.connections],
            **self.summary(),
        }


def knobs_from(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """Make a knobs dataclass of a mapping. Raises ValueError for an unknown name."""
    wrong = set(given) - {field.name for field in dataclasses.fields(kind)}
    if wrong:
        raise ValueError(f"unknown knobs {sorted(wrong)}")
    return kind(**given)


def main(build: Callable[[list[Meeting], dict[str, Any], list[dict[str, Any]], int], StandIn]) -> None:
    """Run a stand-in as a process: one JSON line with its base_url on stdout, gone when stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--meetings", nargs="*", default=[], help="NAME[:START_S[:LENGTH_S]]")
    parser.add_argument("--script", default="[]", help="JSON list of faults")
    parser.add_argument("--knobs", default="{}", help="JSON object")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    meetings = [parse_spec(spec) for spec in options.meetings]
    standin = build(meetings, json.loads(options.knobs), json.loads(options.script), options.seed)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        async with standin.running(options.port):
            print(json.dumps({"base_url": standin.base_url, "pid": os.getpid()}), flush=True)
            gone = asyncio.Event()
            loop.add_reader(sys.stdin.fileno(), lambda: gone.set() if not os.read(0, 4096) else None)
            await gone.wait()
            os._exit(0)

    asyncio.run(run())

"""A session's link to its transcriber: the merger's commands out, with audio read when it is sent; texts in.

Nothing is dropped here. When a connection breaks, the merger is told and asks again for all that is unanswered.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import structlog

from minuted_daemon.core.events import (
    Append,
    Clear,
    Commit,
    TextCompleted,
    TextFailed,
    TranscriberEvent,
    TranscriberLost,
    TranscriberReady,
    TranscriberRefused,
    UtteranceId,
)
from minuted_daemon.core.records import Link
from minuted_daemon.core.samples import RATE_HZ, Sample, samples, seconds
from minuted_daemon.errors import Rejected, Unavailable, VendorError
from minuted_daemon.ports import Spool, Transcriber, TranscriberStream
from minuted_daemon.service.links import UP, deadline, keep_connected, one_fault
from minuted_daemon.service.retry import RetryPolicy

OPEN_LIMIT_S = 25.0
SEND_LIMIT_S = 10.0
PIECE = samples(0.2)
"""Audio is sent in pieces of at most so many samples."""
CATCH_UP = 4.0
"""Retained audio is sent at most so many times as fast as real time."""
BURST_S = 0.25
"""Time in hand: so long after a pause, sending is not slowed down."""
QUEUE_COMMANDS = 1_000
"""Commands that may wait for a slow connection (ranges, not audio). When it is full, the connection is broken: the
merger then asks again for what is unanswered, and the audio is still in the spool."""
RENEW_MARGIN_S = 300.0
"""A connection is renewed so long before its end, or a quarter of its lifetime if that is shorter."""
SHORTEST_LIFETIME_S = 10.0
"""A connection that is said to end sooner is not renewed but left to its end: such a renewal would be a storm."""
RENEW_AGAIN_S = 10.0
LAST_CALL_S = 15.0
"""So long before its end (or a quarter of the margin), it is replaced even though it still owes answers."""

Command = Append | Commit | Clear


class TranscriptionSink(Protocol):
    """Who wants to know."""

    def transcribed(self, event: TranscriberEvent | TranscriberReady | TranscriberLost | TranscriberRefused) -> None:
        """The transcriber said something, or its connection changed."""
        ...


class TranscriberLink:
    """Keeps one transcriber connected for one session, and renews the connection before the vendor ends it."""

    def __init__(
        self,
        transcriber: Transcriber,
        languages: Sequence[str],
        spool: Spool,
        policy: RetryPolicy,
        sink: TranscriptionSink,
        report: Callable[[Link], None],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`report` hears of every change of this link's health."""
        self._transcriber = transcriber
        self._languages = languages
        self._spool = spool
        self._policy = policy
        self._sink = sink
        self._report = report
        self._log = log
        self._line: _Line | None = None

    def submit(self, command: Command) -> None:
        """Hand over the next command; never waits. Without a connection it is void, as the merger knows by then."""
        if self._line is not None:
            self._line.submit(command)

    async def run(self) -> None:
        """Stay connected until cancelled, or until the transcriber refuses for good."""
        if not await keep_connected("transcriber", self._connections, self._policy, self._report, self._log):
            self._sink.transcribed(TranscriberRefused())

    async def _open(self) -> "_Line":
        async with deadline(
            OPEN_LIMIT_S, "OPEN_TIMEOUT", f"the transcriber did not answer within {OPEN_LIMIT_S:.0f} s"
        ):
            stream = await self._transcriber.open(self._languages)
        return _Line(stream, self._spool, self._transcriber.capabilities.rate_hz)

    async def _connections(self) -> None:
        """One connection and those that replace it without a break."""
        line = await self._open()
        self._take(line)
        self._policy.opened(asyncio.get_running_loop().time())
        self._report(UP)
        while True:
            try:
                async with one_fault() as group:
                    group.create_task(line.send())
                    group.create_task(self._receive(line))
                    group.create_task(self._renew(line))
            except _Replaced as replaced:
                old, line = line, replaced.by
                self._log.info("link_renewed", role="transcriber")
                await old.stream.close()
            except Exception:
                self._line = None
                self._sink.transcribed(TranscriberLost())
                await line.stream.close()
                raise
            except asyncio.CancelledError:
                self._line = None
                await line.stream.close()
                raise

    def _take(self, line: "_Line") -> None:
        self._line = line
        self._sink.transcribed(TranscriberReady())

    async def _receive(self, line: "_Line") -> None:
        async for event in line.stream.events():
            line.answered(event)
            self._sink.transcribed(event)
        raise Unavailable("STREAM_ENDED", "the transcriber ended the connection")

    async def _renew(self, line: "_Line") -> None:
        """Have a fresh connection ready in time, and change over when this one owes nothing."""
        lifetime_s = line.stream.expires_in_s
        if lifetime_s is None or lifetime_s < SHORTEST_LIFETIME_S:
            return
        margin_s = min(RENEW_MARGIN_S, lifetime_s / 4)
        await asyncio.sleep(lifetime_s - margin_s)
        fresh: _Line | None = None
        while fresh is None:
            try:
                fresh = await self._open()
            except Rejected:
                # The present connection still serves; its end will show whether the refusal was meant.
                return
            except VendorError as error:
                self._log.warning("renewal_failed", role="transcriber", reason=error.reason)
                await asyncio.sleep(RENEW_AGAIN_S)
        try:
            left_s = line.stream.expires_in_s
            async with asyncio.timeout(None if left_s is None else left_s - min(LAST_CALL_S, margin_s / 4)):
                await line.idle.wait()
        except TimeoutError:
            self._log.info("renewal_not_idle", role="transcriber")
        except BaseException:
            await fresh.stream.close()
            raise
        self._sink.transcribed(TranscriberLost())
        self._take(fresh)
        raise _Replaced(fresh)


class _Replaced(Exception):
    """A fresh connection has taken over."""

    def __init__(self, by: "_Line") -> None:
        super().__init__()
        self.by = by


class _Line:
    """One connection: a queue of commands in front of it, and what it owes."""

    def __init__(self, stream: TranscriberStream, spool: Spool, rate_hz: int) -> None:
        self.stream = stream
        self.idle = asyncio.Event()
        """Set while nothing waits, no utterance is open and no answer is owed."""
        self.idle.set()
        self._spool = spool
        self._rate_hz = rate_hz
        self._commands: deque[Command] = deque()
        self._waiting = asyncio.Event()
        self._open: UtteranceId | None = None
        self._owed: set[UtteranceId] = set()
        self._full = False
        self._paced_to_s = 0.0

    def submit(self, command: Command) -> None:
        self.idle.clear()
        self._waiting.set()
        last = self._commands[-1] if self._commands else None
        if isinstance(command, Append) and isinstance(last, Append):
            if last.utterance == command.utterance and last.end == command.start:
                self._commands[-1] = replace(last, end=command.end)
                return
        elif isinstance(command, Clear):
            while isinstance(last, Append) and last.utterance == command.utterance:
                self._commands.pop()
                last = self._commands[-1] if self._commands else None
        if len(self._commands) >= QUEUE_COMMANDS:
            self._full = True
        else:
            self._commands.append(command)

    def answered(self, event: TranscriberEvent) -> None:
        if isinstance(event, TextCompleted | TextFailed):
            self._owed.discard(event.utterance)
            self._note_idle()

    async def send(self) -> None:
        while True:
            if not self._commands:
                self._waiting.clear()
                await self._waiting.wait()
            if self._full:
                raise Unavailable("SEND_STALLED", f"the transcriber let {QUEUE_COMMANDS} commands wait")
            command = self._commands.popleft()
            async with deadline(SEND_LIMIT_S, "SEND_STALLED", f"the transcriber took nothing for {SEND_LIMIT_S:.0f} s"):
                await self._send(command)
            self._note_idle()

    async def _send(self, command: Command) -> None:
        utterance = command.utterance
        if isinstance(command, Append):
            self._open = utterance
            middle = Sample(min(command.end, command.start + PIECE))
            if middle < command.end:
                self._commands.appendleft(Append(utterance, middle, command.end))
            await self._pace(middle - command.start)
            await self.stream.append(utterance, self._spool.read(command.start, middle))
        elif isinstance(command, Commit):
            self._owed.add(utterance)
            self._open = None
            if command.pad > 0:
                await self.stream.append(utterance, np.zeros(command.pad * self._rate_hz // RATE_HZ, np.int16))
            await self.stream.commit(utterance)
        else:
            self._open = None
            await self.stream.clear(utterance)

    async def _pace(self, count: int) -> None:
        now_s = asyncio.get_running_loop().time()
        self._paced_to_s = max(self._paced_to_s, now_s - BURST_S) + seconds(count) / CATCH_UP
        if self._paced_to_s > now_s:
            await asyncio.sleep(self._paced_to_s - now_s)

    def _note_idle(self) -> None:
        if not self._commands and self._open is None and not self._owed:
            self.idle.set()

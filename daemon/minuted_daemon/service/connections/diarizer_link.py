"""A session's link to its diarizer: live audio out, one epoch for each connection, events in with their epoch.

Audio that comes while there is no connection is dropped, never sent later, unless the diarizer says that it can catch
up: a vendor wants real time, and what a new epoch does not hear it cannot number.

While the session is suspended (a long pause) there is no connection, and none is tried.

A connection is renewed before its limit. The new one stands by and hears the same audio live, until it replaces the
old one as late as is safe, or at once if that one breaks; the old one is then drained.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.core.events import Epoch, EpochTookOver, VoiceObserved
from minuted_daemon.core.records import Link
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.core.voice.speech import Verdict
from minuted_daemon.errors import MinutedError, Unavailable
from minuted_daemon.service.connections.credibility import CheckedDiarizer, Credibility
from minuted_daemon.service.connections.diarizer_connection import DiarizationSink, DiarizerConnection
from minuted_daemon.service.connections.reconnect import OFF, keep_connected
from minuted_daemon.service.retries.gate import Retries
from minuted_daemon.service.task_groups import deadline, single_error_group

OPEN_LIMIT_S = 45.0
RENEW_MARGIN_S = 300.0
"""A connection is renewed so long before its limit, or a quarter of its lifetime if that is shorter."""
SWITCHOVER_LEAD_S = 15.0
"""It is replaced so long before its limit, or a quarter of the margin if that is shorter; never sooner after the new
one was opened."""
DRAIN_LIMIT_S = 8.0
"""How long a connection that was replaced may take to send what waits and to say what it still has to say."""

LONGEST_CATCH_UP_S = 10.0
"""Audio kept while there is no connection. An engine is sent no more of it than it takes, and may be another engine
than at the start."""

Missed = tuple[Sample, NDArray[np.int16]]


class DiarizerLink:
    """Keeps one diarizer connected for one session."""

    def __init__(
        self,
        diarizer: CheckedDiarizer,
        retries: Retries,
        sink: DiarizationSink,
        report: Callable[[Link], None],
        log: structlog.stdlib.BoundLogger,
        epochs: Epoch = Epoch(0),  # noqa: B008  a number
    ) -> None:
        """`report` hears of every change of this link's health. `epochs`: the last that there has been so far."""
        self._diarizer = diarizer
        self._policy, self._door = retries.policy(), retries.door
        self._sink = sink
        self._report = report
        self._log = log
        self._epochs = epochs
        self._credibility = Credibility(diarizer, report, log)
        self._connection: DiarizerConnection | None = None
        self._successor: DiarizerConnection | None = None
        self._running: dict[DiarizerConnection, asyncio.Task[None]] = {}
        self._finishing = False
        self._active, self._suspended = asyncio.Event(), asyncio.Event()
        self._active.set()
        self._stopped_serving = False
        self._given_to = Sample(0)
        self._missed: deque[Missed] = deque(maxlen=round(10 * LONGEST_CATCH_UP_S))

    @property
    def connected(self) -> bool:
        """True while there is a connection that audio goes to."""
        return any(connection is not None and not connection.over for connection in (self._connection, self._successor))

    def hear(self, start: Sample, pcm: NDArray[np.int16]) -> None:
        """Hand over the next block (int16, shape (1600,)); never waits."""
        self._given_to = Sample(start + BLOCK)
        if self._finishing or self._suspended.is_set():
            return
        if self._connection is None or self._connection.over:
            self._missed.append((start, pcm))
        else:
            self._connection.offer(start, pcm)
        if self._successor is not None:
            self._successor.offer(start, pcm)

    def observed(self, voice: VoiceObserved) -> None:
        """Take the voice activity of what was heard, and what a model says of it some time later."""
        self._credibility.voice(voice.start, voice.voiced)
        judged = voice.judged
        if judged is not None and judged.by_model and len(judged.verdicts):
            self._credibility.voice(judged.start, judged.verdicts == Verdict.SPEECH, sure=True)

    def rest(self) -> None:
        """Nothing will be heard for long: drain the connection, and have none until `wake`."""
        self._active.clear()
        self._suspended.set()
        self._missed.clear()

    def wake(self) -> None:
        """Connect again."""
        self._suspended.clear()
        self._active.set()

    def finish(self) -> None:
        """No more audio comes: `run` returns once the diarizer has said what it still had to say."""
        self._finishing = True
        if self._connection is not None:
            self._connection.finish()

    async def run(self) -> None:
        """Stay connected until `finish`."""
        while True:
            await keep_connected("diarizer", self._connections, self._policy, self._report, self._log, self._door)
            if self._finishing:
                return
            self._report(OFF)
            await self._active.wait()

    async def _connections(self) -> None:
        """Serve over one connection and those that replace it without a break."""
        if self._finishing or self._suspended.is_set():
            return
        self._stopped_serving = False
        connection = self._connection = await self._open(self._missed)
        self._missed.clear()
        self._report(self._credibility.link)
        if self._finishing:
            connection.finish()
        try:
            async with single_error_group() as group:
                self._start(connection, group)
                del connection  # this frame stays as long as all those that follow it
                suspending = group.create_task(self._suspend_on_request())
                while self._connection is not None:
                    await self._serve(self._connection, group)
                if not self._stopped_serving:
                    suspending.cancel()
        finally:
            self._connection = self._successor = None
            for never_ran in self._running:
                await never_ran.close()
            self._running.clear()

    async def _open(self, missed: Sequence[Missed]) -> DiarizerConnection:
        async with deadline(OPEN_LIMIT_S, "OPEN_TIMEOUT", f"the diarizer did not answer within {OPEN_LIMIT_S:.0f} s"):
            stream = await self._diarizer.open()
        self._epochs = Epoch(self._epochs + 1)
        kept = round(10 * self._diarizer.capabilities.catch_up_s)
        missed = list(missed)[max(0, len(missed) - kept) :]
        connection = DiarizerConnection(stream, self._epochs, self._sink, len(missed), self._credibility)
        for start, pcm in missed:
            connection.offer(start, pcm)
        self._policy.opened(asyncio.get_running_loop().time())
        return connection

    def _start(self, connection: DiarizerConnection, group: asyncio.TaskGroup) -> None:
        task = self._running[connection] = group.create_task(connection.run())
        task.add_done_callback(lambda _: self._running.pop(connection) if connection.over else None)

    async def _serve(self, connection: DiarizerConnection, group: asyncio.TaskGroup) -> None:
        """Renew the connection in time; once it is superseded, go on with its successor, or raise what ended it."""
        renewing = group.create_task(self._renew(connection, group))
        await connection.superseded.wait()
        renewing.cancel()
        if self._connection is not connection:
            return
        successor, self._successor = self._successor, None
        if connection.fault is None:
            self._connection = None
            if successor is not None:
                self._drop(successor)
        elif successor is None or successor.over:
            raise connection.fault
        else:
            self._connection = successor
            if self._finishing:
                successor.finish()
            self._log.warning("link_lost", role="diarizer", reason=_error(connection.fault).reason, standby=True)

    async def _renew(self, connection: DiarizerConnection, group: asyncio.TaskGroup) -> None:
        """Have a successor stand by from some time before the connection's limit on, and switch over to it."""
        lifetime_s = self._diarizer.capabilities.max_stream_s
        if lifetime_s is None:
            return
        margin_s = min(RENEW_MARGIN_S, lifetime_s / 4)
        lead_s = min(SWITCHOVER_LEAD_S, margin_s / 4)
        limit_s = connection.opened_s + lifetime_s
        await _sleep_until(limit_s - margin_s)
        while not self._finishing:
            try:
                successor = await self._open(())
            except Exception as fault:  # noqa: BLE001 - the old connection goes on; a bug is logged as one
                failure = fault
            else:
                self._start(successor, group)
                self._successor = successor
                await _wait_until(max(limit_s - lead_s, successor.opened_s + lead_s), successor.superseded)
                if not successor.over:
                    self._switch_over(connection, successor, group)
                    return
                self._successor = None
                failure = successor.fault or Unavailable("STREAM_ENDED", "the diarizer ended the stream")
            await self._wait_to_try_again(failure)

    async def _wait_to_try_again(self, fault: Exception) -> None:
        """Wait as long as one should after a renewal that failed."""
        failure = _error(fault)
        if failure is not fault:
            self._log.error("link_fault", role="diarizer", exc_info=fault)
        delay_s = self._policy.failed(asyncio.get_running_loop().time(), failure)
        self._log.warning("renewal_failed", role="diarizer", reason=failure.reason, retry_in_s=delay_s)
        await self._door.pause(delay_s)

    def _switch_over(
        self, connection: DiarizerConnection, successor: DiarizerConnection, group: asyncio.TaskGroup
    ) -> None:
        if self._finishing or connection.over:
            return
        self._connection, self._successor = successor, None
        self._sink.epoch_changed(EpochTookOver(successor.epoch, self._given_to))
        self._log.info("diarizer_connection_replaced", epoch=successor.epoch)
        connection.finish()
        connection.superseded.set()
        group.create_task(self._drain(connection))

    async def _suspend_on_request(self) -> None:
        """Wait for `rest`; then no connection serves any more, and the last one is drained."""
        await self._suspended.wait()
        self._stopped_serving = True
        connection, successor = self._connection, self._successor
        self._connection = self._successor = None
        if successor is not None:
            self._drop(successor)
        if connection is not None:
            connection.finish()
            connection.superseded.set()
            await self._drain(connection)

    async def _drain(self, connection: DiarizerConnection) -> None:
        task = self._running.get(connection)
        if task is None:
            return
        await asyncio.wait({task}, timeout=DRAIN_LIMIT_S)
        if not task.done():
            self._drop(connection)

    def _drop(self, connection: DiarizerConnection) -> None:
        task = self._running.get(connection)
        if task is not None:
            task.cancel()


def _error(fault: Exception) -> MinutedError:
    """What is no MinutedError is a bug of an adapter."""
    if isinstance(fault, MinutedError):
        return fault
    return Unavailable("INTERNAL_FAULT", f"the diarizer met an internal fault ({type(fault).__name__})")


async def _sleep_until(when_s: float) -> None:
    await asyncio.sleep(max(0.0, when_s - asyncio.get_running_loop().time()))


async def _wait_until(when_s: float, event: asyncio.Event) -> None:
    """Return when the event is set, at `when_s` at the latest."""
    try:
        async with asyncio.timeout_at(when_s):
            await event.wait()
    except TimeoutError:
        return

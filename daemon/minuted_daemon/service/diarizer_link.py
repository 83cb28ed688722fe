"""A session's link to its diarizer: live audio out, one epoch for each connection, events in with their epoch.

Audio that comes while there is no connection is dropped, never sent later, unless the diarizer says that it can catch
up: a vendor wants real time, and what a new epoch does not hear it cannot number.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.core.events import DiarizerEvent, Epoch, EpochClosed, EpochOpened
from minuted_daemon.core.records import Link
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.errors import Unavailable
from minuted_daemon.ports import Diarizer, DiarizerStream
from minuted_daemon.service.links import UP, deadline, keep_connected, one_fault
from minuted_daemon.service.retry import RetryPolicy

OPEN_LIMIT_S = 45.0
SEND_LIMIT_S = 3.0
QUEUE_BLOCKS = 30
"""Audio that may wait for a slow connection. When it is full, the connection is too slow: the epoch is broken."""


class DiarizationSink(Protocol):
    """Who wants to know."""

    def epoch_changed(self, event: EpochOpened | EpochClosed) -> None:
        """An epoch begins with its first block, or is over."""
        ...

    def diarized(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """The diarizer said something; `sent_to` is how far it had been sent audio by then."""
        ...


class DiarizerLink:
    """Keeps one diarizer connected for one session."""

    def __init__(
        self,
        diarizer: Diarizer,
        policy: RetryPolicy,
        sink: DiarizationSink,
        report: Callable[[Link], None],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`report` hears of every change of this link's health."""
        self._diarizer = diarizer
        self._policy = policy
        self._sink = sink
        self._report = report
        self._log = log
        self._epochs = 0
        self._line: _Line | None = None
        self._finishing = False
        self._missed: deque[tuple[Sample, NDArray[np.int16]]] = deque(
            maxlen=round(10 * diarizer.capabilities.catch_up_s)
        )

    @property
    def connected(self) -> bool:
        """True while there is a connection that audio goes to."""
        return self._line is not None

    def hear(self, start: Sample, pcm: NDArray[np.int16]) -> None:
        """Hand over the next block (int16, shape (1600,)); never waits."""
        if self._line is None:
            self._missed.append((start, pcm))
        elif not self._finishing:
            self._line.offer(start, pcm)

    def finish(self) -> None:
        """No more audio comes: `run` returns once the diarizer has said what it still had to say."""
        self._finishing = True
        if self._line is not None:
            self._line.finish()

    async def run(self) -> None:
        """Stay connected until `finish`, or until the diarizer refuses for good."""
        await keep_connected("diarizer", self._connection, self._policy, self._report, self._log)

    async def _connection(self) -> None:
        if self._finishing:
            return
        async with deadline(OPEN_LIMIT_S, "OPEN_TIMEOUT", f"the diarizer did not answer within {OPEN_LIMIT_S:.0f} s"):
            stream = await self._diarizer.open()
        self._epochs += 1
        line = self._line = _Line(stream, Epoch(self._epochs), self._sink, len(self._missed))
        for start, pcm in self._missed:
            line.offer(start, pcm)
        self._missed.clear()
        self._policy.opened(asyncio.get_running_loop().time())
        self._report(UP)
        if self._finishing:
            line.finish()
        try:
            async with one_fault() as group:
                group.create_task(line.send())
                group.create_task(line.receive())
        finally:
            self._line = None
            line.closed()
            await stream.close()


class _Line:
    """One connection: a queue in front of it, and how much of the session it has heard."""

    def __init__(self, stream: DiarizerStream, epoch: Epoch, sink: DiarizationSink, behind: int) -> None:
        self._stream = stream
        self._epoch = epoch
        self._sink = sink
        self._blocks: asyncio.Queue[tuple[Sample, NDArray[np.int16]] | None] = asyncio.Queue(QUEUE_BLOCKS + behind)
        self._too_slow = False
        self._finishing = False
        self._sent_to: Sample | None = None
        self._heard_to = Sample(0)

    def offer(self, start: Sample, pcm: NDArray[np.int16]) -> None:
        if self._blocks.full():
            self._too_slow = True
        elif not self._too_slow:
            self._blocks.put_nowait((start, pcm))

    def finish(self) -> None:
        self._finishing = True
        if not self._blocks.full():
            self._blocks.put_nowait(None)

    async def send(self) -> None:
        slow = f"the diarizer took audio too slowly: {QUEUE_BLOCKS / 10:.0f} s were waiting"
        while not (self._finishing and self._blocks.empty()):
            item = await self._blocks.get()
            if self._too_slow:
                raise Unavailable("SEND_STALLED", slow)
            if item is None:
                break
            start, pcm = item
            if self._sent_to is None:
                self._heard_to = start
                self._sink.epoch_changed(EpochOpened(self._epoch, start))
            # Counted before it is sent: an event about this block may overtake the end of the call.
            self._sent_to = Sample(start + BLOCK)
            async with deadline(SEND_LIMIT_S, "SEND_STALLED", slow):
                await self._stream.send(pcm)
            self._heard_to = self._sent_to
        async with deadline(SEND_LIMIT_S, "SEND_STALLED", slow):
            await self._stream.finish()

    async def receive(self) -> None:
        async for event in self._stream.events():
            if self._sent_to is not None:
                self._sink.diarized(self._epoch, event, self._sent_to)
        if not self._finishing:
            raise Unavailable("STREAM_ENDED", "the diarizer ended the stream")

    def closed(self) -> None:
        if self._sent_to is not None:
            self._sink.epoch_changed(EpochClosed(self._epoch, self._heard_to))

"""One connection to a diarizer: a queue in front of it, and how much of the session it has heard.

When connections are opened, replaced and given up is decided in diarizer_link.py.
"""

import asyncio
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.diarization.event_check import EventCheck
from minuted_daemon.core.events import (
    DiarizerEvent,
    DiarizerNews,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    MessageUnusable,
)
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.errors import Unavailable
from minuted_daemon.ports.engines import DiarizerStream
from minuted_daemon.service.connections.credibility import Credibility
from minuted_daemon.service.task_groups import deadline, single_error_group

SEND_LIMIT_S = 3.0
QUEUE_BLOCKS = 30
"""Audio that may wait for a slow connection. When it is full, the connection is too slow: the epoch is broken."""


class DiarizationSink(Protocol):
    """What is told of connections and of what they say."""

    def epoch_changed(self, event: EpochOpened | EpochTookOver | EpochClosed) -> None:
        """An epoch begins with its first block, takes over from the one before, or is over."""
        ...

    def diarized(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """The diarizer said something; `sent_to` is how far it had been sent audio by then."""
        ...


class DiarizerConnection:
    """Sends what it is offered, and tells the sink what comes back."""

    def __init__(
        self, stream: DiarizerStream, epoch: Epoch, sink: DiarizationSink, missed: int, credibility: Credibility
    ) -> None:
        """`missed`: so many blocks from before the connection will be offered at once."""
        self.epoch = epoch
        self.opened_s = asyncio.get_running_loop().time()
        self.superseded = asyncio.Event()
        """Set once it is over, or another connection has taken its place."""
        self.over = False
        self.fault: Exception | None = None
        """What ended it; None while it runs and when it was finished properly."""
        self._stream = stream
        self._sink = sink
        self._credibility = credibility
        self._check: EventCheck | None = None
        self._base = 0
        self._blocks: asyncio.Queue[tuple[Sample, NDArray[np.int16]] | None] = asyncio.Queue(QUEUE_BLOCKS + missed)
        self._too_slow = False
        self._finishing = False
        self._sent_to: Sample | None = None
        self._heard_to = Sample(0)

    def offer(self, start: Sample, pcm: NDArray[np.int16]) -> None:
        """Hand over the next block; never waits."""
        if self._blocks.full():
            self._too_slow = True
        elif not self._too_slow:
            self._blocks.put_nowait((start, pcm))

    def finish(self) -> None:
        """No more audio comes."""
        self._finishing = True
        if not self._blocks.full():
            self._blocks.put_nowait(None)

    async def run(self) -> None:
        """Live until finished or broken: see `fault`. Raises nothing but CancelledError."""
        try:
            async with single_error_group() as group:
                group.create_task(self._send())
                group.create_task(self._receive())
        except Exception as fault:  # noqa: BLE001 - the link raises it where no other connection goes on
            self.fault = fault
            if self._check is not None:
                self._credibility.broke(self._check, fault)
        finally:
            self.over = True
            if self._sent_to is not None:
                self._sink.epoch_changed(EpochClosed(self.epoch, self._heard_to))
            self.superseded.set()
            await self._stream.close()

    async def close(self) -> None:
        """Drop a connection that never came to run."""
        self.over = True
        await self._stream.close()

    async def _send(self) -> None:
        slow = f"the diarizer took audio too slowly: {QUEUE_BLOCKS / 10:.0f} s were waiting"
        while not (self._finishing and self._blocks.empty()):
            item = await self._blocks.get()
            if self._too_slow:
                raise Unavailable("SEND_STALLED", slow)
            if item is None:
                break
            start, pcm = item
            if self._sent_to is None:
                self._heard_to, self._base = start, start
                self._check = self._credibility.opened(start)
                self._sink.epoch_changed(EpochOpened(self.epoch, start))
            # Counted before it is sent: an event about this block may overtake the end of the call.
            self._sent_to = Sample(start + BLOCK)
            async with deadline(SEND_LIMIT_S, "SEND_STALLED", slow):
                await self._stream.send(pcm)
            self._heard_to = self._sent_to
            if self._check is not None:
                self._credibility.examine(self._check, self._sent_to - self._base)
        async with deadline(SEND_LIMIT_S, "SEND_STALLED", slow):
            await self._stream.finish()

    async def _receive(self) -> None:
        async for news in self._stream.events():
            if self._sent_to is not None:
                for event, sent in self._usable(news, self._sent_to - self._base):
                    self._sink.diarized(self.epoch, event, Sample(self._base + sent))
        if not self._finishing:
            raise Unavailable("STREAM_ENDED", "the diarizer ended the stream")

    def _usable(self, news: DiarizerNews, sent: int) -> list[tuple[DiarizerEvent, int]]:
        if self._check is not None:
            return self._credibility.usable(self._check, news, sent)
        return [] if isinstance(news, MessageUnusable) else [(news, sent)]

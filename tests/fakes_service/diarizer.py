"""A diarizer that follows a script of who speaks when, with a lag, and breaks where it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import DiarizerEvent, DiarizerNews, SpeakerEnded, SpeakerStarted
from minuted_daemon.core.samples import RATE_HZ
from minuted_daemon.errors import MinutedError, Unavailable, VendorError
from minuted_daemon.ports.engines import DiarizerCapabilities

Spoken = tuple[str, float, float]
"""A label, from, to: seconds since the session's start."""


class FakeDiarizerStream:
    def __init__(self, engine: "FakeDiarizer") -> None:
        self._engine = engine
        self._number = len(engine.streams)
        self._opened_s = asyncio.get_running_loop().time()
        self._events: asyncio.Queue[DiarizerNews | MinutedError | None] = asyncio.Queue()
        self.sent = 0
        self.sent_at_s: list[float] = []
        """When each block came."""
        self.base: int | None = None
        self.finished = False
        self.closed = False
        self.broken: MinutedError | None = None

    def break_now(self, error: MinutedError) -> None:
        self.broken = error
        self._events.put_nowait(error)

    def say(self, event: DiarizerNews) -> None:
        self._events.put_nowait(event)

    async def send(self, pcm: NDArray[np.int16]) -> None:
        assert pcm.shape == (1600,)
        assert pcm.dtype == np.int16
        if self._engine.send_takes_s:
            await asyncio.sleep(self._engine.send_takes_s)
        limit_s = self._engine.capabilities.max_stream_s
        if self._engine.strict and limit_s and asyncio.get_running_loop().time() > self._opened_s + limit_s:
            self.break_now(Unavailable("CLOSED_POLICY", "maximum stream duration"))
        if self.broken is not None:
            raise self.broken
        if self.base is None:
            self.base = self._engine.now()
        self.sent_at_s.append(asyncio.get_running_loop().time())
        before, self.sent = self.sent, self.sent + len(pcm)
        lag = round(self._engine.capabilities.lag_s * RATE_HZ)
        self._tell(before - lag, self.sent - lag)

    def _tell(self, after: int, to: int) -> None:
        found: list[tuple[int, int, DiarizerEvent]] = []
        for who, start_s, end_s in self._engine.script:
            label = self._engine.label(self._number, who)
            start, end = (round(s * RATE_HZ) - (self.base or 0) for s in (start_s, end_s))
            start = 0 if start < 0 < end else start  # it has begun before this stream
            if after <= start < to and start >= 0:
                found.append((start, 1, SpeakerStarted(label, start)))
            if after <= end < to and end > 0:
                found.append((end, 0, SpeakerEnded(label, end)))
        for _, _, event in sorted(found, key=lambda item: item[:2]):
            self._events.put_nowait(event)

    async def events(self) -> AsyncIterator[DiarizerNews]:
        while True:
            event = await self._events.get()
            if event is None:
                return
            if isinstance(event, MinutedError):
                raise event
            yield event

    async def finish(self) -> None:
        self.finished = True
        if self._engine.never_finishes:
            return
        lag = round(self._engine.capabilities.lag_s * RATE_HZ)
        self._tell(self.sent - lag, self.sent + 1)
        self._events.put_nowait(None)

    async def close(self) -> None:
        self.closed = True


class FakeDiarizer:
    def __init__(self, script: Sequence[Spoken] = (), lag_s: float = 0.3) -> None:
        self.script = script
        self.capabilities = DiarizerCapabilities("fake", lag_s)
        self.refusals: list[MinutedError] = []
        """Raised by the next opens, one each."""
        self.streams: list[FakeDiarizerStream] = []
        self.attempts_s: list[float] = []
        self.send_takes_s = 0.0
        self.never_finishes = False
        self.strict = False
        """Streams end at their limit."""
        self.label: Callable[[int, str], str] = lambda _stream, who: who
        """What a stream (counted from 0) calls somebody."""
        self.closed = False
        self.given_up: list[VendorError] = []
        self._started_s: float | None = None

    def now(self) -> int:
        """Where the session is, taking blocks of 100 ms since the first attempt."""
        since_s = asyncio.get_running_loop().time() - (self._started_s or 0.0)
        return max(0, round((since_s - 0.1) * 10)) * 1600

    async def open(self) -> FakeDiarizerStream:
        now_s = asyncio.get_running_loop().time()
        self._started_s = self._started_s if self._started_s is not None else now_s
        self.attempts_s.append(now_s)
        if self.refusals:
            raise self.refusals.pop(0)
        self.streams.append(FakeDiarizerStream(self))
        return self.streams[-1]

    def give_up(self, fault: VendorError) -> None:
        self.given_up.append(fault)

    async def close(self) -> None:
        self.closed = True

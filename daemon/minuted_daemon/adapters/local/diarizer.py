"""The offline diarizer as the daemon sees it. The models run in the worker; see worker/diarization for what it does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.protocol import Kind, decode_events
from minuted_daemon.adapters.local.worker_client import Channel, LocalEngine
from minuted_daemon.core.events import DiarizerEvent
from minuted_daemon.core.samples import samples, seconds
from minuted_daemon.errors import Garbled, Unavailable
from minuted_daemon.ports.engines import DiarizerCapabilities

LAG_S = 1.9
"""Look-ahead, hop and the step's own time: what most events stay below."""


@dataclass(frozen=True, slots=True)
class DiarizerLimits:
    """How far a stream may be behind, and how long its end may take."""

    backlog: int = samples(30.0)
    """Samples that may wait for the worker; beyond that the stream is overloaded, and broken."""
    finish_s: float = 4.5


LIMITS = DiarizerLimits()


class LocalDiarizerStream:
    """One epoch of the offline diarizer."""

    def __init__(self, channel: Channel, limits: DiarizerLimits) -> None:
        self._limits = limits
        self._channel = channel
        self._sent = 0
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that were sent and not worked on yet."""
        return seconds(self._sent - self._channel.progress)

    async def send(self, pcm: NDArray[np.int16]) -> None:
        """Send the next audio (int16, shape (n,), 16 kHz). Never waits.

        Raises Unavailable (WORKER_DIED, OVERLOADED).
        """
        if self._sent - self._channel.progress > self._limits.backlog:
            self._channel.worker.kill_if_stuck()
            self._channel.fail(Unavailable("OVERLOADED", "The offline diarizer is more than 30 s behind."))
        self._channel.send(Kind.AUDIO, payload=pcm.astype(np.int16, copy=False).tobytes())
        self._sent += len(pcm)

    async def events(self) -> AsyncIterator[DiarizerEvent]:
        """Return events as they arrive. Ends after `finish` or `close`.

        Raises Unavailable (WORKER_DIED, OVERLOADED) or Garbled (BAD_FRAME).
        """
        while (frame := await self._channel.next()) is not None:
            if frame.kind is Kind.FINISHED:
                return
            try:
                events = decode_events(frame.payload)
            except ValueError as error:
                raise Garbled("BAD_FRAME", "The offline engine's worker sent what it should not.") from error
            for event in events:
                yield event

    async def finish(self) -> None:
        """Say that no more audio comes. What is left is given within 5 s, or not at all."""
        if self._deadline is None:
            self._channel.send(Kind.FINISH)
            self._deadline = asyncio.get_running_loop().call_later(self._limits.finish_s, self._channel.end)

    async def close(self) -> None:
        """Drop the stream."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._channel.close()


class LocalDiarizer:
    """The offline diarizer. Several streams share one worker and take turns."""

    def __init__(self, engine: LocalEngine, limits: DiarizerLimits = LIMITS) -> None:
        self._engine = engine
        self._limits = limits

    @property
    def capabilities(self) -> DiarizerCapabilities:
        """What this engine can do."""
        return DiarizerCapabilities(name="local", lag_s=LAG_S, catch_up_s=10.0)

    async def open(self) -> LocalDiarizerStream:
        """Open a stream, starting the worker if it does not run.

        Raises Rejected (ENGINE_MISSING) or Unavailable (WORKER_DIED, WORKER_SLOW).
        """
        return LocalDiarizerStream(await self._engine.open(Kind.OPEN_DIARIZER), self._limits)

    async def close(self) -> None:
        """End the worker, and with it all streams of the engine."""
        await self._engine.close()

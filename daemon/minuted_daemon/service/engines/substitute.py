"""Connections to the local engine while it serves in the place of one that refuses, until that one accepts again.

They end with a fault then, so that the link connects again at once: to which engine is decided in failover.py.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import DiarizerNews, SpeakerEnded, SpeakerStarted, TranscriberEvent, UtteranceId
from minuted_daemon.errors import Unavailable
from minuted_daemon.ports.engines import DiarizerStream, TranscriberStream
from minuted_daemon.service.retries.policy import TAKEN_BACK
from minuted_daemon.service.task_groups import single_error_group

QUIET_LIMIT_S = 60.0
"""The substitute of a diarizer ends when no one speaks; after so long in any case."""

Item = TypeVar("Item")


class SubstituteDiarizerStream:
    """Ends when the engine accepts again and no one speaks."""

    def __init__(self, stream: DiarizerStream, accepted_again: Callable[[], Awaitable[None]]) -> None:
        """`accepted_again` returns once the engine accepts again."""
        self._stream = stream
        self._accepted_again = accepted_again
        self._speaking: set[str] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._finished = False

    async def send(self, pcm: NDArray[np.int16]) -> None:
        """As the stream."""
        await self._stream.send(pcm)

    async def events(self) -> AsyncIterator[DiarizerNews]:
        """Return the events; raise Unavailable (TAKEN_BACK) once the engine accepts again."""
        async with aclosing(_until(self._stream.events(), self._may_end)) as events:
            async for event in events:
                if isinstance(event, SpeakerStarted):
                    self._speaking.add(event.label)
                    self._quiet.clear()
                elif isinstance(event, SpeakerEnded):
                    self._speaking.discard(event.label)
                    if not self._speaking:
                        self._quiet.set()
                yield event

    async def finish(self) -> None:
        """As the stream."""
        self._finished = True
        await self._stream.finish()

    async def close(self) -> None:
        """As the stream."""
        await self._stream.close()

    async def _may_end(self) -> None:
        await self._accepted_again()
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET_LIMIT_S):
                await self._quiet.wait()
        if self._finished:
            await asyncio.Event().wait()


class SubstituteTranscriberStream:
    """Ends when the engine accepts again; what was not answered by then is asked for there."""

    def __init__(self, stream: TranscriberStream, accepted_again: Callable[[], Awaitable[None]]) -> None:
        """`accepted_again` returns once the engine accepts again."""
        self._stream = stream
        self._accepted_again = accepted_again

    @property
    def rate_hz(self) -> int:
        """As the stream."""
        return self._stream.rate_hz

    @property
    def expires_in_s(self) -> float | None:
        """As the stream."""
        return self._stream.expires_in_s

    @property
    def remarks(self) -> Mapping[str, str]:
        """As the stream."""
        return self._stream.remarks

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        """As the stream."""
        await self._stream.append(utterance, pcm)

    async def commit(self, utterance: UtteranceId) -> None:
        """As the stream."""
        await self._stream.commit(utterance)

    async def clear(self, utterance: UtteranceId) -> None:
        """As the stream."""
        await self._stream.clear(utterance)

    async def events(self) -> AsyncIterator[TranscriberEvent]:
        """Return the events; raise Unavailable (TAKEN_BACK) once the engine accepts again."""
        async with aclosing(_until(self._stream.events(), self._accepted_again)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """As the stream."""
        await self._stream.close()


async def _until(items: AsyncIterator[Item], accepted: Callable[[], Awaitable[None]]) -> AsyncGenerator[Item, None]:
    """Return the items until they end, or, once `accepted` returns, raise Unavailable (TAKEN_BACK)."""

    async def end() -> None:
        await accepted()
        raise Unavailable(TAKEN_BACK, "The engine accepts again, and takes over from the local one.")

    async with single_error_group() as group:
        ending = group.create_task(end())
        async for item in items:
            yield item
        ending.cancel()

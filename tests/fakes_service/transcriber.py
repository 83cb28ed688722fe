"""A transcriber whose text tells what it heard: `u3 heard 1200 ms`. It holds the caller to the order of the port."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import TextCompleted, TextGrew, TranscriberEvent, UtteranceId
from minuted_daemon.errors import MinutedError
from minuted_daemon.ports.engines import TranscriberCapabilities


class FakeTranscriberStream:
    def __init__(self, engine: "FakeTranscriber") -> None:
        self._engine = engine
        self._rate_hz = engine.capabilities.rate_hz
        self._opened_s = asyncio.get_running_loop().time()
        self._events: asyncio.Queue[TranscriberEvent | MinutedError | None] = asyncio.Queue()
        self.audio: dict[UtteranceId, list[NDArray[np.int16]]] = {}
        self.open: UtteranceId | None = None
        self.committed: list[UtteranceId] = []
        self.any_commit = asyncio.Event()
        self.cleared: list[UtteranceId] = []
        self.broken: MinutedError | None = None
        self.closed = False

    @property
    def rate_hz(self) -> int:
        return self._rate_hz

    @property
    def remarks(self) -> Mapping[str, str]:
        return self._engine.remarks

    @property
    def expires_in_s(self) -> float | None:
        if self._engine.lifetime_s is None:
            return None
        return self._opened_s + self._engine.lifetime_s - asyncio.get_running_loop().time()

    def break_now(self, error: MinutedError) -> None:
        self.broken = error
        self._events.put_nowait(error)

    def say(self, event: TranscriberEvent) -> None:
        self._events.put_nowait(event)

    def heard(self, utterance: UtteranceId) -> NDArray[np.int16]:
        return np.concatenate(self.audio[utterance])

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        await self._check()
        assert pcm.dtype == np.int16
        assert self.open in (None, utterance), "one utterance after the other"
        assert utterance not in self.committed, "no audio behind a commit"
        if self.open is None:
            self.audio[utterance] = []
            self.open = utterance
        self.audio[utterance].append(pcm)
        if self._engine.partials:
            self._events.put_nowait(TextGrew(utterance, f"u{utterance} ", replaces=True))

    async def commit(self, utterance: UtteranceId) -> None:
        await self._check()
        assert self.open == utterance
        self.open = None
        self.committed.append(utterance)
        self.any_commit.set()
        if self._engine.answers:
            ms = len(self.heard(utterance)) * 1000 // self._engine.capabilities.rate_hz
            loop = asyncio.get_running_loop()
            event = TextCompleted(utterance, self._engine.says or f"u{utterance} heard {ms} ms")
            loop.call_later(self._engine.answer_after_s, self._events.put_nowait, event)

    async def clear(self, utterance: UtteranceId) -> None:
        await self._check()
        self.open = None
        self.cleared.append(utterance)

    async def events(self) -> AsyncIterator[TranscriberEvent]:
        while True:
            event = await self._events.get()
            if event is None:
                return
            if isinstance(event, MinutedError):
                raise event
            yield event

    async def close(self) -> None:
        self.closed = True
        self._events.put_nowait(None)

    async def _check(self) -> None:
        if self._engine.send_takes_s:
            await asyncio.sleep(self._engine.send_takes_s)
        if self.broken is not None:
            raise self.broken
        assert not self.closed


class FakeTranscriber:
    def __init__(self, rate_hz: int = 24_000) -> None:
        self.capabilities = TranscriberCapabilities("fake", rate_hz)
        self.refusals: list[MinutedError] = []
        self.streams: list[FakeTranscriberStream] = []
        self.attempts_s: list[float] = []
        self.languages: Sequence[str] = ()
        self.answer_after_s = 0.3
        self.answers = True
        self.says = ""  # whatever it hears
        self.partials = True
        self.lifetime_s: float | None = None
        self.send_takes_s = 0.0
        self.remarks: dict[str, str] = {}
        self.closed = False

    async def open(self, languages: Sequence[str]) -> FakeTranscriberStream:
        self.languages = languages
        self.attempts_s.append(asyncio.get_running_loop().time())
        if self.refusals:
            raise self.refusals.pop(0)
        self.streams.append(FakeTranscriberStream(self))
        return self.streams[-1]

    async def close(self) -> None:
        self.closed = True

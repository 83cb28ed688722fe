"""The engines as one session uses them: what is sent is counted, and the local one takes over from one that refuses.

To the links this is an engine like any other. A refusal in mid-session breaks the connection in a way that makes the
link connect again at once, and it is then connected to the substitute.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.core.events import DiarizerNews, TranscriberEvent, UtteranceId
from minuted_daemon.core.samples import RATE_HZ
from minuted_daemon.errors import Rejected, Unavailable, VendorError
from minuted_daemon.ports import (
    Diarizer,
    DiarizerCapabilities,
    DiarizerStream,
    Transcriber,
    TranscriberCapabilities,
    TranscriberStream,
)
from minuted_daemon.service.engines import Engine, Offer
from minuted_daemon.service.standing import FELL_BACK, LANGUAGE_NOT_KNOWN, Standing, language_remark

E = TypeVar("E", bound=Engine)


class Post(Generic[E]):
    """Who serves in one role of one session: the engine it was started with, and from its refusal on the substitute.

    Without a substitute, or with one that cannot be used here, a refusal stays what it is.
    """

    def __init__(
        self,
        role: str,
        engine: E,
        substitute: Offer[E] | None,
        standing: Standing,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self.standing = standing
        self.serving = engine
        self.fell_back = False
        self._role = role
        self._substitute = substitute
        self._refusal: VendorError | None = None
        self._log = log

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Let a refusal pass as Unavailable (FELL_BACK) if there is somebody to take over."""
        try:
            yield
        except Rejected as refusal:
            if not self._replaceable(refusal):
                raise
            raise Unavailable(FELL_BACK, f"{refusal.message} The local {self._role} takes over.") from refusal

    async def settle(self) -> None:
        """Have the substitute take over if the engine has refused. Raises WrongState (ENGINE_MISSING)."""
        if self._refusal is None or self._substitute is None or self.fell_back:
            return
        self.serving = await self._substitute.engine()
        self.fell_back = True
        self.standing.remark(FELL_BACK, f"{self._refusal.message} The local {self._role} serves instead.")
        self._log.warning("fell_back", role=self._role, reason=self._refusal.reason)

    def give_up(self, fault: VendorError) -> None:
        """The engine is of no use: the substitute takes over at the next connection, if there is one."""
        self._replaceable(fault)

    def sent(self, count: int) -> None:
        """So many samples at 16 kHz went out; only what the session's own engine was sent may be billed."""
        self.standing.sent += count

    def _replaceable(self, refusal: VendorError) -> bool:
        if self._substitute is None or (self._substitute.missing() is not None and not self.fell_back):
            return False
        self._refusal = self._refusal or refusal
        return True


class EngagedDiarizer:
    """A session's diarizer. See ports.Diarizer; it is not the session's to close."""

    def __init__(self, post: Post[Diarizer]) -> None:
        self._post = post

    @property
    def capabilities(self) -> DiarizerCapabilities:
        """What the engine that serves now can do."""
        return self._post.serving.capabilities

    async def open(self) -> DiarizerStream:
        """Connect once, to whoever serves.

        Raises Unavailable, also (FELL_BACK) for a refusal after which the substitute serves; Rejected or Garbled.
        """
        await self._post.settle()
        if self._post.fell_back:
            return await self._post.serving.open()
        with self._post.refusals():
            return _CountedDiarizerStream(await self._post.serving.open(), self._post)

    def give_up(self, fault: VendorError) -> None:
        """What it says cannot be used: see Post.give_up."""
        self._post.give_up(fault)

    async def close(self) -> None:
        """Nothing: the engine is shared."""


class _CountedDiarizerStream:
    def __init__(self, stream: DiarizerStream, post: Post[Diarizer]) -> None:
        self._stream = stream
        self._post = post

    async def send(self, pcm: NDArray[np.int16]) -> None:
        with self._post.refusals():
            await self._stream.send(pcm)
        self._post.sent(len(pcm))

    async def events(self) -> AsyncIterator[DiarizerNews]:
        with self._post.refusals():
            async for event in self._stream.events():
                yield event

    async def finish(self) -> None:
        with self._post.refusals():
            await self._stream.finish()

    async def close(self) -> None:
        await self._stream.close()


class EngagedTranscriber:
    """A session's transcriber. See ports.Transcriber; it is not the session's to close."""

    def __init__(self, post: Post[Transcriber], languages: Sequence[str]) -> None:
        self._post = post
        self._languages = languages
        self._remarked: set[str] = set()
        self._look_at_languages()

    @property
    def capabilities(self) -> TranscriberCapabilities:
        """What the engine that serves now can do."""
        return self._post.serving.capabilities

    async def open(self, languages: Sequence[str]) -> TranscriberStream:
        """Connect once, to whoever serves.

        Raises Unavailable, also (FELL_BACK) for a refusal after which the substitute serves; Rejected or Garbled.
        """
        await self._post.settle()
        serving = self._post.serving
        if self._post.fell_back:
            self._look_at_languages()
            return await serving.open(languages)
        with self._post.refusals():
            stream = await serving.open(languages)
        self._take_remarks(stream.remarks)
        return _CountedTranscriberStream(stream, self._post)

    async def close(self) -> None:
        """Nothing: the engine is shared."""

    def _take_remarks(self, remarks: Mapping[str, str]) -> None:
        """Say what the newest connection remarks, and no more what only one before it did."""
        for reason in self._remarked - remarks.keys():
            self._post.standing.take_back(reason)
        for reason, sentence in remarks.items():
            self._post.standing.remark(reason, sentence)
        self._remarked = set(remarks)

    def _look_at_languages(self) -> None:
        serving = self._post.serving.capabilities
        if sentence := language_remark(serving.name, serving.languages, self._languages):
            self._post.standing.remark(LANGUAGE_NOT_KNOWN, sentence)


class _CountedTranscriberStream:
    def __init__(self, stream: TranscriberStream, post: Post[Transcriber]) -> None:
        self._stream = stream
        self._post = post

    @property
    def rate_hz(self) -> int:
        return self._stream.rate_hz

    @property
    def expires_in_s(self) -> float | None:
        return self._stream.expires_in_s

    @property
    def remarks(self) -> Mapping[str, str]:
        return self._stream.remarks

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        with self._post.refusals():
            await self._stream.append(utterance, pcm)
        self._post.sent(len(pcm) * RATE_HZ // self.rate_hz)

    async def commit(self, utterance: UtteranceId) -> None:
        with self._post.refusals():
            await self._stream.commit(utterance)

    async def clear(self, utterance: UtteranceId) -> None:
        with self._post.refusals():
            await self._stream.clear(utterance)

    async def events(self) -> AsyncIterator[TranscriberEvent]:
        with self._post.refusals():
            async for event in self._stream.events():
                yield event

    async def close(self) -> None:
        await self._stream.close()

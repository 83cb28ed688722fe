"""The engines as one session uses them: what is sent is counted, and the local one takes over from one that refuses.

To the links this is an engine like any other. A refusal in mid-session breaks the connection in a way that makes the
link connect again at once, and it is then connected to the substitute; so it is when the engine accepts again, which is
asked about at the gate (retries/gate.py), beside the substitute's connection.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.core.events import DiarizerNews, TranscriberEvent, UtteranceId
from minuted_daemon.core.samples import RATE_HZ
from minuted_daemon.errors import Rejected, Unavailable, VendorError
from minuted_daemon.ports.engines import (
    Diarizer,
    DiarizerCapabilities,
    DiarizerStream,
    Transcriber,
    TranscriberCapabilities,
    TranscriberStream,
)
from minuted_daemon.service.engines.catalog import Engine, Offer
from minuted_daemon.service.engines.substitute import SubstituteDiarizerStream, SubstituteTranscriberStream
from minuted_daemon.service.engines.usage import LANGUAGE_NOT_KNOWN, EngineUsage, language_remark
from minuted_daemon.service.retries.gate import Door, own_door
from minuted_daemon.service.retries.policy import FELL_BACK
from minuted_daemon.service.task_groups import deadline

STAYS_S = 60.0
"""A substitute that took over stays so long at least: each change is a new connection, and may cost who is who."""
PROBE_LIMIT_S = 45.0
"""An engine that does not answer in that time does not accept."""

E = TypeVar("E", bound=Engine)


class Closes(Protocol):
    """A stream."""

    async def close(self) -> None:
        """Drop the connection."""
        ...


class EngineSlot(Generic[E]):
    """The engine that serves in one role of a session: the one it was started with; its substitute while that refuses.

    Without a substitute, or with one that cannot be used here, a refusal stays what it is.
    """

    def __init__(
        self,
        role: str,
        engine: E,
        substitute: Offer[E] | None,
        usage: EngineUsage,
        log: structlog.stdlib.BoundLogger,
        door: Door | None = None,
    ) -> None:
        """`door` is the way to the engine that the session shares with all others."""
        self.usage = usage
        self.serving = engine
        self.fell_back = False
        self.door = door or own_door()
        self._role = role
        self._engine = engine
        self._substitute = substitute
        self._refusal: VendorError | None = None
        self._log = log

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Open a connection to the engine inside this block, if one may ask; see `using`."""
        with self._replaced(), self.door.asking():
            yield

    @contextmanager
    def using(self) -> Iterator[None]:
        """Let a refusal pass as Unavailable (FELL_BACK) if a substitute can take over."""
        with self._replaced(), self.door.using():
            yield

    async def settle(self) -> None:
        """Have the substitute take over if the engine has refused, and the engine if it accepts again.

        Raises WrongState (ENGINE_MISSING).
        """
        if self._substitute is None or (self._refusal is not None) is self.fell_back:
            return
        if self._refusal is None:
            self.serving, self.fell_back = self._engine, False
            self.usage.withdraw(FELL_BACK)
            self._log.info("engine_restored", role=self._role)
            return
        self.serving = await self._substitute.engine()
        self.fell_back = True
        self.usage.warn(FELL_BACK, f"{self._refusal.message} The local {self._role} serves instead.")
        self._log.warning("engine_fell_back", role=self._role, reason=self._refusal.reason)

    def give_up(self, fault: VendorError) -> None:
        """The engine is of no use: the substitute takes over at the next connection, if there is one."""
        self._replaceable(fault)

    def sent(self, count: int) -> None:
        """So many samples at 16 kHz went out; only what the session's own engine was sent may be billed."""
        self.usage.sent += count

    async def accepted_again(self, opened: Callable[[E], Awaitable[Closes]]) -> None:
        """Return once the engine accepts a connection again; `opened` opens one. To be awaited while it is replaced.

        One that was given up for what it says is not taken back: that it accepts shows nothing.
        """
        await asyncio.sleep(STAYS_S)
        while isinstance(self._refusal, Rejected):
            try:
                with self.door.asking():
                    async with deadline(PROBE_LIMIT_S, "OPEN_TIMEOUT", f"the {self._role} did not answer"):
                        stream = await opened(self._engine)
                    await stream.close()
            except Rejected as refusal:
                delay_s = refusal.retry_after_s or PROBE_LIMIT_S
            except VendorError:
                delay_s = PROBE_LIMIT_S
            else:
                self._refusal = None
                return
            await self.door.pause(delay_s)
        await asyncio.Event().wait()

    @contextmanager
    def _replaced(self) -> Iterator[None]:
        try:
            yield
        except Rejected as refusal:
            if not self._replaceable(Rejected(refusal.reason, refusal.message)):
                raise
            raise Unavailable(FELL_BACK, f"{refusal.message} The local {self._role} takes over.") from refusal

    def _replaceable(self, refusal: VendorError) -> bool:
        if self._substitute is None or (self._substitute.missing() is not None and not self.fell_back):
            return False
        self._refusal = self._refusal or refusal
        return True


class FailoverDiarizer:
    """A session's diarizer. See ports.Diarizer; it is not the session's to close."""

    def __init__(self, slot: EngineSlot[Diarizer]) -> None:
        self._slot = slot

    @property
    def capabilities(self) -> DiarizerCapabilities:
        """What the engine that serves now can do."""
        return self._slot.serving.capabilities

    async def open(self) -> DiarizerStream:
        """Connect once, to the engine that serves.

        Raises Unavailable, also (FELL_BACK) for a refusal after which the substitute serves; Rejected, also without
        asking while the refusal stands; or Garbled.
        """
        await self._slot.settle()
        if self._slot.fell_back:
            return SubstituteDiarizerStream(
                await self._slot.serving.open(), lambda: self._slot.accepted_again(lambda engine: engine.open())
            )
        with self._slot.opening():
            return _CountedDiarizerStream(await self._slot.serving.open(), self._slot)

    def give_up(self, fault: VendorError) -> None:
        """What it says cannot be used: see EngineSlot.give_up."""
        self._slot.give_up(fault)

    async def close(self) -> None:
        """Nothing: the engine is shared."""


class _CountedDiarizerStream:
    def __init__(self, stream: DiarizerStream, slot: EngineSlot[Diarizer]) -> None:
        self._stream = stream
        self._slot = slot

    async def send(self, pcm: NDArray[np.int16]) -> None:
        with self._slot.using():
            await self._stream.send(pcm)
        self._slot.sent(len(pcm))

    async def events(self) -> AsyncIterator[DiarizerNews]:
        with self._slot.using():
            async for event in self._stream.events():
                yield event

    async def finish(self) -> None:
        with self._slot.using():
            await self._stream.finish()

    async def close(self) -> None:
        await self._stream.close()


class FailoverTranscriber:
    """A session's transcriber. See ports.Transcriber; it is not the session's to close."""

    def __init__(self, slot: EngineSlot[Transcriber], languages: Sequence[str]) -> None:
        self._slot = slot
        self._languages = languages
        self._warned: set[str] = set()
        self._look_at_languages()

    @property
    def capabilities(self) -> TranscriberCapabilities:
        """What the engine that serves now can do."""
        return self._slot.serving.capabilities

    async def open(self, languages: Sequence[str]) -> TranscriberStream:
        """Connect once, to the engine that serves.

        Raises Unavailable, also (FELL_BACK) for a refusal after which the substitute serves; Rejected, also without
        asking while the refusal stands; or Garbled.
        """
        await self._slot.settle()
        self._look_at_languages()
        serving = self._slot.serving
        if self._slot.fell_back:
            return SubstituteTranscriberStream(
                await serving.open(languages), lambda: self._slot.accepted_again(lambda engine: engine.open(languages))
            )
        with self._slot.opening():
            stream = await serving.open(languages)
        self._take_remarks(stream.remarks)
        return _CountedTranscriberStream(stream, self._slot)

    async def close(self) -> None:
        """Nothing: the engine is shared."""

    def _take_remarks(self, remarks: Mapping[str, str]) -> None:
        """Say what the newest connection remarks, and no more what only one before it did."""
        for reason in self._warned - remarks.keys():
            self._slot.usage.withdraw(reason)
        for reason, sentence in remarks.items():
            self._slot.usage.warn(reason, sentence)
        self._warned = set(remarks)

    def _look_at_languages(self) -> None:
        serving = self._slot.serving.capabilities
        if sentence := language_remark(serving.name, serving.languages, self._languages):
            self._slot.usage.warn(LANGUAGE_NOT_KNOWN, sentence)
        else:
            self._slot.usage.withdraw(LANGUAGE_NOT_KNOWN)


class _CountedTranscriberStream:
    def __init__(self, stream: TranscriberStream, slot: EngineSlot[Transcriber]) -> None:
        self._stream = stream
        self._slot = slot

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
        with self._slot.using():
            await self._stream.append(utterance, pcm)
        self._slot.sent(len(pcm) * RATE_HZ // self.rate_hz)

    async def commit(self, utterance: UtteranceId) -> None:
        with self._slot.using():
            await self._stream.commit(utterance)

    async def clear(self, utterance: UtteranceId) -> None:
        with self._slot.using():
            await self._stream.clear(utterance)

    async def events(self) -> AsyncIterator[TranscriberEvent]:
        with self._slot.using():
            async for event in self._stream.events():
                yield event

    async def close(self) -> None:
        await self._stream.close()

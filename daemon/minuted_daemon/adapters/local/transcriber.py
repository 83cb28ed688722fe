"""The offline transcriber as the daemon sees it. English only; the model runs in the worker."""

from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.adapters.local.availability import LANGUAGES
from minuted_daemon.adapters.local.protocol import Frame, Kind
from minuted_daemon.adapters.local.worker_client import Channel, LocalEngine
from minuted_daemon.core.events import TextCompleted, TextFailed, TextGrew, TranscriberEvent, UtteranceId
from minuted_daemon.core.samples import RATE_HZ, samples
from minuted_daemon.errors import Garbled, Unavailable
from minuted_daemon.ports.engines import TranscriberCapabilities

log = structlog.get_logger()

MOST_UNANSWERED = samples(600.0)
"""Audio that may wait for its text; beyond that the stream is overloaded, and broken."""
_LONGEST_APPEND = samples(60.0)


class LocalTranscriberStream:
    """One connection to the offline transcriber.

    On the wire an utterance has a number of its own, a new one after each `clear`: what still comes for the old audio
    is told apart from what comes for the new.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._growing: dict[UtteranceId, int] = {}
        self._utterances: dict[int, UtteranceId] = {}
        self._lengths: dict[int, int] = {}
        self._next_number = 1

    @property
    def rate_hz(self) -> int:
        """16000."""
        return RATE_HZ

    @property
    def remarks(self) -> Mapping[str, str]:
        """Nothing."""
        return {}

    @property
    def expires_in_s(self) -> float | None:
        """None: it does not expire."""
        return None

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        """Send audio (int16, shape (n,), 16 kHz) of the utterance. Never waits.

        Raises Unavailable (WORKER_DIED, OVERLOADED).
        """
        if sum(self._lengths.values()) > MOST_UNANSWERED:
            self._channel.worker.kill_if_stuck()
            self._channel.fail(Unavailable("OVERLOADED", "The offline transcriber is more than 10 minutes behind."))
        number = self._number(utterance)
        self._lengths[number] += len(pcm)
        for first in range(0, len(pcm), _LONGEST_APPEND):
            piece = pcm[first : first + _LONGEST_APPEND].astype(np.int16, copy=False)
            self._channel.send(Kind.AUDIO, number, piece.tobytes())

    async def commit(self, utterance: UtteranceId) -> None:
        """Ask for the utterance's text: exactly one TextCompleted or TextFailed follows, in order of the commits.

        Raises Unavailable (WORKER_DIED, OVERLOADED).
        """
        number = self._number(utterance)
        del self._growing[utterance]
        self._channel.send(Kind.COMMIT, number)

    async def clear(self, utterance: UtteranceId) -> None:
        """Forget the utterance's audio. Raises Unavailable (WORKER_DIED, OVERLOADED)."""
        number = self._growing.pop(utterance, None)
        if number is not None:
            self._forget(number)
            self._channel.send(Kind.CLEAR, number)

    async def events(self) -> AsyncIterator[TranscriberEvent]:
        """Return texts as they arrive; a partial replaces the one before. Ends only after `close`.

        Raises Unavailable (WORKER_DIED, OVERLOADED) or Garbled (BAD_FRAME).
        """
        while (frame := await self._channel.next()) is not None:
            event = self._event(frame)
            if event is not None:
                yield event

    async def close(self) -> None:
        """Drop the stream."""
        self._channel.close()

    def _number(self, utterance: UtteranceId) -> int:
        number = self._growing.get(utterance)
        if number is None:
            number, self._next_number = self._next_number, self._next_number + 1
            self._growing[utterance] = number
            self._utterances[number] = utterance
            self._lengths[number] = 0
        return number

    def _forget(self, number: int) -> UtteranceId | None:
        self._lengths.pop(number, None)
        return self._utterances.pop(number, None)

    def _event(self, frame: Frame) -> TranscriberEvent | None:
        try:
            text = frame.payload.decode()
        except UnicodeDecodeError as error:
            raise Garbled("BAD_FRAME", "The offline engine's worker sent what it should not.") from error
        if frame.kind is Kind.GREW:
            utterance = self._utterances.get(frame.number)
            # What comes for a committed utterance is older than its text will be.
            if utterance is None or self._growing.get(utterance) != frame.number:
                return None
            return TextGrew(utterance, text, replaces=True)
        answered = self._forget(frame.number)
        if answered is None:
            return None
        return TextCompleted(answered, text) if frame.kind is Kind.COMPLETED else TextFailed(answered, text)


class LocalTranscriber:
    """The offline transcriber. Several streams share one worker and take turns; final texts come before partials."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._said_english_only = False

    @property
    def capabilities(self) -> TranscriberCapabilities:
        """What this engine can do."""
        return TranscriberCapabilities(name="local", rate_hz=RATE_HZ, languages=LANGUAGES, repeats=True)

    async def open(self, languages: Sequence[str]) -> LocalTranscriberStream:
        """Open a stream, starting the worker if it does not run. Whatever the languages, it understands English.

        Raises Rejected (ENGINE_MISSING) or Unavailable (WORKER_DIED, WORKER_SLOW).
        """
        others = [language for language in languages if language.lower().split("-")[0] != "en"]
        if others and not self._said_english_only:
            self._said_english_only = True
            log.warning("local_transcriber_is_english_only", other_languages=len(others))
        return LocalTranscriberStream(await self._engine.open(Kind.OPEN_TRANSCRIBER))

    async def close(self) -> None:
        """End the worker, and with it all streams of the engine."""
        await self._engine.close()

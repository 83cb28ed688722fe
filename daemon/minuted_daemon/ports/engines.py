"""Diarizers, transcribers and voice printers: what varies among them is in their capabilities."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import DiarizerNews, TranscriberEvent, UtteranceId
from minuted_daemon.core.voice.speech import SpeechModel


@dataclass(frozen=True, slots=True)
class DiarizerCapabilities:
    """What varies between diarizers. `lag_s`: the event lag to expect before any was measured.

    `max_stream_s`: how long a stream may last before the other side ends it, None where that never happens.
    `catch_up_s`: how much audio from before the connection it takes, faster than real time; 0 if it wants live audio.
    `checked`: what it says is held against the voice that was heard, as its protocol may change without notice.
    """

    name: str
    lag_s: float
    max_stream_s: float | None = None
    catch_up_s: float = 0.0
    checked: bool = False


class DiarizerStream(Protocol):
    """One epoch."""

    async def send(self, pcm: NDArray[np.int16]) -> None:
        """Send the next 100 ms (int16, shape (1600,), 16 kHz), in real time; digital silence while nothing is heard.

        Only what `catch_up_s` covers may come faster.

        Raises VendorError once the connection is of no more use.
        """
        ...

    def events(self) -> AsyncIterator[DiarizerNews]:
        """Return events as they arrive; positions count from the first sample sent. Ends after `finish()`.

        What is no event that can be used is given as such.

        Raises Unavailable, Rejected or Garbled when the connection breaks.
        """
        ...

    async def finish(self) -> None:
        """Say that no more audio comes. `events()` gives what is left and ends, within 5 s at the most."""
        ...

    async def close(self) -> None:
        """Drop the connection."""
        ...


class Diarizer(Protocol):
    """An engine that tells who speaks when."""

    @property
    def capabilities(self) -> DiarizerCapabilities:
        """What this engine can do."""
        ...

    async def open(self) -> DiarizerStream:
        """Connect once. Takes at most 40 s.

        Raises Unavailable, Rejected or Garbled.
        """
        ...

    async def close(self) -> None:
        """Release what the streams share."""
        ...


@dataclass(frozen=True, slots=True)
class TranscriberCapabilities:
    """What varies between transcribers. `rate_hz`: 16000 or 24000, the rate of its streams.

    `languages`: the languages it knows, as the first part of their BCP 47 codes; None if there is no end of them.
    `repeats`: asked again about the same audio, it says the same, so that there is no use in asking.
    """

    name: str
    rate_hz: int
    min_commit_s: float = 0.1
    languages: tuple[str, ...] | None = None
    repeats: bool = False


class TranscriberStream(Protocol):
    """One connection. Utterances come one after another: append*, then commit or clear, then the next."""

    @property
    def rate_hz(self) -> int:
        """The rate of what `append` is given: 16000 or 24000."""
        ...

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until the vendor ends this connection, None where it does not say."""
        ...

    @property
    def remarks(self) -> Mapping[str, str]:
        """What is to be said of this connection although it works: sentences by their UPPER_SNAKE reason."""
        ...

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        """Send audio (int16, shape (n,), any n, at this stream's `rate_hz`) of the utterance.

        Raises VendorError once the connection is of no more use.
        """
        ...

    async def commit(self, utterance: UtteranceId) -> None:
        """Ask for the utterance's text: exactly one TextCompleted or TextFailed should follow, in any order."""
        ...

    async def clear(self, utterance: UtteranceId) -> None:
        """Forget the utterance's audio; its text, should any still arrive, is dropped here."""
        ...

    def events(self) -> AsyncIterator[TranscriberEvent]:
        """Return texts as they arrive, each under its own utterance. Ends only after `close()`.

        Raises Unavailable, Rejected or Garbled when the connection breaks or the vendor ends it.
        """
        ...

    async def close(self) -> None:
        """Drop the connection."""
        ...


class Transcriber(Protocol):
    """An engine that tells what is said."""

    @property
    def capabilities(self) -> TranscriberCapabilities:
        """What this engine can do."""
        ...

    async def open(self, languages: Sequence[str]) -> TranscriberStream:
        """Connect once, configured and ready for audio. Takes at most 20 s.

        Raises Unavailable, Rejected or Garbled.
        """
        ...

    async def close(self) -> None:
        """Release what the streams share."""
        ...


class VoicePrinter(Protocol):
    """Tells voices apart by their sound. Optional: without it nobody is recognised by voice."""

    async def print(self, pcm: NDArray[np.int16]) -> NDArray[np.float32] | None:
        """Return the print of one voice (int16, shape (n,), 16 kHz, 0.5 s to 20 s of one person's speech).

        A unit vector, shape (d,): the dot product of two prints is high where the voice is the same; None where it
        sounds like noise and nobody can be known by it. Takes at most 20 s. Raises Unavailable or Rejected.
        """
        ...

    async def close(self) -> None:
        """Release what it holds."""
        ...


class SpeechModels(Protocol):
    """Tells speech from other sounds. Optional: without it energy alone decides what is sent that nobody claims."""

    def stream(self) -> SpeechModel:
        """Return one for a session; what they have in common is loaded when the first is asked something."""
        ...

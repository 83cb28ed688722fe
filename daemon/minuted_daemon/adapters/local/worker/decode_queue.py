"""Which audio is recognized next, and what is kept of the text. Pure: no model, no thread, no clock.

Texts that were asked for come before partial ones, streams take turns, and a partial is made of what is there when its
turn comes: partials never queue up.
"""

import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.samples import RATE_HZ, samples

FIRST_PARTIAL = samples(0.8)
"""An utterance shorter than this gets no partial."""
PARTIAL_STEP = samples(0.5)
"""New audio between two partials, at least."""
PARTIAL_SHARE = 0.2
"""New audio between two partials as a share of the utterance: a partial costs in proportion to its length."""
LONGEST_PIECE = samples(24.0)
"""Longer utterances are recognized in pieces."""
SHORTEST = samples(0.1)
_QUIET_SPAN = samples(6.0)
_QUIET_FRAME = samples(0.1)
_LONGEST_LOOP = 8
_ALLOWED_REPEATS = 3
_NOISE = "You"
"""What the model makes of noise without speech, always without a full stop."""
_HYPHENED = re.compile(r"\b([Tt]o)-(day|morrow|night)\b")


@dataclass(frozen=True, slots=True)
class Job:
    """One utterance to recognize as it is now. pcm: int16, shape (n,), 16 kHz."""

    stream: int
    utterance: int
    final: bool
    pcm: NDArray[np.int16]


@dataclass(slots=True)
class _Utterance:
    pieces: list[NDArray[np.int16]] = field(default_factory=list)
    length: int = 0
    shown: int = 0

    @property
    def partial_due(self) -> bool:
        step = max(PARTIAL_STEP, round(PARTIAL_SHARE * self.length))
        return self.length >= FIRST_PARTIAL and self.length - self.shown >= step

    def audio(self) -> NDArray[np.int16]:
        """Return all of it, keeping it in one piece from now on."""
        if len(self.pieces) != 1:
            self.pieces = [np.concatenate(self.pieces) if self.pieces else np.zeros(0, dtype=np.int16)]
        return self.pieces[0]


@dataclass(slots=True)
class _Stream:
    growing: dict[int, _Utterance] = field(default_factory=dict)
    committed: deque[tuple[int, _Utterance]] = field(default_factory=deque)


@dataclass(slots=True)
class DecodeQueue:
    """What waits to be recognized, of all streams."""

    _streams: OrderedDict[int, _Stream] = field(default_factory=OrderedDict)

    def open(self, stream: int) -> None:
        """Begin a stream."""
        self._streams[stream] = _Stream()

    def close(self, stream: int) -> None:
        """Forget a stream and all that waits of it."""
        self._streams.pop(stream, None)

    def append(self, stream: int, utterance: int, pcm: NDArray[np.int16]) -> None:
        """Add audio to an utterance, which begins with its first."""
        if stream in self._streams:
            grown = self._streams[stream].growing.setdefault(utterance, _Utterance())
            grown.pieces.append(pcm)
            grown.length += len(pcm)

    def commit(self, stream: int, utterance: int) -> None:
        """Ask for an utterance's text."""
        if stream in self._streams:
            known = self._streams[stream]
            known.committed.append((utterance, known.growing.pop(utterance, _Utterance())))

    def clear(self, stream: int, utterance: int) -> None:
        """Forget an utterance that was not committed."""
        if stream in self._streams:
            self._streams[stream].growing.pop(utterance, None)

    def next_job(self) -> Job | None:
        """Return what to recognize now, None if nothing is worth it."""
        for stream, known in self._streams.items():
            if known.committed:
                self._streams.move_to_end(stream)
                utterance, whole = known.committed.popleft()
                return Job(stream, utterance, True, whole.audio())
        for stream, known in self._streams.items():
            for utterance, growing in reversed(known.growing.items()):
                if growing.partial_due:
                    self._streams.move_to_end(stream)
                    growing.shown = growing.length
                    return Job(stream, utterance, False, growing.audio())
        return None


def pieces(pcm: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    """Cut audio that is too long for one go where it is quietest; leave out what is too short to hold a word."""
    cut: list[NDArray[np.int16]] = []
    while len(pcm) > LONGEST_PIECE:
        first = LONGEST_PIECE - _QUIET_SPAN
        frames = pcm[first:LONGEST_PIECE].astype(np.float32).reshape(-1, _QUIET_FRAME)
        at = first + int(np.argmin((frames**2).mean(axis=1))) * _QUIET_FRAME + _QUIET_FRAME // 2
        cut.append(pcm[:at])
        pcm = pcm[at:]
    if len(pcm) >= SHORTEST:
        cut.append(pcm)
    return cut


def readable(text: str) -> str:
    """Return a recognized text without loops, without what is said of noise, in today's spelling."""
    return "" if text == _NOISE else _HYPHENED.sub(r"\1\2", without_loops(text))


def without_loops(text: str) -> str:
    """Cut a phrase that the model repeats over and over, as it does on noise, down to once."""
    words = text.split()
    bare = [word.strip(".,!?;:").lower() for word in words]
    start = 0
    while start < len(words):
        for length in range(1, _LONGEST_LOOP + 1):
            repeats = 1
            while bare[start + repeats * length : start + (repeats + 1) * length] == bare[start : start + length] and (
                start + (repeats + 1) * length <= len(bare)
            ):
                repeats += 1
            if repeats > _ALLOWED_REPEATS:
                del words[start + length : start + repeats * length]
                del bare[start + length : start + repeats * length]
                break
        start += 1
    return " ".join(words)


assert LONGEST_PIECE % _QUIET_FRAME == 0
assert PARTIAL_STEP < RATE_HZ

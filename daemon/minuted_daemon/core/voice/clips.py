"""Samples of each label's clean speech, cut from the session's last seconds. Bounded, whatever is said by how many.

Rules for full: of one voice the longest clips are kept, and of equal ones the oldest, so that what a voice was like
early on is not lost; of many voices those with the least speech give way, and of equal ones the one heard longest ago.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.diarization.solo_speech import REACH
from minuted_daemon.core.events import Epoch
from minuted_daemon.core.samples import samples

MOST_SPEECH = samples(10.0)
"""Speech kept of one voice, 320 kB: more of it says little more about who it is."""
MOST_VOICES = 32
"""Voices kept in a session, 10 MB at the most."""

VoiceKey = tuple[Epoch, str]
"""A label of one epoch."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Clean speech (int16, shape (n,), 16 kHz) from position `start` on."""

    start: int
    pcm: NDArray[np.int16]


@dataclass(slots=True)
class Clips:
    """What is kept of one voice."""

    speech: int = 0
    """Samples in all."""
    _clips: list[Clip] = field(default_factory=list)

    def add(self, clip: Clip) -> None:
        """Take in a clip; the shortest that are too much are dropped."""
        self._clips.append(clip)
        self.speech += len(clip.pcm)
        while self.speech > MOST_SPEECH:
            worst = min(self._clips, key=lambda kept: (len(kept.pcm), -kept.start))
            self._clips = [kept for kept in self._clips if kept is not worst]
            self.speech -= len(worst.pcm)

    def take(self, start: int, end: int) -> list[Clip]:
        """Return up the clips that lie mostly in [start, end)."""
        taken = [
            clip
            for clip in self._clips
            if 2 * (min(end, clip.start + len(clip.pcm)) - max(start, clip.start)) > len(clip.pcm)
        ]
        for clip in taken:
            self._clips = [kept for kept in self._clips if kept is not clip]
            self.speech -= len(clip.pcm)
        return taken

    def forget(self, start: int, end: int) -> None:
        """Drop every clip that touches [start, end)."""
        self._clips = [clip for clip in self._clips if clip.start >= end or clip.start + len(clip.pcm) <= start]
        self.speech = sum(len(clip.pcm) for clip in self._clips)

    @property
    def last(self) -> int:
        """Where the newest clip begins."""
        return max((clip.start for clip in self._clips), default=0)

    def pcm(self) -> NDArray[np.int16]:
        """Return all of it, in order (int16, shape (speech,), 16 kHz)."""
        ordered = sorted(self._clips, key=lambda clip: clip.start)
        return np.concatenate([np.zeros(0, dtype=np.int16), *(clip.pcm for clip in ordered)])

    def __iter__(self) -> Iterator[Clip]:
        return iter(self._clips)


def best_of(voices: Iterable[Clips]) -> Clips:
    """Return what is to be kept of several voices that turned out to be one."""
    whole = Clips()
    for clip in sorted((clip for voice in voices for clip in voice), key=lambda clip: clip.start):
        whole.add(clip)
    return whole


class VoiceClips:
    """The session's last seconds of audio, and the clips that were cut from them, by epoch and label."""

    def __init__(self) -> None:
        self._recent: deque[Clip] = deque()
        self._voices: dict[VoiceKey, Clips] = {}

    @property
    def voices(self) -> dict[VoiceKey, Clips]:
        """What is kept. Not to be changed."""
        return self._voices

    def hear(self, start: int, pcm: NDArray[np.int16]) -> None:
        """Take the next block (int16, shape (n,), 16 kHz); it follows directly on the one before."""
        self._recent.append(Clip(start, pcm))
        while self._recent[0].start + len(self._recent[0].pcm) < start + len(pcm) - REACH:
            self._recent.popleft()

    def keep(self, key: VoiceKey, start: int, end: int) -> None:
        """Keep [start, end) as speech of this label. What is no longer there is left out."""
        parts = [
            block.pcm[max(0, start - block.start) : max(0, end - block.start)]
            for block in self._recent
            if block.start < end and block.start + len(block.pcm) > start
        ]
        if sum(map(len, parts)) == end - start:
            self._voices.setdefault(key, Clips()).add(Clip(start, np.concatenate(parts)))
            self._make_room()

    def relabel(self, old: VoiceKey, new: VoiceKey, start: int, end: int) -> None:
        """The diarizer changed its mind about who spoke in [start, end)."""
        if old in self._voices:
            for clip in self._voices[old].take(start, end):
                self._voices.setdefault(new, Clips()).add(clip)

    def join(self, keys: Iterable[VoiceKey]) -> None:
        """These labels are one voice: what is kept of them is kept under the first, as much as of any one voice."""
        first, *others = keys
        self._voices[first] = best_of([self._voices[first], *(self._voices.pop(other) for other in others)])

    def forget(self, start: int, end: int) -> None:
        """Nothing of what was heard in [start, end) is kept any more."""
        for index, clip in enumerate(self._recent):
            if clip.start < end and clip.start + len(clip.pcm) > start:
                self._recent[index] = Clip(clip.start, np.zeros_like(clip.pcm))
        for clips in self._voices.values():
            clips.forget(start, end)

    def _make_room(self) -> None:
        while len(self._voices) > MOST_VOICES:
            del self._voices[min(self._voices, key=lambda key: (self._voices[key].speech, self._voices[key].last))]

"""The recorded meetings of synthetic voices: their sound and what is said in them. Nothing is made here."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.fakes.meeting import RATE_HZ

MEETINGS = Path(__file__).parent / "meetings"


@dataclass(frozen=True, slots=True)
class Utterance:
    """One speaker says one thing in [start, end), samples at 16 kHz. Pauses between its sentences lie inside."""

    speaker: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class VoiceMeeting:
    """A meeting: `path` is its recording, `voices` the synthetic voice of each speaker, `segments` are by start."""

    name: str
    path: Path
    voices: dict[str, str]
    segments: tuple[Utterance, ...] = field(repr=False)
    duration: int

    @cached_property
    def audio(self) -> NDArray[np.int16]:
        """The sound, int16, mono, 16 kHz, shape (duration,); read when first asked for."""
        pcm, rate_hz = soundfile.read(self.path, dtype="int16")
        if rate_hz != RATE_HZ or pcm.shape != (self.duration,):
            raise ValueError(f"{self.path.name} is not {self.duration} samples of mono sound at {RATE_HZ} Hz")
        return np.asarray(pcm, dtype=np.int16)

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Speakers in order of their first word."""
        return tuple(dict.fromkeys(segment.speaker for segment in self.segments))


def names(kind: str = "") -> list[str]:
    """The recorded meetings whose name begins with `kind`: T tuning, H held out of all tuning, I identity."""
    found = (path.stem for path in MEETINGS.glob(f"{kind}*.json"))
    return sorted(found, key=lambda name: (name[0], int(name[1:])))


def load(name: str, directory: Path = MEETINGS) -> VoiceMeeting:
    """Read a meeting's truth. Raises OSError where there is no such meeting."""
    truth = directory / f"{name}.json"
    told = json.loads(truth.read_text(encoding="utf-8"))
    segments = tuple(
        Utterance(one["speaker"], round(one["start"] * RATE_HZ), round(one["end"] * RATE_HZ), one["text"])
        for one in told["segments"]
    )
    path = next(path for path in (truth.with_suffix(".flac"), truth.with_suffix(".wav")) if path.exists())
    return VoiceMeeting(name, path, told["voices"], segments, round(told["duration"] * RATE_HZ))

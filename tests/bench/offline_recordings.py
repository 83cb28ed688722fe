"""What the offline engine is measured with: the recorded meeting, synthetic meetings, and one telephone call.

The call is part of a published package and is fetched when it is asked for; it is never kept with the project.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from minuted_daemon.core.samples import RATE_HZ
from tests.bench.scoring import ScoredTurn
from tests.voices import library

STANDUP = Path(__file__).parents[1] / "audio" / "standup.wav"
CALL_PACKAGE = "pyannote-audio==4.0.7"
FETCH_LIMIT_S = 60.0
Span = tuple[str, float, float]
"""Speaker, and seconds from and to."""


@dataclass(frozen=True)
class Recording:
    """A recording: int16 at 16 kHz, shape (n,), what is said in it and who speaks when."""

    name: str
    pcm: NDArray[np.int16]
    said: Sequence[ScoredTurn]
    spoken: Sequence[Span]

    @property
    def length_s(self) -> float:
        """Its length."""
        return len(self.pcm) / RATE_HZ


def from_file(path: Path) -> Recording:
    """Read a recording beside which a JSON of the same name tells what is said:

    {"segments": [{"speaker", "start", "end", "text"}]}, in seconds.
    """
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["segments"]
    said = [ScoredTurn(one["speaker"], one["start"], one["end"], one["text"]) for one in told]
    return _recording(path.stem, path, said)


def standup() -> Recording:
    """Three synthetic voices, used for tuning."""
    return from_file(STANDUP)


def held_out() -> list[Recording]:
    """Meetings of four synthetic voices each, which were kept out of all tuning."""
    return [from_file(library.load(name).path) for name in library.names("H")]


def telephone_call() -> Recording | None:
    """Thirty seconds of a real call between two people; None where there is no package index to ask."""
    wheel = _fetched(CALL_PACKAGE)
    if wheel is None:
        return None
    with zipfile.ZipFile(wheel) as archive:
        sound, words, speech = (archive.read(f"pyannote/audio/sample/sample.{kind}") for kind in ("wav", "stm", "rttm"))
    said = []
    for line in words.decode().splitlines():
        _, _, speaker, start, end, text = line.split(maxsplit=5)
        said.append(ScoredTurn(speaker, float(start), float(end), text))
    spoken = []
    for line in speech.decode().splitlines():
        fields = line.split()
        spoken.append((fields[7], float(fields[3]), float(fields[3]) + float(fields[4])))
    return _recording("telephone", BytesIO(sound), said, spoken)


def _recording(
    name: str, sound: Path | BytesIO, said: Sequence[ScoredTurn], spoken: Sequence[Span] | None = None
) -> Recording:
    pcm, rate_hz = soundfile.read(sound, dtype="int16")
    if rate_hz != RATE_HZ or pcm.ndim != 1:
        raise ValueError(f"{name} is not mono sound at {RATE_HZ} Hz")
    return Recording(name, pcm, said, spoken or [(turn.speaker or "", turn.start_s, turn.end_s) for turn in said])


def _fetched(package: str) -> Path | None:
    """Return the package's wheel from the cache, fetching it first if need be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minuted" / "bench"
    pattern = package.replace("-", "_").replace("==", "-") + "-*.whl"
    if not any(cache.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache), package]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=FETCH_LIMIT_S)
        except (subprocess.SubprocessError, OSError):
            return None
    return next(cache.glob(pattern), None)

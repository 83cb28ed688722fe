"""Whether the offline engine costs the same in the third hour as in the first minutes, and forgets what it must:
`python -m tests.bench.offline_endurance`.

Three hours of meetings, one after another over and over, through diarization and merge in virtual time. The networks
look at no more than 10 s however long the stream is, so what they gave for the same samples is remembered and given
again, with a little noise; only in the minutes that are measured do they work.
"""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.worker.diarization.pipeline import HOP
from minuted_daemon.core.samples import RATE_HZ
from tests.bench.offline_play import Engines, Room, open_engines
from tests.bench.offline_recordings import held_out, standup

HOURS = 3
MINUTES = (5, 60, 170)
COMPARED = 30
"""Minutes on either side over which what is not the networks' work is averaged."""
GROWTH = 1.25
SILENCE_S = 3
Tensor = NDArray[np.float32]


@dataclass
class Remembered:
    """A network, and what it gave before."""

    network: Callable[[Tensor], Tensor]
    noise: float
    working: bool = False
    given: dict[bytes, Tensor] = field(default_factory=dict)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def __call__(self, wave: Tensor) -> Tensor:
        key = blake2b(wave.tobytes(), digest_size=16).digest()
        if self.working or key not in self.given:
            self.given[key] = self.network(wave)
        found = self.given[key]
        return found + self.random.normal(scale=self.noise, size=found.shape).astype(np.float32)


def day_of_meetings() -> NDArray[np.int16]:
    """Return one round of meetings, a whole number of hops long."""
    pause = np.zeros(SILENCE_S * RATE_HZ, dtype=np.int16)
    parts = [part for recording in (standup(), *held_out()) for part in (recording.pcm, pause)]
    heard = np.concatenate(parts)
    return np.concatenate((heard, np.zeros(-len(heard) % HOP, dtype=np.int16)))


def words(pcm: NDArray[np.int16], beam: int) -> str:
    """Stand in for the recognizer: what it hears is none of this benchmark's business."""
    return "words"


def memory_mb() -> float:
    """Return the resident memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096 / 1e6


def main() -> int:
    """Print the figures; give the exit code."""
    engines = open_engines()
    segmentation, voice = Remembered(engines.segmentation, 0.0), Remembered(engines.voice, 0.02)
    round_of = day_of_meetings()
    minutes = HOURS * 60
    pcm = np.tile(round_of, -(-minutes * 60 * RATE_HZ // len(round_of)))[: minutes * 60 * RATE_HZ]
    room = Room(pcm, Engines(segmentation, voice, words), with_partials=False)
    own_s: list[float] = []
    print(f"{'minute':>7}{'of a core':>11}{'step s':>8}{'longest':>9}{'voices':>8}{'memory MB':>11}")
    for minute in range(1, minutes + 1):
        segmentation.working = voice.working = minute in MINUTES
        steps, began = len(room.played.steps_s), time.thread_time()
        room.hear(60 * RATE_HZ)
        took = time.thread_time() - began
        if minute not in MINUTES:
            own_s.append(took)
            continue
        own_s.append(own_s[-1])
        mine = room.played.steps_s[steps:]
        print(
            f"{minute:7}{took / 60:11.3f}{np.mean(mine):8.3f}{max(mine):9.3f}{room.diarization.voices:8}"
            f"{memory_mb():11.0f}",
            flush=True,
        )
    first, last = np.median(own_s[10 : 10 + COMPARED]), np.median(own_s[-COMPARED:])
    print(f"a minute without the networks: {first:.2f} s in the first hour, {last:.2f} s in the last")
    return int(last > GROWTH * first)


if __name__ == "__main__":
    sys.exit(main())

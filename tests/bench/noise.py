"""`make bench-noise`: how much of what is not speech is sent, and how much of what is said is kept.

Rooms full of noise, and short words in them, through the real voice activity and the real merge in virtual time. No
diarizer claims anything: it listens and tells of nobody, or is not there at all. So all that is sent was taken for
unclaimed speech, and each word must be. Exits 1 if a figure misses its target.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from minuted_daemon.adapters.voice_activity import SileroModels
from minuted_daemon.core.events import Append, Epoch, EpochOpened, TranscriberReady
from minuted_daemon.core.merge.merger import Merger, MergeSettings
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples
from minuted_daemon.core.voice.activity import VoiceDetector
from tests.bench.noise_sounds import KINDS, Sound, db, room_noise

ROOMS_DB = (-48.0, -40.0, -35.0)
SHAPES = ("white", "pink", "brown")
EMPTY_S, NOISY_S = 600.0, 120.0
ABOVE_DB = 10.0
MOST_SENT, LEAST_KEPT = 0.01, 0.99
WORDS = Path(__file__).parents[1] / "voices" / "short"


@dataclass(frozen=True)
class Sent:
    """What the transcriber was sent of a room, and what it cost to tell."""

    ranges: list[tuple[int, int]]
    cpu_s: float

    @property
    def seconds(self) -> float:
        """All of it; a stretch that was sent again counts once."""
        total = until = 0
        for start, end in sorted(self.ranges):
            total += max(0, end - max(start, until))
            until = max(until, end)
        return total / RATE_HZ

    def holds(self, start: int, end: int) -> bool:
        """Return whether the middle half of a word was sent."""
        low, high = (3 * start + end) // 4, (start + 3 * end) // 4
        return any(first <= low and high <= last for first, last in self.ranges)


def send(sound: Sound, models: SileroModels | None, diarized: bool) -> Sent:
    """Play a sound to a merge; nobody answers, and nobody claims any of it."""
    pcm = np.clip(np.round(sound * 32767), -32768, 32767).astype(np.int16)
    pcm = pcm[: len(pcm) // BLOCK * BLOCK]
    detector = VoiceDetector(None if models is None else models.stream())
    merger = Merger(MergeSettings())
    merger.feed(TranscriberReady())
    if diarized:
        merger.feed(EpochOpened(Epoch(1), Sample(0)))
    ranges: list[tuple[int, int]] = []
    cpu_s = 0.0
    for at in range(0, len(pcm), BLOCK):
        began = time.process_time()
        observed = detector.observe(Sample(at), pcm[at : at + BLOCK])
        cpu_s += time.process_time() - began
        merger.feed(observed)
        outputs = merger.advance(Sample(at + BLOCK))
        ranges += [(output.start, output.end) for output in outputs if isinstance(output, Append)]
    merger.feed(detector.finish())
    merger.close()
    for extra in range(1, 50):
        outputs = merger.advance(Sample(len(pcm) + extra * BLOCK))
        ranges += [(output.start, output.end) for output in outputs if isinstance(output, Append)]
    return Sent(_joined(ranges), cpu_s)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def short_words() -> list[tuple[str, Sound]]:
    """The recorded short words, each with its name."""
    sound, _ = soundfile.read(WORDS.with_suffix(".flac"))
    listed = json.loads(WORDS.with_suffix(".json").read_text(encoding="utf-8"))
    return [(f"{one['text']} ({one['voice']})", sound[one["start"] : one["end"]]) for one in listed["words"]]


def spoken_db(word: Sound) -> float:
    """Return a word's level: the mean of its 10 ms frames that are within 30 dB of the loudest."""
    frames = word[: len(word) // 160 * 160].reshape(-1, 160)
    power = (frames**2).mean(axis=1)
    return float(10 * np.log10(power[power > power.max() * 1e-3].mean()))


def words_in_a_room(shape: str, room_db: float, seed: int) -> tuple[Sound, list[tuple[str, int, int]]]:
    """Each short word once, 10 dB above the room, half a second to two seconds apart; the first begins at sample 0."""
    rng = np.random.default_rng(seed)
    words = short_words()
    pieces: list[NDArray[np.float64]] = []
    said: list[tuple[str, int, int]] = []
    at = 0
    for index in rng.permutation(len(words)):
        name, word = words[index]
        word = word * db(room_db + ABOVE_DB - spoken_db(word))
        said.append((name, at, at + len(word)))
        gap = np.zeros(samples(rng.uniform(0.5, 2.0)))
        pieces += [word, gap]
        at += len(word) + len(gap)
    sound = np.concatenate(pieces)
    return sound + room_noise(len(sound) / RATE_HZ, seed, shape, room_db)[: len(sound)], said


def main() -> int:
    """Print the tables; give the exit code."""
    models = SileroModels()
    missed = 0
    print("seconds sent of rooms in which nobody speaks: a diarizer listens / none does / energy alone decides")
    rooms = [(f"empty, {shape}", at, room_noise(EMPTY_S, 1, shape, at)) for shape in SHAPES for at in ROOMS_DB]
    for name, make in KINDS.items():
        rooms += [(name, at, make(NOISY_S, 3) + room_noise(NOISY_S, 4, "pink", at)) for at in (-60.0, *ROOMS_DB)]
    cpu_s = heard_s = 0.0
    for name, at_db, sound in rooms:
        length_s = len(sound) / RATE_HZ
        heard, blind = send(sound, models, diarized=True), send(sound, models, diarized=False)
        energy = send(sound, None, diarized=True)
        bad = max(heard.seconds, blind.seconds) > MOST_SENT * length_s
        missed += bad
        cpu_s, heard_s = cpu_s + heard.cpu_s, heard_s + length_s
        figures = f"{heard.seconds:8.2f}{blind.seconds:8.2f}{energy.seconds:8.2f}"
        print(f"{name:16}{at_db:6.0f} dB {length_s:5.0f} s{figures}{'  too much' if bad else ''}", flush=True)
    print(f"words kept that are {ABOVE_DB:.0f} dB above the room: a diarizer listens / none does")
    for number, (shape, room_db) in enumerate([(shape, at) for shape in SHAPES for at in ROOMS_DB]):
        sound, said = words_in_a_room(shape, room_db, number)
        row = f"{shape:16}{room_db:6.0f} dB"
        lost: list[str] = []
        for diarized in (True, False):
            sent = send(sound, models, diarized)
            kept = [sent.holds(start, end) for _, start, end in said]
            lost += [name for (name, _, _), held in zip(said, kept, strict=True) if not held]
            missed += sum(kept) < LEAST_KEPT * len(said)
            row += f"{sum(kept):6} of {len(said)}"
            cpu_s, heard_s = cpu_s + sent.cpu_s, heard_s + len(sound) / RATE_HZ
        print(row, ", ".join(sorted(set(lost))), flush=True)
    print(f"voice activity         {1000 * cpu_s / heard_s:.2f} ms of one core a second of audio")
    print("every figure within its target" if not missed else f"{missed} figures miss their target")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-suspect`: how many real turns are taken for invented, what is caught of what is invented, and the cost.

Turns of AMI's meetings come out of the merge, with what its voice activity heard under them; the words are those of
real_texts.py. The offline meetings are heard as they were recorded, and with noise as loud as the voices. Exits 1 if a
figure misses its target.
"""

import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import Attribution, Evidence, SpeakerEnded, SpeakerStarted, TurnState
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples
from minuted_daemon.core.suspicion.judge import Said, Suspicion
from minuted_daemon.core.voice.activity import VoiceDetector, VoiceTrack
from tests.bench.real_texts import meetings, spoken_by, words
from tests.bench.weather import KINDS, QUIET, Answers, Weather
from tests.fakes import invented
from tests.fakes.meeting import Meeting, seed_of
from tests.support.merge_room import Room
from tests.support.merge_room import Said as Word
from tests.voices import library

MISTAKEN = 0.001
COST_MS = 0.2
NOISES_DB = (None, -60.0, -48.0, -40.0, -35.0)
EVERYTHING = next(kind for kind in KINDS if kind.name == "everything")


@dataclass
class Row:
    """What came of one set of texts."""

    name: str
    judged: int = 0
    marked: int = 0
    took_s: float = 0.0

    def judge(self, told: Iterable[Said], suspicion: Suspicion) -> "Row":
        """Judge texts one after the other."""
        for number, said in enumerate(told):
            began = time.perf_counter()
            mark = suspicion.judge(number, said)
            self.took_s += time.perf_counter() - began
            self.judged += 1
            self.marked += mark is not None
        return self

    @property
    def share(self) -> float:
        """Of all texts, those that were marked."""
        return self.marked / max(1, self.judged)

    def __str__(self) -> str:
        cost = 1000 * self.took_s / max(1, self.judged)
        return f"{self.name:<44}{self.judged:8}{self.marked:8}{100 * self.share:9.3f}{cost:9.3f}"


def merged(meeting: Meeting, weather: Weather) -> list[Said]:
    """The turns that the merge makes of a meeting, with English words."""
    rng = random.Random(seed_of(meeting.name, 0.5))
    script = weather.script(meeting, 0.5, rng)
    stream, numbers, texts = words(), count(), {}
    for segment in meeting.segments:
        own = [word for word in meeting.words_between(segment.start, segment.end) if word.speaker == segment.speaker]
        texts.update(zip(own, spoken_by(meeting, segment, stream, next(numbers)), strict=False))
    said = [Word(texts.get(word, "yeah"), word.start, word.end) for word in meeting.words]
    room = Room(said, meeting.duration / RATE_HZ, Answers(rng, weather.faults), partials=bool(weather.faults))
    for told in script.told:
        kind = SpeakerStarted if told.starts else SpeakerEnded
        room.tell(told.arrival, kind(told.label, told.at))
    room.run()
    return [_said(turn) for turn in room.finals]


def _said(turn: TurnState) -> Said:
    claimed = turn.attribution is Attribution.DIARIZED
    return Said(turn.text, turn.start, turn.end - turn.start, turn.evidence, claimed, turn.speaker)


def heard(pcm: NDArray[np.int16], stretches: Sequence[tuple[int, int]], noise_db: float | None) -> list[Evidence]:
    """Return what the daemon's voice activity hears in stretches of a recording in a room."""
    rng = np.random.default_rng(7)
    told, detector, track = [Evidence(0, 0)] * len(stretches), VoiceDetector(), VoiceTrack()
    for start in range(0, len(pcm) - BLOCK + 1, BLOCK):
        block = pcm[start : start + BLOCK].astype(np.float64)
        if noise_db is not None:
            block += rng.normal(0, 32768 * 10 ** (noise_db / 20), BLOCK)
        track.append(detector.observe(Sample(start), np.clip(block, -32768, 32767).astype(np.int16)))
        for number, (low, high) in enumerate(stretches):
            if high <= track.end < high + BLOCK:
                told[number] = track.evidence(low, high)
    return told


def recorded(noise_db: float | None) -> list[list[Said]]:
    """The offline meetings' lines as they are heard in a room."""
    found = []
    for name in (*library.names("H"), *library.names("I")):
        meeting = library.load(name)
        stretches = [(segment.start, segment.end) for segment in meeting.segments]
        evidence = heard(meeting.audio, stretches, noise_db)
        found.append(
            [
                Said(one.text, one.start, one.end - one.start, there, True, one.speaker)
                for one, there in zip(meeting.segments, evidence, strict=True)
            ]
        )
    return found


def inventions(spoken: Callable[[float], float], claimed: bool) -> list[Said]:
    """What models invent in 400 stretches of 0.3 to 4 s; `spoken` gives how much of one sounds like speech, in s."""
    rng = random.Random(1)
    lengths = [rng.uniform(0.3, 4.0) for _ in range(400)]
    return [
        Said(
            invented.answer(number, tuple(invented.CLOSINGS)),
            samples(10.0 * number),
            samples(length_s),
            Evidence(samples(spoken(length_s)), samples(spoken(length_s))),
            claimed,
        )
        for number, length_s in enumerate(lengths)
    ]


def main() -> int:
    """Print the table; give the exit code."""
    print(f"{'':<44}{'judged':>8}{'marked':>8}{'%':>9}{'ms each':>9}")
    real = []
    for weather in (QUIET, EVERYTHING):
        row = Row(f"AMI through the merge, {weather.name}")
        for meeting in meetings():
            row.judge(merged(meeting, weather), Suspicion(("en",)))
        real.append(row)
        print(row, flush=True)
    for noise_db in NOISES_DB:
        row = Row("offline meetings, " + ("as recorded" if noise_db is None else f"noise at {noise_db:.0f} dBFS"))
        for told in recorded(noise_db):
            row.judge(told, Suspicion(("en",)))
        real.append(row)
        print(row, flush=True)
    caught = [
        Row("invented in silence, claimed").judge(inventions(lambda _: 0.0, True), Suspicion()),
        Row("invented for taps of 0.1 s, claimed").judge(inventions(lambda _: 0.09, True), Suspicion()),
        Row("invented for taps of 0.1 s, not claimed").judge(inventions(lambda _: 0.1, False), Suspicion()),
    ]
    for row in caught:
        print(row)
    other = Row("invented for sound like speech, not claimed").judge(inventions(lambda s: s, False), Suspicion())
    print(replace(other, name=f"{other.name} *"))
    print("* no target: what is left are words of thanks and goodbye, which people say as well")
    missed = [row.name for row in real if row.share > MISTAKEN or row.took_s / row.judged > COST_MS / 1000]
    missed += [row.name for row in caught if row.marked < row.judged]
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

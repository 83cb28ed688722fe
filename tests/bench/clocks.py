"""`python -m tests.bench.clocks`: diarizers that count time otherwise, over real meetings: are they understood?

Each try is 90 s of a meeting from a random place on, in random weather, under a random clock. Bases: `known` is one the
daemon expects, beside one that is not it, 0.5 to 4 s away; `near` is none of them, but 0.7 to 5 s from one; `any` is
far from all. Then the diarizers that keep to their protocol, over whole meetings. Exits 1 if a clock is taken wrongly.
"""

import argparse
import random
import statistics
import sys
from collections import Counter
from dataclasses import dataclass, field

from minuted_daemon.core.diarization.event_clock import STREAM, UNITS, EventClock
from minuted_daemon.core.samples import RATE_HZ, samples
from tests.bench.weather import KINDS, QUIET
from tests.fakes.meeting import TIMELINES, load_meeting
from tests.support.diarized_talk import Talk, voice_of

LENGTH_S = 90.0
RIGHT = samples(0.3)


@dataclass
class Tally:
    """What came of one kind of base."""

    results: Counter[str] = field(default_factory=Counter)
    after_s: list[float] = field(default_factory=list)


def _bases(kind: str, rng: random.Random) -> tuple[int, list[int]]:
    """The true base, and those that are expected."""
    expected = [samples(rng.uniform(10, 3000)) for _ in range(2)]
    if kind == "known":
        true = rng.choice([0, *expected])
        return true, [*expected, true + samples(rng.choice([-1, 1]) * rng.uniform(0.5, 4))]
    if kind == "near":
        return rng.choice(expected) + samples(rng.choice([-1, 1]) * rng.uniform(0.7, 5)), expected
    return samples(rng.uniform(5_000, 2e9)), expected


def main() -> int:
    """Print the table; give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tries", type=int, default=300, help="for each kind of base")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rooms = [
        (meeting, voice_of(meeting)) for meeting in map(load_meeting, sorted(p.stem for p in TIMELINES.glob("*.rttm")))
    ]
    rng, wrong = random.Random(options.seed), 0
    for kind in ("known", "near", "any"):
        tally = Tally()
        for seed in range(options.tries):
            meeting, voiced = rng.choice(rooms)
            begin = rng.randrange(0, meeting.duration - samples(LENGTH_S)) // RATE_HZ * RATE_HZ
            true, expected = _bases(kind, rng)
            clock = EventClock(rng.choice([*UNITS.values()]), true)
            weather, lag_s = rng.choice([QUIET, *KINDS]), rng.choice([0.3, 0.5, 0.8, 1.5])
            talk = Talk(meeting, voiced, begin, clock, lag_s, weather, rng.choice([0.0, 0.05, 0.1]), seed)
            talk.check.expect((), expected)
            found = talk.play(LENGTH_S).check.clock
            if found == STREAM:
                result = "not understood"
            elif found.per_s == clock.per_s and abs(found.zero - true) <= RIGHT:
                result = "right"
                tally.after_s.append(talk.heard[0][0] / RATE_HZ if talk.heard else LENGTH_S)
            else:
                result = "WRONG"
            tally.results[result] += 1
        wrong += tally.results["WRONG"]
        print(f"{kind:6} {dict(tally.results)}, understood after {statistics.median(tally.after_s):.0f} s (median)")
    doubted = played = 0
    for meeting, voiced in rooms:
        for weather in (QUIET, *KINDS):
            for lag_s in (0.3, 0.8, 2.5):
                talk = Talk(meeting, voiced, lag_s=lag_s, weather=weather, sure=True).play(
                    meeting.duration / RATE_HZ - 1
                )
                doubted += talk.complaint is not None or talk.check.clock != STREAM
                played += 1
    print(f"diarizers that keep to their protocol: {doubted} of {played} meetings doubted")
    return 1 if wrong or doubted else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-attribution`: whole real meetings through the core in virtual time, no sockets.

The diarizer tells the truth late and with jitter; the transcriber hears exactly what it is sent and answers out of
order. So every word on the wrong speaker is the merge's doing, or nobody's: the reference is what one label at a time
can reach at best. Exits 1 if a figure misses its target.
"""

import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from minuted_daemon.core.events import SpeakerEnded, SpeakerStarted, TextCompleted, UtteranceId
from minuted_daemon.core.samples import RATE_HZ, samples
from tests.bench.reference import Reference, reference
from tests.bench.scoring import Arrival, Score, ScoredTurn, obvious_merge, score
from tests.core.room import Room, Said
from tests.fakes.meeting import TIMELINES, Meeting, load_meeting, seed_of

LAGS = {0.3: 0.5, 0.5: 0.5, 0.8: 1.0}
"""Event lag in seconds, and by how many points the reference may be missed."""
JOINED = samples(0.8)


@dataclass(frozen=True)
class Result:
    """One meeting at one lag."""

    meeting: Meeting
    lag_s: float
    ours: Score
    obvious: Score
    best: Reference
    monologue_cuts: int
    sent: float
    faster: float
    hold_back_s: float

    @property
    def misses(self) -> list[str]:
        """The targets that this result misses."""
        found = []
        if self.ours.right < self.best.right - LAGS[self.lag_s] / 100:
            found.append("right")
        if self.ours.words_lost or self.ours.words_repeated:
            found.append("lost or repeated")
        if self.ours.unknown > 0.005:
            found.append("unknown")
        if self.ours.turns > 1.1 * self.best.count + self.monologue_cuts:
            found.append("turns")
        if self.sent > 1.1:
            found.append("audio sent")
        if self.faster < 200:
            found.append("speed")
        return found


def run(meeting: Meeting, lag_s: float) -> Result:
    """Play one meeting."""
    rng = random.Random(seed_of(meeting.name, lag_s))

    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + samples(rng.uniform(0.2, 2.0)), TextCompleted(utterance, text))]

    said = [Said(word.text, word.start, word.end) for word in meeting.words]
    room = Room(said, meeting.duration / RATE_HZ, answer)
    arrivals: list[Arrival] = []
    for at, is_start, speaker in meeting.boundaries:
        arrival = at + samples(max(0.02, rng.gauss(lag_s, lag_s / 4)))
        room.tell(arrival, SpeakerStarted(speaker, at) if is_start else SpeakerEnded(speaker, at))
        arrivals.append(Arrival(arrival / RATE_HZ, "start" if is_start else "end", speaker, at / RATE_HZ))
    began = time.process_time()
    room.run()
    took = time.process_time() - began
    assert room.merger.settled
    turns = [
        ScoredTurn(
            None if turn.speaker is None else f"S{turn.speaker}",
            turn.start / RATE_HZ,
            turn.end / RATE_HZ,
            turn.text,
            [f"S{overlap.speaker}" for overlap in turn.overlapping],
        )
        for turn in room.finals
    ]
    cuts = sum(
        before.speaker == after.speaker and after.start - before.end < JOINED
        for before, after in zip(room.finals, room.finals[1:], strict=False)
    )
    arrivals.sort(key=lambda arrival: arrival.at_s)
    return Result(
        meeting,
        lag_s,
        score(meeting, turns),
        score(meeting, obvious_merge(meeting, arrivals, lambda _: rng.uniform(0.2, 2.0))),
        reference(meeting),
        cuts,
        room.sent_samples / _speech(meeting),
        meeting.duration / RATE_HZ / took,
        room.merger.hold_back_s,
    )


def _speech(meeting: Meeting) -> int:
    """Samples in which anybody speaks."""
    total = until = 0
    for segment in meeting.segments:
        total += max(0, segment.end - max(segment.start, until))
        until = max(until, segment.end)
    return total


def main() -> int:
    """Print the table; give the exit code."""
    print("words on the right speaker in %; lag: mean event lag, sigma a quarter of it; completions out of order")
    print(
        f"{'meeting':9}{'lag s':>6}{'words':>7}{'obvious':>9}{'ours':>8}{'reference':>11}{'listed':>8}{'lost':>6}"
        f"{'rep.':>6}{'unknown':>9}{'turns':>7}{'ref.':>6}{'cuts':>6}{'sent':>7}{'x real':>8}{'hold s':>8}"
    )
    missed = 0
    for name in sorted(path.stem for path in TIMELINES.glob("*.rttm")):
        meeting = load_meeting(name)
        for lag_s in LAGS:
            result = run(meeting, lag_s)
            ours, best = result.ours, result.best
            print(
                f"{name:9}{lag_s:6.1f}{ours.words:7}{100 * result.obvious.right:9.2f}{100 * ours.right:8.2f}"
                f"{100 * best.right:11.2f}{100 * ours.right_or_listed:8.2f}{ours.words_lost:6}{ours.words_repeated:6}"
                f"{100 * ours.unknown:9.2f}{ours.turns:7}{best.count:6}{result.monologue_cuts:6}{result.sent:7.3f}"
                f"{result.faster:8.0f}{result.hold_back_s:8.2f}  {', '.join(result.misses)}",
                flush=True,
            )
            missed += bool(result.misses)
    print("every figure within its target" if not missed else f"{missed} rows miss a target")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

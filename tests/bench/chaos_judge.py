"""What became of a meeting's words while something was wrong: lost, repeated, on the wrong speaker, how late.

Lost and repeated count over the whole meeting. Wrong counts outside the outage only, and beyond the reference: from
one second before the fault until AFTER_S behind its end nobody can say who spoke. Labels are mapped to the speaker
most of their words are of, as if a person had joined the labels of different epochs.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minuted import Session, Turn
from tests.bench.reference import Held, holder_at, reference
from tests.fakes.meeting import RATE_HZ, Meeting, Word

BEFORE_S = 1.0
AFTER_S = 10.0
"""So long after the return of a vendor everything is as it was."""
MAY_MISS = 0.02
"""The share of words outside an outage that may be wrong beyond the reference: in a minute one word is above 1 %."""
_ROUNDED_NS = 1_000
"""A sample is 62.5 µs; durations are told in whole nanoseconds."""
LAST_S = 4.0
"""Turns that end so near the end of the audio are among the last of their session."""
LATEST_S = 4.0
"""The latest a turn may be final behind its end once all is well: 1.4 s to its commit, 0.9 s the stand-in's answer, and
what a busy machine takes."""


@dataclass(frozen=True, slots=True)
class Window:
    """When something was wrong, in wall time; `noticed_s` is how long the daemon may take to see it at all."""

    began_at: float
    ended_at: float
    noticed_s: float = 0.0

    @property
    def over_at(self) -> float:
        """From here on everything is to be as it was."""
        return self.ended_at + self.noticed_s + AFTER_S


@dataclass(frozen=True, slots=True)
class Counts:
    """Words of a meeting; `outside` are those outside the outage that are there."""

    words: int
    outside: int
    lost: int
    repeated: int
    foreign: int
    wrong: int

    @property
    def wrong_allowed(self) -> int:
        """How many words outside may be wrong beyond the reference."""
        return math.ceil(MAY_MISS * self.outside)


def counted(
    meeting: Meeting,
    turns: Sequence[Turn],
    outage: tuple[float, float],
    heard_s: float,
) -> Counts:
    """Count. `outage` and `heard_s` are seconds of the session; words behind what was heard are nobody's loss."""
    heard = round(heard_s * RATE_HZ)
    due = [word for word in meeting.words if word.end <= heard]
    texts = [(text, turn) for turn in turns for text in turn.text.split()]
    places: dict[str, Turn] = {}
    for text, turn in texts:
        places.setdefault(text, turn)
    lost = [word for word in due if word.text not in places]
    outside = [word for word in due if word.text in places and not _within(word, outage)]
    best = reference(meeting).turns
    return Counts(
        words=len(due),
        outside=len(outside),
        lost=len(lost),
        repeated=len(texts) - len(places),
        foreign=sum(text not in meeting.by_text for text in places),
        wrong=max(0, _wrong(outside, places) - _wrong_at_best(outside, best)),
    )


def recovered_s(window: Window, turns: Sequence[Turn], final_at: Mapping[str, float]) -> float | None:
    """From the fault's end to the first turn in `final_at` whose speech began behind it; None if there is none."""
    times = [final_at[turn.id] for turn in turns if turn.id in final_at and start_at(turn) > window.ended_at]
    return min(times) - window.ended_at if times else None


def latest_s(
    window: Window, turns: Sequence[Turn], final_at: Mapping[str, float], heard_s: float = math.inf
) -> float | None:
    """How long after its end the latest turn became final that began when all was to be well; None without one.

    The last turns of a session wait until the diarizer has said its last word, and do not count.
    """
    late = [
        final_at[turn.id] - start_at(turn) - (_span_s(turn)[1] - _span_s(turn)[0])
        for turn in turns
        if turn.id in final_at and start_at(turn) > window.over_at and _span_s(turn)[1] < heard_s - LAST_S
    ]
    return max(late, default=None)


def adds_up(session: Session, owed: bool = False) -> bool:
    """Whether the coverage of an ended session is all of it, to the sample; pending only what texts are `owed` for."""
    coverage = session.coverage
    parts = [coverage.text, coverage.silence, coverage.muted, *(loss.duration for loss in coverage.lost)]
    pending_ns, heard_ns = coverage.pending.ToNanoseconds(), session.duration.ToNanoseconds()
    told_ns = sum(part.ToNanoseconds() for part in parts) + pending_ns
    return bool(pending_ns) <= owed and abs(told_ns - heard_ns) < _ROUNDED_NS


def start_at(turn: Turn) -> float:
    """The wall time of a turn's start, seconds since 1970."""
    return turn.start_time.ToNanoseconds() / 1e9


def _span_s(turn: Turn) -> tuple[float, float]:
    return turn.start_offset.ToNanoseconds() / 1e9, turn.end_offset.ToNanoseconds() / 1e9


def _within(word: Word, span_s: tuple[float, float]) -> bool:
    return word.end / RATE_HZ > span_s[0] and word.start / RATE_HZ < span_s[1]


def _wrong(words: Sequence[Word], places: Mapping[str, Turn]) -> int:
    people: dict[str, Counter[str]] = {}
    for word in words:
        label = places[word.text].speaker.label
        if label:
            people.setdefault(label, Counter())[word.speaker] += 1
    right = sum(max(counts.values()) for counts in people.values())
    return len(words) - right


def _wrong_at_best(words: Sequence[Word], best: Sequence[Held]) -> int:
    return sum(holder_at(best, word.middle) != word.speaker for word in words)

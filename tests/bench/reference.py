"""The best a floor can do: rules 2 and 3 of the merge on the true segments, offline and written from the rules alone.

It shares no code with the daemon, so that a mistake in one shows as a difference from the other. Positions are samples.

Where the rules leave something open, this is how it is read: a stretch shorter than 0.1 s goes to the stretch it
follows without a pause, else to the one it precedes without a pause, else (alone in silence) it stays a stretch.
Cuts of long monologues change no word's speaker and are not made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.fakes.meeting import RATE_HZ, Meeting, Segment

RESTART_S = 0.3
SHORTEST_S = 0.1
JOIN_GAP_S = 0.8


@dataclass(frozen=True, slots=True)
class Held:
    """`speaker` holds the floor in [start, end)."""

    start: int
    end: int
    speaker: str


@dataclass(frozen=True, slots=True)
class Reference:
    """`stretches` is the floor, `turns` the stretches joined over pauses; both by start and without overlap."""

    stretches: tuple[Held, ...]
    turns: tuple[Held, ...]
    right: float

    @property
    def count(self) -> int:
        """Number of turns."""
        return len(self.turns)


def reference(meeting: Meeting, join_gap_s: float = JOIN_GAP_S) -> Reference:
    """The floor of a meeting, its turns, and the share of words whose middle lies in a turn of their speaker."""
    stretches = floor(meeting.segments)
    turns = joined(stretches, join_gap_s)
    right = sum(holder_at(turns, word.middle) == word.speaker for word in meeting.words)
    return Reference(tuple(stretches), tuple(turns), right / len(meeting.words) if meeting.words else 1.0)


def floor(segments: Sequence[Segment]) -> list[Held]:
    """Who holds the word when: rule 2."""
    segments = sorted(segments, key=lambda segment: segment.start)  # equal starts stay in order of arrival
    restart = round(RESTART_S * RATE_HZ)
    raw: list[Held] = []
    now = 0
    while True:
        holder = _next_holder(segments, now)
        if holder is None:
            break
        start = max(now, holder.start)
        # The holder keeps the floor while active, and through any pause it ends within 0.3 s.
        end = holder.end
        while True:
            again = [s for s in segments if s.speaker == holder.speaker and end < s.start <= end + restart]
            if not again:
                break
            end = again[0].end
        raw.append(Held(start, end, holder.speaker))
        now = end
    return _without_short(raw)


def _next_holder(segments: Sequence[Segment], now: int) -> Segment | None:
    """Of those active at `now` who started most recently; with nobody active, who starts next."""
    active = [segment for segment in segments if segment.start < now < segment.end]
    if active:
        latest = max(segment.start for segment in active)
        return [segment for segment in active if segment.start == latest][-1]
    return next((segment for segment in segments if segment.start >= now), None)


def _without_short(raw: Sequence[Held]) -> list[Held]:
    shortest = round(SHORTEST_S * RATE_HZ)
    done: list[Held] = []
    begins: int | None = None  # an earlier start the next stretch takes over
    for number, held in enumerate(raw):
        start = held.start if begins is None else begins
        begins = None
        if held.end - held.start < shortest:
            if done and done[-1].end == start:
                done[-1] = Held(done[-1].start, held.end, done[-1].speaker)
                continue
            if number + 1 < len(raw) and raw[number + 1].start == held.end:
                begins = start
                continue
        if done and done[-1].speaker == held.speaker and done[-1].end == start:
            done[-1] = Held(done[-1].start, held.end, held.speaker)
        else:
            done.append(Held(start, held.end, held.speaker))
    return done


def joined(stretches: Sequence[Held], join_gap_s: float = JOIN_GAP_S) -> list[Held]:
    """Turns: stretches of one holder, with the pauses up to `join_gap_s` between them: rule 3."""
    gap = round(join_gap_s * RATE_HZ)
    turns: list[Held] = []
    for held in stretches:
        if turns and turns[-1].speaker == held.speaker and held.start - turns[-1].end <= gap:
            turns[-1] = Held(turns[-1].start, held.end, held.speaker)
        else:
            turns.append(held)
    return turns


def holder_at(turns: Sequence[Held], sample: int) -> str | None:
    """Who holds the floor at a sample."""
    return next((turn.speaker for turn in turns if turn.start <= sample < turn.end), None)

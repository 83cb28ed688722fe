"""The best a floor can do: rules 2 and 3 of the merge on the true segments, offline and written from the rules alone.

It shares no code with the daemon, so that a mistake in one shows as a difference from the other. Positions are samples.

Where the rules leave something open, this is how it is read: a stretch shorter than 0.1 s goes to the stretch it
follows without a pause, else to the one it precedes without a pause, else (alone in silence) it stays a stretch.
Cuts of long monologues change no word's speaker and are not made.

`as_told` is rule 1, likewise: what can be known from a diarizer's events once all of them are there, each put at its
position. An end that was lost ends where the next silence begins. One that was told counts as the end of a speaker
whom a silence ended before only if it lies in that silence: behind it there may have been a start that was lost.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.weather import Retold, Script, Told
from tests.fakes.meeting import RATE_HZ, Meeting, Segment

SILENCE_S = 1.5
NEGATIVE_S = 0.05
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


# --- rule 1 -----------------------------------------------------------------------------------------------------------


def as_told(script: Script, meeting: Meeting) -> list[Segment]:
    """Who was active when, by the events of `script` and the voice activity of the meeting; by start."""
    silences = _silences(meeting)
    labels: dict[str, list[Told]] = {}
    for told in sorted(script.told, key=lambda one: one.arrival):
        labels.setdefault(told.label, []).append(told)
    found: dict[str, list[Segment]] = {label: _active(marks, silences) for label, marks in labels.items()}
    for retold in sorted(script.retold, key=lambda one: one.arrival):
        _retell(found, retold)
    told_first = sorted(script.told, key=lambda one: -one.arrival)
    arrival = {(told.label, told.at): told.arrival for told in told_first if told.starts}
    segments = [segment for own in found.values() for segment in _merged(own)]
    return sorted(segments, key=lambda one: (one.start, arrival.get((one.speaker, one.start), 0)))


def _active(told: Sequence[Told], silences: Sequence[tuple[int, int]]) -> list[Segment]:
    """One label's segments."""
    label = told[0].label
    marks = sorted({(one.at, one.starts) for one in told})  # told twice is told once; at equal positions ends are first
    segments: list[Segment] = []
    since: int | None = None
    orphan: int | None = None  # the position of an end that ended nothing, and that no empty pair has used up
    for at, starts in marks:
        silence = None if since is None else _first_silence(silences, since, at)
        if since is not None and silence is not None and (starts or at > silence[1]):
            segments.append(Segment(label, since, silence[0]))
            since = None
        if starts and since is None:
            empty = orphan is not None and at - orphan <= round(NEGATIVE_S * RATE_HZ)
            since, orphan = (None if empty else at), None
        elif not starts and since is not None:
            segments.append(Segment(label, since, at))
            since = None
        elif not starts:
            orphan = at
    last = None if since is None else _first_silence(silences, since, silences[-1][1])
    if since is not None and last is not None:  # else it began when nobody was heard any more
        segments.append(Segment(label, since, last[0]))
    return [segment for segment in segments if segment.end > segment.start]


def _silences(meeting: Meeting) -> list[tuple[int, int]]:
    """Where nobody is heard for 1.5 s or longer. The end of the meeting is one whatever its length."""
    silences: list[tuple[int, int]] = []
    heard_to = 0
    for word in meeting.words:
        if word.start - heard_to >= round(SILENCE_S * RATE_HZ):
            silences.append((heard_to, word.start))
        heard_to = max(heard_to, word.end)
    return [*silences, (heard_to, 1 << 62)]


def _first_silence(silences: Sequence[tuple[int, int]], since: int, before: int) -> tuple[int, int] | None:
    """The first silence that begins in (since, before)."""
    place = bisect_left(silences, (since + 1, 0))
    return silences[place] if place < len(silences) and silences[place][0] < before else None


def _retell(found: dict[str, list[Segment]], retold: Retold) -> None:
    old = found.get(retold.old, [])
    moved = [s for s in old if 2 * (min(s.end, retold.end) - max(s.start, retold.start)) > s.end - s.start]
    found[retold.old] = [segment for segment in old if segment not in moved]
    found.setdefault(retold.new, []).extend(Segment(retold.new, segment.start, segment.end) for segment in moved)


def _merged(own: Iterable[Segment]) -> list[Segment]:
    done: list[Segment] = []
    for segment in sorted(own, key=lambda one: one.start):
        if done and segment.start <= done[-1].end:
            done[-1] = Segment(segment.speaker, done[-1].start, max(done[-1].end, segment.end))
        else:
            done.append(segment)
    return done

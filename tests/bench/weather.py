"""Bad weather for the attribution bench: what vendors do to events and answers, each kind alone and all together.

A kind changes what a perfect diarizer tells, or what a perfect transcriber answers; nothing here knows the merge. All
is drawn from a generator that the bench seeds by name, so a line of the table is the same on every run. Positions and
arrivals are samples at 16 kHz.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from minuted_daemon.core.events import TextCompleted, TextFailed, UtteranceId
from tests.fakes.meeting import RATE_HZ, Meeting

LATE_SHARE, LATE_MEAN_S = 0.05, 2.0
TWICE_SHARE = 0.1
ORPHAN_END_SHARE, ORPHAN_START_SHARE = 0.05, 0.005
PAIR_SHARE = 0.05
LOST_SHARE = 0.01
SPLIT_S, SPLIT_LABELS = 60.0, 4
EMPTY_SHARE = 0.5
FAULT_SHARE = 0.05
"""Shares of all events, and of all answers."""
APART = RATE_HZ // 10
"""What is made up keeps this far from its label's true speech: closer, nobody could tell it from that."""


@dataclass(frozen=True, slots=True)
class Told:
    """At `arrival` the diarizer says that `label` started or ended at `at`."""

    arrival: int
    starts: bool
    label: str
    at: int


@dataclass(frozen=True, slots=True)
class Retold:
    """At `arrival` the diarizer says that what `old` said in [start, end) was said by `new`."""

    arrival: int
    old: str
    new: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Script:
    """All that a diarizer tells of one meeting, in the order in which it happened to be written down."""

    told: tuple[Told, ...]
    retold: tuple[Retold, ...] = ()


Change = Callable[[Meeting, Script, random.Random], Script]


@dataclass(frozen=True)
class Weather:
    """One kind of weather: `changes` are made to the script in order, `faults` are shares of answers."""

    name: str
    changes: tuple[Change, ...] = ()
    faults: Mapping[str, float] = field(default_factory=dict)

    def script(self, meeting: Meeting, lag_s: float, rng: random.Random) -> Script:
        """What the diarizer tells in this weather."""
        script = punctual(meeting, lag_s, rng)
        for change in self.changes:
            script = change(meeting, script, rng)
        return script


def punctual(meeting: Meeting, lag_s: float, rng: random.Random) -> Script:
    """The truth, `lag_s` late on average with a sigma of a quarter of it, and never less than 20 ms."""
    return Script(
        tuple(
            Told(at + _s(max(0.02, rng.gauss(lag_s, lag_s / 4))), bool(starts), speaker, at)
            for at, starts, speaker in meeting.boundaries
        )
    )


# --- what diarizers do ------------------------------------------------------------------------------------------------


def late(meeting: Meeting, script: Script, rng: random.Random) -> Script:
    """Some events come later by an exponential time: one in twelve of them by more than 5 s."""
    told = [
        replace(one, arrival=one.arrival + _s(rng.expovariate(1 / LATE_MEAN_S))) if rng.random() < LATE_SHARE else one
        for one in script.told
    ]
    return replace(script, told=tuple(told))


def twice(meeting: Meeting, script: Script, rng: random.Random) -> Script:
    """Some events are told again up to a second later."""
    again = [
        replace(one, arrival=one.arrival + _s(rng.uniform(0, 1))) for one in script.told if rng.random() < TWICE_SHARE
    ]
    return replace(script, told=(*script.told, *again))


def lost(meeting: Meeting, script: Script, rng: random.Random) -> Script:
    """Some starts and ends are never told."""
    return replace(script, told=tuple(one for one in script.told if rng.random() >= LOST_SHARE))


def orphan_ends(meeting: Meeting, script: Script, rng: random.Random) -> Script:
    """Ends of labels that are not active; every tenth of a label nobody heard of."""
    made = [
        replace(one, label="nobody") if number % 10 == 9 else one
        for number, one in enumerate(_made_up(meeting, script, rng, ORPHAN_END_SHARE, starts=False))
    ]
    return replace(script, told=(*script.told, *made))


def orphan_starts(meeting: Meeting, script: Script, rng: random.Random) -> Script:
    """Starts of labels that are not active, without an end of their own."""
    return replace(script, told=(*script.told, *_made_up(meeting, script, rng, ORPHAN_START_SHARE, starts=True)))


def empty_pairs(meeting: Meeting, script: Script, rng: random.Random) -> Script:
    """A start and an end at one position, or the end up to 50 ms before the start; one in five arrive swapped."""
    made: list[Told] = []
    for start in _made_up(meeting, script, rng, PAIR_SHARE, starts=True):
        back = _s(rng.choice((0.0, rng.uniform(0.01, 0.05))))
        made += [start, Told(start.arrival + _s(rng.uniform(-0.02, 0.08)), False, start.label, start.at - back)]
    return replace(script, told=(*script.told, *made))


def split(meeting: Meeting, script: Script, rng: random.Random) -> Script:
    """Who speaks most in the first minute is up to four labels there. Comes before all other changes."""
    return replace(script, told=tuple(_under_many_labels(meeting, script, rng)[0]))


def split_and_retold(meeting: Meeting, script: Script, rng: random.Random) -> Script:
    """The same, and a little later the diarizer notices."""
    told, aliases, speaker, until = _under_many_labels(meeting, script, rng)
    retold = [Retold(until + _s(rng.uniform(0.5, 3)), alias, speaker, 0, until) for alias in sorted(aliases)]
    return replace(script, told=tuple(told), retold=(*script.retold, *retold))


def _made_up(meeting: Meeting, script: Script, rng: random.Random, share: float, starts: bool) -> list[Told]:
    """Events of true speakers at positions where they are silent, as punctual as the others."""
    lags = [one.arrival - one.at for one in script.told]
    made: list[Told] = []
    for _ in range(round(share * len(script.told))):
        while True:
            label, at = rng.choice(meeting.speakers), rng.randrange(meeting.duration)
            own = (segment for segment in meeting.segments if segment.speaker == label)
            if not any(segment.start - APART <= at <= segment.end + APART for segment in own):
                break
        made.append(Told(at + rng.choice(lags), starts, label, at))
    return made


def _under_many_labels(meeting: Meeting, script: Script, rng: random.Random) -> tuple[list[Told], set[str], str, int]:
    """Return the events, the made-up labels, whose they are, and where the last of their speech ends."""
    minute = meeting.segments[0].start + _s(SPLIT_S)  # the first one in which anybody speaks
    early = [segment for segment in meeting.segments if segment.start < minute]
    spoken: Counter[str] = Counter()
    for segment in early:
        spoken[segment.speaker] += min(segment.end, minute) - segment.start
    speaker = max(spoken, key=spoken.__getitem__)
    own = [segment for segment in early if segment.speaker == speaker]
    labels = [speaker, *(f"{speaker}~{number}" for number in range(2, SPLIT_LABELS + 1))]
    names: dict[tuple[bool, int], str] = {}
    for segment in own:
        names[True, segment.start] = names[False, segment.end] = rng.choice(labels)
    told = [
        replace(one, label=names.get((one.starts, one.at), speaker)) if one.label == speaker else one
        for one in script.told
    ]
    return told, set(names.values()) - {speaker}, speaker, max(segment.end for segment in own)


# --- what transcribers do ---------------------------------------------------------------------------------------------


class Answers:
    """Answers each commit 0.2 to 2 s later with what was said, but for the given shares of faults.

    missing: never. failed: an error. empty: no word. twice: a second, other text follows. late: 20 s later. `seen`
    counts what was done.
    """

    def __init__(self, rng: random.Random, faults: Mapping[str, float]) -> None:
        self.seen: Counter[str] = Counter()
        self._rng, self._faults = rng, faults

    def __call__(self, utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, TextCompleted | TextFailed]]:
        kind = self._draw()
        self.seen[kind] += 1
        when = at + _s(self._rng.uniform(0.2, 2.0))
        if kind == "missing":
            return []
        if kind == "failed":
            return [(when, TextFailed(utterance, "SERVER_ERROR"))]
        if kind == "late":
            return [(at + _s(20), TextCompleted(utterance, text))]
        answer = (when, TextCompleted(utterance, "" if kind == "empty" else text))
        if kind == "twice":
            other = " ".join(f"other{word}" for word in text.split())
            return [answer, (when + _s(self._rng.uniform(0.1, 3.0)), TextCompleted(utterance, other))]
        return [answer]

    def _draw(self) -> str:
        if not self._faults:
            return "fine"
        place = self._rng.random()
        for kind, share in self._faults.items():
            place -= share
            if place < 0:
                return kind
        return "fine"


def _s(seconds: float) -> int:
    return round(seconds * RATE_HZ)


QUIET = Weather("quiet")
KINDS: Sequence[Weather] = (
    Weather("late", (late,)),
    Weather("twice", (twice,)),
    Weather("orphan-ends", (orphan_ends,)),
    Weather("orphan-starts", (orphan_starts,)),
    Weather("empty-pairs", (empty_pairs,)),
    Weather("lost", (lost,)),
    Weather("split", (split,)),
    Weather("split-retold", (split_and_retold,)),
    Weather("answers-missing", faults={"missing": FAULT_SHARE}),
    Weather("answers-failed", faults={"failed": FAULT_SHARE}),
    Weather("answers-empty", faults={"empty": EMPTY_SHARE}),
    Weather("answers-twice", faults={"twice": FAULT_SHARE}),
    Weather("answers-late", faults={"late": FAULT_SHARE}),
    Weather(
        "everything",
        (split_and_retold, lost, twice, orphan_ends, orphan_starts, empty_pairs, late),
        {"missing": FAULT_SHARE, "failed": FAULT_SHARE, "twice": FAULT_SHARE, "late": FAULT_SHARE},
    ),
)
"""One line of the table each."""

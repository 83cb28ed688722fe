"""Late events about closed turns: they are cut again, and where the cuts differ the audio is transcribed again.

Nothing changes before the new texts are there. Then the new turns replace the old ones in one step; if a text does not
come, or audio would be left out of all commits, the old turns stay.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from minuted_daemon.core.diarization.timeline import STORED
from minuted_daemon.core.events import TextSource, TurnNumber
from minuted_daemon.core.merge.context import MergeContext
from minuted_daemon.core.merge.floor import RESTART, hold_floor
from minuted_daemon.core.merge.segmentation import SHORTEST, Segment, join, split
from minuted_daemon.core.merge.turn_cutter import LATE_NEWS, Cutter
from minuted_daemon.core.merge.unclaimed_speech import REACH
from minuted_daemon.core.ranges import outside
from minuted_daemon.core.samples import ENDLESS, samples
from minuted_daemon.core.transcription.turn import LEAD, TAIL, Turn
from minuted_daemon.core.words import has_words

_TOLERANCE = samples(0.15)  # of voice that changes hands
_CALM = samples(1.0)
"""Late events come in pairs, an end and the start after it: wait for both."""
_EDGE = samples(0.05)  # of voice; a frame or two at a cut is no word

_SAME_WORDS = 0.8
"""If one new turn has no words, the others must have at least this share of the old letters."""


@dataclass(slots=True)
class Revision:
    """`new` turns replace the `old` ones once all their texts are there."""

    old: list[Turn]
    new: list[Turn]
    waiting: int

    @property
    def holds(self) -> bool:
        """True if the new turns say at least as much as the old ones."""
        if not any(turn.text for turn in self.old):
            return True
        wordless = any(turn.silent and turn.wordless for turn in self.new)
        if wordless and _letters(self.new) < _SAME_WORDS * _letters(self.old):
            return False
        said = any(has_words(turn.text) for turn in self.new)
        return said and all(turn.text_source is TextSource.COMPLETED for turn in self.new)


@dataclass(frozen=True, slots=True)
class Review:
    """Closed turns from `since` on were compared. renamed: those whose stretch is right and whose voice was wrong."""

    since: int
    renamed: Sequence[Turn]


class Reviser:
    """Compares closed turns with the floor as it is known now, and revises those that differ."""

    def __init__(self, context: MergeContext, cutter: Cutter) -> None:
        self._cutter = cutter
        self._track, self._commits, self._transcription = context.track, context.commits, context.transcription
        self._numbers, self._join_gap = context.numbers, context.join_gap
        self._dirty_from: int | None = None
        self._due = 0
        self._under_way: list[Revision] = []

    @property
    def busy(self) -> bool:
        """True while turns are to be compared or texts are awaited."""
        return self._dirty_from is not None or bool(self._under_way)

    @property
    def new_turns(self) -> list[Turn]:
        """The turns whose texts are awaited."""
        return [turn for revision in self._under_way for turn in revision.new]

    def news(self, changed_from: int, now: int) -> None:
        """Who spoke changed from this position on."""
        if changed_from < self._cutter.done_to:
            known = changed_from if self._dirty_from is None else self._dirty_from
            self._dirty_from, self._due = min(known, changed_from), now + _CALM

    def advance(self, now: int, frozen_to: int, final: bool) -> Review | None:
        """Begin the revisions that are due; None if nothing was compared. Nothing before `frozen_to` changes."""
        if self._dirty_from is None or self._under_way or (now < self._due and not final):
            return None
        oldest = max(now - LATE_NEWS, frozen_to)
        touched = [turn for turn in self._commits.since(self._dirty_from - RESTART) if turn.first >= oldest]
        since = min([turn.start for turn in touched], default=self._cutter.done_to)
        before = self._commits.last_before(since)
        if before is not None:
            since = max(before.end, oldest)
        turns = [turn for turn in self._commits.since(since) if turn.start >= since]
        if not all(turn.settled or turn.gone for turn in turns):
            return None  # wait for their texts
        self._dirty_from = None
        return Review(since, self._plan(before, since, turns) if turns else ())

    def redacted(self, start: int, end: int) -> list[Turn]:
        """Drop the revisions that touch [start, end); return their new turns, which will not come."""
        going = [one for one in self._under_way if any(turn.touches(start, end) for turn in (*one.old, *one.new))]
        self._under_way = [one for one in self._under_way if one not in going]
        return [turn for one in going for turn in one.new]

    def answered(self, turns: Iterable[Turn]) -> tuple[list[Turn], list[Revision]]:
        """Take the answers of turns; return those that belong to no revision, and the revisions that are complete."""
        others: list[Turn] = []
        complete: list[Revision] = []
        for turn in turns:
            revision = next((one for one in self._under_way if turn in one.new), None)
            if revision is None:
                others.append(turn)
                continue
            revision.waiting -= 1
            if revision.waiting == 0:
                self._under_way.remove(revision)
                if revision.holds:
                    self._commits.replace(revision.old, revision.new)
                    complete.append(revision)
        return others, complete

    # --- the plan -----------------------------------------------------------------------------------------------------

    def _plan(self, before: Turn | None, since: int, turns: list[Turn]) -> list[Turn]:
        """Begin the revisions of these turns; return those that were renamed."""
        horizon = self._cutter.done_to
        spans = self._cutter.spans(since)
        holder = None if before is None else before.voice
        stretches = hold_floor(spans, since, horizon, holder, final=True)
        segments = self._cut_as_before(join(stretches, horizon, horizon, self._join_gap, final=True), turns)
        if segments and segments[-1].end == horizon:
            self._cutter.revised(segments[-1].voice)
        old, new, renamed = self._differing(turns, [segment for segment in segments if segment.voice != STORED])
        for group_old, group_new in _groups(old, new):
            self._begin(group_old, group_new)
        return renamed

    def _cut_as_before(self, segments: Sequence[Segment], turns: Sequence[Turn]) -> list[Segment]:
        """Cut long monologues at the same places as before."""
        cut: list[Segment] = []
        for segment in segments:
            rest: Segment | None = segment
            for turn in turns:
                if rest is not None and rest.start < turn.start < rest.end and turn.voice == rest.voice:
                    until = max(min(end, turn.start) for start, end in rest.parts if start < turn.start)
                    first, rest = split(rest, turn.start)
                    first.end = until
                    cut.append(first)
            if rest is not None:
                cut.append(rest)
        return cut

    def _differing(
        self, turns: Sequence[Turn], segments: Sequence[Segment]
    ) -> tuple[list[Turn], list[Segment], list[Turn]]:
        """Return the turns and segments without a counterpart, and the turns that only got another voice."""
        old, new, renamed = list(turns), [], []
        for segment in segments:
            like = next((turn for turn in old if self._alike(turn, segment)), None)
            if like is None:
                new.append(segment)
                continue
            old.remove(like)
            if like.voice != segment.voice:
                like.voice = segment.voice
                renamed.append(like)
        return old, new, renamed

    def _alike(self, turn: Turn, segment: Segment) -> bool:
        edges = ((turn.start, segment.start), (turn.end, segment.end))
        if min(turn.end, segment.end) <= max(turn.start, segment.start):
            return False
        around = self._track.around(segment.start, segment.end, LEAD, TAIL, REACH)
        foreign = outside(turn.first, turn.last, [around])
        missing = outside(segment.start, segment.end, [(turn.first, turn.last)])
        return all(self._voiced(*pieces) <= _TOLERANCE for pieces in (foreign, missing, *([edge] for edge in edges)))

    def _voiced(self, *pieces: tuple[int, int]) -> int:
        runs = (self._track.runs(min(piece), max(piece), voiced=True) for piece in pieces)
        return sum(high - low for run in runs for low, high in run)

    # --- one revision -------------------------------------------------------------------------------------------------

    def _begin(self, old: list[Turn], segments: list[Segment]) -> None:
        taken = self._commits.taken(without=old)
        if self._cutter.taken_from is not None:
            taken.append((self._cutter.taken_from, ENDLESS))
        new = self._placed(segments, old, taken)
        if not new or self._leaves_out(old, new):
            return
        numbers = {turn.number for turn in old if not turn.gone}
        for turn in new:
            turn.number = next((n for n in numbers if _keeps_half(_numbered(old, n), turn)), turn.number)
            numbers.discard(turn.number)
        self._under_way.append(Revision(old, new, len(new)))
        for turn in new:
            self._transcription.submit(turn)
            self._transcription.first(turn)

    def _placed(self, segments: Sequence[Segment], old: Sequence[Turn], taken: Sequence[tuple[int, int]]) -> list[Turn]:
        """Make turns of the segments: each takes the voice nearest to it, and no audio of other turns."""
        new: list[Turn] = []
        ranges = [self._track.around(segment.start, segment.end, LEAD, TAIL, REACH) for segment in segments]
        first = min(turn.first for turn in old)
        for index, (segment, (low, high)) in enumerate(zip(segments, ranges, strict=True)):
            low = max(low, new[-1].last) if new else min(low, first)
            if index + 1 < len(segments):
                high = max(segment.end, min(high, segments[index + 1].start))
                high = self._up_to_the_middle(high, ranges[index + 1][0])
            else:
                high = max(high, *(turn.last for turn in old))
            pieces = outside(low, high, taken)
            if pieces:
                low, high = max(pieces, key=lambda piece: piece[1] - piece[0])
                turn = Turn(TurnNumber(next(self._numbers)), segment.voice, segment.start, segment.end, low, high, low)
                turn.not_after, turn.closed = high, True
                turn.evidence = self._track.evidence(low, high)
                new.append(turn)
        return [turn for turn in new if turn.last - turn.first >= SHORTEST]

    def _up_to_the_middle(self, high: int, following: int) -> int:
        """Return where voice between two segments is divided: each run goes to the nearer one."""
        for start, end in self._track.runs(high, following, voiced=True):
            if start + end <= high + following:
                high = end
        return high

    def _leaves_out(self, old: Sequence[Turn], new: Sequence[Turn]) -> bool:
        """Return whether voice of the old turns would be in no commit."""
        covered = [(turn.first, turn.last) for turn in new]
        return any(self._voiced(*outside(turn.first, turn.last, covered)) > _EDGE for turn in old)


def _letters(turns: Sequence[Turn]) -> int:
    return sum(map(str.isalnum, "".join(turn.text for turn in turns)))


def _numbered(turns: Sequence[Turn], number: int) -> Turn:
    return next(turn for turn in turns if turn.number == number)


def _keeps_half(old: Turn, new: Turn) -> bool:
    shared = min(old.end, new.end) - max(old.start, new.start)
    return 2 * shared >= old.end - old.start and shared > 0


def _groups(old: Sequence[Turn], new: Sequence[Segment]) -> Iterator[tuple[list[Turn], list[Segment]]]:
    """Return groups of old turns and new segments that share audio; those that share none are left out."""
    pieces = [(min(turn.start, turn.first), max(turn.end, turn.last), turn, None) for turn in old]
    ordered = sorted([*pieces, *((segment.start, segment.end, None, segment) for segment in new)], key=itemgetter(0))
    until = -1
    groups: list[tuple[list[Turn], list[Segment]]] = []
    for start, end, turn, segment in ordered:
        if start >= until:
            groups.append(([], []))
        until = max(until, end)
        if turn is not None:
            groups[-1][0].append(turn)
        if segment is not None:
            groups[-1][1].append(segment)
    return (group for group in groups if group[0] and group[1])

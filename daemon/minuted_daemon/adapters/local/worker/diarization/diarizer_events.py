"""Turns segments and their labels into diarizer events: what was told of a label is one timeline without doubles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minuted_daemon.adapters.local.worker.diarization.segment_tracking import Changes, Segment
from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerRelabelled, SpeakerStarted

SHORTEST_CORRECTION = 2_400
"""Speech that later windows find between what was told is told, late, if it is at least this long (0.15 s)."""


@dataclass(slots=True)
class _Told:
    label: int
    start: int
    end: int
    open: bool = True
    given_up: bool = False


@dataclass(slots=True)
class _LabelState:
    speaking: set[int] = field(default_factory=set)
    reach: int = 0


@dataclass(slots=True)
class Announcer:
    """Remembers what was told, for as long as it can still be told differently."""

    _told: dict[int, _Told] = field(default_factory=dict)
    _labels: dict[int, _LabelState] = field(default_factory=dict)

    def announce(self, changes: Changes, labels: Mapping[int, int]) -> list[DiarizerEvent]:
        """Return the events of a step: ends before starts at equal positions, and revisions last.

        labels: the label of each segment that is not frozen. An open segment keeps the label it was told with; what
        clustering thinks better of it is told when it has ended.
        """
        placed: list[tuple[int, int, DiarizerEvent]] = []
        revised: list[DiarizerEvent] = []
        opened = {segment.number for segment in changes.opened}
        for segment in changes.closed:
            if segment.number not in opened:
                self._end(segment, placed)
        for segment in changes.closed:
            if segment.settled:
                self._replace_given_up(segment, labels[segment.number], segment.number in opened, placed, revised)
        for segment in changes.opened:
            if segment.open:
                self._start(segment.number, _Told(labels[segment.number], segment.start, segment.end), placed)
        placed.sort(key=lambda entry: entry[:2])
        for number, told in list(self._told.items()):
            if told.open:
                continue
            if number not in labels:
                del self._told[number]
            elif labels[number] != told.label:
                revised.append(SpeakerRelabelled(name(told.label), name(labels[number]), told.start, told.end))
                told.label = labels[number]
        return [event for _, _, event in placed] + revised

    def _start(self, number: int, told: _Told, placed: list[tuple[int, int, DiarizerEvent]]) -> None:
        self._told[number] = told
        state = self._labels.setdefault(told.label, _LabelState())
        if not state.speaking:
            state.reach = max(told.start, state.reach)
            placed.append((state.reach, 1, SpeakerStarted(name(told.label), state.reach)))
        state.speaking.add(number)

    def _end(self, segment: Segment, placed: list[tuple[int, int, DiarizerEvent]]) -> None:
        told = self._told[segment.number]
        told.end, told.open, told.given_up = segment.end, False, not segment.settled
        state = self._labels[told.label]
        state.reach = max(state.reach, segment.end)
        state.speaking.discard(segment.number)
        if not state.speaking:
            placed.append((state.reach, 0, SpeakerEnded(name(told.label), state.reach)))

    def _replace_given_up(
        self,
        segment: Segment,
        label: int,
        is_new: bool,
        placed: list[tuple[int, int, DiarizerEvent]],
        revised: list[DiarizerEvent],
    ) -> None:
        """Hand over to a settled segment what was told in its place; tell the rest of it if it was not told at all."""
        taken: list[tuple[int, int]] = []
        for number, told in list(self._told.items()):
            start, end = max(told.start, segment.start), min(told.end, segment.end)
            if told.given_up and end > start:
                taken.append((start, end))
                if told.label != label:
                    revised.append(SpeakerRelabelled(name(told.label), name(label), start, end))
                del self._told[number]
        if not is_new:
            return
        self._told[segment.number] = _Told(label, segment.start, segment.end, open=False)
        state = self._labels.setdefault(label, _LabelState())
        for start, end in _without(segment.start, segment.end, taken):
            if not state.speaking and state.reach <= start:
                state.reach = end
                placed.append((start, 1, SpeakerStarted(name(label), start)))
                placed.append((end, 0, SpeakerEnded(name(label), end)))
            elif not state.speaking and end - state.reach >= SHORTEST_CORRECTION:
                start, state.reach = state.reach, end
                placed.append((start, 1, SpeakerStarted(name(label), start)))
                placed.append((end, 0, SpeakerEnded(name(label), end)))


def _without(start: int, end: int, taken: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the parts of [start, end) outside of `taken` that are worth telling."""
    parts: list[tuple[int, int]] = []
    for taken_start, taken_end in sorted(taken):
        if taken_start - start >= SHORTEST_CORRECTION:
            parts.append((start, taken_start))
        start = max(start, taken_end)
    if end - start >= SHORTEST_CORRECTION:
        parts.append((start, end))
    return parts


def name(label: int) -> str:
    """Return a label as it is told."""
    return f"A{label}"

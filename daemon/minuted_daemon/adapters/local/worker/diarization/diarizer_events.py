"""Turns segments and their labels into diarizer events: what is reported of a label is one timeline without doubles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minuted_daemon.adapters.local.worker.diarization.segment_tracking import Changes, Segment
from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerRelabelled, SpeakerStarted

SHORTEST_CORRECTION = 2_400
"""Speech that later windows find between reported speech is reported, late, if it is at least this long (0.15 s)."""


@dataclass(slots=True)
class _Reported:
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
    """Remembers what was reported, for as long as it can still be corrected."""

    _reported: dict[int, _Reported] = field(default_factory=dict)
    _labels: dict[int, _LabelState] = field(default_factory=dict)

    def announce(self, changes: Changes, labels: Mapping[int, int]) -> list[DiarizerEvent]:
        """Return the events of a step: ends before starts at equal positions, and revisions last.

        labels: the label of each segment that is not frozen. An open segment keeps the label it was reported with; what
        clustering finds later is reported when it has ended.
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
                self._start(segment.number, _Reported(labels[segment.number], segment.start, segment.end), placed)
        placed.sort(key=lambda entry: entry[:2])
        for number, reported in list(self._reported.items()):
            if reported.open:
                continue
            if number not in labels:
                del self._reported[number]
            elif labels[number] != reported.label:
                revised.append(
                    SpeakerRelabelled(name(reported.label), name(labels[number]), reported.start, reported.end)
                )
                reported.label = labels[number]
        return [event for _, _, event in placed] + revised

    def _start(self, number: int, reported: _Reported, placed: list[tuple[int, int, DiarizerEvent]]) -> None:
        self._reported[number] = reported
        state = self._labels.setdefault(reported.label, _LabelState())
        if not state.speaking:
            state.reach = max(reported.start, state.reach)
            placed.append((state.reach, 1, SpeakerStarted(name(reported.label), state.reach)))
        state.speaking.add(number)

    def _end(self, segment: Segment, placed: list[tuple[int, int, DiarizerEvent]]) -> None:
        reported = self._reported[segment.number]
        reported.end, reported.open, reported.given_up = segment.end, False, not segment.settled
        state = self._labels[reported.label]
        state.reach = max(state.reach, segment.end)
        state.speaking.discard(segment.number)
        if not state.speaking:
            placed.append((state.reach, 0, SpeakerEnded(name(reported.label), state.reach)))

    def _replace_given_up(
        self,
        segment: Segment,
        label: int,
        is_new: bool,
        placed: list[tuple[int, int, DiarizerEvent]],
        revised: list[DiarizerEvent],
    ) -> None:
        """Hand over to a settled segment what was reported in its place; report the rest of it if none was."""
        taken: list[tuple[int, int]] = []
        for number, reported in list(self._reported.items()):
            start, end = max(reported.start, segment.start), min(reported.end, segment.end)
            if reported.given_up and end > start:
                taken.append((start, end))
                if reported.label != label:
                    revised.append(SpeakerRelabelled(name(reported.label), name(label), start, end))
                del self._reported[number]
        if not is_new:
            return
        self._reported[segment.number] = _Reported(label, segment.start, segment.end, open=False)
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
    """Return the parts of [start, end) outside of `taken` that are worth reporting."""
    parts: list[tuple[int, int]] = []
    for taken_start, taken_end in sorted(taken):
        if taken_start - start >= SHORTEST_CORRECTION:
            parts.append((start, taken_start))
        start = max(start, taken_end)
    if end - start >= SHORTEST_CORRECTION:
        parts.append((start, end))
    return parts


def name(label: int) -> str:
    """Return a label as it is reported."""
    return f"A{label}"

"""The recovery log: what is noted beside the audio, as bytes and back. recorder.py writes it, replay.py feeds it again.

A note is one line of JSON, an array: the version, a letter for its kind, how far the session had heard, and the rest.
A note of another version, or one that cannot be read, is left out.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minuted_daemon.core.diarization.epochs import Names, OpenEpoch
from minuted_daemon.core.events import (
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    SpeakerEnded,
    SpeakerNumber,
    SpeakerRelabelled,
    SpeakerStarted,
)
from minuted_daemon.core.records import IntervalId, IntervalKind
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.spool import Note

VERSION = 1
_AT_ONCE = 100
"""So many notes are read before other tasks get their turn: a millisecond."""


@dataclass(frozen=True, slots=True)
class EpochNoted:
    """Something about a connection, when the session had heard everything before `heard`."""

    heard: Sample
    event: EpochOpened | EpochTookOver | EpochClosed


@dataclass(frozen=True, slots=True)
class EventNoted:
    """The diarizer said something; `sent_to` is how far it had been sent audio by then."""

    heard: Sample
    epoch: Epoch
    event: DiarizerEvent
    sent_to: Sample


@dataclass(frozen=True, slots=True)
class NamesNoted:
    """Labels got a speaker, or another one."""

    heard: Sample
    names: Names


@dataclass(frozen=True, slots=True)
class StateNoted:
    """A checkpoint: the connections that are open, oldest first, and the speaker of each label.

    What was said before `needed_from` is stored. Before `settled_to` nothing was awaited any more: what neither a turn
    nor an interval claims there was silence.
    """

    heard: Sample
    needed_from: Sample
    epochs: Sequence[OpenEpoch]
    names: Names
    settled_to: Sample = Sample(0)  # noqa: RUF009  a NewType


@dataclass(frozen=True, slots=True)
class CommitNoted:
    """A turn [start, end) was about to be stored whose text is that of the audio [first, last)."""

    heard: Sample
    start: Sample
    end: Sample
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class IntervalNoted:
    """[start, end) was no speech to be attributed; `growing`: it may have gone on since."""

    heard: Sample
    id: IntervalId
    kind: IntervalKind
    reason: str
    start: Sample
    end: Sample
    growing: bool


Noted = EpochNoted | EventNoted | NamesNoted | StateNoted | CommitNoted | IntervalNoted


def encoded(noted: Noted) -> bytes:
    """Return it as a line."""
    rest: Sequence[object]
    match noted:
        case EpochNoted(event=EpochOpened(epoch, at)):
            kind, rest = "o", (epoch, at)
        case EpochNoted(event=EpochTookOver(epoch, at)):
            kind, rest = "t", (epoch, at)
        case EpochNoted(event=EpochClosed(epoch, at)):
            kind, rest = "c", (epoch, at)
        case EventNoted(event=SpeakerStarted(label, position)):
            kind, rest = "s", (noted.epoch, noted.sent_to, label, position)
        case EventNoted(event=SpeakerEnded(label, position)):
            kind, rest = "e", (noted.epoch, noted.sent_to, label, position)
        case EventNoted(event=SpeakerRelabelled(old, new, start, end)):
            kind, rest = "r", (noted.epoch, noted.sent_to, old, new, start, end)
        case NamesNoted():
            kind, rest = "n", (_rows(noted.names),)
        case StateNoted():
            epochs = [(epoch.number, epoch.base, epoch.since, dict(epoch.active)) for epoch in noted.epochs]
            kind, rest = "w", (noted.needed_from, epochs, _rows(noted.names), noted.settled_to)
        case CommitNoted(_, start, end, first, last):
            kind, rest = "a", (start, end, first, last)
        case IntervalNoted(_, interval_id, of, reason, start, end, growing):
            kind, rest = "i", (interval_id, of.value, reason, start, end, growing)
    return json.dumps((VERSION, kind, noted.heard, *rest), separators=(",", ":")).encode()


def decoded(data: bytes) -> Noted | None:
    """Return what a line says, None if it cannot be read."""
    try:
        version, kind, heard, *rest = json.loads(data)
        return _READERS[kind](Sample(heard), *rest) if version == VERSION else None
    except (ValueError, TypeError, KeyError):
        return None


def _rows(names: Names) -> list[tuple[Epoch, str, SpeakerNumber]]:
    return [(epoch, label, number) for (epoch, label), number in names.items()]


def _names(rows: Sequence[tuple[int, str, int]]) -> Names:
    return {(Epoch(epoch), label): SpeakerNumber(number) for epoch, label, number in rows}


def _state(
    heard: Sample,
    needed_from: int,
    epochs: Sequence[tuple[int, int, int | None, Mapping[str, int]]],
    rows: Any,
    settled_to: int = 0,
) -> StateNoted:
    opened = [OpenEpoch(Epoch(number), base, since, active) for number, base, since, active in epochs]
    return StateNoted(heard, Sample(needed_from), opened, _names(rows), Sample(settled_to))


def _interval(
    heard: Sample, interval_id: str, kind: str, reason: str, start: int, end: int, growing: bool
) -> IntervalNoted:
    of = IntervalKind(kind)
    return IntervalNoted(heard, IntervalId(interval_id), of, reason, Sample(start), Sample(end), growing)


_READERS: Mapping[str, Callable[..., Noted]] = {
    "o": lambda heard, epoch, at: EpochNoted(heard, EpochOpened(Epoch(epoch), Sample(at))),
    "t": lambda heard, epoch, at: EpochNoted(heard, EpochTookOver(Epoch(epoch), Sample(at))),
    "c": lambda heard, epoch, at: EpochNoted(heard, EpochClosed(Epoch(epoch), Sample(at))),
    "s": lambda heard, epoch, to, *rest: EventNoted(heard, Epoch(epoch), SpeakerStarted(*rest), Sample(to)),
    "e": lambda heard, epoch, to, *rest: EventNoted(heard, Epoch(epoch), SpeakerEnded(*rest), Sample(to)),
    "r": lambda heard, epoch, to, *rest: EventNoted(heard, Epoch(epoch), SpeakerRelabelled(*rest), Sample(to)),
    "n": lambda heard, rows: NamesNoted(heard, _names(rows)),
    "w": _state,
    "a": lambda heard, start, end, *audio: CommitNoted(heard, Sample(start), Sample(end), *audio),
    "i": _interval,
}


@dataclass(frozen=True, slots=True)
class RecoveredLog:
    """All that was noted, in order, and what follows from it.

    `names`: the speaker of each label. `epochs`: the highest number of one. `audio`: what is in a turn's commit, by its
    stretch. `needed_from`, `settled_to`: see StateNoted. `intervals`: as they were noted last.
    """

    noted: Sequence[Noted] = ()
    names: Names = field(default_factory=dict)
    epochs: Epoch = Epoch(0)  # noqa: RUF009  a NewType
    audio: Mapping[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    needed_from: Sample = Sample(0)  # noqa: RUF009  a NewType
    settled_to: Sample = Sample(0)  # noqa: RUF009  a NewType
    intervals: Sequence[IntervalNoted] = ()


NOTHING = RecoveredLog()


async def recollected(notes: Sequence[Note]) -> RecoveredLog:
    """Read notes without holding up other tasks."""
    noted: list[Noted] = []
    names: dict[tuple[Epoch, str], SpeakerNumber] = {}
    epochs = {Epoch(0)}
    audio: dict[tuple[int, int], tuple[int, int]] = {}
    intervals: dict[IntervalId, IntervalNoted] = {}
    needed_from = settled_to = Sample(0)
    for index, note in enumerate(notes):
        if index % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        one = decoded(note.data)
        if one is None:
            continue
        noted.append(one)
        if isinstance(one, NamesNoted | StateNoted):
            names |= one.names
            epochs |= {epoch for epoch, _ in one.names}
        if isinstance(one, StateNoted):
            needed_from, settled_to = one.needed_from, one.settled_to
            epochs |= {epoch.number for epoch in one.epochs}
        elif isinstance(one, EpochNoted):
            epochs.add(one.event.epoch)
        elif isinstance(one, EventNoted):
            epochs.add(one.epoch)
        elif isinstance(one, CommitNoted):
            audio[one.start, one.end] = one.first, one.last
        elif isinstance(one, IntervalNoted):
            intervals[one.id] = one
    return RecoveredLog(noted, names, max(epochs), audio, needed_from, settled_to, tuple(intervals.values()))

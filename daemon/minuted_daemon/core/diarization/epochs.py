"""The epochs of a session: which one is authoritative where, and one account of who was active from all of them.

Each epoch has a timeline of its own. It is authoritative from its base, or from where it took over, up to where it was
superseded or broke. So events may come late from either side of a change-over, and change only what they are about. An
epoch on standby has no authority: it gathers evidence of who is who (label_matching.py).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from minuted_daemon.core.diarization.gap_inference import Gaps
from minuted_daemon.core.diarization.identity import Identity
from minuted_daemon.core.diarization.label_matching import SharedSpeech
from minuted_daemon.core.diarization.timeline import Span, Timeline, Voice
from minuted_daemon.core.events import (
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    SpeakerNumber,
    SpeakerRelabelled,
    SpeakerStarted,
)
from minuted_daemon.core.samples import ENDLESS, samples

_LATE_EVIDENCE = samples(10.0)
"""Shared speech is added up for good once it is this old; later events no longer count for it."""
_JOIN_UNTIL = samples(5.0)
"""For this long after a change-over late events may still show who is who."""


@dataclass(frozen=True, slots=True)
class EventEffect:
    """An event of an authoritative epoch: its position, and the first one at which activity changed (None: nowhere)."""

    at: int
    changed_from: int | None


@dataclass(frozen=True, slots=True)
class EpochBroken:
    """An authoritative epoch ended at `at`; another one is authoritative from `resumed_from` on, None if there is none.

    `changed`: who is active changed, from `at` on.
    """

    at: int
    resumed_from: int | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Relabelled:
    """What `old` said in [start, end) was said by `new`."""

    old: Voice
    new: Voice
    start: int
    end: int
    changed: bool


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """A connection as it is now, in positions of the session.

    `since`: where its authority begins, None on standby. `active`: each active label and since when it is.
    """

    number: Epoch
    base: int
    since: int | None
    active: Mapping[str, int]


Names = Mapping[tuple[Epoch, str], SpeakerNumber]
"""The speaker of each label of each epoch."""


@dataclass(slots=True)
class _Epoch:
    number: Epoch
    base: int
    since: int | None  # None on standby
    until: int = ENDLESS
    heard_to: int | None = None  # None while it is open
    timeline: Timeline = field(default_factory=Timeline)
    voices: set[Voice] = field(default_factory=set)

    def clipped(self, span: Span) -> Span | None:
        """Return the part of a span in which the epoch is authoritative."""
        if self.since is None or span.start >= self.until or (span.end is not None and span.end <= self.since):
            return None
        end = span.end
        if span.start >= self.since and self.until == ENDLESS:
            return span
        if self.until < ENDLESS:
            end = self.until if end is None else min(end, self.until)
        return Span(span.voice, max(span.start, self.since), end, span.order)


@dataclass(slots=True)
class _Beside:
    """Two epochs that hear the same, and what they have shown so far. `added_to`: shared speech before it is summed."""

    older: _Epoch
    newer: _Epoch
    added_to: int
    shared: SharedSpeech = field(default_factory=SharedSpeech)
    matched: dict[Voice, Voice] = field(default_factory=dict)


class Epochs:
    """Takes in diarizer events; returns who was active when, over all epochs, with one voice for one person."""

    def __init__(self, identity: Identity, names: Names | None = None) -> None:
        """`names`: the speakers of labels known before the daemon was started."""
        self._identity = identity
        self._epochs: dict[Epoch, _Epoch] = {}
        self._leader: _Epoch | None = None
        self._beside: _Beside | None = None
        self._fresh = True  # no turn can have a voice of the leader yet
        self._voices: dict[tuple[Epoch, str], Voice] = {}
        self._next_voice = 1
        self._gaps = Gaps()
        self._names: tuple[int, Names] = (-1, {})
        self._recall(names or {})

    # --- connections ---

    def opened(self, event: EpochOpened) -> bool:
        """An epoch begins; return whether it is authoritative from its base on."""
        epoch = self._epochs[event.epoch] = _Epoch(event.epoch, event.base, None)
        if self._leader is not None:
            self._beside = _Beside(self._leader, epoch, event.base)
            return False
        epoch.since = max([epoch.base, *(other.until for other in self._epochs.values() if other.until < ENDLESS)])
        self._leader = epoch
        self._gaps.ended(epoch.number)
        return True

    def took_over(self, event: EpochTookOver) -> int | None:
        """The standby epoch takes over; return from where, None if it is not on standby."""
        epoch = self._epochs.get(event.epoch)
        if epoch is None or epoch.since is not None or epoch.heard_to is not None or self._leader is None:
            return None
        return self._hand_over(self._leader, epoch, max(event.at, epoch.base, self._leader.base))

    def closed(self, event: EpochClosed) -> EpochBroken | None:
        """An epoch is over; return None if it was not authoritative at its end.

        A standby epoch takes over immediately. If a superseded epoch closes before it reached its hand-over point, its
        successor becomes authoritative from where it stopped.
        """
        epoch = self._epochs.get(event.epoch)
        if epoch is None or epoch.heard_to is not None:
            return None
        at = epoch.heard_to = event.heard_to
        cut_off = frozenset(self._identity.voice(voice) for voice in epoch.voices if epoch.timeline.cut_off(voice, at))
        if epoch.since is None:
            if self._beside is not None and self._beside.newer is epoch:
                self._beside = None
            self._drop(epoch)
            return None
        if epoch is self._leader:
            self._leader = None
            successor = next((other for other in self._open() if other.since is None), None)
        else:
            successor = self._beside.newer if self._beside is not None and self._beside.older is epoch else None
            if successor is None or at >= epoch.until:
                return None
        resumed_from = None if successor is None else self._hand_over(epoch, successor, max(at, successor.base))
        epoch.until = at
        if resumed_from is None or resumed_from > at:
            self._gaps.began(at, cut_off)
            if successor is not None:
                self._gaps.ended(successor.number)
                for span in successor.timeline.spans(successor.base):
                    self._gaps.heard(successor.number, span.voice, span.start)
        return EpochBroken(at, resumed_from, bool(cut_off) or successor is not None)

    def _hand_over(self, old: _Epoch, new: _Epoch, at: int) -> int:
        self._fresh = new.since is None
        old.until = new.since = at
        self._leader = new
        return at

    # --- events ---

    def apply(self, number: Epoch, event: DiarizerEvent) -> EventEffect | None:
        """Take in a start or an end; return None if it changes nothing that turns are made of."""
        epoch = self._epochs.get(number)
        if epoch is None or epoch.heard_to is not None or isinstance(event, SpeakerRelabelled):
            return None
        at = epoch.base + event.at
        voice = self._voice(epoch, event.label)
        if isinstance(event, SpeakerStarted):
            changed_from = epoch.timeline.start(voice, at)
            self._gaps.heard(epoch.number, voice, at)
        else:
            changed_from = epoch.timeline.end(voice, at)
        if epoch.since is None or at >= epoch.until:
            return None
        return EventEffect(at, None if changed_from is None else max(changed_from, epoch.since))

    def relabel(self, number: Epoch, event: SpeakerRelabelled) -> Relabelled | None:
        """Take in a relabelling; return it in the voices that turns know."""
        epoch = self._epochs.get(number)
        if epoch is None or epoch.heard_to is not None or event.old == event.new:
            return None
        old, new = self._voice(epoch, event.old), self._voice(epoch, event.new)
        start, end = epoch.base + event.start, epoch.base + event.end
        changed = epoch.timeline.relabel(old, new, start, end)
        if epoch.since is None:
            return None
        return Relabelled(self._identity.voice(old), self._identity.voice(new), start, end, bool(changed))

    def fall_silent(self, since: int) -> bool:
        """There was no voice since `since`, for longer than a speaker may pause; return whether activity changed."""
        changed = [bool(epoch.timeline.fall_silent(since)) for epoch in self._open()]
        return any(changed)

    # --- who was active ---

    def spans(self, since: int) -> list[Span]:
        """All spans that reach beyond `since`, by start, equal starts in order of arrival."""
        found: list[Span] = []
        for epoch in self._epochs.values():
            if epoch.since is None or epoch.until <= since:
                continue
            for span in epoch.timeline.spans(since):
                clipped = epoch.clipped(span)
                if clipped is not None and (clipped.end is None or clipped.end > since):
                    found.append(clipped)
        return self._named(found)

    def active_time(self, start: int, end: int) -> Iterator[tuple[Voice, int]]:
        """For each voice active in [start, end): for how many samples."""
        total: Counter[Voice] = Counter()
        for span in self.spans(start):
            if span.start < end:
                total[span.voice] += (end if span.end is None else min(end, span.end)) - max(start, span.start)
        yield from total.items()

    def forget(self, before: int) -> None:
        """Drop what ended before this position."""
        for epoch in list(self._epochs.values()):
            epoch.timeline.forget(before)
            if epoch.heard_to is not None and min(epoch.heard_to, epoch.until) < before:
                self._drop(epoch)

    def _named(self, spans: list[Span]) -> list[Span]:
        """Give each span its person's voice; speech across a change-over becomes one span."""
        joined: list[Span] = []
        ends: dict[tuple[Voice, int], int] = {}  # (voice, end) of a span: its place
        for span in spans:
            voice = self._identity.voice(span.voice)
            before = ends.pop((voice, span.start), None) if voice != span.voice else None
            if before is not None:
                span = Span(voice, joined[before].start, span.end, joined[before].order)
                joined[before] = span
            else:
                before = len(joined)
                joined.append(span if voice == span.voice else Span(voice, span.start, span.end, span.order))
            if span.end is not None:
                ends[voice, span.end] = before
        joined.sort(key=lambda span: (span.start, span.order))
        return joined

    # --- who is who ---

    def voice(self, number: Epoch, label: str) -> Voice | None:
        """Return the voice of a label, None if no event named it."""
        return self._voices.get((number, label))

    @property
    def names(self) -> Names:
        """The speaker of each label that has one; the same mapping until that changes."""
        changes, names = self._names
        if changes != self._identity.changes:
            numbers = {key: self._identity.known(voice) for key, voice in self._voices.items()}
            names = {key: number for key, number in numbers.items() if number is not None}
            self._names = self._identity.changes, names
        return names

    def open(self) -> list[OpenEpoch]:
        """The epochs that are open, oldest first."""
        labels = {voice: label for (_, label), voice in self._voices.items()}
        return [
            OpenEpoch(
                epoch.number,
                epoch.base,
                epoch.since,
                {labels[span.voice]: span.start for span in epoch.timeline.spans(epoch.base) if span.end is None},
            )
            for epoch in self._open()
        ]

    def of_speaker(self, speaker: SpeakerNumber) -> frozenset[Epoch]:
        """The epochs that have a label which is this speaker's."""
        usage = self._identity.usage(speaker)
        return frozenset(epoch for (epoch, _), voice in self._voices.items() if self._identity.known(voice) == usage)

    def join(self, known_to: int) -> bool:
        """Join labels that two epochs have shown to be one person; return whether a speaker who had a turn changed.

        known_to: events before it are known. Nothing is joined before the newer epoch is authoritative: the more both
        have heard, the surer.
        """
        beside = self._beside
        if beside is None:
            return False
        until = known_to if beside.older.heard_to is None else min(known_to, beside.older.heard_to)
        self._add_up(beside, min(until, known_to - _LATE_EVIDENCE))
        authority_from = beside.newer.since
        if authority_from is None:
            return False
        changed = False
        if until > beside.added_to:
            tail = beside.older.timeline.spans(beside.added_to), beside.newer.timeline.spans(beside.added_to)
            for newer, older in beside.shared.matches(*tail, beside.added_to, until, beside.matched).items():
                beside.matched[newer] = older
                if self._fresh:
                    self._identity.rename(newer, older)
                else:
                    changed |= self._identity.join(newer, older)
        self._fresh &= known_to <= authority_from
        if known_to > authority_from + _JOIN_UNTIL:
            self._beside = None
        return changed

    def match(self, newer: SpeakerNumber, older: SpeakerNumber) -> bool:
        """Take two speakers for one, unless one epoch told them apart; return whether that changed anything."""
        return not self.of_speaker(newer) & self.of_speaker(older) and self._identity.match(newer, older)

    def inferred(self, start: int, end: int) -> SpeakerNumber | None:
        """Return the speaker of unclaimed speech in [start, end), inferred from a gap between two epochs."""
        return self._gaps.inferred(start, end, self._identity.known)

    def _add_up(self, beside: _Beside, until: int) -> None:
        if until <= beside.added_to:
            return
        older, newer = (epoch.timeline.spans(beside.added_to) for epoch in (beside.older, beside.newer))
        beside.shared.add(older, newer, beside.added_to, until)
        beside.added_to = until

    def _open(self) -> list[_Epoch]:
        return [epoch for epoch in self._epochs.values() if epoch.heard_to is None]

    def _voice(self, epoch: _Epoch, label: str) -> Voice:
        voice = self._voices.get((epoch.number, label))
        if voice is None:
            voice = self._voices[epoch.number, label] = Voice(self._next_voice)
            self._next_voice += 1
        epoch.voices.add(voice)
        return voice

    def _recall(self, names: Names) -> None:
        """Give one speaker's labels of several epochs one voice, unless one epoch told them apart."""
        first: dict[SpeakerNumber, Voice] = {}
        told: set[tuple[Epoch, SpeakerNumber]] = set()
        for (epoch, label), number in sorted(names.items()):
            voice = self._voices[epoch, label] = Voice(self._next_voice)
            self._next_voice += 1
            if number in first and (epoch, number) not in told:
                self._identity.rename(voice, first[number])
            else:
                self._identity.recall(voice, number)
                first.setdefault(number, voice)
            told.add((epoch, number))

    def _drop(self, epoch: _Epoch) -> None:
        """Forget an epoch, and those of its labels that never were a speaker."""
        del self._epochs[epoch.number]
        for key in [key for key in self._voices if key[0] == epoch.number]:
            if self._identity.known(self._voices[key]) is None:
                del self._voices[key]

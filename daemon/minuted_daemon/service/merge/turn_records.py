"""Turns what the merger decides into records: ids, speakers, wall times. What is stored when is decided elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from minuted_daemon.core.events import (
    SpeakerNumber,
    SuspectReason,
    TextSource,
    TurnNumber,
    TurnState,
    UtteranceId,
)
from minuted_daemon.core.records import (
    OverlapRecord,
    Record,
    SessionId,
    SpeakerId,
    SpeakerRecord,
    StoredTurn,
    TurnId,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.core.suspicion.judge import Suspicion, said_in
from minuted_daemon.core.words import storable
from minuted_daemon.service.persistence.losses import SampleClock
from minuted_daemon.service.views import PartialTurn

FORGET_AFTER = samples(600.0)
"""Settled turns are forgotten so long after they were frozen."""


@dataclass(slots=True)
class _Known:
    """A turn that may still change. `final`: it was handed out to be stored."""

    id: TurnId
    state: TurnState
    generation: UtteranceId | None = None
    final: bool = False
    suspect: SuspectReason | None = None
    latency_s: float | None = None


@dataclass(slots=True)
class _Person:
    record: SpeakerRecord
    handed_out: bool = False


class TurnRecords:
    """One session's turns and speakers. Each keeps its id for life; a speaker is stored with its first stored turn."""

    def __init__(
        self,
        session_id: SessionId,
        session_name: str,
        new_id: Callable[[], str],
        clock: SampleClock,
        now_s: Callable[[], float],
        suspicion: Suspicion | None = None,
    ) -> None:
        """`now_s` gives the present wall time. `suspicion`: the session's own."""
        self._session_id = session_id
        self._session_name = session_name
        self._new_id = new_id
        self._clock = clock
        self._now_s = now_s
        self._suspicion = suspicion or Suspicion()
        self._turns: dict[TurnNumber, _Known] = {}
        self._people: dict[SpeakerNumber, _Person] = {}
        self._numbers: dict[TurnId, TurnNumber] = {}
        self._stored_speakers: set[SpeakerId] = set()

    def recall(self, speakers: Sequence[SpeakerRecord]) -> None:
        """These are stored; each goes on under the number in its label."""
        for record in speakers:
            self._people[SpeakerNumber(int(record.label[1:]))] = _Person(record, handed_out=True)
            self._stored_speakers.add(record.id)

    def grew(self, turn: TurnState) -> PartialTurn | None:
        """Note a partial; return it for the subscribers, None if the turn is final already."""
        known = self._know(turn)
        if known.final:
            return None
        known.state = turn
        return self._partial(known, TurnLife.PARTIAL)

    def settled(self, turn: TurnState, generation: UtteranceId | None) -> list[Record]:
        """Note a turn's final or revised state; return what is to be stored, in order."""
        known = self._know(turn)
        now, before = ((one.text, one.text_source, one.attribution) for one in (turn, known.state))
        if not known.final or now != before:
            known.suspect = self._suspicion.judge(turn.number, said_in(turn))
        known.state, known.generation, known.final = turn, generation, True
        people = [number for number in (turn.speaker, *(o.speaker for o in turn.overlapping)) if number is not None]
        records: list[Record] = []
        for number in people:
            person = self._person(number)
            if not person.handed_out:
                person.handed_out = True
                records.append(person.record)
        return [*records, self._record(known, TurnLife.FINAL)]

    def retracted(self, number: TurnNumber) -> PartialTurn | TurnRecord | None:
        """Note that a turn is gone; return the record to store if it had been final, else what to tell subscribers."""
        known = self._turns.pop(number, None)
        if known is None:
            return None
        self._numbers.pop(known.id, None)
        self._suspicion.forget(number)
        if known.final:
            return self._record(known, TurnLife.RETRACTED)
        return self._partial(known, TurnLife.RETRACTED)

    def unsettled(self) -> list[TurnState]:
        """Every turn that is not final, with the text it has, as it would be stored now; by start."""
        return sorted(
            (
                replace(
                    known.state, text_source=TextSource.PROVISIONAL if known.state.text.strip() else TextSource.NONE
                )
                for known in self._turns.values()
                if not known.final
            ),
            key=lambda turn: (turn.start, turn.number),
        )

    def stamped(self, record: Record) -> Record:
        """Fill in what is known only when a record is about to be stored: a turn's latency."""
        if not isinstance(record, TurnRecord) or record.life is not TurnLife.FINAL:
            return record
        known = self._turns.get(self._numbers.get(record.id, TurnNumber(-1)))
        if known is not None and known.latency_s is not None:
            return replace(record, latency_s=known.latency_s)
        return replace(record, latency_s=max(0.0, self._now_s() - self._clock.wall_s(record.end)))

    def stored(self, records: Sequence[Record]) -> None:
        """What was given was stored so: a turn's latency is that of its first storing."""
        for record in records:
            if isinstance(record, TurnRecord) and record.id in self._numbers:
                self._turns[self._numbers[record.id]].latency_s = record.latency_s
            elif isinstance(record, SpeakerRecord):
                self._stored_speakers.add(record.id)

    def all_stored(self, partial: PartialTurn) -> bool:
        """Return whether all speakers of a partial are in the store by now."""
        return all(speaker.id in self._stored_speakers for speaker in partial.turn.speakers)

    def forget(self, before: Sample) -> None:
        """Final turns that end before this position change no more."""
        done = [number for number, known in self._turns.items() if known.final and known.state.end < before]
        for number in done:
            del self._numbers[self._turns.pop(number).id]

    def _know(self, turn: TurnState) -> _Known:
        known = self._turns.get(turn.number)
        if known is None:
            known = self._turns[turn.number] = _Known(TurnId(self._new_id()), turn)
            self._numbers[known.id] = turn.number
        return known

    def _person(self, number: SpeakerNumber) -> _Person:
        if number not in self._people:
            record = SpeakerRecord(SpeakerId(self._new_id()), self._session_id, label=f"S{number}")
            self._people[number] = _Person(record)
        return self._people[number]

    def _partial(self, known: _Known, life: TurnLife) -> PartialTurn:
        turn = known.state
        numbers = dict.fromkeys(n for n in (turn.speaker, *(o.speaker for o in turn.overlapping)) if n is not None)
        speakers = tuple(self._person(number).record for number in numbers)
        return PartialTurn(StoredTurn(self._record(known, life), self._session_name, speakers))

    def _record(self, known: _Known, life: TurnLife) -> TurnRecord:
        turn = known.state
        return TurnRecord(
            id=known.id,
            session_id=self._session_id,
            start=turn.start,
            end=turn.end,
            speaker_id=None if turn.speaker is None else self._person(turn.speaker).record.id,
            attribution=turn.attribution,
            text=storable(turn.text),
            text_source=turn.text_source,
            suspect=known.suspect,
            evidence=turn.evidence,
            life=life,
            start_wall_s=self._clock.wall_s(turn.start),
            overlapping=tuple(OverlapRecord(self._person(o.speaker).record.id, o.duration) for o in turn.overlapping),
            generation=known.generation,
            latency_s=known.latency_s,
        )

"""A store in memory, without threads, so that it lives in virtual time; it can be told to fail."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from minuted_daemon.core.coverage import Claim, interval_claim, turn_claim
from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import (
    LIVE_STATES,
    IntervalRecord,
    Record,
    Seq,
    SessionId,
    SessionRecord,
    SessionState,
    SpeakerRecord,
    StoredTurn,
    TurnLife,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.redaction import redacted
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import NotFound, StoreError
from minuted_daemon.ports.minutes import Page
from minuted_daemon.ports.store import NONE_INTERRUPTED, ErasureRequest, Interruption, OwedTurn, ResumePoint


class FakeStore:
    def __init__(self) -> None:
        self.store_id = "fake"
        self.transactions: list[list[Record]] = []
        self.points: list[WallPoint] = []
        self.marks: dict[SessionId, Interruption] = {}
        self.requests: list[ErasureRequest] = []
        self.fault: Exception | None = None
        self.write_takes_s = 0.0
        self._seq = 0
        self._latest: dict[str, Record] = {}

    async def highest_seq(self) -> Seq:
        return Seq(self._seq)

    async def write(
        self, records: Sequence[Record], interruptions: Mapping[SessionId, Interruption | None] = NONE_INTERRUPTED
    ) -> Sequence[Record]:
        await asyncio.sleep(self.write_takes_s)
        if self.fault is not None:
            raise self.fault
        stored: list[Record] = []
        for record in records:
            self._seq += 1
            before = self._latest.get(record.id)
            known = replace(record, seq=Seq(self._seq))
            if isinstance(known, TurnRecord):
                assert known.life is not TurnLife.PARTIAL
                for speaker in (known.speaker_id, *(o.speaker_id for o in known.overlapping)):
                    assert speaker is None or speaker in self._latest, "a speaker comes before the turns"
                if isinstance(before, TurnRecord):
                    known = replace(known, revision=before.revision + 1)
            self._latest[record.id] = known
            stored.append(known)
        for session_id, interruption in interruptions.items():
            self.marks.pop(session_id, None)
            if interruption is not None and session_id in self._latest:
                self.marks[session_id] = interruption
        if stored:
            self.transactions.append(stored)
        return stored

    async def wall_points(self, session_id: SessionId) -> Sequence[WallPoint]:
        return list(self.points)

    async def resume_point(self, session_id: SessionId) -> ResumePoint:
        known = [record for record in self._latest.values() if getattr(record, "session_id", None) == session_id]
        turns = [record for record in known if isinstance(record, TurnRecord)]
        speakers = tuple(record for record in known if isinstance(record, SpeakerRecord))
        end = max([Sample(0), *(record.end for record in known if isinstance(record, TurnRecord | IntervalRecord))])
        turns_end = max([Sample(0), *(turn.end for turn in turns)])
        generations = [turn.generation for turn in turns if turn.generation is not None]
        return ResumePoint(end, turns_end, max(generations, default=None), speakers)

    async def redact(self, interval: IntervalRecord) -> Sequence[Record]:
        """Only what a live session leaves to the store: final turns that lie inside, or reach out."""
        touched = [
            turn for turn in self.turns_known if turn.text and redacted(turn, interval.start, interval.end) != turn
        ]
        records = [redacted(turn, interval.start, interval.end) for turn in touched]
        new = [] if interval.id in self._latest else [interval]
        if not new and not records:
            return []
        stored = await self.write([*new, *records])
        if new:
            self._ask(ErasureRequest(interval.session_id, self._name(interval.session_id), interval))
        return stored

    async def delete_session(self, session_id: SessionId) -> SessionRecord:
        record = await self.session(session_id)
        for key in [key for key, one in self._latest.items() if session_id in (key, getattr(one, "session_id", ""))]:
            del self._latest[key]
        self.marks.pop(session_id, None)
        self._ask(ErasureRequest(session_id, record.name))
        self._seq += 1
        return replace(record, state=SessionState.DELETED, seq=Seq(self._seq))

    async def interrupted(self) -> Sequence[tuple[SessionRecord, Interruption]]:
        return [(await self.session(session_id), mark) for session_id, mark in self.marks.items()]

    async def erasures(self) -> Sequence[ErasureRequest]:
        return list(self.requests)

    async def erased(self, request: ErasureRequest) -> None:
        self.requests = [other for other in self.requests if other != request]

    async def erase(self) -> None:
        return

    def _ask(self, request: ErasureRequest) -> None:
        if request not in self.requests:
            self.requests.append(request)

    def _name(self, session_id: SessionId) -> str:
        record = self._latest.get(session_id)
        return record.name if isinstance(record, SessionRecord) else ""

    async def write_wall_points(self, session_id: SessionId, points: Sequence[WallPoint]) -> None:
        if self.fault is not None:
            raise self.fault
        self.points += points

    async def session(self, key: str) -> SessionRecord:
        for record in reversed(self.sessions_known):
            if key in (record.id, record.name):
                return record
        raise NotFound("SESSION_NOT_FOUND", "no such session")

    async def sessions(self, limit: int, token: str | None) -> Page[SessionRecord]:
        found = list(reversed(self.sessions_known))
        return Page(found[:limit], None)

    async def sessions_in_progress(self) -> Sequence[SessionRecord]:
        return [record for record in self.sessions_known if record.state in LIVE_STATES]

    async def speakers(self, session_id: SessionId) -> Sequence[SpeakerRecord]:
        return [r for r in self._latest.values() if isinstance(r, SpeakerRecord) and r.session_id == session_id]

    async def turns(
        self,
        session_id: SessionId,
        limit: int,
        token: str | None,
        as_delivered: bool = False,
        exclude_suspect: bool = False,
    ) -> Page[StoredTurn]:
        assert not as_delivered, "nothing of the service asks for this"
        found = [StoredTurn(turn, "") for turn in self.turns_known if turn.session_id == session_id]
        found = [one for one in found if one.turn.suspect is None or not exclude_suspect]
        return Page(found[:limit], None)

    async def owed_turns(self, session_id: SessionId, limit: int, token: str | None) -> Page[OwedTurn]:
        of_session = [turn for turn in self.turns_known if turn.session_id == session_id]
        found = [
            OwedTurn(
                StoredTurn(turn, ""),
                of_session[index - 1].end if index else None,
                of_session[index + 1].start if index + 1 < len(of_session) else None,
            )
            for index, turn in enumerate(of_session)
            if turn.text_source is not TextSource.COMPLETED and turn.start > int(token or -1)
        ]
        more = str(found[limit - 1].stored.turn.start) if len(found) > limit else None
        return Page(found[:limit], more)

    async def revise(self, record: TurnRecord | SessionRecord) -> Sequence[Record]:
        known = self._latest.get(record.id)
        return await self.write([record]) if known is not None and known.seq == record.seq else ()

    async def claims(self, session_id: SessionId, limit: int, token: str | None) -> Page[Claim]:
        if self.fault is not None:
            raise self.fault
        found = [
            turn_claim(t.start, t.end, t.text_source, True) for t in self.turns_known if t.session_id == session_id
        ]
        intervals = [one for one in self.intervals_known if one.session_id == session_id]
        found += [interval_claim(i.start, i.end, i.kind, i.reason) for i in intervals]
        found.sort(key=lambda claim: claim.start)
        begin = int(token or 0)
        more = begin + limit < len(found)
        return Page(found[begin : begin + limit], str(begin + limit) if more else None)

    async def stored_turn(self, turn: TurnRecord) -> StoredTurn:
        wanted = [turn.speaker_id, *(overlap.speaker_id for overlap in turn.overlapping)]
        known = await self.speakers(turn.session_id)
        return StoredTurn(turn, "", tuple(one for one in known if one.id in wanted))

    async def changes(
        self, after: Seq, up_to: Seq, session_id: SessionId | None, limit: int
    ) -> Sequence[SessionRecord | SpeakerRecord | StoredTurn | IntervalRecord]:
        return []

    async def close(self) -> None:
        return

    # --- what tests look at ---

    @property
    def sessions_known(self) -> list[SessionRecord]:
        return [record for record in self._latest.values() if isinstance(record, SessionRecord)]

    @property
    def turns_known(self) -> list[TurnRecord]:
        turns = [r for r in self._latest.values() if isinstance(r, TurnRecord) and r.life is TurnLife.FINAL]
        return sorted(turns, key=lambda turn: turn.start)

    @property
    def intervals_known(self) -> list[IntervalRecord]:
        return [record for record in self._latest.values() if isinstance(record, IntervalRecord)]

    def break_with(self, reason: str = "DISK_FULL") -> None:
        self.fault = StoreError(reason, "the disk is full")

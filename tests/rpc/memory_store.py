"""A store in memory that keeps ports.Store's promises, commits late and out of the callers' order of waking."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from minuted_daemon.core.coverage import Claim, interval_claim, turn_claim
from minuted_daemon.core.records import (
    LIVE_STATES,
    IntervalRecord,
    Record,
    Seq,
    SessionId,
    SessionRecord,
    SpeakerRecord,
    StoredTurn,
    TurnLife,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.errors import Invalid, NotFound, StoreError
from minuted_daemon.ports.minutes import Page
from minuted_daemon.ports.store import NONE_INTERRUPTED, Interruption


class MemoryStore:
    """`patience`: after committing, a write returns up to so many turns of the loop later, at random."""

    def __init__(self, seed: int = 0, patience: int = 0) -> None:
        self.store_id = "01STORE"
        self.fails = False
        self.reads = 0
        self._random = random.Random(seed)
        self._patience = patience
        self._seq = Seq(0)
        self._committed = asyncio.Event()
        self._latest: dict[str, Record] = {}
        self._delivered: dict[str, Record] = {}
        self.wall_points: dict[SessionId, list[WallPoint]] = {}

    async def highest_seq(self) -> Seq:
        await self._pause()
        return self._seq

    async def write(
        self, records: Sequence[Record], interruptions: Mapping[SessionId, Interruption | None] = NONE_INTERRUPTED
    ) -> Sequence[Record]:
        await self._pause()
        if self.fails:
            raise StoreError("DISK_FULL", "the disk is full")
        stored = []
        for record in records:
            self._seq = Seq(self._seq + 1)
            fresh = replace(record, seq=self._seq)
            if isinstance(fresh, TurnRecord):
                before = self._latest.get(fresh.id)
                fresh = replace(fresh, revision=before.revision + 1 if isinstance(before, TurnRecord) else 0)
            self._latest[record.id] = fresh
            self._delivered.setdefault(record.id, fresh)
            stored.append(fresh)
        self._committed.set()
        await self._pause()
        return stored

    def burn(self, seq: Seq) -> None:
        """Give out no number up to this one any more."""
        self._seq = seq

    async def committed(self, seq: int) -> None:
        """Wait until this seq was given out."""
        while self._seq < seq:
            self._committed.clear()
            await self._committed.wait()

    async def write_wall_points(self, session_id: SessionId, points: Sequence[WallPoint]) -> None:
        self.wall_points.setdefault(session_id, []).extend(points)

    async def session(self, key: str) -> SessionRecord:
        found = self._latest.get(key)
        if isinstance(found, SessionRecord):
            return found
        named = [record for record in self._sessions() if record.name == key]
        if not named:
            raise NotFound("SESSION_NOT_FOUND", f"there is no session {key}", session=key)
        return named[0]

    async def sessions(self, limit: int, token: str | None) -> Page[SessionRecord]:
        return _page(self._sessions(), limit, token)

    async def sessions_in_progress(self) -> Sequence[SessionRecord]:
        return [record for record in self._sessions() if record.state in LIVE_STATES]

    async def speakers(self, session_id: SessionId) -> Sequence[SpeakerRecord]:
        found = [r for r in self._latest.values() if isinstance(r, SpeakerRecord) and r.session_id == session_id]
        return sorted(found, key=lambda speaker: int(speaker.label[1:]))

    async def turns(
        self,
        session_id: SessionId,
        limit: int,
        token: str | None,
        as_delivered: bool = False,
        exclude_suspect: bool = False,
    ) -> Page[StoredTurn]:
        await self._pause()
        found = [
            record
            for record in (self._delivered if as_delivered else self._latest).values()
            if isinstance(record, TurnRecord) and record.session_id == session_id and record.life is TurnLife.FINAL
        ]
        found = [turn for turn in found if turn.suspect is None or not exclude_suspect]
        found.sort(key=lambda turn: (turn.start, turn.id))
        page = _page(found, limit, token)
        return Page([self._joined(turn) for turn in page.items], page.next_token)

    async def claims(self, session_id: SessionId, limit: int, token: str | None) -> Page[Claim]:
        await self._pause()
        found = [
            turn_claim(record.start, record.end, record.text_source, transcribed=True)
            if isinstance(record, TurnRecord)
            else interval_claim(record.start, record.end, record.kind, record.reason)
            for record in self._latest.values()
            if isinstance(record, TurnRecord | IntervalRecord) and record.session_id == session_id
        ]
        return _page(sorted(found, key=lambda claim: claim.start), limit, token)

    async def stored_turn(self, turn: TurnRecord) -> StoredTurn:
        self.reads += 1
        await self._pause()
        return self._joined(turn)

    async def changes(
        self, after: Seq, up_to: Seq, session_id: SessionId | None, limit: int
    ) -> Sequence[SessionRecord | SpeakerRecord | StoredTurn | IntervalRecord]:
        await self._pause()
        found = [
            record
            for record in self._latest.values()
            if after < record.seq <= up_to and session_id in (None, _session_of(record))
        ]
        found.sort(key=lambda record: record.seq)
        given = [self._joined(r) if isinstance(r, TurnRecord) else r for r in found[:limit]]
        await self._pause()
        return given

    async def close(self) -> None:
        pass

    def _sessions(self) -> list[SessionRecord]:
        found = [record for record in self._latest.values() if isinstance(record, SessionRecord)]
        return sorted(found, key=lambda record: (record.created_s, record.id), reverse=True)

    def _joined(self, turn: TurnRecord) -> StoredTurn:
        session = self._latest[turn.session_id]
        assert isinstance(session, SessionRecord)
        ids = [turn.speaker_id] if turn.speaker_id else []
        ids += [other.speaker_id for other in turn.overlapping]
        speakers = [self._latest[speaker_id] for speaker_id in ids]
        return StoredTurn(turn, session.name, tuple(s for s in speakers if isinstance(s, SpeakerRecord)))

    async def _pause(self) -> None:
        for _ in range(self._random.randint(0, self._patience)):
            await asyncio.sleep(0)


def _session_of(record: Record) -> SessionId:
    return record.id if isinstance(record, SessionRecord) else record.session_id


def _page(items: Sequence, limit: int, token: str | None) -> Page:
    try:
        start = int(token or 0)
    except ValueError as error:
        raise Invalid("BAD_PAGE_TOKEN", "the page token is not one of this list") from error
    more = start + limit < len(items)
    return Page(items[start : start + limit], str(start + limit) if more else None)

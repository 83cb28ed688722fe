"""The way to the store: what is written here is told to the hub once it is on disk, joined as a reader needs it.

Many writes may be under way at once (the store commits them together); the hub puts them in order.
"""

from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from minuted_daemon.core.records import (
    IntervalRecord,
    Record,
    SessionId,
    SessionRecord,
    SpeakerId,
    SpeakerRecord,
    StoredTurn,
    TurnRecord,
)
from minuted_daemon.ports.store import NONE_INTERRUPTED, Interruption, Store
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.views import PartialTurn, StoredChange, StoredItem

SESSIONS = 64


class ChangePublisher:
    """Writes to the store and publishes. Keeps the speakers of the last sessions, so that no turn has to be read."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._speakers: OrderedDict[SessionId, dict[SpeakerId, SpeakerRecord]] = OrderedDict()

    async def write(
        self,
        records: Sequence[Record],
        session_name: str,
        interruptions: Mapping[SessionId, Interruption | None] = NONE_INTERRUPTED,
    ) -> Sequence[Record]:
        """Store records of one session in one transaction, tell them, and give them back with their seqs.

        `interruptions`: marks that are set or taken away with that; see Store.write.
        A caller who is cancelled may have written or not; what was written is told in any case.
        Raises StoreError; then nothing was stored and nothing is told.
        """
        return await self._told(self._store.write(records, interruptions), session_name)

    async def revise(
        self, record: TurnRecord | SessionRecord, session_name: str, speakers: Sequence[SpeakerRecord] = ()
    ) -> bool:
        """Store a changed record, and tell it, unless the store's own changed as well; see Store.revise.

        `speakers`: those that a turn refers to. Gives whether it was stored.
        """
        # Known beforehand, so that nothing is waited for between the commit and its telling: what is erased meanwhile
        # is told later than this.
        for speaker in speakers:
            self._learn(speaker)
        return bool(await self._told(self._store.revise(record), session_name))

    def recall(self, speakers: Sequence[SpeakerRecord]) -> None:
        """These are stored; a session that goes on will tell partials of theirs."""
        for speaker in speakers:
            self._learn(speaker)

    async def redact(self, interval: IntervalRecord, session_name: str) -> Sequence[Record]:
        """Take what was said in the interval out of some more turns, and tell it; see Store.redact."""
        return await self._told(self._store.redact(interval), session_name)

    async def delete(self, session_id: SessionId, session_name: str) -> None:
        """Delete an ended session, and tell it; see Store.delete_session."""

        async def deletion() -> Sequence[Record]:
            return [await self._store.delete_session(session_id)]

        await self._told(deletion(), session_name)
        self._speakers.pop(session_id, None)

    async def _told(self, writing: Coroutine[Any, Any, Sequence[Record]], session_name: str) -> Sequence[Record]:
        try:
            stored = await writing
            for record in stored:
                if isinstance(record, SpeakerRecord):
                    self._learn(record)
            changes = [
                StoredChange(record.seq, _session_id(record), session_name, await self._joined(record, session_name))
                for record in stored
            ]
        except BaseException:
            self._hub.mark_uncertain()
            raise
        self._hub.publish(changes)
        return stored

    def tell_partial(self, turn: TurnRecord, session_name: str) -> None:
        """Tell subscribers how a turn grows, or that it is gone before it was final. Nothing is stored.

        Its speakers must have been written here before; one that was not is left out.
        """
        known = self._speakers.get(turn.session_id, {})
        speakers = tuple(known[speaker_id] for speaker_id in _speaker_ids(turn) if speaker_id in known)
        self._hub.publish_partial(PartialTurn(StoredTurn(turn, session_name, speakers)))

    async def _joined(self, record: Record, session_name: str) -> StoredItem:
        if not isinstance(record, TurnRecord):
            return record
        wanted = _speaker_ids(record)
        known = self._speakers.get(record.session_id, {})
        if all(speaker_id in known for speaker_id in wanted):
            return StoredTurn(record, session_name, tuple(known[speaker_id] for speaker_id in wanted))
        joined = await self._store.stored_turn(record)  # a session from before this daemon's start
        for speaker in joined.speakers:
            self._learn(speaker)
        return joined

    def _learn(self, speaker: SpeakerRecord) -> None:
        known = self._speakers.setdefault(speaker.session_id, {})
        if speaker.id not in known or known[speaker.id].seq <= speaker.seq:
            known[speaker.id] = speaker
        self._speakers.move_to_end(speaker.session_id)
        if len(self._speakers) > SESSIONS:
            self._speakers.popitem(last=False)


def _speaker_ids(turn: TurnRecord) -> list[SpeakerId]:
    holder = [turn.speaker_id] if turn.speaker_id else []
    return holder + [other.speaker_id for other in turn.overlapping]


def _session_id(record: Record) -> SessionId:
    return record.id if isinstance(record, SessionRecord) else record.session_id

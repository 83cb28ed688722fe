"""What is deleted or redacted is told as that, and leaves all that is kept in memory to be told."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import minuted
from minuted.aio import AsyncClient
from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    Seq,
    SessionRecord,
    SessionState,
    TurnId,
    TurnLife,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.store import REDACTED
from minuted_daemon.rpc.server import start_server
from minuted_daemon.rpc.services.sessions import SessionService
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.views import CaughtUp, PartialTurn, StoredChange
from tests.rpc.material import FakeCapture, FakeSessions, fresh, partial, session, speaker, turn

ALL = Seq(0)


@dataclass
class House:
    store: SqlStore
    hub: Hub
    publisher: ChangePublisher
    sessions: FakeSessions
    address: str

    async def delete(self, record: SessionRecord) -> None:
        """As service/erasure.py does."""
        await self.publisher.delete(record.id, record.name)
        self.hub.forget(record.id)

    async def redact(self, record: SessionRecord, start: int, end: int) -> None:
        interval_id = IntervalId(fresh("INTERVAL"))
        interval = IntervalRecord(
            interval_id, record.id, IntervalKind.MUTED, Sample(start), Sample(end), 1.0, reason=REDACTED
        )
        while await self.publisher.redact(interval, record.name):
            self.hub.forget(record.id)


@asynccontextmanager
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = await open_store(f"sqlite:///{tmp_path}/minuted.db")
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    sessions = FakeSessions(store, publisher)
    address = f"unix:{tmp_path}/minuted.sock"
    server = await start_server([address], sessions=sessions, store=store, hub=hub, capture=FakeCapture())  # type: ignore[arg-type]
    try:
        yield House(store, hub, publisher, sessions, address)
    finally:
        await server.stop(1.0)
        await store.close()


def ended(name: str) -> SessionRecord:
    record = session(name)
    return replace(record, state=SessionState.STOPPED, ended_s=record.created_s + 1)


async def test_who_watches_sessions_is_told_of_a_deletion_once(tmp_path: Path) -> None:
    async with house(tmp_path) as made, AsyncClient(made.address) as client:
        attic, lab = ended("attic"), ended("lab")
        await made.publisher.write([attic, lab], "attic")
        live = await client.start("boardroom")
        async with aclosing(client.watch_sessions()) as stream:
            assert (await anext(stream)).id == live.id
            await made.delete(attic)
            told = await anext(stream)
            assert (told.id, told.name) == (attic.id, "attic")
            assert told.state == minuted.SessionState.SESSION_STATE_DELETED
            assert told.seq == await made.store.highest_seq()
            assert told.device == ""
            made.hub.touch(attic.id)  # nothing is told behind it
            await made.delete(lab)
            assert (await anext(stream)).id == lab.id
            # One that ends and is deleted while it is watched.
            await client.stop("boardroom")
            assert (await anext(stream)).state == minuted.SessionState.SESSION_STATE_STOPPED
            await made.delete(await made.store.session("boardroom"))
            gone = await anext(stream)
            assert (gone.id, gone.state) == (live.id, minuted.SessionState.SESSION_STATE_DELETED)


async def test_a_deletion_between_the_touch_and_the_look_is_told_once(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        service = SessionService(made.sessions, made.hub)
        attic, lab = ended("attic"), ended("lab")
        await made.publisher.write([attic, lab], "attic")
        view = made.sessions.view

        async def view_and_delete(key: str) -> object:
            if key == attic.id and made.hub.deletion(attic.id) is None:
                await made.delete(attic)
            return await view(key)

        made.sessions.view = view_and_delete  # type: ignore[method-assign, assignment]
        responses = service.WatchSessions(minuted.v1.sessions_pb2.WatchSessionsRequest(), None)  # type: ignore[arg-type]
        async with aclosing(responses) as stream:  # type: ignore[type-var]
            await client_start(made, "boardroom")
            assert (await anext(stream)).session.name == "boardroom"
            made.hub.touch(attic.id)
            first = (await anext(stream)).session
            assert (first.id, first.state) == (attic.id, minuted.SessionState.SESSION_STATE_DELETED)
            await made.delete(lab)
            assert (await anext(stream)).session.id == lab.id


async def client_start(made: House, name: str) -> None:
    async with AsyncClient(made.address) as client:
        await client.start(name)


async def test_a_slow_subscriber_is_not_told_what_was_erased_since_it_was_read_for_him(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        room, other = ended("boardroom"), ended("lab")
        ada = speaker(room, "S1")
        said = [turn(room, ada, text=f"secret{number}", start=number * 16_000) for number in range(6)]
        await made.publisher.write([room, ada, *said], room.name)
        await made.publisher.write([other], other.name)
        async with aclosing(made.hub.subscribe(None, ALL, False)) as slow:
            given = [await anext(slow) for _ in range(4)]
            assert "secret1" in str(given)
            await made.redact(room, 64_000, 96_000)
            rest = []
            while not isinstance(one := await anext(slow), CaughtUp):
                rest.append(one)
        assert "secret4" not in str(rest)
        assert "secret5" not in str(rest)
        assert "secret3" in str(rest)
        seqs = [one.seq for one in (*given, *rest) if isinstance(one, StoredChange)]
        assert seqs == sorted(set(seqs))
        assert seqs[-1] == await made.store.highest_seq()
        assert {one.session_id for one in rest if isinstance(one, StoredChange)} == {room.id, other.id}


async def test_what_was_stored_before_an_erasure_and_is_published_behind_it_is_not_told(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        room = ended("boardroom")
        ada = speaker(room, "S1")
        await made.publisher.write([room, ada], room.name)
        async with aclosing(made.hub.subscribe(None, ALL, False)) as stream:
            for _ in range(3):
                await anext(stream)
            (late,) = await made.store.write([turn(room, ada, text="secret", start=0)])
            deletion = await made.store.delete_session(room.id)
            made.hub.publish([StoredChange(deletion.seq, room.id, room.name, deletion)])
            made.hub.forget(room.id)
            joined = partial(late, room.name, ada)  # type: ignore[arg-type]
            made.hub.publish([StoredChange(late.seq, room.id, room.name, joined)])
            told = await anext(stream)
        assert isinstance(told, StoredChange)
        assert told.seq == deletion.seq
        assert "secret" not in str(told)
        assert made.hub.deletion(room.id) == deletion


async def test_a_growing_turn_that_was_taken_back_is_still_told_as_that_without_its_words(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        room = session("boardroom")
        ada = speaker(room, "S1")
        await made.publisher.write([room, ada], room.name)
        growing = replace(turn(room, ada, text="secret", life=TurnLife.PARTIAL), id=TurnId(fresh("TURN")))
        async with aclosing(made.hub.subscribe(None, None, True)) as stream:
            await anext(stream)
            made.hub.publish_partial(PartialTurn(partial(growing, room.name, ada)))
            assert "secret" in str(await anext(stream))
            gone = replace(partial(growing, room.name, ada), turn=replace(growing, life=TurnLife.RETRACTED))
            made.hub.publish_partial(PartialTurn(gone))
            made.hub.forget(room.id)
            told = await anext(stream)
        assert isinstance(told, PartialTurn)
        assert (told.turn.turn.id, told.turn.turn.life, told.turn.turn.text) == (growing.id, TurnLife.RETRACTED, "")

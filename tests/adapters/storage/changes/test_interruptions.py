"""Marks of what the daemon's own end interrupted, in the sessions' own rows."""

from dataclasses import replace
from pathlib import Path

from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.core.records import Seq, SessionId, SessionState
from minuted_daemon.ports.store import Interruption
from tests.adapters.storage.examples import SESSION, session

OTHER = SessionId("01J00000000000000000000002")
AT_S = 1_795_000_100.25


async def test_a_mark_stays_whatever_is_stored_of_the_session_and_is_no_change(store: SqlStore, path: Path) -> None:
    (running,) = await store.write([session()])
    await store.write([], {SESSION: Interruption(AT_S, paused=True), OTHER: Interruption(AT_S, paused=False)})
    assert await store.highest_seq() == running.seq, "nobody is told of it"
    await store.write([session(state=SessionState.STOPPING), session(state=SessionState.STOPPED)])
    await store.close()
    again = await open_store(f"sqlite:///{path}")
    ((record, mark),) = await again.interrupted()
    assert (record.id, record.state, mark) == (SESSION, SessionState.STOPPED, Interruption(AT_S, paused=True))
    await again.write([replace(record, state=SessionState.PAUSED, seq=Seq(0))], {SESSION: None})
    assert await again.interrupted() == []
    assert (await again.session(SESSION)).state is SessionState.PAUSED
    await again.close()


async def test_a_deleted_session_does_not_go_on(store: SqlStore) -> None:
    await store.write([session(state=SessionState.STOPPED)], {SESSION: Interruption(AT_S, paused=False)})
    await store.delete_session(SESSION)
    assert await store.interrupted() == []
    await store.erase()
    assert await store.interrupted() == []


async def test_a_mark_and_a_state_are_stored_together_or_not_at_all(store: SqlStore) -> None:
    await store.write([session()])
    await store.write([], {SESSION: Interruption(AT_S, paused=False)})
    bad = session(state=SessionState.RUNNING, name="\ud800")  # what SQLite cannot take
    try:
        await store.write([bad], {SESSION: None})
    except Exception:  # noqa: BLE001 - whatever it is
        assert [mark for _, mark in await store.interrupted()] == [Interruption(AT_S, paused=False)]
    else:
        raise AssertionError("it was stored")

import asyncio
import contextlib
import random
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minuted_daemon.adapters.storage import store as storing
from minuted_daemon.adapters.storage.changes.scrub import scrub
from minuted_daemon.adapters.storage.database.sqlite_engines import write_engine
from minuted_daemon.adapters.storage.limits import ERASURE_LIMITS, ErasureLimits
from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.core.records import (
    LIVE_STATES,
    Record,
    Seq,
    SessionId,
    SessionRecord,
    SessionState,
    StoredTurn,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import NotFound, StoreError, WrongState
from tests.adapters.storage.examples import SESSION, interval, overlap, session, speaker, turn
from tests.adapters.storage.remains import remains

OTHER = SessionId("01J00000000000000000000002")
TABLES = ("sessions", "speakers", "turns", "turn_revisions", "turn_overlaps", "intervals", "wall_points")


def ended(session_id: str = SESSION, name: str = "boardroom", **changes: Any) -> SessionRecord:
    return session(session_id, name, state=SessionState.STOPPED, ended_s=1_795_003_600.0, **changes)


def counts(path: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}


async def seqs(store: SqlStore, session_id: SessionId | None = None) -> list[int]:
    changes = await store.changes(Seq(0), await store.highest_seq(), session_id, 100_000)
    return [change.turn.seq if isinstance(change, StoredTurn) else change.seq for change in changes]


async def fill(store: SqlStore, session_id: SessionId, name: str, turns: int = 20) -> list[Record]:
    """Store a session in which everything occurs."""
    ada = speaker(1, session_id, display_name=f"Ada of {name}")
    ben = speaker(2, session_id)
    said = [
        turn(number, ada, session_id, text=f"{name} word {number:05}", overlapping=(overlap(ben),))
        for number in range(turns)
    ]
    written = [*await store.write([ended(session_id, name, detail=f"detail of {name}"), ada, ben, *said])]
    again = [replace(one, text=one.text.replace("word", "other word"), seq=Seq(0)) for one in said[::2]]
    written += await store.write([*again, *(interval(number, session_id) for number in range(3))])
    await store.write_wall_points(session_id, [WallPoint(Sample(number), 1.5) for number in range(10)])
    return written


async def test_a_deleted_session_is_gone_for_everybody_and_told_once(store: SqlStore, path: Path) -> None:
    await fill(store, SESSION, "boardroom")
    kept = await fill(store, OTHER, "studio")
    before, highest = counts(path), await store.highest_seq()

    deletion = await store.delete_session(SESSION)
    assert (deletion.id, deletion.name, deletion.state) == (SESSION, "boardroom", SessionState.DELETED)
    assert deletion.seq == highest + 1 == await store.highest_seq()
    for _ in range(2):  # hidden at first, then taken out
        for gone in (
            store.session(SESSION),
            store.session("boardroom"),
            store.delete_session(SESSION),
            store.wall_points(SESSION),
            store.resume_point(SESSION),
        ):
            with pytest.raises(NotFound):
                await gone
        assert [record.id for record in (await store.sessions(10, None)).items] == [OTHER]
        assert list(await store.speakers(SESSION)) == []
        for as_delivered in (False, True):
            assert list((await store.turns(SESSION, 10, None, as_delivered)).items) == []
        assert list(await store.changes(Seq(0), deletion.seq, SESSION, 1000)) == [deletion]
        assert list(await store.changes(Seq(highest), deletion.seq, None, 1000)) == [deletion]
        assert await seqs(store, OTHER) == sorted({record.id: record.seq for record in kept}.values())
        assert await seqs(store) == [*await seqs(store, OTHER), deletion.seq]
        await store.erase()
    assert counts(path) == {table: count // 2 for table, count in before.items()}
    assert [record.seq for record in await store.write([ended(SESSION, "boardroom")])] == [deletion.seq + 1]


async def test_a_name_means_the_newest_session_that_is_left(store: SqlStore) -> None:
    await store.write([ended(), ended(OTHER)])
    assert (await store.session("boardroom")).id == OTHER
    await store.delete_session(OTHER)
    assert (await store.session("boardroom")).id == SESSION


@pytest.mark.parametrize("state", [state for state in SessionState if state in LIVE_STATES])
async def test_a_live_session_is_not_deleted(store: SqlStore, state: SessionState) -> None:
    await store.write([session(state=state), turn(1)])
    with pytest.raises(WrongState) as refusal:
        await store.delete_session(SESSION)
    assert refusal.value.reason == "SESSION_LIVE"
    assert await seqs(store) == [1, 2]
    assert [record.id for record in await store.sessions_in_progress()] == [SESSION]


@pytest.mark.parametrize("erasure", [ErasureLimits(rows=7)])
async def test_a_session_is_purged_in_portions(store: SqlStore, path: Path) -> None:
    await fill(store, SESSION, "boardroom")
    await store.delete_session(SESSION)
    done = asyncio.Event()
    between: list[int] = []

    async def go_on_writing() -> None:
        await store.write([session(OTHER, "studio")])
        while not done.is_set():
            (record,) = await store.write([turn(1, session_id=OTHER)])
            between.append(record.seq)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(go_on_writing())
        await store.erase()
        done.set()
    assert len(between) > 3  # whoever writes need not wait for all of it
    assert between == list(range(between[0], between[0] + len(between)))
    assert counts(path)["turns"] == counts(path)["sessions"] == 1


async def test_what_a_crash_left_of_a_deleted_session_stays_hidden_and_is_erased_later(path: Path) -> None:
    limits = ErasureLimits(rows=7)
    store = await open_store(f"sqlite:///{path}", erasure=limits)
    await fill(store, SESSION, "boardroom")
    deletion = await store.delete_session(SESSION)
    await store.close()
    assert remains(path, "boardroom word 00001") != []
    again = await open_store(f"sqlite:///{path}", erasure=limits)
    assert await seqs(again) == [deletion.seq]
    await again.erase()
    await again.close()
    assert remains(path, "boardroom word", "Ada of", "detail of") == []


def in_disorder(seed: int) -> list[list[Record]]:
    """Writes that make tables grow in the middle: turns of two sessions, of any length, which grow when revised."""
    dice = random.Random(seed)
    turns: dict[SessionId, list[TurnRecord]] = {SESSION: [], OTHER: []}
    writes: list[list[Record]] = [[ended(), ended(OTHER, "studio")]]
    for number in range(1500):
        batch: list[Record] = []
        for _ in range(dice.randint(1, 3)):
            owner = dice.choice((SESSION, OTHER))
            mark = "SECRET" if owner == SESSION else "public"
            if turns[owner] and dice.random() < 0.4:
                old = dice.choice(turns[owner][-40:])
                length = int(dice.expovariate(1 / 300))
                batch.append(replace(old, text=f"{mark} again {number:05} {'x' * length}"))
            else:
                length = min(9000, int(dice.expovariate(1 / 150)))
                new = turn(number * 3 + len(batch), session_id=owner, text=f"{mark} first {number:05} {'w' * length}")
                turns[owner].append(new)
                batch.append(new)
        writes.append(batch)
    return writes


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("erasure", [ErasureLimits(pages=50)])  # of some 500
async def test_no_byte_of_a_deleted_session_is_left(store: SqlStore, path: Path, seed: int) -> None:
    async with asyncio.TaskGroup() as tasks:  # a few writes become one commit, as they do in life
        for batch in in_disorder(seed):
            tasks.create_task(store.write(batch))
    kept = [item.turn for item in (await store.turns(OTHER, 10_000, None)).items]
    assert remains(path, "SECRET") != []

    await store.delete_session(SESSION)
    await store.erase()
    assert remains(path, "SECRET", SESSION + "-T") == []
    assert remains(path, "public") != []
    assert [item.turn for item in (await store.turns(OTHER, 10_000, None)).items] == kept
    # And the writer does not bring back what it remembers of the pages.
    await store.write([replace(one, generation=7) for one in kept])
    assert remains(path, "SECRET") == []
    await store.close()
    assert remains(path, "SECRET") == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("erasure", [ErasureLimits(readers_ms=20)])
async def test_whoever_still_reads_delays_the_erasing_and_no_writing(store: SqlStore, path: Path) -> None:
    impatient = await open_store(f"sqlite:///{path}", erasure=ErasureLimits(readers_ms=20, total_s=0.3))
    await fill(store, SESSION, "boardroom")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM turns").fetchall()
        await store.delete_session(SESSION)
        with pytest.raises(StoreError) as failure:
            await impatient.erase()
        assert failure.value.reason == "ERASURE_DELAYED"
        assert [record.seq > 0 for record in await store.write([session(OTHER, "studio")])] == [True]
        async with asyncio.TaskGroup() as tasks:
            erasing = tasks.create_task(store.erase())
            await store.write([turn(1, session_id=OTHER)])
            assert not erasing.done()
            assert remains(path, "boardroom word 00001") != []
            reader.execute("COMMIT")
    await impatient.close()
    assert remains(path, "boardroom word", "Ada of", "detail of") == []


async def test_our_own_reads_in_progress_are_waited_for(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, SESSION, "boardroom")
    started, done = threading.Event(), threading.Event()

    def long_read(connection: object) -> int:
        connection.exec_driver_sql("SELECT * FROM turns").all()  # type: ignore[attr-defined]
        started.set()
        done.wait(10)
        return len(connection.exec_driver_sql("SELECT * FROM turns").all())  # type: ignore[attr-defined]

    monkeypatch.setattr(storing, "read_highest_seq", long_read)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(store.highest_seq())
        await asyncio.to_thread(started.wait, 10)
        await store.delete_session(SESSION)
        erasing = tasks.create_task(store.erase())
        await store.write([session(OTHER, "studio")])
        done.set()
    assert reading.result() == 20
    assert erasing.done()
    assert remains(path, "boardroom word") == []


def test_a_database_that_is_laid_out_otherwise_is_not_overwritten(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = FULL")
        connection.execute("VACUUM")
    path.touch()
    before = path.read_bytes()
    with path.open("r+b", buffering=0) as file, pytest.raises(StoreError) as failure:
        scrub(file, path, write_engine(path), 1, ERASURE_LIMITS)
    assert "VACUUM" in failure.value.message
    assert path.read_bytes() == before

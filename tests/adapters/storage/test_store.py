import contextlib
import sqlite3
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import IntervalKind, Seq, SessionId, SessionState, StoredTurn, TurnLife, WallPoint
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import Invalid, NotFound, StoreError
from minuted_daemon.ports.store import REDACTED, Store
from tests.adapters.storage.examples import SESSION, interval, overlap, session, speaker, turn


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def statement(path: Path, text: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(text)


async def all_changes(store: SqlStore, after: int = 0, session_id: SessionId | None = None) -> list[tuple[int, object]]:
    changes = await store.changes(Seq(after), await store.highest_seq(), session_id, 1000)
    return [(change.turn.seq if isinstance(change, StoredTurn) else change.seq, change) for change in changes]


async def test_is_a_store(store: SqlStore) -> None:
    port: Store = store
    assert len(port.store_id) == 36


async def test_a_fresh_store_is_empty(store: SqlStore) -> None:
    assert await store.highest_seq() == 0
    assert await store.sessions(10, None) == await store.sessions(10, None)
    assert list((await store.sessions(10, None)).items) == []
    assert list(await store.sessions_in_progress()) == []
    assert await all_changes(store) == []


async def test_records_get_rising_seqs_in_order_and_come_back_as_stored(store: SqlStore) -> None:
    ada, ben = speaker(1), speaker(2)
    told = turn(1, ada, overlapping=(overlap(ben),))
    written = await store.write([session(), ada, ben, told, interval(1)])
    assert [record.seq for record in written] == [1, 2, 3, 4, 5]
    assert await store.highest_seq() == 5
    assert await store.session(SESSION) == written[0]
    assert list(await store.speakers(SESSION)) == [written[1], written[2]]
    page = await store.turns(SESSION, 10, None)
    assert list(page.items) == [StoredTurn(written[3], "boardroom", (written[1], written[2]))]  # type: ignore[arg-type]
    assert page.next_token is None
    assert [change for _, change in await all_changes(store)] == [*written[:3], page.items[0], written[4]]


async def test_writing_nothing_gives_out_no_seq(store: SqlStore) -> None:
    assert list(await store.write([])) == []
    await store.write_wall_points(SESSION, [])
    assert await store.highest_seq() == 0


async def test_the_store_outlives_its_process(store: SqlStore, path: Path) -> None:
    written = await store.write([session(), turn(1)])
    await store.close()
    again = await open_store(f"sqlite:///{path}")
    assert again.store_id == store.store_id
    assert await again.session("boardroom") == written[0]
    assert [record.seq for record in await again.write([turn(2)])] == [3]
    await again.close()


async def test_a_changed_turn_moves_to_a_new_seq_and_keeps_what_it_was(store: SqlStore, path: Path) -> None:
    ada, ben = speaker(1), speaker(2)
    await store.write([session(), ada, ben])
    first = turn(1, ada, overlapping=(overlap(ben, 100),))
    second = replace(first, text="Said otherwise.", speaker_id=ben.id, overlapping=(overlap(ada, 50), overlap(ben, 60)))
    third = replace(second, overlapping=(), generation=None)
    for revision, record in enumerate((first, second, third)):
        written = await store.write([record])
        assert written == [replace(record, revision=revision, seq=Seq(4 + revision))]
        page = await store.turns(SESSION, 10, None)
        assert [item.turn for item in page.items] == list(written)
    assert [seq for seq, _ in await all_changes(store)] == [1, 2, 3, 6]
    assert rows(path, "SELECT revision, seq, text, speaker_id, generation FROM turn_revisions ORDER BY revision") == [
        (0, 4, first.text, ada.id, 1),
        (1, 5, "Said otherwise.", ben.id, 1),
    ]
    kept = rows(path, "SELECT revision, position, speaker_id, duration FROM turn_overlaps ORDER BY 1, 2")
    assert kept == [(0, 0, ben.id, 100), (1, 0, ada.id, 50), (1, 1, ben.id, 60)]


async def test_a_turn_may_change_twice_in_one_call(store: SqlStore) -> None:
    written = await store.write([session(), turn(1), turn(1, text="Again.")])
    assert [record.seq for record in written] == [1, 2, 3]
    assert [seq for seq, _ in await all_changes(store)] == [1, 3]


async def test_a_retracted_turn_leaves_the_list_and_stays_a_change(store: SqlStore, path: Path) -> None:
    await store.write([session(), turn(1), turn(2)])
    (gone,) = await store.write([turn(1, life=TurnLife.RETRACTED, text="", text_source=TextSource.NONE)])
    assert [item.turn.id for item in (await store.turns(SESSION, 10, None)).items] == [turn(2).id]
    assert (await all_changes(store, after=3))[0][1] == StoredTurn(gone, "boardroom")  # type: ignore[arg-type]
    assert rows(path, "SELECT life, text FROM turn_revisions") == [("final", turn(1).text)]


async def test_partial_turns_are_refused(store: SqlStore) -> None:
    with pytest.raises(ValueError, match="PARTIAL"):
        await store.write([session(), turn(1, life=TurnLife.PARTIAL)])
    assert await store.highest_seq() == 0


async def test_turns_come_by_start_then_id_in_pages(store: SqlStore) -> None:
    turns = [turn(number, start=Sample(number // 3), end=Sample(99)) for number in range(20)]
    await store.write([session(), *reversed(turns)])
    for limit in (1, 3, 7, 20, 21):
        found, token = [], None
        while True:
            page = await store.turns(SESSION, limit, token)
            assert len(page.items) <= limit
            found += [item.turn.id for item in page.items]
            if (token := page.next_token) is None:
                break
        assert found == [turn.id for turn in turns]


async def test_a_page_goes_on_where_it_stopped_though_turns_come_and_go(store: SqlStore) -> None:
    await store.write([session(), *(turn(number) for number in range(0, 10, 2))])
    page = await store.turns(SESSION, 3, None)
    await store.write([turn(1), turn(5), turn(4, life=TurnLife.RETRACTED)])
    rest = await store.turns(SESSION, 10, page.next_token)
    assert [item.turn.start for item in rest.items] == [5 * 16_000, 6 * 16_000, 8 * 16_000]


async def test_what_was_first_said_is_there_whatever_became_of_it(store: SqlStore) -> None:
    ada, ben = speaker(1), speaker(2)
    said = [turn(0, ada, overlapping=(overlap(ben),)), turn(1, ben), turn(2, ada), turn(3), turn(4)]
    first = [
        record for record in await store.write([session(), ada, ben, *said]) if record.id.startswith(said[0].id[:-1])
    ]
    await store.write([replace(said[0], text="Corrected.", overlapping=())])
    await store.write([replace(said[1], speaker_id=ada.id), turn(2, ada, life=TurnLife.RETRACTED, text="")])
    await store.write([replace(said[1], start=Sample(40 * 16_000), end=Sample(41 * 16_000), text="Twice.")])
    await store.write([turn(5, life=TurnLife.RETRACTED)])  # was never told as final
    for limit in (1, 2, 10):
        found: list[StoredTurn] = []
        token = None
        while True:
            page = await store.turns(SESSION, limit, token, as_delivered=True)
            found += page.items
            if (token := page.next_token) is None:
                break
        assert [item.turn for item in found] == first
    assert [one.label for one in found[0].speakers] == ["S1", "S2"]
    assert [one.label for one in found[1].speakers] == ["S2"]
    assert [item.turn.text for item in (await store.turns(SESSION, 10, None)).items][-1] == "Twice."


async def test_a_page_as_delivered_goes_on_though_turns_are_revised_meanwhile(store: SqlStore) -> None:
    turns = [turn(number) for number in range(6)]
    await store.write([session(), *turns])
    page = await store.turns(SESSION, 3, None, as_delivered=True)
    moved = replace(turns[1], start=Sample(90 * 16_000), end=Sample(91 * 16_000))
    await store.write([moved, replace(turns[4], start=Sample(0)), turn(3, life=TurnLife.RETRACTED)])
    rest = await store.turns(SESSION, 3, page.next_token, as_delivered=True)
    assert [item.turn.id for item in (*page.items, *rest.items)] == [one.id for one in turns]


@pytest.mark.parametrize(
    "token",
    ["", "x", "é", "====", "czox", "dDo6Og", "AAAA", "czotMQ", "czo5OTk5OTk5OTk5OTk5OTk5OTk5OTk", "__-_", "\ud800"],
)
async def test_a_bad_token_is_refused(store: SqlStore, token: str) -> None:
    await store.write([session()])
    with pytest.raises(Invalid) as refusal:
        await store.turns(SESSION, 10, token)
    assert refusal.value.reason == "BAD_PAGE_TOKEN"
    if token != "czox":  # which is a session list's own
        with pytest.raises(Invalid) as refusal:
            await store.sessions(10, token)
        assert refusal.value.reason == "BAD_PAGE_TOKEN"


async def test_a_token_is_good_for_its_own_list_only(store: SqlStore) -> None:
    other = SessionId("01J00000000000000000000002")
    await store.write([session(), session(other, "studio"), turn(1), turn(2)])
    of_turns = (await store.turns(SESSION, 1, None)).next_token
    of_sessions = (await store.sessions(1, None)).next_token
    assert of_turns is not None
    assert of_sessions is not None
    for wrong in (
        store.turns(other, 1, of_turns),
        store.turns(SESSION, 1, of_sessions),
        store.turns(SESSION, 1, of_turns, as_delivered=True),
        store.sessions(1, of_turns),
    ):
        with pytest.raises(Invalid):
            await wrong


async def test_sessions_come_newest_first_whatever_the_clock_said(store: SqlStore) -> None:
    ids = [SessionId(f"01J0000000000000000000000{number}") for number in range(5)]
    for number, session_id in enumerate(ids):
        await store.write([session(session_id, created_s=1000.0 - number)])
    await store.write([session(ids[0], state=SessionState.STOPPED, ended_s=2000.5, heard=Sample(99))])
    first = await store.sessions(3, None)
    second = await store.sessions(3, first.next_token)
    assert [record.id for record in (*first.items, *second.items)] == ids[::-1]
    assert second.next_token is None
    assert second.items[-1].ended_s == 2000.5


async def test_a_name_means_its_newest_session(store: SqlStore) -> None:
    older, newer = SessionId("01J0000000000000000000000Z"), SessionId("01J00000000000000000000000")
    await store.write([session(older, state=SessionState.STOPPED), session(newer), session(name="studio")])
    await store.write([session(older, state=SessionState.FAILED, reason="DEVICE_FAILED", detail="It is gone.")])
    assert (await store.session("boardroom")).id == newer
    assert (await store.session(older)).reason == "DEVICE_FAILED"
    with pytest.raises(NotFound) as refusal:
        await store.session("attic")
    assert refusal.value.reason == "SESSION_NOT_FOUND"


async def test_sessions_in_progress_are_the_live_ones(store: SqlStore) -> None:
    states = [state for state in SessionState if state is not SessionState.DELETED]
    for number, state in enumerate(states):
        await store.write([session(f"01J0000000000000000000000{number}", f"room-{number}", state=state)])
    live = [record.state for record in await store.sessions_in_progress()]
    assert live == [SessionState.STARTING, SessionState.RUNNING, SessionState.PAUSED, SessionState.STOPPING]


async def test_speakers_come_by_label_number_and_a_rename_is_one_change(store: SqlStore) -> None:
    await store.write([session(), *(speaker(number) for number in (10, 2, 1))])
    await store.write([turn(1, speaker(2), overlapping=(overlap(speaker(10)),))])
    (renamed,) = await store.write([speaker(2, display_name="Ada Λ")])
    assert [one.label for one in await store.speakers(SESSION)] == ["S1", "S2", "S10"]
    assert [change for _, change in await all_changes(store, after=5)] == [renamed]
    (told,) = (await store.turns(SESSION, 10, None)).items
    assert [one.display_name for one in told.speakers] == ["Ada Λ", ""]


async def test_a_turn_that_is_not_stored_is_joined_too(store: SqlStore) -> None:
    _, ada, ben = await store.write([session(), speaker(1), speaker(2)])
    partial = turn(
        7,
        speaker(2),
        life=TurnLife.PARTIAL,
        attribution=Attribution.INFERRED,
        overlapping=(overlap(speaker(1)), overlap(speaker(1))),
    )
    assert await store.stored_turn(partial) == StoredTurn(partial, "boardroom", (ben, ada))  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await store.stored_turn(turn(1, session_id="nowhere"))


async def test_changes_are_bounded_on_both_sides_by_session_and_by_number(store: SqlStore) -> None:
    other = SessionId("01J00000000000000000000002")
    await store.write([session(), session(other, "studio")])
    for number in range(1, 6):
        await store.write([turn(number), interval(number), turn(number, session_id=other), speaker(number)])
    everything = await all_changes(store)
    assert [seq for seq, _ in everything] == list(range(1, 23))
    for after, up_to, limit in ((0, 22, 5), (3, 9, 100), (3, 22, 1), (21, 22, 9), (22, 22, 9), (9, 3, 9)):
        expected = [change for seq, change in everything if after < seq <= up_to][:limit]
        assert list(await store.changes(Seq(after), Seq(up_to), None, limit)) == expected
    of_other = await all_changes(store, session_id=other)
    assert [seq for seq, _ in of_other] == [2, 5, 9, 13, 17, 21]
    of_first = await all_changes(store, after=4, session_id=SESSION)
    assert [seq for seq, _ in of_first][:3] == [6, 7, 8]


async def test_wall_points_belong_to_a_session_and_carry_no_seq(store: SqlStore, path: Path) -> None:
    await store.write([session()])
    await store.write_wall_points(SESSION, [WallPoint(Sample(0), 1.5), WallPoint(Sample(16_000), 2.5)])
    await store.write_wall_points(SESSION, [WallPoint(Sample(16_000), 2.25)])
    assert rows(path, "SELECT at, wall_s FROM wall_points ORDER BY at") == [(0, 1.5), (16_000, 2.25)]
    assert await store.highest_seq() == 1
    with pytest.raises(StoreError):
        await store.write_wall_points(SessionId("nowhere"), [WallPoint(Sample(0), 1.5)])


async def test_a_deleted_session_takes_all_that_is_its_own_and_no_seq(store: SqlStore, path: Path) -> None:
    ada = speaker(1)
    await store.write([session(), ada, turn(1, ada, overlapping=(overlap(ada),)), turn(1, ada), interval(1)])
    await store.write_wall_points(SESSION, [WallPoint(Sample(0), 1.5)])
    statement(path, "DELETE FROM sessions")
    for table in ("speakers", "turns", "turn_revisions", "turn_overlaps", "intervals", "wall_points"):
        assert rows(path, f"SELECT * FROM {table}") == []
    assert [record.seq for record in await store.write([session()])] == [6]


async def test_a_failed_write_stores_nothing_and_tells_no_text(store: SqlStore) -> None:
    await store.write([session()])
    secret = "the merger closes on Friday"
    for wrong in (
        turn(2, speaker_id="nobody", text=secret),
        turn(2, start=Sample(9), end=Sample(1), text=secret),
        turn(2, start=Sample(1 << 70), end=Sample(1 << 71), text=secret),
        turn(2, text=secret + "\ud800"),
        turn(2, session_id="nowhere", text=secret),
    ):
        with pytest.raises(StoreError) as failure:
            await store.write([turn(1, text=secret), wrong])
        assert failure.value.reason == "STORE_FAILED"
        assert "merger" not in "".join(traceback.format_exception(failure.value))
        assert not (await store.turns(SESSION, 10, None)).items
    assert [record.seq for record in await store.write([turn(1)])] == [2]


async def test_every_query_has_an_index(store: SqlStore, path: Path) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(*execution: object) -> None:
        asked.append((execution[2], execution[3]))  # type: ignore[arg-type]

    written = await store.write([session(), speaker(1), turn(1, speaker(1)), turn(2), interval(1)])
    event.listen(Engine, "before_cursor_execute", note)
    try:
        page = await store.turns(SESSION, 1, None)
        await store.turns(SESSION, 1, page.next_token)
        await store.changes(Seq(0), Seq(9), None, 10)
        await store.changes(Seq(0), Seq(9), SESSION, 10)
        await store.session("boardroom")
        await store.sessions(1, None)
        await store.speakers(SESSION)
        await store.stored_turn(written[2])  # type: ignore[arg-type]
        await store.write([turn(1, speaker(1)), session(), speaker(1), interval(1)])
        await store.wall_points(SESSION)
        await store.resume_point(SESSION)
        await store.redact(interval(2, kind=IntervalKind.MUTED, reason=REDACTED))
        await store.write([session(state=SessionState.STOPPED)])
        await store.delete_session(SESSION)
        await store.erase()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    selects = [(query, values) for query, values in asked if not query.startswith(("BEGIN", "PRAGMA"))]
    assert len(selects) > 20
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for query, values in selects:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
            # The newest-first list walks an index; the one-row table and lists of ids are short.
            scans = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step]
            assert all(step.split()[1] == "store" for step in scans), (query, plan)
            # What is read up to a limit must come in order, or all of it would be read and sorted first.
            assert "LIMIT" not in query or not any("B-TREE" in step for step in plan), (query, plan)

import asyncio
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.core.events import Attribution, Evidence, SuspectReason, TextSource
from minuted_daemon.core.records import (
    IntervalKind,
    OverlapRecord,
    Record,
    Seq,
    SessionSettings,
    SessionState,
    StoredTurn,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.core.samples import Sample
from tests.adapters.storage.examples import SESSION, interval, session, speaker, turn

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WALL = st.floats(0, 4e9)
POSITION = st.integers(0, 1 << 50)
SPEAKERS = [speaker(number) for number in range(1, 4)]
STRETCH = st.tuples(POSITION, POSITION).map(sorted)

SESSIONS = st.builds(
    lambda **changes: session(**changes),
    settings=st.builds(SessionSettings, TEXT, TEXT, TEXT, st.lists(TEXT, max_size=3).map(tuple), TEXT),
    state=st.sampled_from([state for state in SessionState if state is not SessionState.DELETED]),
    created_s=WALL,
    ended_s=st.none() | WALL,
    heard=POSITION.map(Sample),
    reason=TEXT,
    detail=TEXT,
    diarizer_sent=POSITION,
    transcriber_sent=POSITION,
)
TURNS = st.builds(
    lambda number, stretch, **changes: turn(number, start=stretch[0], end=stretch[1], **changes),
    st.integers(0, 3),
    STRETCH,
    speaker_id=st.none() | st.sampled_from([one.id for one in SPEAKERS]),
    attribution=st.sampled_from(Attribution),
    text=TEXT,
    text_source=st.sampled_from(TextSource),
    life=st.sampled_from([TurnLife.FINAL, TurnLife.RETRACTED]),
    start_wall_s=WALL,
    overlapping=st.lists(
        st.builds(OverlapRecord, st.sampled_from([one.id for one in SPEAKERS]), st.integers(0, 1 << 40)), max_size=4
    ).map(tuple),
    generation=st.none() | POSITION,
    latency_s=st.none() | st.floats(-10, 1e6),
    suspect=st.none() | st.sampled_from(SuspectReason),
    evidence=st.none() | st.builds(Evidence, POSITION, POSITION),
)
INTERVALS = st.builds(
    lambda number, stretch, **changes: interval(number, start=stretch[0], end=stretch[1], **changes),
    st.integers(0, 3),
    STRETCH,
    kind=st.sampled_from(IntervalKind),
    start_wall_s=WALL,
    reason=TEXT,
)
RENAMED = st.builds(lambda who, name: replace(who, display_name=name), st.sampled_from(SPEAKERS), TEXT)
RECORDS: st.SearchStrategy[Record] = SESSIONS | TURNS | INTERVALS | RENAMED
CALLS = st.lists(st.lists(RECORDS, max_size=4), max_size=6)


async def check(path: Path, calls: list[list[Record]]) -> None:
    store = await open_store(f"sqlite:///{path}")
    newest: dict[str, Record] = {}
    delivered: dict[str, TurnRecord] = {}
    revisions: dict[str, int] = {}
    seq = 0
    try:
        first: list[Record] = [session(), *SPEAKERS]
        for call in (first, *calls):
            expected: list[Record] = []
            for record in call:
                seq += 1
                stored = replace(record, seq=Seq(seq))
                if isinstance(stored, TurnRecord):
                    revisions[stored.id] = revisions.get(stored.id, -1) + 1
                    stored = replace(stored, revision=revisions[stored.id])
                    delivered.setdefault(stored.id, stored)
                newest[stored.id] = stored
                expected.append(stored)
            assert list(await store.write(call)) == expected

        assert await store.highest_seq() == seq
        changes = await store.changes(Seq(0), Seq(seq), None, 1000)
        told = [change.turn if isinstance(change, StoredTurn) else change for change in changes]
        assert told == sorted(newest.values(), key=lambda record: record.seq)
        finals = [item for item in newest.values() if isinstance(item, TurnRecord) and item.life is TurnLife.FINAL]
        page = await store.turns(SESSION, 1000, None)
        assert [item.turn for item in page.items] == sorted(finals, key=lambda item: (item.start, item.id))
        first_said = [item for item in delivered.values() if item.life is TurnLife.FINAL]
        as_delivered = await store.turns(SESSION, 1000, None, as_delivered=True)
        assert [item.turn for item in as_delivered.items] == sorted(first_said, key=lambda item: (item.start, item.id))
        for item in (*page.items, *as_delivered.items):
            people = [item.turn.speaker_id, *(other.speaker_id for other in item.turn.overlapping)]
            assert item.speakers == tuple(newest[one] for one in dict.fromkeys(people) if one is not None)
        assert await store.session(SESSION) == newest[SESSION]
    finally:
        await store.close()


@settings(max_examples=40, deadline=None)
@given(CALLS)
def test_what_is_written_is_what_is_read(fresh: Path, calls: list[list[Record]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(shutil.copy(fresh, folder)), calls))

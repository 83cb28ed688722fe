import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minuted_daemon.adapters.storage.limits import ErasureLimits
from minuted_daemon.adapters.storage.store import SqlStore
from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import (
    IntervalKind,
    IntervalRecord,
    Record,
    Seq,
    SessionId,
    StoredTurn,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.errors import NotFound
from minuted_daemon.ports.store import REDACTED
from tests.adapters.storage.examples import SESSION, interval, overlap, session, speaker, turn
from tests.adapters.storage.remains import remains

ADA, BEN = speaker(1), speaker(2)


def muted(start_s: float, end_s: float, number: int = 1, **changes: Any) -> IntervalRecord:
    stretch: dict[str, Any] = {"start": Sample(samples(start_s)), "end": Sample(samples(end_s))}
    record = interval(number, kind=IntervalKind.MUTED, reason=REDACTED, start_wall_s=1000.0 + start_s, **stretch)
    return replace(record, **changes)


def said(number: int, start_s: float, end_s: float, text: str, **changes: Any) -> TurnRecord:
    stretch: dict[str, Any] = {"start": Sample(samples(start_s)), "end": Sample(samples(end_s))}
    return turn(number, ADA, text=text, start_wall_s=1000.0 + start_s, **stretch, **changes)


async def redact(store: SqlStore, gone: IntervalRecord) -> list[Record]:
    stored: list[Record] = []
    while more := await store.redact(gone):
        stored += more
    await store.erase()
    return stored


async def listed(store: SqlStore) -> list[tuple[float, float, str]]:
    page = await store.turns(SESSION, 1000, None)
    return [(item.turn.start / 16000, item.turn.end / 16000, item.turn.text) for item in page.items]


async def changes(store: SqlStore, after: int) -> Sequence[Any]:
    found = await store.changes(Seq(after), await store.highest_seq(), SESSION, 1000)
    return [item.turn if isinstance(item, StoredTurn) else item for item in found]


async def test_what_was_said_in_a_stretch_is_gone_and_the_rest_is_not(store: SqlStore, path: Path) -> None:
    await store.write(
        [
            session(),
            ADA,
            BEN,
            said(0, 0, 10, "kept before"),
            said(1, 10, 21, "SECRET one", overlapping=(overlap(BEN),)),
            said(2, 21, 25, "SECRET two"),
            said(3, 25, 29, "SECRET three"),
            said(4, 29, 40, "SECRET four"),
            said(5, 40, 50, "kept behind"),
        ]
    )
    stored = await redact(store, muted(20, 30))
    assert [record.seq for record in stored] == [10, 11, 12, 13, 14]
    assert stored[0] == muted(20, 30, seq=Seq(10))
    assert [record.life for record in stored[1:] if isinstance(record, TurnRecord)] == [
        TurnLife.FINAL,
        TurnLife.RETRACTED,
        TurnLife.RETRACTED,
        TurnLife.FINAL,
    ]
    assert await listed(store) == [
        (0, 10, "kept before"),
        (10, 20, ""),
        (30, 40, ""),
        (40, 50, "kept behind"),
    ]
    assert await changes(store, after=9) == stored
    assert remains(path, "SECRET") == []
    assert remains(path, "kept before", "kept behind") == ["kept before", "kept behind"]
    assert await store.redact(muted(20, 30)) == []


async def test_what_a_turn_was_before_is_gone_too(store: SqlStore, path: Path) -> None:
    first = said(1, 10, 20, "SECRET first", overlapping=(overlap(BEN),))
    await store.write([session(), ADA, BEN, first, said(2, 30, 40, "kept"), said(3, 50, 60, "SECRET moved away")])
    await store.write([replace(first, text="SECRET second")])
    await store.write([replace(first, text="SECRET retracted", life=TurnLife.RETRACTED)])
    await store.write([said(3, 60, 70, "kept since")])  # touched the stretch once, and does no more
    await redact(store, muted(0, 55))
    assert remains(path, "SECRET") == []
    assert await listed(store) == [(60, 70, "kept since")]
    assert [item.turn.text for item in (await store.turns(SESSION, 10, None, as_delivered=True)).items] == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM turn_revisions").fetchall() == []
        assert connection.execute("SELECT * FROM turn_overlaps").fetchall() == []


async def test_an_interval_inside_a_turn_takes_in_its_shorter_end(store: SqlStore, path: Path) -> None:
    await store.write([session(), ADA, BEN, said(1, 10, 20, "SECRET"), said(2, 30, 40, "SECRET")])
    behind, *_ = await redact(store, muted(16, 17))
    assert behind == muted(16, 20, seq=behind.seq)
    before, *_ = await redact(store, muted(33, 34, number=2))
    assert before == replace(muted(30, 34, number=2), seq=before.seq)
    assert await listed(store) == [(10, 16, ""), (34, 40, "")]
    assert remains(path, "SECRET") == []


async def test_words_that_come_late_do_not_come_back(store: SqlStore, path: Path) -> None:
    await store.write([session(), ADA, BEN, said(1, 10, 12, "SECRET"), said(2, 18, 22, "SECRET too")])
    await redact(store, muted(10, 20))
    late = [
        said(1, 10, 12, "SECRET again"),
        said(2, 18, 22, "SECRET too, again"),
        said(3, 14, 16, "SECRET at last"),
        said(4, 9, 11, "SECRET", life=TurnLife.RETRACTED),
        said(5, 20, 21, "kept"),
        turn(
            6, session_id="01J00000000000000000000002", start=Sample(samples(12)), end=Sample(samples(13)), text="other"
        ),
    ]
    written = await store.write([session("01J00000000000000000000002", "studio"), *late])
    told = [record for record in written if isinstance(record, TurnRecord)]
    assert [record.text for record in told] == ["", "", "", "", "kept", "other"]
    assert [record.life.value for record in told] == ["retracted", "final", "retracted", "retracted", "final", "final"]
    assert await listed(store) == [(20, 22, ""), (20, 21, "kept")]
    assert remains(path, "SECRET") == []


@pytest.mark.parametrize("erasure", [ErasureLimits(turns=10)])
async def test_many_turns_are_redacted_in_portions_and_the_interval_is_stored_once(store: SqlStore, path: Path) -> None:
    await store.write([session(), ADA, *(said(n, n, n + 0.9, f"SECRET {n}") for n in range(45))])
    first = await store.redact(muted(5, 40))
    assert len(first) == 11
    assert len(await store.redact(muted(5, 40))) == 10
    stored = await redact(store, muted(5, 40))  # as after a crash: all that is left
    assert len(stored) == 15
    assert len(await listed(store)) == 10
    assert [item for item in await changes(store, after=0) if isinstance(item, IntervalRecord)] == [first[0]]
    assert remains(path, "SECRET 5", "SECRET 39") == []
    assert remains(path, "SECRET 44") == ["SECRET 44"]


async def test_only_a_session_that_is_there_is_redacted(store: SqlStore) -> None:
    with pytest.raises(NotFound):
        await store.redact(muted(1, 2))
    await store.write([session()])
    with pytest.raises(NotFound):
        await store.redact(muted(1, 2, session_id=SessionId("nowhere")))
    for wrong in (muted(2, 2), muted(1, 2, kind=IntervalKind.GAP), muted(1, 2, reason="PAUSED")):
        with pytest.raises(ValueError, match="redaction"):
            await store.redact(wrong)
    assert await store.highest_seq() == 1


async def test_a_redacted_turn_may_still_change_its_speaker(store: SqlStore) -> None:
    await store.write([session(), ADA, BEN, said(1, 10, 20, "SECRET")])
    await redact(store, muted(15, 30))
    (item,) = (await store.turns(SESSION, 10, None)).items
    assert (item.turn.revision, item.turn.text_source, item.turn.latency_s) == (1, TextSource.NONE, 0.75)
    (corrected,) = await store.write([replace(item.turn, speaker_id=BEN.id)])
    assert corrected == replace(item.turn, speaker_id=BEN.id, revision=2, seq=corrected.seq)

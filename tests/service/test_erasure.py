"""What people want forgotten is gone from the store's own file, told to whoever follows, and finished after a crash."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    Seq,
    SessionId,
    SessionRecord,
    SessionSettings,
    SessionState,
    StoredTurn,
    TurnId,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.errors import Invalid, NotFound, StoreError, WrongState
from minuted_daemon.ports.store import REDACTED
from minuted_daemon.service.erasure import Erasure, within
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.views import CaughtUp, StoredChange, Stretch
from tests.fakes_service.erasures import FakeAudio

SECRET = "the merger is off"
ROOM = SessionRecord(
    SessionId("01ROOM"), "boardroom", SessionSettings("default", "local", "local"), SessionState.STOPPED, 1.8e9
)
DISK = StoreError("DISK_FAILED", "the disk fails")


def at(position_s: float) -> Sample:
    return Sample(samples(position_s))


def turn(number: int, text: str) -> TurnRecord:
    start = at(10.0 * number)
    return TurnRecord(
        TurnId(f"01TURN{number}"),
        ROOM.id,
        start,
        Sample(start + at(5.0)),
        None,
        Attribution.UNKNOWN,
        text,
        TextSource.COMPLETED,
        TurnLife.FINAL,
        1.8e9,
    )


def redaction(start_s: float, end_s: float) -> IntervalRecord:
    where = at(start_s), at(end_s)
    return IntervalRecord(IntervalId("01GONE"), ROOM.id, IntervalKind.MUTED, *where, 1.8e9, reason=REDACTED)


@dataclass
class Desk:
    path: Path
    store: SqlStore
    hub: Hub
    publisher: ChangePublisher
    audio: FakeAudio
    erasing: Erasure

    def holds(self, text: str) -> bool:
        return any(text.encode() in found.read_bytes() for found in self.path.glob("minuted.db*"))

    async def texts(self) -> list[str]:
        return [stored.turn.text for stored in (await self.store.turns(ROOM.id, 100, None)).items]

    async def go_on(self) -> None:
        """Let the daemon's own task do what is left."""
        async with asyncio.TaskGroup() as group, asyncio.timeout(10.0):
            running = group.create_task(self.erasing.run())
            while await self.store.erasures():  # noqa: ASYNC110 - the store rings no bell
                await asyncio.sleep(0.01)
            running.cancel()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = await open_store(f"sqlite:///{tmp_path}/minuted.db")
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    audio = FakeAudio()
    await publisher.write([ROOM, turn(0, "Shall we begin?"), turn(1, SECRET), turn(2, "Thank you.")], ROOM.name)
    yield Desk(tmp_path, store, hub, publisher, audio, Erasure(store, publisher, hub, audio))
    await store.close()


async def test_a_deleted_session_is_gone_from_store_audio_and_file(desk: Desk) -> None:
    assert desk.holds(SECRET)
    await desk.erasing.delete(ROOM)
    assert not desk.holds(SECRET)
    assert desk.audio.deleted == [ROOM.id]
    assert await desk.store.erasures() == []
    with pytest.raises(NotFound):
        await desk.store.session(ROOM.id)


async def test_a_redaction_takes_words_revisions_and_audio_and_leaves_an_interval(desk: Desk) -> None:
    told = []

    def forget(start: Sample, end: Sample) -> None:
        told.append((start, end))

    left = await desk.erasing.redact(redaction(9.0, 16.0), ROOM.name, forget)
    assert (left.start, left.end, left.turns) == (at(9.0), at(16.0), 1)
    assert told == [(at(9.0), at(16.0))]
    assert not desk.holds(SECRET)
    assert await desk.texts() == ["Shall we begin?", "Thank you."]
    assert desk.audio.erased == [(ROOM.id, at(9.0), at(16.0))]
    assert await desk.store.erasures() == []


async def test_subscribers_are_told_and_nobody_gets_the_words_from_memory(desk: Desk) -> None:
    async with aclosing(desk.hub.subscribe(ROOM.id, Seq(0), False)) as deliveries:
        first = await anext(deliveries)  # it has read no further when the words go
        assert isinstance(first, StoredChange)
        await desk.erasing.redact(redaction(9.0, 16.0), ROOM.name, None)
        seen: list[StoredChange] = []
        async for delivery in deliveries:
            if isinstance(delivery, StoredChange):
                seen.append(delivery)
            if isinstance(delivery, CaughtUp) or len(seen) > 10:
                continue
            if any(isinstance(one.item, IntervalRecord) for one in seen) and any(
                isinstance(one.item, StoredTurn) and one.item.turn.life is TurnLife.RETRACTED for one in seen
            ):
                break
    interval = next(one.item for one in seen if isinstance(one.item, IntervalRecord))
    assert (interval.kind, interval.reason) == (IntervalKind.MUTED, REDACTED)


async def test_the_ring_gives_no_word_that_was_redacted(desk: Desk) -> None:
    async with aclosing(desk.hub.subscribe(ROOM.id, None, False)) as deliveries:
        assert isinstance(await anext(deliveries), CaughtUp)
        await desk.publisher.write([turn(3, "later " + SECRET)], ROOM.name)
        await desk.erasing.redact(redaction(30.0, 36.0), ROOM.name, None)
        told = [await anext(deliveries) for _ in range(2)]
    assert {type(one.item) for one in told if isinstance(one, StoredChange)} == {IntervalRecord, StoredTurn}
    assert SECRET not in str(told)


async def test_what_comes_from_under_way_after_a_redaction_is_stored_without_words(desk: Desk) -> None:
    await desk.erasing.redact(redaction(39.0, 46.0), ROOM.name, None)
    (stored,) = await desk.publisher.write([turn(4, SECRET)], ROOM.name)
    assert isinstance(stored, TurnRecord)
    assert stored.text == ""
    assert await desk.texts() == ["Shall we begin?", SECRET, "Thank you."]


@pytest.mark.parametrize("whole", [True, False])
async def test_what_could_not_be_finished_is_finished_in_the_next_life(desk: Desk, whole: bool) -> None:
    desk.audio.fault = DISK
    interval = redaction(9.0, 16.0)
    with pytest.raises(StoreError):
        await (desk.erasing.delete(ROOM) if whole else desk.erasing.redact(interval, ROOM.name, None))
    assert len(await desk.store.erasures()) == 1
    with suppress(NotFound):
        assert SECRET not in await desk.texts(), "nobody reads it from the first moment on"
    audio = FakeAudio()
    erasing = Erasure(desk.store, desk.publisher, desk.hub, audio)
    again = Desk(desk.path, desk.store, desk.hub, desk.publisher, audio, erasing)
    await again.go_on()
    assert audio.deleted == ([ROOM.id] if whole else [])
    assert len(audio.erased) == (0 if whole else 1)
    assert not desk.holds(SECRET)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_crash_right_after_the_first_step_does_not_lose_the_request(desk: Desk, whole: bool) -> None:
    """The request is stored with the step itself, and the daemon's next life finds it."""
    if whole:
        await desk.store.delete_session(ROOM.id)
    else:
        await desk.store.redact(redaction(9.0, 16.0))
    assert desk.holds(SECRET)
    await desk.go_on()
    assert desk.audio.deleted == ([ROOM.id] if whole else [])
    assert desk.audio.erased == ([] if whole else [(ROOM.id, at(9.0), at(16.0))])
    assert not desk.holds(SECRET)


@pytest.mark.parametrize("by_an_older_version", [False, True])
async def test_the_audio_of_all_that_a_redaction_took_in_goes_after_a_crash(
    desk: Desk, by_an_older_version: bool
) -> None:
    """A turn keeps one of its two ends; the other one goes with what was redacted."""
    await desk.store.redact(redaction(11.0, 13.0))
    if by_an_older_version:  # which noted what was asked for, and not what was taken in
        with closing(sqlite3.connect(desk.path / "minuted.db", isolation_level=None)) as connection:
            connection.execute("UPDATE erasures SET start = ?", (at(11.0),))
    await desk.go_on()
    assert desk.audio.erased == [(ROOM.id, at(10.0), at(13.0))]


async def test_a_live_session_is_not_deleted_and_the_request_is_not_kept(desk: Desk) -> None:
    live = replace(ROOM, state=SessionState.RUNNING)
    await desk.publisher.write([live], ROOM.name)
    with pytest.raises(WrongState) as refused:
        await desk.erasing.delete(live)
    assert refused.value.reason == "SESSION_LIVE"
    assert await desk.store.erasures() == []
    assert desk.audio.deleted == []


def test_which_stretch_is_meant() -> None:
    heard = at(600.0)
    assert within(Stretch(last=at(300.0)), heard) == (at(300.0), heard)
    assert within(Stretch(last=at(900.0)), heard) == (0, heard)
    assert within(Stretch(start=at(10.0), end=at(20.0)), heard) == (at(10.0), at(20.0))
    assert within(Stretch(start=at(10.0)), heard) == (at(10.0), heard)
    assert within(Stretch(start=at(10.0), end=at(999.0)), heard) == (at(10.0), heard)
    for nothing in (Stretch(start=heard), Stretch(start=at(700.0), end=at(800.0))):
        with pytest.raises(Invalid):
            within(nothing, heard)

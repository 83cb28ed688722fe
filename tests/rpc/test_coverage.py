"""GetSession's coverage over a real server, the SDK and the daemon's own store."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

import minuted
from minuted.aio import AsyncClient
from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import IntervalKind, IntervalRecord, SessionState
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.ports.store import Store
from minuted_daemon.rpc.server import start_server
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from tests.rpc.conftest import Room
from tests.rpc.material import FakeCapture, FakeSessions, interval, session, turn


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[ChangePublisher, AsyncClient]]:
    store: Store = await open_store(f"sqlite:///{tmp_path}/minuted.db")
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    address = f"unix:{tmp_path}/minuted.sock"
    sessions = FakeSessions(store, publisher)
    server = await start_server([address], sessions=sessions, store=store, hub=hub, capture=FakeCapture())
    async with AsyncClient(address) as client:
        yield publisher, client
    await server.stop(1)
    await store.close()


def total(told: minuted.Coverage) -> int:
    parts = (told.text, told.silence, told.muted, told.pending, *(loss.duration for loss in told.lost))
    return sum(part.ToNanoseconds() for part in parts)


async def test_the_parts_add_up_to_the_nanosecond(served: tuple[ChangePublisher, AsyncClient]) -> None:
    publisher, client = served
    room = replace(session("boardroom", SessionState.STOPPED), heard=Sample(samples(600.0) + 7))

    def noted(kind: IntervalKind, start: int, length: int, reason: str) -> IntervalRecord:
        return replace(interval(room), kind=kind, start=Sample(start), end=Sample(start + length), reason=reason)

    turns = [replace(turn(room, start=number * 100_001), end=Sample(number * 100_001 + 90_001)) for number in range(80)]
    turns[40] = replace(turns[40], text="", text_source=TextSource.NONE)
    await publisher.write([room, *turns], room.name)
    intervals = [
        noted(IntervalKind.GAP, 17, 333, "DEVICE_GAP"),
        noted(IntervalKind.GAP, 1_000_017, 333, "DEVICE_GAP"),
        noted(IntervalKind.MUTED, 5_010_000, 60_000, "PAUSED"),
        noted(IntervalKind.LOST, 8_200_001, 1_000, "SPOOL_FULL"),
    ]
    await publisher.write(intervals, room.name)
    told = await client.session("boardroom")
    assert total(told.coverage) == told.duration.ToNanoseconds() == 600 * 10**9 + 7 * 62_500
    assert told.coverage.muted.ToNanoseconds() == 60_000 * 62_500
    assert told.coverage.pending.ToNanoseconds() == 0
    losses = {loss.reason: loss.duration.ToNanoseconds() // 62_500 for loss in told.coverage.lost}
    assert losses == {"DEVICE_GAP": 666, "NO_TEXT": 90_001, "SPOOL_FULL": 1_000}
    assert told.coverage.text.ToNanoseconds() // 62_500 == 79 * 90_001 - 666 - 60_000


async def test_only_get_session_tells_it(room: Room, client: AsyncClient) -> None:
    started = await client.start("boardroom")
    assert not started.HasField("coverage")
    assert (await client.session("boardroom")).HasField("coverage")
    assert not any([one.HasField("coverage") async for one in client.sessions()])
    assert not (await client.stop("boardroom")).HasField("coverage")


async def test_ten_thousand_turns_take_no_half_second(served: tuple[ChangePublisher, AsyncClient]) -> None:
    """Of the processor: how long it takes beside that is the machine's affair."""
    publisher, client = served
    room = replace(session("boardroom"), heard=Sample(samples(8 * 3600.0)))
    await publisher.write([room], room.name)
    each = room.heard // 10_000
    for first in range(0, 10_000, 1_000):
        starts = [number * each for number in range(first, first + 1_000)]
        await publisher.write([turn(room, start=start, text="") for start in starts], room.name)
    began_s = time.process_time()
    told = await client.session("boardroom")
    took_s = time.process_time() - began_s
    assert told.coverage.text.ToNanoseconds() == 10_000 * 10**9
    assert total(told.coverage) == told.duration.ToNanoseconds()
    assert took_s < 0.5

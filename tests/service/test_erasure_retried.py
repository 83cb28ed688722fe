"""What could not be erased at once is tried again, and holds up nothing else."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    SessionId,
    SessionRecord,
    SessionSettings,
    SessionState,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.store import REDACTED, ErasureRequest
from minuted_daemon.service.erasure import AGAIN_S, Erasure
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from tests.fakes_service.erasures import FakeAudio
from tests.fakes_service.store import MemoryStore
from tests.fakes_service.virtual_time import virtual_time

STALLED = StoreError("SPOOL_STALLED", "the disk does not answer")
ROOMS = [
    SessionRecord(
        SessionId(f"01ROOM{number}"),
        f"room{number}",
        SessionSettings("default", "local", "local"),
        SessionState.STOPPED,
        1.8e9,
    )
    for number in range(3)
]
WHERE = (Sample(160), Sample(320))


def redaction(room: SessionRecord) -> ErasureRequest:
    interval = IntervalRecord(IntervalId(f"GONE{room.id}"), room.id, IntervalKind.MUTED, *WHERE, 1.8e9, reason=REDACTED)
    return ErasureRequest(room.id, room.name, interval)


class StuckAudio(FakeAudio):
    """Some sessions' audio cannot be erased."""

    def __init__(self, stuck: set[SessionId]) -> None:
        super().__init__()
        self.stuck = stuck

    async def erase(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        if session_id in self.stuck:
            raise STALLED
        await super().erase(session_id, start, end)


class AbsentStore(MemoryStore):
    """What is to be erased cannot be read while there is a fault."""

    absent: StoreError | None = None

    async def erasures(self) -> Sequence[ErasureRequest]:
        if self.absent is not None:
            raise self.absent
        return await super().erasures()


@asynccontextmanager
async def running(store: MemoryStore, audio: FakeAudio) -> AsyncIterator[None]:
    hub = Hub(store)
    erasing = Erasure(store, ChangePublisher(store, hub), hub, audio)
    await store.write(ROOMS)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(erasing.run())
        yield
        task.cancel()


@virtual_time
async def test_a_session_that_is_stuck_does_not_hold_up_the_others() -> None:
    store, audio = MemoryStore(), StuckAudio({ROOMS[0].id})
    for room in ROOMS:
        store.ask(redaction(room))
    async with running(store, audio):
        await asyncio.sleep(AGAIN_S / 2)
        assert audio.erased == [(room.id, *WHERE) for room in ROOMS[1:]]
        assert store.requests == [redaction(ROOMS[0])]
        audio.stuck.clear()
        await asyncio.sleep(AGAIN_S)
        assert audio.erased[2:] == [(ROOMS[0].id, *WHERE)]
        assert store.requests == []


@virtual_time
async def test_a_list_that_could_not_be_read_is_read_again() -> None:
    store, audio = AbsentStore(), FakeAudio()
    store.absent = STALLED
    store.ask(redaction(ROOMS[0]))
    async with running(store, audio):
        await asyncio.sleep(AGAIN_S / 2)
        store.absent = None
        await asyncio.sleep(AGAIN_S)
        assert audio.erased == [(ROOMS[0].id, *WHERE)]

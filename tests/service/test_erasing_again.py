"""What could not be erased at once is tried again, and holds up nothing else."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from minuted_daemon.adapters.pending_erasures import FILE, PendingErasures

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
from minuted_daemon.ports import REDACTED, ErasureRequest
from minuted_daemon.service.erasing import AGAIN_S, Erasing
from minuted_daemon.service.hub import Hub
from minuted_daemon.service.journal import Journal
from tests.fakes_service.erasures import FakeAudio, FakeErasureRequests
from tests.fakes_service.store import FakeStore
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


class AbsentRequests(FakeErasureRequests):
    """The list of them cannot be read while there is a fault."""

    fault: StoreError | None = None

    async def pending(self) -> Sequence[ErasureRequest]:
        if self.fault is not None:
            raise self.fault
        return await super().pending()


@asynccontextmanager
async def running(requests: FakeErasureRequests, audio: FakeAudio) -> AsyncIterator[None]:
    store = FakeStore()
    hub = Hub(store)
    erasing = Erasing(store, Journal(store, hub), hub, requests, audio)
    await store.write(ROOMS)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(erasing.run())
        yield
        task.cancel()


@virtual_time
async def test_a_session_that_is_stuck_does_not_hold_up_the_others() -> None:
    requests, audio = FakeErasureRequests(), StuckAudio({ROOMS[0].id})
    for room in ROOMS:
        await requests.put(redaction(room))
    async with running(requests, audio):
        await asyncio.sleep(AGAIN_S / 2)
        assert audio.erased == [(room.id, *WHERE) for room in ROOMS[1:]]
        assert requests.kept == [redaction(ROOMS[0])]
        audio.stuck.clear()
        await asyncio.sleep(AGAIN_S)
        assert audio.erased[2:] == [(ROOMS[0].id, *WHERE)]
        assert requests.kept == []


@virtual_time
async def test_a_list_that_could_not_be_read_is_read_again() -> None:
    requests, audio = AbsentRequests(), FakeAudio()
    requests.fault = STALLED
    await requests.put(redaction(ROOMS[0]))
    async with running(requests, audio):
        await asyncio.sleep(AGAIN_S / 2)
        requests.fault = None
        await asyncio.sleep(AGAIN_S)
        assert audio.erased == [(ROOMS[0].id, *WHERE)]


FIT = '"session_id": "01ROOM", "session_name": "a", "interval_id": "01GONE"'


@pytest.mark.parametrize(
    "content",
    [
        "[{",
        "5",
        '["text"]',
        '[{"session_id": 5, "session_name": "a"}]',
        '[{"session_id": "01ROOM", "session_name": null}]',
        '[{"session_id": "../../../etc", "session_name": "a"}]',
        '[{"session_id": "", "session_name": "a"}]',
        '[{"session_id": "01ROOM", "session_name": "a", "interval_id": 1, "start": 1, "end": 5, "start_wall_s": 0}]',
        f'[{{{FIT}, "start": "x", "end": 5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": 1, "end": 5.5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": true, "end": 5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": -1, "end": 5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": 5, "end": 5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": 1, "end": {1 << 70}, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": 1, "end": 5, "start_wall_s": null}}]',
        f'[{{{FIT}, "start": 1, "end": 5, "start_wall_s": NaN}}]',
        f'[{{{FIT}, "start": 1, "end": 5, "start_wall_s": 1{"0" * 400}}}]',
        f'[{{{FIT}, "start": 1, "start_wall_s": 0}}]',
    ],
)
async def test_a_file_that_is_not_as_it_was_written_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    requests = PendingErasures(tmp_path)
    for asked in (requests.pending(), requests.put(redaction(ROOMS[0]))):
        with pytest.raises(StoreError) as told:
            await asked
        assert (told.value.reason, "remove it" in str(told.value)) == ("STORE_FAILED", True)
    assert (tmp_path / FILE).read_text() == content, "it is left as it is"


async def test_what_was_put_is_found_again(tmp_path: Path) -> None:
    with_fraction = redaction(ROOMS[1])
    assert with_fraction.interval is not None
    with_fraction = replace(with_fraction, interval=replace(with_fraction.interval, start_wall_s=1.8e9 + 0.25))
    wishes = [redaction(ROOMS[0]), with_fraction, ErasureRequest(ROOMS[2].id, ROOMS[2].name)]
    for wish in wishes:
        await PendingErasures(tmp_path).put(wish)
    assert await PendingErasures(tmp_path).pending() == wishes

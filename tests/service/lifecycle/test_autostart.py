"""Sessions that begin with the daemon: accepted at once, whether their device is there or not."""

import asyncio

from minuted_daemon.core.records import Health, IntervalKind, SessionState
from minuted_daemon.core.samples import samples
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import DeviceError, NotFound
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.capture import audio
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time

ABSENT = NotFound("DEVICE_NOT_FOUND", "there is nothing")


@virtual_time
async def test_a_device_that_is_absent_is_awaited_by_a_session_that_says_so() -> None:
    house = House()
    house.configured = {"boardroom": SessionConfig("ceiling", autostart=True), "manual": SessionConfig("sofa")}
    house.capture.refusal = ABSENT
    house.capture.script = audio((1.0, False), (3.0, True), (30.0, False))
    async with house.open() as registry:
        registry.autostart()
        await asyncio.sleep(1.0)
        view = await registry.view("boardroom")
        assert view.record.state is SessionState.RUNNING
        assert view.links is not None
        assert (view.links.capture.health, view.links.capture.reason) == (Health.DOWN, "DEVICE_ABSENT")
        assert registry.live_count() == 1, "others are not started"
        await asyncio.sleep(19.05)
        (stream,) = house.capture.opened
        stream.appear()
        await asyncio.sleep(10.0)
        links = (await registry.view("boardroom")).links
        assert links is not None
        assert links.capture.health is Health.UP
        assert house.store.turns_known
        assert min(turn.start for turn in house.store.turns_known) > samples(20.1)
        (gap,) = [one for one in house.store.intervals_known if one.kind is IntervalKind.GAP]
        assert (gap.start, gap.end, gap.reason) == (0, samples(20.1), "DEVICE_ABSENT")


@virtual_time
async def test_the_awaited_session_is_the_one_that_a_person_starts() -> None:
    house = House()
    house.configured = {"boardroom": SessionConfig("ceiling", autostart=True)}
    house.capture.refusal = ABSENT
    async with house.open() as registry:
        registry.autostart()
        await asyncio.sleep(1.0)
        waiting = await registry.view("boardroom")
        assert (await registry.start(StartRequest("boardroom"))).record.id == waiting.record.id
        stopped = await registry.stop("boardroom")
        assert stopped.record.state is SessionState.STOPPED
        assert all(stream.closed for stream in house.capture.opened)


@virtual_time
async def test_a_file_is_opened_before_its_session_is_accepted() -> None:
    house = House()
    house.configured = {"film": SessionConfig("file:/film.wav", autostart=True)}
    house.capture.refusal = DeviceError("DEVICE_FAILED", "it cannot be read now")
    async with house.open() as registry:
        registry.autostart()
        await asyncio.sleep(5.0)
        assert registry.live_count() == 0
        house.capture.refusal = None
        await asyncio.sleep(31.0)
        assert [record.name for record in house.store.sessions_known] == ["film"]


@virtual_time
async def test_autostart_waits_for_room_on_the_disk_and_not_for_a_key() -> None:
    house = House()
    house.configured = {
        "boardroom": SessionConfig("ceiling", autostart=True),
        "lounge": SessionConfig("sofa", diarizer="local", autostart=True),
    }
    house.spools.full = True
    async with house.open() as registry:
        registry.autostart()
        await asyncio.sleep(20.0)
        assert registry.live_count() == 0
        house.spools.full = False
        await asyncio.sleep(31.0)
        assert [record.name for record in house.store.sessions_known] == ["boardroom"]

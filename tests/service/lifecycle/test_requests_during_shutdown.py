"""What people ask for while the daemon ends holds over the restart: who was told "stopped" is not recorded again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from minuted_daemon.core.records import SessionId, SessionRecord, SessionSettings, SessionState
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import StoreError, WrongState
from minuted_daemon.service.lifecycle.registry import RESUME_LIMIT_S, Registry
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time, wall_s
from tests.support.crashes import after_the_death_of, room

LIMIT_S = 5.0


@asynccontextmanager
async def draining(house: House, *more: str, write_takes_s: float = 0.0) -> AsyncIterator[Registry]:
    """A daemon that was told to end half a second ago, with a session `room`; the drain takes all of its limit."""
    house.transcriber.answers = False
    async with house.open() as registry:
        for name in ("room", *more):
            await registry.start(StartRequest(name, "default"))
        await asyncio.sleep(8.05)
        house.store.write_takes_s = write_takes_s
        stopping = asyncio.create_task(registry.stop_all(LIMIT_S))  # noqa: TID251 - it outlives what is asked meanwhile
        await asyncio.sleep(0.5)
        try:
            yield registry
        finally:
            await stopping


async def states_after_restart(house: House, *names: str) -> list[SessionState]:
    back = after_the_death_of(house)
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(2.0)
        return [(await registry.view(name)).record.state for name in names or ("room",)]


# --- stop -------------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_stop_just_before_the_end_is_for_good() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(5.0)
        asked = asyncio.create_task(registry.stop("room"))  # noqa: TID251 - by somebody else
        await asyncio.sleep(0)
        assert (await registry.view("room")).record.state is SessionState.RUNNING, "its device is being released"
        await registry.stop_all(LIMIT_S)
        assert (await asked).record.state is SessionState.STOPPED
    assert await states_after_restart(house) == [SessionState.STOPPED]


@virtual_time
async def test_a_stop_that_nobody_waits_for_is_for_good() -> None:
    house = room()
    async with draining(house) as registry:
        asked = asyncio.create_task(registry.stop("room"))  # noqa: TID251 - by somebody who goes away
        await asyncio.sleep(0)
        asked.cancel()
    assert await states_after_restart(house) == [SessionState.STOPPED]


@virtual_time
async def test_a_stop_in_the_drain_is_on_disk_before_it_is_answered_and_touches_no_other_session() -> None:
    house = room()
    async with draining(house, "hall") as registry:
        assert (await registry.stop("room")).record.state is SessionState.STOPPED
        dead = after_the_death_of(house)
    for one in (dead, house):
        assert await states_after_restart(one, "room", "hall") == [SessionState.STOPPED, SessionState.RUNNING]


@virtual_time
async def test_a_stop_while_the_mark_is_being_written_is_for_good() -> None:
    house = room()
    async with draining(house, write_takes_s=0.6) as registry:
        assert house.store.marks == {}
        assert (await registry.stop("room")).record.state is SessionState.STOPPED
    assert await states_after_restart(house) == [SessionState.STOPPED]


@virtual_time
async def test_a_session_that_the_end_has_ended_already_can_be_stopped_and_deleted() -> None:
    house = room()
    async with house.open() as registry:
        for name in ("room", "hall", "yard"):
            await registry.start(StartRequest(name, "default"))
        await asyncio.sleep(5.0)
        await registry.stop_all(LIMIT_S)
        assert registry.live_count() == 0
        yard = (await registry.view("yard")).record
        assert (await registry.stop("room")).record.state is SessionState.STOPPED
        await registry.delete("hall")
    assert [(session_id, mark.paused) for session_id, mark in house.store.marks.items()] == [(yard.id, False)]
    assert await states_after_restart(house, "room", "yard") == [SessionState.STOPPED, SessionState.RUNNING]


@virtual_time
async def test_a_live_session_is_not_deleted_in_the_drain() -> None:
    house = room()
    async with draining(house) as registry:
        with pytest.raises(WrongState, match="stop it first") as caught:
            await registry.delete("room")
        assert caught.value.reason == "SESSION_LIVE"
        await registry.stop("room")
        await registry.delete("room")
    assert house.store.marks == {}


# --- pause and resume -------------------------------------------------------------------------------------------------


@virtual_time
@pytest.mark.parametrize("takes_s", [0.0, 0.6])
async def test_a_pause_in_the_drain_holds_after_the_restart(takes_s: float) -> None:
    """With a disk that is slow, the mark that it was running is still being written."""
    house = room()
    async with draining(house, write_takes_s=takes_s) as registry:
        view = await registry.pause("room")
        assert (view.record.state, view.record.ended_s) == (SessionState.PAUSED, None)
        dead = after_the_death_of(house)
    for one in (dead, house):
        assert await states_after_restart(one) == [SessionState.PAUSED]


@virtual_time
async def test_a_session_that_the_end_has_ended_already_can_be_paused() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await registry.start(StartRequest("film", "file:/scripted.wav"))
        await asyncio.sleep(5.0)
        await registry.stop_all(LIMIT_S)
        view = await registry.pause("room")
        assert (view.record.state, view.record.ended_s) == (SessionState.PAUSED, None)
        with pytest.raises(WrongState) as caught:
            await registry.pause("film")
        assert caught.value.reason == "SESSION_ENDED", "a recording does not go on"
    assert await states_after_restart(house) == [SessionState.PAUSED]


@virtual_time
async def test_a_stop_counts_more_than_a_pause() -> None:
    house = room()
    async with draining(house) as registry:
        await registry.pause("room")
        await registry.stop("room")
        with pytest.raises(WrongState) as caught:
            await registry.pause("room")
        assert caught.value.reason == "SESSION_ENDED"
    assert await states_after_restart(house) == [SessionState.STOPPED]


@virtual_time
async def test_nothing_is_resumed_by_a_daemon_that_ends() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await registry.start(StartRequest("film", "file:/scripted.wav"))
        await asyncio.sleep(5.0)
        await registry.pause("room")
        stopping = asyncio.create_task(registry.stop_all(LIMIT_S))  # noqa: TID251 - it outlives what is asked meanwhile
        await asyncio.sleep(0)
        for _ in range(2):
            with pytest.raises(WrongState, match="when it is back") as caught:
                await registry.resume("room")
            assert caught.value.reason == "DAEMON_STOPPING"
            await stopping
        with pytest.raises(WrongState, match="has ended"):
            await registry.resume("film")
    assert await states_after_restart(house) == [SessionState.PAUSED]


# --- a mark that cannot be changed ------------------------------------------------------------------------------------


@virtual_time
@pytest.mark.parametrize("ask", [Registry.stop, Registry.pause])
async def test_nothing_is_promised_where_the_mark_cannot_be_changed(ask: Callable[[Registry, str], object]) -> None:
    house = room()
    async with draining(house) as registry:
        house.store.break_with("DISK_FULL")
        with pytest.raises(StoreError, match="it may go on with the session") as caught:
            await ask(registry, "room")  # type: ignore[misc]
        assert caught.value.reason == "DISK_FULL"
        house.store.fault = None
        dead = after_the_death_of(house)
        assert (await registry.stop("room")).record.state is SessionState.STOPPED, "asking again may help"
    assert await states_after_restart(house) == [SessionState.STOPPED]
    assert await states_after_restart(dead) == [SessionState.RUNNING], "as was said"


@virtual_time
async def test_a_pause_holds_though_the_mark_could_not_be_set_at_first() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(5.0)
        house.store.break_with("DATABASE_LOCKED")
        stopping = asyncio.create_task(registry.stop_all(LIMIT_S))  # noqa: TID251 - it outlives what is asked meanwhile
        await asyncio.sleep(0.1)
        house.store.fault = None
        assert (await registry.pause("room")).record.state is SessionState.PAUSED
        await stopping
    assert await states_after_restart(house) == [SessionState.PAUSED]


@virtual_time
async def test_an_end_that_the_store_does_not_take_is_no_stop() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(5.0)
        house.store.fault = StoreError("DISK_FULL", "no space")
        for told in ("stop it again, or it goes on", "no space"):
            with pytest.raises(StoreError, match=told):
                await registry.stop("room")
        house.store.fault = None
        assert await states_after_restart(house) == [SessionState.RUNNING], "as was said"
        stopped = await registry.stop("room")
        assert (stopped.record.state, stopped.record.ended_s) == (SessionState.STOPPED, wall_s())
    assert await states_after_restart(house) == [SessionState.STOPPED]


@virtual_time
async def test_a_stop_waits_for_a_session_that_takes_long_to_go_on() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(5.0)
        dead = after_the_death_of(house)
    async with dead.open() as registry:
        serving = asyncio.Event()
        await registry.recover(serving)
        asyncio.get_running_loop().call_later(RESUME_LIMIT_S + 1.0, serving.set)
        assert (await registry.stop("room")).record.state is SessionState.STOPPED
        assert registry.live_count() == 0


# --- start ------------------------------------------------------------------------------------------------------------


@virtual_time
@pytest.mark.parametrize("after_s", [0.0, 0.5])
async def test_a_session_that_is_being_stopped_is_not_the_one_to_start(after_s: float) -> None:
    house = room()
    house.transcriber.answers = False
    async with house.open() as registry:
        first = await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(8.05)
        asked = asyncio.create_task(registry.stop("room"))  # noqa: TID251 - by somebody else
        await asyncio.sleep(after_s)
        for device in ("default", "usb-1"):
            with pytest.raises(WrongState, match="once that one has ended") as caught:
                await registry.start(StartRequest("room", device))
            assert (caught.value.reason, caught.value.facts["session_id"]) == ("SESSION_STOPPING", first.record.id)
        await asked
        second = await registry.start(StartRequest("room", "default"))
        assert second.record.id != first.record.id


@virtual_time
async def test_an_autostart_waits_for_a_session_that_is_still_ending() -> None:
    house = House()
    house.configured = {"room": SessionConfig("default", autostart=True)}
    settings = SessionSettings("default", "pyannote", "openai")
    async with house.open() as registry:
        await house.store.write([SessionRecord(SessionId("01OLD"), "room", settings, SessionState.STOPPING, wall_s())])
        house.store.write_takes_s = 0.3  # it takes a while to end
        await registry.recover()
        registry.autostart()
        await asyncio.sleep(5.0)
        assert (await registry.view("01OLD")).record.state is SessionState.STOPPED
        view = await registry.view("room")
        assert view.record.id != "01OLD"
        assert view.record.state is SessionState.RUNNING

"""The daemon is told to end in a meeting and comes back: the meeting's minutes go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from minuted_daemon.core.records import Health, SessionState
from minuted_daemon.core.samples import samples
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import Rejected
from minuted_daemon.ports.store import Interruption
from minuted_daemon.service.lifecycle.registry import Registry
from minuted_daemon.service.lifecycle.restart import LONGEST_S
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.capture import audio
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time, wall_s
from tests.support.crashes import after_the_death_of, people, room, told


@asynccontextmanager
async def back_again(house: House) -> AsyncIterator[tuple[Registry, House]]:
    """The next daemon, on what is on the disks; somebody else speaks."""
    back = after_the_death_of(house)
    back.capture.script = audio((1.0, False), (2.0, True), (20.0, False))
    back.diarizer = FakeDiarizer([("A", 1.0, 3.0)])
    async with back.open() as registry:
        await registry.recover()
        yield registry, back


@virtual_time
async def test_a_session_goes_on_behind_a_gap_under_the_same_id_with_the_same_people() -> None:
    house = room()
    async with house.open() as registry:
        session = (await registry.start(StartRequest("room", "default"))).record
        await asyncio.sleep(8.05)
        await registry.stop_all(5.0)
    assert (await house.store.session(session.id)).state is SessionState.STOPPED, "it may not come back"
    assert [(start, who) for start, _, who, _ in told(house)] == [(1.0, "S1"), (4.0, "S2")]
    known = people(house)
    before = {turn.id for turn in house.store.turns_known}
    await asyncio.sleep(30.0)
    async with back_again(house) as (registry, back):
        await asyncio.sleep(6.0)
        view = await registry.view("room")
        assert (view.record.id, view.record.state, view.record.ended_s) == (session.id, SessionState.RUNNING, None)
        assert view.links is not None
        assert view.links.capture.health is Health.UP
        (gap,) = back.store.intervals_known
        assert gap.reason == "DAEMON_AWAY"
        assert samples(30.0) <= gap.end - gap.start <= samples(37.0)
        assert before < {turn.id for turn in back.store.turns_known}, "nothing of it is told anew"
        assert [who for _, _, who, _ in told(back)] == ["S1", "S2", "S3"]
        assert people(back)[:2] == known
        assert back.store.marks == {}


@virtual_time
async def test_what_a_session_lacks_from_before_a_restart_comes_while_it_goes_on() -> None:
    house = room()
    house.transcriber.refusals = [Rejected("KEY_REJECTED", "the key is no good")] * 9
    async with house.open() as registry:
        session = (await registry.start(StartRequest("room", "default"))).record
        await asyncio.sleep(8.05)
        await registry.stop_all(5.0)
    assert [turn.text for turn in house.store.turns_known] == ["", ""]
    async with back_again(house) as (registry, back):
        await asyncio.sleep(15.0)
        view = await registry.view_with_coverage("room")
        assert view.record.state is SessionState.RUNNING
        assert all(turn.text for turn in back.store.turns_known)
        assert view.record.transcriber_sent > samples(6.0)
        assert view.coverage is not None
        assert view.coverage.pending < samples(4.0)
        assert registry._sessions[session.id].owed is None, "its audio is held no more"
    assert len({turn.id for turn in back.store.turns_known}) == 3


@virtual_time
async def test_a_paused_session_stays_paused() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(5.0)
        await registry.pause("room")
        await registry.stop_all(5.0)
    async with back_again(house) as (registry, back):
        await asyncio.sleep(6.0)
        assert (await registry.view("room")).record.state is SessionState.PAUSED
        assert len(told(back)) == len(told(house))
        assert (await registry.resume("room")).record.state is SessionState.RUNNING


@virtual_time
@pytest.mark.parametrize("case", ["file", "stopped", "too long"])
async def test_what_was_meant_to_end_stays_ended(case: str) -> None:
    house = room()
    device = "file:/scripted.wav" if case == "file" else "default"
    async with house.open() as registry:
        session = (await registry.start(StartRequest("room", device))).record
        await asyncio.sleep(5.0)
        if case == "stopped":
            await registry.stop("room")
        await registry.stop_all(5.0)
    await asyncio.sleep(LONGEST_S + 60.0 if case == "too long" else 5.0)
    async with back_again(house) as (registry, back):
        await asyncio.sleep(6.0)
        assert registry.live_count() == 0
        assert (await registry.view("room")).record.state is SessionState.STOPPED
        assert session.id not in back.spools.spools, "its audio is not needed any more"
        assert back.store.marks == {}


@virtual_time
@pytest.mark.parametrize("away_s", [5.0, LONGEST_S + 60.0])
async def test_a_pause_in_a_drain_that_is_cut_short_before_anything_is_stored_holds(away_s: float) -> None:
    house = room()
    async with house.open() as registry:
        session = (await registry.start(StartRequest("room", "default"))).record
        await asyncio.sleep(5.0)
        dead = after_the_death_of(house)
        await dead.store.write((), {session.id: Interruption(wall_s(), paused=True)})
    assert (await dead.store.session(session.id)).state is SessionState.RUNNING
    await asyncio.sleep(away_s)
    async with back_again(dead) as (registry, _):
        await asyncio.sleep(2.0)
        assert (await registry.view("room")).record.state is SessionState.PAUSED


@virtual_time
async def test_a_daemon_that_dies_as_it_ends_is_no_different() -> None:
    house = room()
    house.transcriber.answers = False
    async with house.open() as registry:
        session = (await registry.start(StartRequest("room", "default"))).record
        await asyncio.sleep(8.05)
        stopping = asyncio.create_task(registry.stop_all(5.0))  # noqa: TID251 - it outlives what it stops
        await asyncio.sleep(0.5)
        dead = after_the_death_of(house)
        await stopping
    assert (await dead.store.session(session.id)).state is SessionState.STOPPING
    async with back_again(dead) as (registry, _):
        await asyncio.sleep(6.0)
        assert (await registry.view("room")).record.state is SessionState.RUNNING


@virtual_time
@pytest.mark.parametrize("device", ["default", "usb-1"])
async def test_a_session_that_starts_with_the_daemon_goes_on_unless_it_is_configured_anew(device: str) -> None:
    house = room()
    house.configured = {"room": SessionConfig("default", autostart=True)}
    async with house.open() as registry:
        registry.autostart()
        await asyncio.sleep(5.0)
        first = (await registry.view("room")).record
        await registry.stop_all(5.0)
    house.configured = {"room": SessionConfig(device, autostart=True)}
    async with back_again(house) as (registry, _):
        registry.autostart()
        await asyncio.sleep(6.0)
        record = (await registry.view("room")).record
        assert record.state is SessionState.RUNNING
        assert record.settings.device == device
        assert (record.id == first.id) is (device == "default")
        assert (await registry.view(first.id)).record.state is (
            SessionState.RUNNING if device == "default" else SessionState.STOPPED
        )

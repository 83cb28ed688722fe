"""A session's audio from its start to the end of its spool: room, trouble with the disk, keeping, leftovers."""

import asyncio
from dataclasses import replace

import pytest

from minuted_daemon.core.records import Health, Link, SessionId, SessionRecord, SessionSettings, SessionState
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import StoreError, WrongState
from minuted_daemon.rpc.convert import session as told
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.capture import audio, block
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time

FULL = Link(Health.DOWN, "DISK_FULL", "there is no space left for audio")


def house() -> House:
    made = House()
    made.capture.script = audio((1.0, False), (2.0, True), (2.0, False))
    return made


@virtual_time
async def test_no_session_begins_on_a_full_disk_and_the_live_ones_go_on() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("first", "default"))
        made.spools.full = True
        with pytest.raises(WrongState) as caught:
            await registry.start(StartRequest("second", "default"))
        assert caught.value.reason == "DISK_FULL"
        assert (await registry.view("first")).record.state in (SessionState.STARTING, SessionState.RUNNING)
        again = await registry.start(StartRequest("first", "default"))
        assert again.record.name == "first", "it is there already"
        made.spools.full = False
        await registry.start(StartRequest("second", "default"))


@virtual_time
async def test_a_session_says_what_the_disk_says() -> None:
    made = house()
    async with made.open() as registry:
        view = await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(1.0)
        spool = made.spools.opened[view.record.id]
        before = told(await registry.view("room"))
        spool.health = FULL
        await asyncio.sleep(0.3)
        during = told(await registry.view("room"))
        spool.health = Link(Health.UP)
        await asyncio.sleep(0.3)
        after = told(await registry.view("room"))
    assert during.degraded
    assert (during.spool_link.reason, during.spool_link.detail) == (FULL.reason, FULL.detail)
    assert not before.spool_link.reason
    assert not after.spool_link.reason
    assert not after.degraded


@virtual_time
@pytest.mark.parametrize(
    ("asked", "configured", "keeps"),
    [(None, False, False), (None, True, True), (True, False, True), (False, True, False)],
)
async def test_audio_is_kept_as_asked_else_as_configured(asked: bool | None, configured: bool, keeps: bool) -> None:
    made = house()
    made.configured = {"room": SessionConfig(keep_audio=configured)}
    async with made.open() as registry:
        view = await registry.start(StartRequest("room", "file:/x.wav", keep_audio=asked))
        assert view.record.settings.keep_audio is told(view).keep_audio is keeps
        assert made.spools.opened[view.record.id].keep_audio is keeps
        await made.ended(view.record.id)


@virtual_time
async def test_there_is_a_spool_for_what_is_transcribed_or_kept() -> None:
    made = house()
    made.settings = replace(made.settings, transcribes=False)
    async with made.open() as registry:
        for name, keep in (("kept", True), ("heard", False)):
            view = await registry.start(StartRequest(name, "file:/x.wav", transcriber="none", keep_audio=keep))
            assert (view.record.id in made.spools.opened) is keep
            await made.ended(view.record.id)


@virtual_time
async def test_the_spool_is_finished_with_the_session_and_tried_again_until_it_is() -> None:
    made = house()
    made.spools.fault = StoreError("SPOOL_STALLED", "the disk does not answer")
    async with made.open() as registry:
        view = await registry.start(StartRequest("room", "file:/x.wav"))
        await made.ended(view.record.id)
        await asyncio.sleep(3.0)
        assert made.spools.finished == []
        made.spools.fault = None
        await asyncio.sleep(6.0)
        assert made.spools.finished == [view.record.id]


@virtual_time
async def test_what_an_earlier_life_left_is_finished_or_removed() -> None:
    made = house()
    settings = SessionSettings("default", "none", "openai", keep_audio=True)
    ended = SessionRecord(SessionId("ended"), "room", settings, SessionState.STOPPED, 1000.0)
    await made.store.write([ended])
    for name in ("ended", "unknown"):
        made.spools.open(SessionId(name)).append(block(True))
    made.spools.opened.clear()
    async with made.open() as registry:
        await registry.recover()
        await asyncio.sleep(0.1)
    assert made.spools.finished == ["ended", "unknown"]
    assert {key: spool.keep_audio for key, spool in made.spools.opened.items()} == {"ended": True, "unknown": False}

"""A session goes on after the daemon's death although one of its engines cannot be used any more."""

import asyncio

from minuted_daemon.core.records import Health, SessionState
from minuted_daemon.errors import WrongState
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time
from tests.support.crashes import after_the_death_of, room, turns

NO_KEY = WrongState("KEY_MISSING", "set OPENAI_API_KEY")


async def died(without: str) -> tuple[House, House]:
    """A house with a session in it, and the same one at the daemon's next start, with one engine less."""
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(8.05)
        back = after_the_death_of(house)
    back.missing[without] = NO_KEY
    return house, back


@virtual_time
async def test_without_the_transcriber_its_texts_stay_owed() -> None:
    _, back = await died("openai")
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(6.0)
        view = await registry.view_with_coverage("room")
        assert view.record.state is SessionState.RUNNING
        assert view.links is not None
        assert view.links.transcriber.health is Health.REFUSED
        assert (view.links.transcriber.reason, view.links.transcriber.detail) == ("KEY_MISSING", NO_KEY.message)
        assert view.coverage is not None
        assert view.coverage.pending > 0
        assert not view.coverage.lost.get("NO_TEXT")
        await registry.stop("room")
    assert len(back.spools.spools) == 1, "what was heard waits for the key"
    del back.missing["openai"]
    again = after_the_death_of(back)
    async with again.open() as registry:
        await registry.recover()
        await asyncio.sleep(20.0)
        assert not again.spools.spools
    assert all(turn.text for turn in turns(again))


@virtual_time
async def test_without_the_diarizer_words_are_nobody_s() -> None:
    _, back = await died("pyannote")
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(6.0)
        view = await registry.view("room")
        assert view.record.state is SessionState.RUNNING
        assert view.links is not None
        assert view.links.diarizer.health is Health.REFUSED
    assert all(turn.text for turn in turns(back))


@virtual_time
async def test_the_local_engine_takes_over_where_it_may() -> None:
    house = room()
    house.missing.clear()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default", fallback="local"))
        await asyncio.sleep(8.05)
        back = after_the_death_of(house)
    back.missing = {"openai": NO_KEY}
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(6.0)
        view = await registry.view("room")
        assert view.links is not None
        assert view.links.transcriber.health is Health.UP
        assert view.links.transcriber.reason == "FELL_BACK"

"""All sessions: what is accepted, what is refused, and what is left behind."""

import asyncio
from dataclasses import replace

import pytest

from minuted_daemon.core.records import IntervalKind, SessionId, SessionRecord, SessionSettings, SessionState, WallPoint
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import AlreadyExists, DeviceError, Invalid, MinutedError, NotFound, StoreError, WrongState
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.capture import audio
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time, wall_s

KEY = WrongState("KEY_MISSING", "set PYANNOTEAI_API_KEY")


@virtual_time
async def test_a_session_is_accepted_with_what_is_configured() -> None:
    house = House()
    house.configured = {"boardroom": SessionConfig("ceiling", transcriber="none", languages=("de",))}
    async with house.open() as registry:
        view = await registry.start(StartRequest("boardroom"))
        assert view.record.settings == SessionSettings("ceiling", "pyannote", "none", ("de",))
        assert view.record.state in (SessionState.STARTING, SessionState.RUNNING)
        assert view.record.seq > 0
        assert view.links is not None
        asked = await registry.start(StartRequest("lounge", "ceiling", languages=("pt-BR", "en")))
        assert asked.record.settings == SessionSettings("ceiling", "pyannote", "openai", ("pt-BR", "en"))
        assert registry.live_count() == 2


@virtual_time
async def test_every_mistake_is_named_at_once() -> None:
    house = House()
    async with house.open() as registry:
        with pytest.raises(Invalid) as caught:
            await registry.start(
                StartRequest("Board Room", "file:relative.wav", "whisper", "none", ("english please",))
            )
    assert caught.value.reason == "INVALID_REQUEST"
    assert list(caught.value.facts) == ["name", "device", "diarizer", "languages"]
    for word in ("name", "absolute path", "diarizer", "BCP 47"):
        assert word in caught.value.message
    assert not house.capture.opened
    assert not house.store.transactions


@virtual_time
async def test_doing_nothing_is_refused() -> None:
    async with House().open() as registry:
        with pytest.raises(Invalid, match="must not be none"):
            await registry.start(StartRequest("x", diarizer="none", transcriber="none"))


@virtual_time
async def test_auto_is_the_vendor_with_a_key_else_local_else_a_remedy() -> None:
    house = House()
    async with house.open() as registry:
        assert registry.auto() == ("pyannote", "openai")
        house.missing = {"pyannote": KEY}
        assert registry.auto() == ("local", "openai")
        assert (await registry.start(StartRequest("a"))).record.settings.diarizer == "local"
        house.missing = {"pyannote": KEY, "local": WrongState("ENGINE_MISSING", "run pip install 'minuted[local]'")}
        assert registry.auto() == ("", "openai")
        with pytest.raises(WrongState) as caught:
            await registry.start(StartRequest("b"))
        assert caught.value.reason == "KEY_MISSING"
        assert "PYANNOTEAI_API_KEY" in caught.value.message
        assert "minuted[local]" in caught.value.message
        with pytest.raises(WrongState) as caught:
            await registry.start(StartRequest("b", transcriber="local", diarizer="none"))
        assert caught.value.reason == "ENGINE_MISSING"
        assert [(info.name, info.role, info.reason) for info in registry.engines()] == [
            ("pyannote", "diarizer", "KEY_MISSING"),
            ("local", "diarizer", "ENGINE_MISSING"),
            ("openai", "transcriber", ""),
            ("local", "transcriber", "ENGINE_MISSING"),
        ]


@virtual_time
async def test_the_same_start_gives_the_same_session_and_another_is_refused() -> None:
    house = House()
    async with house.open() as registry:
        one = await registry.start(StartRequest("room"))
        again = await registry.start(StartRequest("room", diarizer="pyannote"))
        assert again.record.id == one.record.id
        with pytest.raises(AlreadyExists) as caught:
            await registry.start(StartRequest("room", device="other"))
        assert caught.value.reason == "SESSION_EXISTS"
    assert len(house.capture.opened) == 1


@virtual_time
async def test_starting_twice_at_once_makes_one_session() -> None:
    house = House()
    house.capture.open_takes_s = 1.0
    async with house.open() as registry, asyncio.TaskGroup() as group:
        tasks = [group.create_task(registry.start(StartRequest("room"))) for _ in range(5)]
        other = group.create_task(registry.start(StartRequest("lounge")))
        began_s = asyncio.get_running_loop().time()
        await other
        await asyncio.wait(tasks)
        assert len({task.result().record.id for task in tasks}) == 1
        assert registry.live_count() == 2
        assert asyncio.get_running_loop().time() - began_s < 1.5


@virtual_time
@pytest.mark.parametrize(
    "refusal",
    [NotFound("DEVICE_NOT_FOUND", "there is usb-1"), Invalid("FILE_EMPTY", "empty"), DeviceError("DEVICE_FAILED", "x")],
)
async def test_a_source_that_does_not_open_leaves_nothing_behind(refusal: MinutedError) -> None:
    house = House()
    house.capture.refusal = refusal
    async with house.open() as registry:
        with pytest.raises(type(refusal)) as caught:
            await registry.start(StartRequest("room"))
        assert caught.value is refusal
        assert registry.live_count() == 0
    assert house.store.sessions_known == []


@virtual_time
async def test_a_source_that_hangs_is_given_up_within_five_seconds() -> None:
    house = House()
    house.capture.open_takes_s = 60.0
    async with house.open() as registry:
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(DeviceError) as caught:
            await registry.start(StartRequest("room"))
        assert caught.value.reason == "DEVICE_FAILED"
        assert asyncio.get_running_loop().time() - began_s <= 5.0


@virtual_time
async def test_a_store_that_fails_refuses_the_start_and_lets_the_source_go() -> None:
    house = House()
    house.store.break_with("DISK_FULL")
    async with house.open() as registry:
        with pytest.raises(StoreError):
            await registry.start(StartRequest("room"))
        assert house.capture.opened[0].closed
        house.store.fault = None
        assert (await registry.start(StartRequest("room"))).record.name == "room"


@virtual_time
async def test_a_client_that_goes_away_leaves_a_whole_session() -> None:
    house = House()
    house.capture.open_takes_s = 1.0
    async with house.open() as registry:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await registry.start(StartRequest("room"))
        await asyncio.sleep(1.0)
        assert (await registry.view("room")).record.state is SessionState.RUNNING


@virtual_time
async def test_stop_waits_until_everything_is_stored() -> None:
    house = House()
    house.capture.script = audio((1.0, False), (3.0, True))
    house.diarizer.script = [("A", 1.0, 9.0)]
    async with house.open() as registry:
        started = await registry.start(StartRequest("room"))
        await asyncio.sleep(3.0)
        house.store.write_takes_s = 0.5
        view = await registry.stop("room")
        assert view.record.state is SessionState.STOPPED
        assert view.links is None
        assert (await house.store.session(started.record.id)).state is SessionState.STOPPED
        assert len(house.store.turns_known) == 1
        assert (await registry.stop(started.record.id)).record.state is SessionState.STOPPED
        with pytest.raises(NotFound):
            await registry.stop("nobody")
        again = await registry.start(StartRequest("room"))
        assert again.record.id != started.record.id


@virtual_time
async def test_a_session_says_stopping_until_its_end_is_stored() -> None:
    house = House()
    async with house.open() as registry:
        await registry.start(StartRequest("room"))
        await asyncio.sleep(0.5)
        house.store.write_takes_s = 2.0
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(registry.stop("room"))
            await asyncio.sleep(1.0)
            assert (await registry.view("room")).record.state is SessionState.STOPPING
            assert not stopping.done()


@virtual_time
async def test_the_list_shows_live_sessions_as_they_are_now() -> None:
    house = House()
    async with house.open() as registry:
        await registry.start(StartRequest("old"))
        await registry.stop("old")
        await registry.start(StartRequest("room"))
        await asyncio.sleep(2.05)
        page = await registry.list(10, None)
        assert [view.record.name for view in page.items] == ["room", "old"]
        assert page.items[0].links is not None
        assert page.items[0].heard >= samples(1.9)
        assert page.items[1].links is None


@virtual_time
async def test_sessions_of_a_daemon_that_died_go_on_behind_a_gap() -> None:
    house = House()
    created_s = wall_s() - 3600.0
    record = SessionRecord(
        SessionId("01OLD"),
        "room",
        SessionSettings("default", "pyannote", "openai"),
        SessionState.RUNNING,
        created_s,
        heard=samples(60.0),  # type: ignore[arg-type]
    )
    recording = replace(
        record, id=SessionId("01FILE"), name="film", settings=SessionSettings("file:/x.wav", "none", "local")
    )
    async with house.open() as registry:
        await house.store.write([record, recording])
        await house.store.write_wall_points(record.id, [WallPoint(Sample(0), created_s)])
        await registry.recover()
        assert (await registry.start(StartRequest("room"))).record.id == "01OLD", "it is that session"
        await asyncio.sleep(3.0)
        view = await registry.view("room")
        assert (view.record.id, view.record.state) == ("01OLD", SessionState.RUNNING)
        assert view.heard == pytest.approx(samples(3603.0), abs=samples(0.3))
        (gap,) = (one for one in house.store.intervals_known if one.kind is IntervalKind.GAP)
        assert (gap.session_id, gap.start, gap.reason) == ("01OLD", samples(60.0), "DAEMON_AWAY")
        assert gap.end == pytest.approx(samples(3600.0), abs=samples(0.3))
        assert gap.end % BLOCK == 0
        film = await registry.view("film")
        assert film.record.state is SessionState.STOPPED, "it goes on without its engine, to its end"


@virtual_time
async def test_a_session_that_was_ending_ends() -> None:
    house = House()
    record = SessionRecord(
        SessionId("01OLD"), "room", SessionSettings("default", "pyannote", "openai"), SessionState.STOPPING, wall_s()
    )
    async with house.open() as registry:
        await house.store.write([record])
        await registry.recover()
        await asyncio.sleep(1.0)
        assert (await registry.view("01OLD")).record.state is SessionState.STOPPED
        assert house.capture.opened == []


@virtual_time
async def test_stopping_the_daemon_ends_all_sessions_in_time_and_takes_no_more() -> None:
    house = House()
    house.transcriber.answers = False
    house.diarizer.never_finishes = True
    house.capture.script = audio((1.0, False), (10.0, True))
    async with house.open() as registry:
        for name in ("one", "two"):
            await registry.start(StartRequest(name))
        await asyncio.sleep(5.0)
        began_s = asyncio.get_running_loop().time()
        await registry.stop_all(7.5)
        assert asyncio.get_running_loop().time() - began_s <= 7.6
        with pytest.raises(WrongState):
            await registry.start(StartRequest("three"))
    assert {record.state for record in house.store.sessions_known} == {SessionState.STOPPED}
    assert len(house.store.turns_known) == 2

"""A paused session over fakes in virtual time: nothing is heard, the transcript says so, speakers stay who they are."""

import asyncio

import numpy as np
import pytest

from minuted_daemon.core.records import Health, IntervalKind, SessionState
from minuted_daemon.core.samples import samples
from minuted_daemon.errors import NotFound, WrongState
from minuted_daemon.service.lifecycle.registry import Registry
from minuted_daemon.service.session.pause import KEEP_STILL_S
from minuted_daemon.service.views import Links, StartRequest
from tests.fakes_service.capture import audio
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time

LONG_TALK = audio((1.0, False), (300.0, True))


def house(**facts: object) -> House:
    made = House()
    made.capture.script = facts.get("script", LONG_TALK)  # type: ignore[assignment]
    made.diarizer.script = facts.get("voices", [("A", 1.0, 4.0), ("A", 10.0, 200.0)])  # type: ignore[assignment]
    return made


async def links(registry: Registry) -> Links:
    found = (await registry.view("standup")).links
    assert found is not None
    return found


@virtual_time
async def test_a_pause_is_one_muted_interval_told_at_its_begin_and_settled_at_its_end() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(4.05)
        view = await registry.pause("standup")
        assert view.record.state is SessionState.PAUSED
        assert view.links is not None
        assert view.links.capture.health is Health.OFF
        assert not made.capture.opened[0].hears
        await asyncio.sleep(0.2)
        (begun,) = made.store.intervals_known
        assert (begun.kind, begun.reason, begun.start) == (IntervalKind.MUTED, "PAUSED", samples(4.0))
        assert begun.end < samples(4.5)
        await asyncio.sleep(4.8)
        assert (await registry.resume("standup")).record.state is SessionState.RUNNING
        assert (await links(registry)).capture.health is Health.CONNECTING
        await asyncio.sleep(0.6)
        assert (await links(registry)).capture.health is Health.UP
        await asyncio.sleep(5.0)
        await registry.stop("standup")
    muted, opening = made.store.intervals_known
    assert muted.id == begun.id
    assert muted.end == pytest.approx(samples(9.1), abs=samples(0.1))
    assert (opening.kind, opening.reason) == (IntervalKind.GAP, "DEVICE_OPENING")
    assert opening.start == muted.end
    for turn in made.store.turns_known:
        assert turn.end <= muted.start or turn.start >= opening.end, "the turn ends at the pause"
    states = [record.state for batch in made.store.transactions for record in batch if hasattr(record, "state")]
    assert states == [
        SessionState.STARTING,
        SessionState.RUNNING,
        SessionState.PAUSED,
        SessionState.RUNNING,
        SessionState.STOPPING,
        SessionState.STOPPED,
    ]


@virtual_time
async def test_nothing_heard_reaches_an_engine_in_a_pause_and_one_epoch_lasts_through_it() -> None:
    made = house(voices=[("A", 1.0, 4.0), ("A", 304.6, 308.0)])
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(4.0)
        await registry.pause("standup")
        sent = made.diarizer.streams[0].sent
        appended = sum(len(made.transcriber.streams[0].heard(u)) for u in made.transcriber.streams[0].committed)
        await asyncio.sleep(300.0)
        stream = made.diarizer.streams[0]
        assert stream.sent - sent == pytest.approx(samples(300.0), abs=samples(0.3)), "digital silence in real time"
        committed = made.transcriber.streams[0].committed
        heard = sum(len(made.transcriber.streams[0].heard(u)) for u in committed)
        assert heard - appended <= 24_000 * 4
        await registry.resume("standup")
        await asyncio.sleep(5.0)
        await registry.stop("standup")
    assert len(made.diarizer.streams) == 1
    before, behind = (turn.speaker_id for turn in made.store.turns_known)
    assert before == behind is not None


@virtual_time
async def test_after_a_quarter_of_an_hour_the_diarizer_rests_until_the_end_of_the_pause() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(4.0)
        await registry.pause("standup")
        await asyncio.sleep(890.0)
        assert not made.diarizer.streams[0].closed
        await asyncio.sleep(20.0)
        assert made.diarizer.streams[0].closed
        assert (await links(registry)).diarizer.health is Health.OFF
        await asyncio.sleep(100.0)
        assert len(made.diarizer.streams) == 1, "no connection is made for nothing"
        await registry.resume("standup")
        await asyncio.sleep(2.0)
        assert len(made.diarizer.streams) == 2
        assert (await links(registry)).diarizer.health is Health.UP
        assert made.diarizer.streams[1].sent >= samples(1.5)
        await registry.stop("standup")
    assert len([one for one in made.store.intervals_known if one.kind is IntervalKind.MUTED]) == 1


@virtual_time
async def test_a_rested_session_can_be_stopped_and_a_resumed_one_does_not_rest() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(2.0)
        await registry.pause("standup")
        await asyncio.sleep(KEEP_STILL_S - 1.0)
        await registry.resume("standup")
        await asyncio.sleep(KEEP_STILL_S)
        assert not made.diarizer.streams[0].closed
        await registry.pause("standup")
        await asyncio.sleep(KEEP_STILL_S + 1.0)
        assert made.diarizer.streams[0].closed
        view = await registry.stop("standup")
        assert view.record.state is SessionState.STOPPED


@virtual_time
async def test_a_session_that_is_stopped_in_a_pause_is_muted_to_its_end() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        for _ in range(2):
            await asyncio.sleep(2.0)
            await registry.pause("standup")
            await asyncio.sleep(5.0)
            await registry.resume("standup")
        await registry.pause("standup")
        await asyncio.sleep(5.0)
        view = await registry.stop("standup")
    muted = [one for one in made.store.intervals_known if one.kind is IntervalKind.MUTED]
    assert muted[-1].end == view.heard


@virtual_time
async def test_a_paused_file_stands_still_and_goes_on_where_it_was() -> None:
    made = house(script=audio((1.0, False), (3.0, True), (2.0, False)), voices=[("A", 1.0, 4.0)])
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(2.05)
        await registry.pause("standup")
        heard = (await registry.view("standup")).heard
        await asyncio.sleep(60.0)
        assert (await registry.view("standup")).heard == heard
        resumed = await registry.resume("standup")
        assert resumed.links is not None
        assert resumed.links.capture.health is Health.UP
        await made.ended(view.record.id)
    (record,) = made.store.sessions_known
    assert record.state is SessionState.STOPPED
    assert record.heard == samples(6.0)
    assert made.store.intervals_known == []
    whole = np.concatenate([block.pcm for block in made.capture.script])  # type: ignore[union-attr]
    assert len(whole) == record.heard


@virtual_time
async def test_pausing_twice_resuming_twice_and_both_at_once() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        first = await registry.pause("standup")
        assert first.record.state is SessionState.PAUSED, "also before the first block"
        await asyncio.sleep(1.0)
        made.capture.opened[0].release_takes_s = 1.0
        assert (await registry.pause("standup")).record.state is SessionState.PAUSED
        await registry.resume("standup")
        assert (await registry.resume("standup")).record.state is SessionState.RUNNING
        async with asyncio.TaskGroup() as group:
            group.create_task(registry.pause("standup"))
            await asyncio.sleep(0)
            group.create_task(registry.resume("standup"))
        assert (await registry.view("standup")).record.state is SessionState.RUNNING
        assert made.capture.opened[0].hears


@virtual_time
async def test_who_goes_away_while_he_pauses_leaves_a_paused_session() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(1.0)
        made.capture.opened[0].release_takes_s = 1.5
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await registry.pause("standup")
        assert not made.capture.opened[0].hears
        assert (await registry.view("standup")).record.state is SessionState.PAUSED
        await registry.stop("standup")


@virtual_time
async def test_a_device_that_does_not_let_go_is_muted_all_the_same() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(1.0)
        made.capture.opened[0].release_takes_s = 60.0
        assert (await registry.pause("standup")).record.state is SessionState.PAUSED
        assert not made.capture.opened[0].hears


@virtual_time
async def test_what_has_ended_cannot_be_paused() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(1.0)
        await registry.stop("standup")
        for ask in (registry.pause, registry.resume):
            with pytest.raises(WrongState) as refused:
                await ask("standup")
            assert refused.value.reason == "SESSION_ENDED"
            with pytest.raises(NotFound):
                await ask("nobody")


@virtual_time
async def test_a_store_that_fails_does_not_keep_the_room_from_being_muted() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(1.0)
        made.store.break_with()
        assert (await registry.pause("standup")).record.state is SessionState.PAUSED
        assert not made.capture.opened[0].hears
        made.store.fault = None

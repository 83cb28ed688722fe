"""The daemon dies and comes back: whoever was speaking keeps their name, and nobody gets a second one."""

import asyncio

import pytest

from minuted_daemon.core.events import Attribution
from minuted_daemon.core.records import SessionState
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.service.recovery.state import resumed
from minuted_daemon.service.views import StartRequest, Stretch
from tests.fakes_service.capture import audio
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time
from tests.fakes_service.voices import SILENCE, FakePrinter, spoken
from tests.support.crashes import after_the_death_of, people, room, told


@virtual_time
async def test_the_turn_that_was_open_comes_out_whole_and_with_its_speaker() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(8.05)
        back = after_the_death_of(house)
    assert told(back) == [(1.0, 3.0, "S1", Attribution.DIARIZED)]
    first = people(back)[0]
    back.diarizer = FakeDiarizer([("B", 2.0, 4.0)])
    back.capture.script = audio((2.0, False), (2.0, True))
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(8.0)
        assert told(back)[:2] == [(1.0, 3.0, "S1", Attribution.DIARIZED), (4.0, 8.0, "S2", Attribution.DIARIZED)]
        assert [who for *_, who, _ in told(back)] == ["S1", "S2", "S3"], "another connection's labels are others"
        assert people(back)[0] == first, "the same person, not made again"
        assert len(people(back)) == 3
        partials = [partial.turn for partial in back.partials if partial.turn.turn.start < samples(8.0)]
        assert {speaker.label for turn in partials for speaker in turn.speakers} <= {"S1", "S2"}


@virtual_time
async def test_without_notes_the_words_are_there_and_nobody_s() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(8.05)
        back = after_the_death_of(house)
    for spool in back.spools.spools.values():
        spool._notes.clear()
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(6.0)
        assert [(start, who) for start, _, who, _ in told(back)] == [(1.0, "S1"), (4.0, "?")]


@virtual_time
async def test_who_was_never_stored_keeps_the_number_and_nobody_else_gets_it() -> None:
    house = room()
    house.transcriber.answers = False
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(8.05)
        back = after_the_death_of(house)
    assert people(back) == []
    back.diarizer = FakeDiarizer([("A", 0.5, 2.5)])
    back.capture.script = audio((0.5, False), (2.0, True))
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(6.0)
        assert [(start, who) for start, _, who, _ in told(back)][:2] == [(1.0, "S1"), (4.0, "S2")]
        assert told(back)[2][2] == "S3"


@virtual_time
async def test_dying_again_and_again_costs_no_more() -> None:
    house = room()
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(6.05)
        back = after_the_death_of(house)
    back.transcriber.answers = False
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(0.2)
        again = after_the_death_of(back)
    again.transcriber.answers = False
    again.diarizer = FakeDiarizer([("C", 1.0, 9.0)])
    again.capture.script = audio((1.0, False), (8.0, True))
    async with again.open() as registry:
        await registry.recover()
        await asyncio.sleep(4.0)
        once_more = after_the_death_of(again)
    async with once_more.open() as registry:
        await registry.recover()
        await asyncio.sleep(6.0)
        assert [(start, who) for start, _, who, _ in told(once_more)][:2] == [(1.0, "S1"), (4.0, "S2")]
        assert [who for *_, who, _ in told(once_more)] == ["S1", "S2", "S3"]


@virtual_time
async def test_what_was_taken_out_stays_forgotten() -> None:
    house = room()
    async with house.open() as registry:
        view = await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(8.05)
        await registry.redact("room", Stretch(start=Sample(samples(5.0)), end=Sample(samples(6.0))))
        back = after_the_death_of(house)
    notes = await back.spools.spools[view.record.id].notes()
    assert notes[-1].whole
    assert notes[-1].start == samples(6.0), "who had the word is told from where it may be told"
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(6.0)
        found = [(start, end, who) for start, end, who, _ in told(back) if start >= 4.0]
        assert all(end <= 5.0 or start >= 6.0 for start, end, _ in found)
        assert {who for _, _, who in found} == {"S2"}
        assert found[-1][1] == pytest.approx(8.0, abs=0.1)


@virtual_time
async def test_whoever_is_heard_again_is_known_by_their_voice() -> None:
    house = House()
    house.capture.script = spoken((1.0, SILENCE), (4.0, 1), (1.0, SILENCE), (6.0, 2), (1.0, SILENCE))
    house.diarizer = FakeDiarizer([("A", 1.0, 5.0), ("B", 6.0, 12.0)])
    async with house.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(11.05)
        back = after_the_death_of(house)
    back.capture.script = spoken((1.0, SILENCE), (4.0, 2), (1.0, SILENCE), (4.0, 3), (1.0, SILENCE))
    back.diarizer = FakeDiarizer([("A", 1.0, 5.0), ("B", 6.0, 10.0)])
    back.voice_printer = FakePrinter()
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(30.0)
        assert [who for *_, who, _ in told(back)] == ["S1", "S2", "S2", "S4"]


@virtual_time
async def test_of_audio_that_is_kept_only_the_end_is_looked_at_again() -> None:
    house = room()
    house.capture.script = audio((1.0, False), (2.0, True), (85.0, False))
    house.freeze_s = 20.0
    async with house.open() as registry:
        view = await registry.start(StartRequest("room", "default", keep_audio=True))
        await asyncio.sleep(70.05)
        back = after_the_death_of(house)
    spool = back.spools.spools[view.record.id]
    spool._released = 0  # on a disk, what was released and kept looks like all the rest
    assert spool.begin == 0
    record = await back.store.session(view.record.id)
    behind = await resumed(record, back.store, spool)  # type: ignore[arg-type]
    assert samples(28.0) < behind.merge.begin < samples(30.0), "half a minute behind the last note of how things stood"
    assert behind.heard == spool.end


@virtual_time
async def test_a_session_that_was_ending_tells_who_had_the_word() -> None:
    house = room()
    house.transcriber.answers = False
    async with house.open() as registry:
        view = await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(8.05)
        stopping = asyncio.create_task(registry.stop("room"))  # noqa: TID251 - it outlives its daemon
        await asyncio.sleep(0.5)
        back = after_the_death_of(house)
        house.transcriber.answers = True
        await stopping
    assert (await back.store.session(view.record.id)).state is SessionState.STOPPING
    async with back.open() as registry:
        await registry.recover()
        await back.ended(view.record.id)
    assert [(start, who) for start, _, who, _ in told(back)] == [(1.0, "S1"), (4.0, "S2")]

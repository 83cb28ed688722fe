"""The daemon dies in a pause, in a gap, or with a damaged spool: nothing of it is taken for silence afterwards."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from minuted_daemon.core.coverage import Coverage
from minuted_daemon.core.ranges import outside
from minuted_daemon.core.records import IntervalKind, IntervalRecord, SessionState
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.capture import AudioBlock, Filled
from minuted_daemon.ports.spool import Note
from minuted_daemon.service.recovery.log import StateNoted, decoded
from minuted_daemon.service.views import StartRequest, Stretch
from tests.fakes_service.capture import Item, audio, block
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.house import House
from tests.fakes_service.spools import FakeSpool
from tests.fakes_service.virtual_time import virtual_time
from tests.support.crashes import after_the_death_of, covered, remove, spool_of


def house() -> House:
    made = House()
    made.capture.script = audio((1.0, False), (3.0, True), (1.0, False))
    made.diarizer = FakeDiarizer([("A", 1.0, 4.0)])
    return made


def gone(length_s: float, reason: str = "DEVICE_LOST") -> list[Item]:
    """Blocks that stand for a device that is away."""
    silent = block(False)
    filled = (Filled(0, BLOCK, reason),)
    return [AudioBlock(silent.pcm * 0, silent.wide * 0, 0.0, filled)] * round(length_s * 10)


def intervals(made: House, reason: str) -> list[IntervalRecord]:
    return sorted((one for one in made.store.intervals_known if one.reason == reason), key=lambda one: one.start)


def keep(spool: FakeSpool, notes: Sequence[Note]) -> None:
    """Only these notes are left on the disk."""
    spool._notes = list(notes)


async def goes_on(back: House, length_s: float = 4.0) -> Coverage:
    """Have the daemon come back for so long; give what it tells of its session in the end."""
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(length_s)
        return await covered(back)


async def died_in_a_pause(made: House, length_s: float) -> House:
    """A meeting of seven seconds, a pause of so many, and the daemon's death in it."""
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(7.05)
        await registry.pause("room")
        await asyncio.sleep(length_s)
        return after_the_death_of(made)


@virtual_time
async def test_a_pause_that_the_daemon_died_in_is_muted_to_its_end() -> None:
    back = await died_in_a_pause(house(), 6.0)
    (stored,) = intervals(back, "PAUSED")
    assert stored.end - stored.start == BLOCK, "that is why"
    told = await goes_on(back)
    first, second = intervals(back, "PAUSED")
    assert (first.id, first.start) == (stored.id, stored.start)
    assert first.end - first.start == pytest.approx(samples(6.0), abs=BLOCK)
    assert first.seq > stored.seq
    assert second.start >= first.end
    assert told.muted == pytest.approx(samples(10.0), abs=samples(0.5))
    assert told.silence == pytest.approx(samples(4.0), abs=samples(0.3))


@virtual_time
async def test_a_pause_that_has_just_ended_is_muted_to_its_end() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(7.05)
        await registry.pause("room")
        await asyncio.sleep(6.0)
        await registry.resume("room")
        back = after_the_death_of(made)
    await goes_on(back)
    (paused,) = intervals(back, "PAUSED")
    assert paused.end - paused.start == pytest.approx(samples(6.0), abs=BLOCK)


@virtual_time
@pytest.mark.parametrize("away_s", [3.0, 19.0])
async def test_a_gap_that_the_daemon_died_in_is_lost_to_its_end(away_s: float) -> None:
    made = house()
    made.capture.script = [*audio((1.0, False), (3.0, True), (1.0, False)), *gone(60.0)]
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(5.05 + away_s)
        back = after_the_death_of(made)
    told = await goes_on(back)
    (gap,) = intervals(back, "DEVICE_LOST")
    assert (gap.kind, gap.start, gap.end) == (IntervalKind.GAP, samples(5.0), samples(5.0 + away_s))
    assert told.lost["DEVICE_LOST"] == samples(away_s)


@virtual_time
async def test_a_gap_that_ended_within_a_block_ends_there() -> None:
    made = house()
    late = replace(block(True), filled=(Filled(0, 700, "DEVICE_LOST"),))
    late.pcm[:700], late.wide[:1050] = 0, 0
    made.capture.script = [*audio((5.0, False)), *gone(2.0), late, *audio((9.0, False))]
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(7.15)
        back = after_the_death_of(made)
    spool = spool_of(back)
    begun = [note for note in await spool.notes() if '"DEVICE_LOST",80000,81600' in str(note.data)]
    assert len(begun) == 1, "it had begun is all that is known"
    keep(spool, begun)
    await goes_on(back)
    (gap,) = intervals(back, "DEVICE_LOST")
    assert gap.end == samples(7.0) + 700


@virtual_time
async def test_what_is_stored_is_not_stored_again_by_the_next_lives() -> None:
    made = house()
    made.capture.script = [*audio((5.0, False)), *gone(3.0), *audio((9.0, False))]
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(9.05)
        await registry.pause("room")
        await asyncio.sleep(3.0)
        back = after_the_death_of(made)
    (before,) = intervals(back, "DEVICE_LOST")
    await goes_on(back)
    async with back.open() as registry:
        await registry.recover()
        again = after_the_death_of(back)
    once = {one.id: one for one in again.store.intervals_known}
    assert once[before.id] == before
    await goes_on(again)
    assert {key: one for one in again.store.intervals_known if (key := one.id) in once} == once


def shortened(notes: Sequence[Note]) -> list[Note]:
    """What a notes file keeps when it is made anew."""
    whole = [index for index, note in enumerate(notes) if note.whole]
    return list(notes[whole[-1] :])


@virtual_time
@pytest.mark.parametrize("drop", [shortened, list])
async def test_a_long_pause_outlives_its_notes(drop: Callable[[Sequence[Note]], list[Note]]) -> None:
    made = house()
    made.freeze_s = 20.0
    back = await died_in_a_pause(made, 170.0)
    back.freeze_s = made.freeze_s
    keep(spool_of(back), drop(await spool_of(back).notes()))
    await goes_on(back)
    first, _ = intervals(back, "PAUSED")
    assert first.end - first.start == pytest.approx(samples(170.0), abs=samples(0.2))


@virtual_time
async def test_what_grows_is_noted_again_where_the_notes_about_it_are_erased() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(7.05)
        await registry.pause("room")
        await asyncio.sleep(3.0)
        left = await registry.redact("room", Stretch(last=Sample(samples(6.0))))
        spool = spool_of(made)
        keep(spool, [note for note in await spool.notes() if not note.touches(left.start, left.end)])
        await asyncio.sleep(3.0)
        back = after_the_death_of(made)
    await goes_on(back)
    first, _ = intervals(back, "PAUSED")
    assert first.start == pytest.approx(samples(7.0), abs=BLOCK)
    assert first.end == pytest.approx(samples(13.0), abs=BLOCK)


@virtual_time
async def test_a_disk_that_gives_nothing_leaves_what_was_noted() -> None:
    back = await died_in_a_pause(house(), 6.0)
    (before,) = intervals(back, "PAUSED")
    spool_of(back).read_fault = StoreError("SPOOL_STALLED", "the disk does not answer")
    await goes_on(back)
    assert intervals(back, "PAUSED")[0] == before


# --- audio that is missing --------------------------------------------------------------------------------------------


@virtual_time
async def test_audio_that_is_missing_is_lost_where_nobody_accounts_for_it() -> None:
    made = house()
    made.capture.script = audio((1.0, False), (3.0, True), (60.0, False))
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(20.05)
        back = after_the_death_of(made)
    (turn,) = back.store.turns_known
    remove(spool_of(back), samples(2.0), samples(10.0))
    told = await goes_on(back)
    (lost,) = intervals(back, "SPOOL_DAMAGED")
    assert (lost.kind, lost.start, lost.end) == (IntervalKind.LOST, turn.end, samples(10.0))
    assert told.lost["SPOOL_DAMAGED"] == samples(10.0) - turn.end
    assert told.text == turn.end - turn.start, "what is stored keeps its claim"
    again = after_the_death_of(back)
    await goes_on(again)
    assert intervals(again, "SPOOL_DAMAGED") == [lost], "told once"


@virtual_time
async def test_a_beginning_that_is_missing_is_lost_but_for_what_was_settled() -> None:
    made = house()
    made.capture.script = audio((1.0, False), (3.0, True), (3.0, False), (3.0, True), (3.0, False), (300.0, True))
    made.diarizer = FakeDiarizer([("A", 1.0, 4.0), ("B", 7.0, 10.0), ("A", 13.0, 300.0)])
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(12.05)
        made.transcriber.answers = False
        await asyncio.sleep(58.0)
        back = after_the_death_of(made)
    states = [one for note in await spool_of(back).notes() if isinstance(one := decoded(note.data), StateNoted)]
    settled_to = states[-1].settled_to
    assert samples(10.0) < settled_to < samples(35.0)
    remove(spool_of(back), 0, samples(40.0))
    turns = [(turn.start, turn.end) for turn in back.store.turns_known]
    told = await goes_on(back)
    lost = [(one.start, one.end) for one in intervals(back, "SPOOL_DAMAGED")]
    assert lost == outside(settled_to, samples(40.0), turns) != []
    assert told.lost["SPOOL_DAMAGED"] == sum(end - start for start, end in lost)


@virtual_time
async def test_what_was_let_go_of_on_purpose_is_not_lost() -> None:
    made = house()
    made.freeze_s = 10.0
    made.capture.script = audio((1.0, False), (3.0, True), (200.0, False))
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default", diarizer="none"))
        await asyncio.sleep(100.05)
        back = after_the_death_of(made)
    back.freeze_s = made.freeze_s
    assert spool_of(back).begin > samples(40.0)
    assert not any(note.whole for note in await spool_of(back).notes()), "nobody noted how things stood"
    told = await goes_on(back)
    assert intervals(back, "SPOOL_DAMAGED") == []
    assert set(told.lost) == {"DAEMON_AWAY"} or told.lost == {}


@virtual_time
async def test_a_spool_that_is_gone_was_no_silence() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default"))
        await asyncio.sleep(9.05)
        await registry.pause("room")
        back = after_the_death_of(made)
    (turn,) = back.store.turns_known
    for session_id in list(back.spools.spools):
        await back.spools.delete(session_id)
    told = await goes_on(back)
    assert [(one.start, one.end) for one in intervals(back, "SPOOL_DAMAGED")] == [
        (0, turn.start),
        (turn.end, samples(9.0)),
    ]
    assert told.text == turn.end - turn.start
    assert (await back.store.session("room")).state is SessionState.STOPPED

"""A refusal in a live session: what waits, what comes back, and what is told. Over fakes in virtual time."""

import asyncio
from itertools import pairwise

import pytest

from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import Health, IntervalKind, Link
from minuted_daemon.core.samples import RATE_HZ, samples
from minuted_daemon.errors import Rejected, Unavailable, WrongState
from minuted_daemon.service.views import Links, StartRequest
from tests.fakes_service.capture import Item, audio
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.house import House
from tests.fakes_service.transcriber import FakeTranscriber
from tests.fakes_service.virtual_time import virtual_time

BAD_KEY = Rejected("KEY_REJECTED", "The key is no good.")
NO_CREDIT = Rejected("QUOTA_EXHAUSTED", "The account has no credit.")
ODD = Rejected("CONFIG_REJECTED", "It refuses the connection.")
GONE = Unavailable("CLOSED_1006", "the connection was lost")
PERIOD_S = 10.0


def meeting(length_s: float) -> House:
    """Four seconds of speech in every ten."""
    made = House()
    few: list[Item] = audio((3.0, False), (4.0, True), (3.0, False))
    made.capture.script = few * round(length_s / PERIOD_S)
    starts = [n * PERIOD_S + 3.0 for n in range(round(length_s / PERIOD_S))]
    made.diarizer.script = [("AB"[n % 2], start, start + 4.0) for n, start in enumerate(starts)]
    return made


async def links(made: House) -> Links:
    found = (await made.registry.view("standup")).links
    assert found is not None
    return found


def assert_whole(made: House, count: int) -> None:
    turns = made.store.turns_known
    assert [turn.text_source for turn in turns] == [TextSource.COMPLETED] * count
    assert len({turn.id for turn in turns}) == count
    assert made.store.intervals_known == []


@pytest.mark.parametrize("refusal", [BAD_KEY, NO_CREDIT, ODD], ids=lambda error: error.reason)
@virtual_time
async def test_one_refusal_on_a_reconnect_costs_neither_labels_nor_texts(refusal: Rejected) -> None:
    made = meeting(60.0)
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(18.0)
        made.diarizer.refusals, made.transcriber.refusals = [refusal], [refusal]
        made.diarizer.streams[0].break_now(GONE)
        made.transcriber.streams[0].break_now(GONE)
        await asyncio.sleep(0.9)
        assert (await links(made)).transcriber.health is Health.REFUSED
        await asyncio.sleep(2.0)
        assert await links(made) == Links(Link(Health.UP), Link(Health.UP), Link(Health.UP), Link(Health.UP))
        await made.ended(view.record.id)
        record = (await registry.view("standup")).record
    assert_whole(made, 6)
    assert all(turn.speaker_id for turn in made.store.turns_known)
    assert record.transcriber_sent <= 1.3 * samples(24.0)


@virtual_time
async def test_no_credit_for_a_minute_is_made_up_for_once_it_is_asked_again() -> None:
    made = meeting(1000.0)
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(25.0)
        made.transcriber.refusals = [NO_CREDIT] * 4
        made.transcriber.streams[0].break_now(NO_CREDIT)
        await asyncio.sleep(60.0)
        told = (await links(made)).transcriber
        assert told == Link(Health.REFUSED, NO_CREDIT.reason, NO_CREDIT.message)
        assert told.since_s is not None
        assert told.next_s is not None
        assert 590.0 < told.next_s - told.since_s < 660.0
        assert len(made.transcriber.attempts_s) == 4, "three times soon"
        await asyncio.sleep(60.0)
        made.transcriber.refusals = []
        await made.ended(view.record.id)
        record = (await registry.view("standup")).record
    waits = [after - before for before, after in pairwise(made.transcriber.attempts_s)][1:4]
    assert waits == [pytest.approx(wait, rel=0.2) for wait in (4.0, 15.0, 600.0)]
    assert_whole(made, 100)
    assert record.transcriber_sent <= 1.3 * samples(400.0)


@virtual_time
async def test_whoever_wants_it_asked_again_gets_that_at_once_and_hears_what_came_of_it() -> None:
    made = meeting(200.0)
    made.transcriber.refusals = made.diarizer.refusals = [NO_CREDIT] * 3
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(5.0)
        early = await registry.retry("standup")
        assert [(one.role, one.engine, one.asked) for one in early] == [
            ("diarizer", "pyannote", False),
            ("transcriber", "openai", False),
        ]
        assert {one.link.reason for one in early} == {NO_CREDIT.reason}
        await asyncio.sleep(13.0)
        made.diarizer.refusals = []
        made.transcriber.refusals = [NO_CREDIT]
        asked = await registry.retry(None)
        assert [(one.session_name, one.asked, one.link.health) for one in asked] == [
            ("standup", True, Health.UP),
            ("standup", True, Health.REFUSED),
        ]
        await asyncio.sleep(11.0)
        (again,) = await registry.retry("standup")
        assert (again.asked, again.link.health) == (True, Health.UP)
        assert await registry.retry(None) == []
        await made.ended(view.record.id)
        with pytest.raises(WrongState):
            await registry.retry("standup")
    assert_whole(made, 20)


@virtual_time
async def test_what_ended_sessions_are_owed_is_asked_for_with_the_others() -> None:
    made = meeting(20.0)
    made.transcriber.refusals = [NO_CREDIT]
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await made.ended(view.record.id)
        assert len(made.transcriber.attempts_s) == 1, "they know that it is refused"
        await asyncio.sleep(5.0)
        (owed,) = await registry.retry(None)
        assert (owed.session_name, owed.role, owed.engine, owed.asked) == ("", "transcriber", "openai", True)
        await asyncio.sleep(5.0)
        assert_whole(made, 2)


@virtual_time
async def test_past_the_bounds_of_the_spool_it_is_lost_and_told_and_the_rest_comes() -> None:
    made = meeting(700.0)
    made.spools.bound_s = 120.0
    made.transcriber.refusals = [NO_CREDIT]
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await made.ended(view.record.id)
    turns = made.store.turns_known
    without = [turn for turn in turns if turn.text_source is TextSource.NONE]
    assert len(turns) == 70
    assert {turn.text_source for turn in turns[52:]} == {TextSource.COMPLETED}
    lost = made.store.intervals_known
    assert {(one.kind, one.reason) for one in lost} == {(IntervalKind.LOST, "SPOOL_FULL")}
    assert all(any(one.start <= turn.end and turn.start - samples(0.3) < one.end for one in lost) for turn in without)


@virtual_time
async def test_who_speaks_is_shown_while_the_transcriber_refuses() -> None:
    made = meeting(60.0)
    made.transcriber.refusals = [NO_CREDIT] * 9
    async with made.open() as registry:
        await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(50.0)
        status = {one.turn.turn.id: one.turn.turn for one in made.partials}
        assert made.store.turns_known == []
        assert [turn.start // RATE_HZ for turn in status.values()] == [3, 13, 23, 33, 43]
        assert {turn.text for turn in status.values()} == {""}
        assert all(turn.speaker_id for turn in status.values())


# --- the local engine in between --------------------------------------------------------------------------------------


def with_local(length_s: float) -> House:
    made = meeting(length_s)
    made.missing = {}
    made.local_diarizer = FakeDiarizer(made.diarizer.script, lag_s=1.0)
    made.local_transcriber = FakeTranscriber(16_000)
    return made


@virtual_time
async def test_the_vendor_is_taken_back_from_the_local_engine_once_it_accepts_again() -> None:
    made = with_local(900.0)
    assert made.local_diarizer is not None
    assert made.local_transcriber is not None
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav", fallback="local"))
        await asyncio.sleep(20.0)
        for engine in (made.diarizer, made.transcriber):
            engine.refusals = [NO_CREDIT] * 3
            engine.streams[0].break_now(NO_CREDIT)
        await asyncio.sleep(1.0)
        assert {(await links(made)).diarizer.reason, (await links(made)).transcriber.reason} == {"FELL_BACK"}
        await asyncio.sleep(800.0)
        after = await links(made)
        assert (after.diarizer, after.transcriber) == (Link(Health.UP), Link(Health.UP))
        await made.ended(view.record.id)
    assert_whole(made, 90)
    assert all(turn.speaker_id for turn in made.store.turns_known)
    assert len(made.local_diarizer.streams) == len(made.local_transcriber.streams) == 1
    assert made.local_diarizer.streams[0].closed
    assert len(made.diarizer.attempts_s) <= 7, "asked about now and then, once for both that ask"


@virtual_time
async def test_the_local_engine_serves_on_while_the_refusal_lasts() -> None:
    made = with_local(900.0)
    assert made.local_transcriber is not None
    made.transcriber.refusals = [NO_CREDIT] * 999
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav", fallback="local"))
        await made.ended(view.record.id)
    assert_whole(made, 90)
    assert len(made.local_transcriber.streams) == 1, "asking does not disturb it"
    assert len(made.transcriber.attempts_s) == 2

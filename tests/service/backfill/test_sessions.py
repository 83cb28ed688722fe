"""Sessions that end without all of their texts: what the registry makes of them, over fakes in virtual time."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import SessionId, SessionState
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.errors import NotFound, Rejected, Unavailable
from minuted_daemon.service.lifecycle.registry import Registry
from minuted_daemon.service.recovery.state import resumed
from minuted_daemon.service.retries.policy import REFUSED_AGAIN_S
from minuted_daemon.service.views import StartRequest, Stretch
from tests.fakes_service.capture import audio
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time

NO_CREDIT = Rejected("QUOTA_EXHAUSTED", "no credit")
DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")


def house() -> House:
    made = House()
    made.capture.script = audio((1.0, False), (3.0, True), (2.0, False), (2.0, True), (1.0, False))
    made.diarizer.script = [("A", 1.0, 4.0), ("B", 6.0, 8.0)]
    return made


async def ended(made: House, registry: Registry) -> SessionId:
    view = await registry.start(StartRequest("standup", device="file:/x.wav"))
    await made.ended(view.record.id)
    return view.record.id


async def finished(made: House) -> None:
    """Wait until ended sessions have all their texts, and their spools are gone."""
    while made.spools.spools:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def sources(made: House) -> list[TextSource]:
    return [turn.text_source for turn in made.store.turns_known]


@virtual_time
async def test_an_outage_beyond_the_end_costs_no_text() -> None:
    made = house()
    made.transcriber.refusals = [DOWN] * 12
    async with made.open() as registry:
        session_id = await ended(made, registry)
        assert sources(made) == [TextSource.NONE] * 2
        assert made.spools.finished == []
        await finished(made)
        assert sources(made) == [TextSource.COMPLETED] * 2
        view = await registry.view_with_coverage(session_id)
    assert view.coverage is not None
    assert (view.coverage.pending, view.coverage.lost) == (0, {})
    assert view.record.state is SessionState.STOPPED
    assert view.record.transcriber_sent > samples(5.0)


@virtual_time
async def test_a_refusal_is_asked_about_every_ten_minutes() -> None:
    made = house()
    made.transcriber.refusals = [NO_CREDIT] * 4
    async with made.open() as registry:
        await ended(made, registry)
        await finished(made)
    assert sources(made) == [TextSource.COMPLETED] * 2
    waits = [after - before for before, after in pairwise(made.transcriber.attempts_s[1:])]
    assert waits == [pytest.approx(REFUSED_AGAIN_S, rel=0.05)] * 3


@virtual_time
async def test_the_substitute_serves_ended_sessions_too() -> None:
    made = house()
    made.missing = {}
    made.transcriber.refusals = [DOWN] * 9 + [NO_CREDIT]
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav", fallback="local"))
        await made.ended(view.record.id)
        await finished(made)
    assert sources(made) == [TextSource.COMPLETED] * 2


@virtual_time
async def test_a_session_that_is_owed_texts_can_be_deleted() -> None:
    made = house()
    made.transcriber.refusals = [DOWN] * 999
    async with made.open() as registry:
        session_id = await ended(made, registry)
        await asyncio.sleep(60.0)
        await registry.delete(session_id)
        asked = len(made.transcriber.attempts_s)
        await asyncio.sleep(120.0)
        assert len(made.transcriber.attempts_s) == asked
        with pytest.raises(NotFound):
            await registry.view(session_id)
    assert made.audio.deleted == [session_id]
    assert made.spools.finished == [session_id]


@virtual_time
async def test_what_is_redacted_of_an_ended_session_is_not_asked_for() -> None:
    made = house()
    made.transcriber.refusals = [DOWN] * 12
    async with made.open() as registry:
        session_id = await ended(made, registry)
        await registry.redact(session_id, Stretch(start=Sample(samples(5.5)), end=Sample(samples(8.5))))
        await finished(made)
    assert sources(made)[0] is TextSource.COMPLETED
    assert all(not turn.text for turn in made.store.turns_known[1:])
    assert sum(len(stream.committed) for stream in made.transcriber.streams) == 1


@virtual_time
async def test_the_daemons_end_does_not_wait_for_texts() -> None:
    made = house()
    made.transcriber.refusals = [DOWN] * 999
    async with made.open() as registry:
        await ended(made, registry)
        await asyncio.sleep(3.0)
        began_s = asyncio.get_running_loop().time()
        await registry.stop_all(5.0)
        assert asyncio.get_running_loop().time() - began_s < 1.0
    assert made.spools.finished == []
    assert sources(made) == [TextSource.NONE] * 2


@virtual_time
async def test_a_session_that_goes_on_holds_what_it_was_owed_before() -> None:
    made = house()
    made.transcriber.refusals = [NO_CREDIT] * 9
    async with made.open() as registry:
        session_id = await ended(made, registry)
        record = replace(await made.store.session(session_id), state=SessionState.RUNNING)
        first = made.store.turns_known[0]
        spool = made.spools.spools[session_id]
        assert (await resumed(record, made.store, spool)).owed_from == first.start
        spool.release(Sample(first.start + 1_600))
        assert (await resumed(record, made.store, spool)).owed_from == made.store.turns_known[1].start

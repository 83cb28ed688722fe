"""What became of a session's audio, while it is live and afterwards, over fakes in virtual time."""

import asyncio
from dataclasses import replace

import pytest

from minuted_daemon.core.coverage import NO_TEXT, Coverage
from minuted_daemon.core.records import SessionRecord, SessionState
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.errors import Rejected, Unavailable
from minuted_daemon.ports.capture import Filled
from minuted_daemon.service.coverage import with_coverage
from minuted_daemon.service.lifecycle.registry import Registry
from minuted_daemon.service.views import SessionView, StartRequest
from tests.fakes_service.capture import audio, block
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time

VOICED = [(1.0, 4.0), (6.0, 8.0)]
EDGES = samples(0.4)
"""Diarizer and voice activity do not agree to the frame, at two ends of two turns."""


def house() -> House:
    made = House()
    made.capture.script = audio((1.0, False), (3.0, True), (2.0, False), (2.0, True), (1.0, False))
    made.diarizer.script = [("A", 1.0, 4.0), ("B", 6.0, 8.0)]
    return made


def spoken(until: int) -> int:
    return sum(max(0, min(until, samples(end)) - samples(start)) for start, end in VOICED)


async def covered(registry: Registry, key: str = "standup") -> Coverage:
    view = await registry.view_with_coverage(key)
    assert view.coverage is not None
    assert view.coverage.total == view.heard
    return view.coverage


@virtual_time
async def test_speech_is_pending_and_then_text_and_never_silence() -> None:
    made = house()
    made.transcriber.answer_after_s = 1.3
    made.store.write_takes_s = 0.7
    seen: list[Coverage] = []
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        while registry.live_count():
            told = await covered(registry)
            assert told.silence <= told.total - spoken(told.total) + EDGES, f"at {told.total / 16_000} s"
            seen.append(told)
            await asyncio.sleep(0.05)
        after = await covered(registry, view.record.id)
    assert any(told.pending > samples(3.0) and not told.text for told in seen)
    assert any(told.pending > samples(1.5) and told.text for told in seen)
    assert after.text == pytest.approx(samples(5.0), abs=EDGES)
    assert after.text == sum(turn.end - turn.start for turn in made.store.turns_known)
    assert after == Coverage(after.text, samples(9.0) - after.text, 0, 0, {})


@virtual_time
async def test_in_an_outage_speech_is_pending_also_behind_the_end_and_lost_once_its_audio_is_gone() -> None:
    made = house()
    made.transcriber.refusals = [Unavailable("VENDOR_DOWN", "the vendor is down")] * 99
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(8.5)
        told = await covered(registry)
        assert told.text == 0
        assert told.pending >= samples(4.9)
        await made.ended(view.record.id)
        ended = await covered(registry, view.record.id)
        made.spools.spools[view.record.id].release(Sample(samples(9.0)))  # as max_age_h would have it
        after = await covered(registry, view.record.id)
    assert ended.pending == pytest.approx(samples(5.0), abs=EDGES)
    assert not ended.lost
    assert after == Coverage(0, after.silence, 0, 0, {NO_TEXT: ended.pending})


@virtual_time
async def test_what_a_refused_transcriber_left_out_is_pending_while_its_audio_is_held() -> None:
    made = house()
    made.freeze_s = 1.0
    made.transcriber.refusals = [Rejected("QUOTA_EXHAUSTED", "no credit")] * 9
    made.capture.script = [one for _ in range(8) for one in made.capture.script]
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="usb-mic"))
        while view.heard < samples(60.0):
            await asyncio.sleep(0.5)
            view = await registry.view("standup")
        told = await covered(registry)
        spool = made.spools.spools[view.record.id]
        assert spool.begin <= samples(1.0), "it would have been let go long ago"
    assert told.lost == {}
    assert told.pending >= samples(4.9)


@virtual_time
async def test_a_gap_counts_as_lost_before_it_is_stored() -> None:
    made = house()
    hole = Filled(0, BLOCK, "DEVICE_LOST")
    made.capture.script = [*audio((2.0, False)), *(block(False, 0, (hole,)) for _ in range(400))]
    made.diarizer.script = []
    async with made.open() as registry:
        await registry.start(StartRequest("standup", device="usb-mic"))
        await asyncio.sleep(32.05)
        assert sum(one.end - one.start for one in made.store.intervals_known) < samples(10.0)
        told = await covered(registry)
    assert told.lost == {"DEVICE_LOST": samples(30.0)}


@virtual_time
async def test_a_pause_is_muted_as_it_goes_on() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup", device="usb-mic"))
        await asyncio.sleep(9.95)
        await registry.pause("standup")
        await asyncio.sleep(30.0)
        told = await covered(registry)
    assert told.muted == pytest.approx(samples(30.0), abs=samples(0.2))
    assert told.text == pytest.approx(samples(5.0), abs=EDGES)
    assert told.lost == {}


@virtual_time
async def test_a_store_that_does_not_answer_leaves_the_session_told() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("standup", device="usb-mic"))
        await asyncio.sleep(2.0)
        made.store.break_with()
        view = await registry.view_with_coverage("standup")
        made.store.fault = None
    assert view.coverage is None
    assert view.record.state is SessionState.RUNNING


@virtual_time
async def test_live_claims_find_their_place_between_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    made = house()
    made.capture.script = [one for _ in range(4) for one in made.capture.script]
    made.diarizer.script = [
        (who, start + 9.0 * turn, end + 9.0 * turn) for turn in range(4) for who, start, end in made.diarizer.script
    ]
    async with made.open() as registry:
        await registry.start(StartRequest("standup", device="usb-mic"))
        while len(made.store.turns_known) < 6:
            await asyncio.sleep(0.1)
            if len(made.store.turns_known) == 2:
                made.transcriber.answer_after_s = 6.0
        whole = await covered(registry)
        claims = made.store.claims
        monkeypatch.setattr(made.store, "claims", lambda session_id, _, token: claims(session_id, 1, token))
        assert await covered(registry) == whole
    assert whole.pending


@virtual_time
async def test_before_a_session_goes_on_nothing_of_it_is_called_silence() -> None:
    made = house()
    async with made.open() as registry:
        await made.run_file()
        (record,) = made.store.sessions_known
        left: SessionRecord = replace(record, state=SessionState.RUNNING, ended_s=None)
        told = (await with_coverage(made.store, SessionView(left, None, record.heard))).coverage
        ended = await covered(registry, record.id)
    assert told == replace(ended, silence=0, pending=ended.silence)


@virtual_time
async def test_what_is_stored_behind_the_end_does_not_count() -> None:
    made = house()
    async with made.open():
        await made.run_file()
        (record,) = made.store.sessions_known
        told = (await with_coverage(made.store, SessionView(record, None, Sample(samples(7.0))))).coverage
    assert told is not None
    assert told.total == samples(7.0)
    assert told.text == pytest.approx(samples(4.0), abs=EDGES)

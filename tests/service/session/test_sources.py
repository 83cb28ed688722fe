"""What sessions make of their sources: which channels they hear, what is odd about one, what a recording lacks."""

import asyncio

import pytest

from minuted_daemon.core.channels.choice import ChannelChoice
from minuted_daemon.core.records import Health, IntervalKind, SessionState
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import AlreadyExists, Invalid
from minuted_daemon.ports.capture import CaptureHealth, Missing
from minuted_daemon.rpc.convert import session as told
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.capture import audio
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time
from tests.support.crashes import after_the_death_of

LAST, PROMISED = Sample(samples(4.5) - 700), Sample(samples(60.0) + 1)
CUT = CaptureHealth(Health.UP, "FILE_TRUNCATED", "the recording is cut short")


def house() -> House:
    made = House()
    made.capture.script = audio((1.0, False), (2.0, True), (1.5, False))
    made.diarizer.script = [("A", 1.0, 3.0)]
    return made


@virtual_time
async def test_what_a_recording_lacks_is_told_as_lost_at_its_end() -> None:
    made = house()
    made.capture.remark = CUT
    made.capture.script = [*made.capture.script, Missing(LAST, PROMISED, "FILE_TRUNCATED")]
    async with made.open() as registry:
        view = await registry.start(StartRequest("room", "file:/x.wav"))
        link = told(view).capture_link
        assert (link.reason, link.detail) == (CUT.reason, CUT.detail), "whoever starts it is told"
        await made.ended(view.record.id)
        covered = await registry.view_with_coverage("room")
    assert covered.record.state is SessionState.STOPPED
    assert covered.coverage is not None
    assert covered.coverage.lost == {"FILE_TRUNCATED": samples(55.5) + 701}
    assert covered.coverage.text == pytest.approx(samples(2.0), abs=samples(0.5))
    assert covered.coverage.total == covered.heard == samples(60.1)
    (lost,) = made.store.intervals_known
    assert (lost.kind, lost.start, lost.end) == (IntervalKind.LOST, LAST, PROMISED)


@virtual_time
async def test_what_is_odd_about_a_source_is_said_until_it_is_not() -> None:
    made = house()
    odd = CaptureHealth(Health.UP, "CHANNELS_CANCEL", "one is wired the wrong way round")
    quiet = audio((1.0, False))
    made.capture.script = [*quiet, odd, *quiet, CaptureHealth(Health.UP), *quiet, *quiet]
    async with made.open() as registry:
        await registry.start(StartRequest("room", "file:/x.wav"))
        await asyncio.sleep(1.5)
        during = told(await registry.view("room"))
        await asyncio.sleep(1.0)
        after = told(await registry.view("room"))
    assert during.degraded
    assert during.capture_link.reason == "CHANNELS_CANCEL"
    assert not after.capture_link.reason


@virtual_time
async def test_channels_are_heard_as_asked_else_as_configured_and_after_a_restart() -> None:
    made = house()
    made.configured = {"room": SessionConfig(channels=(2,), mix="first")}
    async with made.open() as registry:
        view = await registry.start(StartRequest("room"))
        assert (view.record.settings.channels, view.record.settings.mix) == ((2,), "first")
        assert made.capture.choices == [ChannelChoice((2,), "first")]
        assert (await registry.start(StartRequest("room", channels=(2,), mix="first"))).record.id == view.record.id
        for other in (StartRequest("room", channels=(1,)), StartRequest("room", mix="mean")):
            with pytest.raises(AlreadyExists):
                await registry.start(other)
        asked = await registry.start(StartRequest("other", channels=(3, 1), mix="loudest"))
        assert (list(told(asked).channels), told(asked).mix) == ([3, 1], "loudest")
        plain = await registry.start(StartRequest("third"))
        assert (list(told(plain).channels), told(plain).mix) == ([], "best")
        await asyncio.sleep(1.0)
        back = after_the_death_of(made)
    async with back.open() as registry:
        await registry.recover()
        await asyncio.sleep(1.0)
    assert sorted(back.capture.choices, key=str) == sorted(made.capture.choices, key=str)


@virtual_time
async def test_channels_that_make_no_sense_are_refused() -> None:
    made = house()
    async with made.open() as registry:
        for request in (
            StartRequest("room", channels=(0,)),
            StartRequest("room", channels=(1, 1)),
            StartRequest("room", channels=(65,)),
            StartRequest("room", mix="stereo"),
        ):
            with pytest.raises(Invalid) as caught:
                await registry.start(request)
            assert list(caught.value.facts) in (["channels"], ["mix"])

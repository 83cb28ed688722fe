"""What a session says of its engines: what they were sent, who took over, and which language is not known."""

import asyncio

import numpy as np
import pytest

from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import Health, Link
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import Invalid, MinutedError, Rejected, Unavailable, WrongState
from minuted_daemon.ports.engines import DiarizerCapabilities, TranscriberCapabilities
from minuted_daemon.service.engines.usage import EngineUsage, language_remark
from minuted_daemon.service.views import Links, StartRequest
from tests.fakes_service.capture import audio
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.house import House
from tests.fakes_service.transcriber import FakeTranscriber
from tests.fakes_service.virtual_time import virtual_time

NO_CREDIT = Rejected("QUOTA_EXHAUSTED", "The account has no credit.")
NO_PLAN = Rejected("PAYMENT_REQUIRED", "The plan does not include this.")
DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")
TURNS_S = [(1.0, 4.0), (6.0, 9.0), (11.0, 14.0)]
VOICES = [("A", 1.0, 4.0), ("B", 6.0, 9.0), ("A", 11.0, 14.0)]


def house(script: list[tuple[float, bool]] | None = None) -> House:
    made = House()
    made.missing = {}
    made.capture.script = audio(*(script or [(1.0, False), *[(3.0, True), (2.0, False)] * 3]))
    made.diarizer.script = VOICES
    made.local_diarizer = FakeDiarizer(VOICES, lag_s=1.0)
    made.local_transcriber = FakeTranscriber(16_000)
    made.local_transcriber.capabilities = TranscriberCapabilities("local", 16_000, languages=("en",))
    return made


def request(fallback: str = "local", **more: str) -> StartRequest:
    return StartRequest("standup", "file:/x.wav", fallback=fallback, **more)  # type: ignore[arg-type]


async def links_at(made: House, second: float) -> Links:
    await asyncio.sleep(second)
    links = (await made.registry.view("standup")).links
    assert links is not None
    return links


# --- what is sent -----------------------------------------------------------------------------------------------------


@virtual_time
async def test_what_was_sent_is_told_live_and_stored_at_the_end() -> None:
    made = house()
    async with made.open() as registry:
        view = await registry.start(request())
        await asyncio.sleep(5.5)
        during = (await registry.view("standup")).record
        assert 5.0 * 16_000 <= during.diarizer_sent <= 5.6 * 16_000
        assert 2.9 * 16_000 <= during.transcriber_sent <= 4.0 * 16_000
        await made.ended(view.record.id)
        ended = await registry.view("standup")
    assert ended.record == made.store.sessions_known[0]
    assert ended.record.diarizer_sent == sum(stream.sent for stream in made.diarizer.streams) == 16 * 16_000
    (stream,) = made.transcriber.streams
    heard = sum(len(stream.heard(utterance)) for utterance in stream.audio)
    assert abs(ended.record.transcriber_sent - heard * 2 / 3) < 50


@virtual_time
async def test_what_is_sent_twice_counts_twice() -> None:
    made = house()
    async with made.open() as registry:
        view = await registry.start(request())
        await asyncio.sleep(3.5)
        made.transcriber.streams[0].break_now(DOWN)
        await made.ended(view.record.id)
        ended = (await registry.view("standup")).record
    heard = sum(len(one.heard(utterance)) for one in made.transcriber.streams for utterance in one.audio)
    assert len(made.transcriber.streams) == 2
    assert abs(ended.transcriber_sent - heard * 2 / 3) < 50
    assert ended.transcriber_sent > 11 * 16_000, "9 s of speech, and 2 s once more"


# --- who takes over ---------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_transcriber_that_refuses_from_the_start_is_replaced_at_once() -> None:
    made = house()
    assert made.local_transcriber is not None
    made.transcriber.refusals = [NO_CREDIT] * 9
    async with made.open() as registry:
        view = await registry.start(request())
        links = await links_at(made, 0.5)
        assert links.transcriber == Link(
            Health.UP, "FELL_BACK", "The account has no credit. The local transcriber serves instead."
        )
        assert links.diarizer == Link(Health.UP)
        await made.ended(view.record.id)
        record = (await registry.view("standup")).record
    assert len(made.transcriber.attempts_s) == 1
    assert [turn.text_source for turn in made.store.turns_known] == [TextSource.COMPLETED] * 3
    (stream,) = made.local_transcriber.streams
    for utterance in stream.committed:
        assert 3.0 <= len(stream.heard(utterance)) / 16_000 <= 4.0, "at its own rate"
    assert (record.settings.transcriber, record.settings.fallback) == ("openai", "local")
    assert record.transcriber_sent == 0, "the local engine sends no bill"


@virtual_time
async def test_a_transcriber_that_refuses_in_mid_turn_is_replaced_and_no_word_is_lost() -> None:
    made = house()
    assert made.local_transcriber is not None
    async with made.open() as registry:
        view = await registry.start(request())
        await asyncio.sleep(7.5)
        made.transcriber.streams[0].break_now(NO_CREDIT)
        assert (await links_at(made, 0.2)).transcriber.reason == "FELL_BACK"
        await made.ended(view.record.id)
    first, (second,) = made.transcriber.streams[0], made.local_transcriber.streams
    assert [turn.text_source for turn in made.store.turns_known] == [TextSource.COMPLETED] * 3
    assert (len(first.committed), len(second.committed)) == (1, 2)
    again = second.heard(second.committed[0])
    assert len(again) / 16_000 >= 3.0
    assert np.abs(again).max() > 1000


@virtual_time
async def test_a_renewal_that_is_refused_hands_over_between_turns() -> None:
    made = house([(0.5, False), *[(2.0, True), (1.0, False)] * 15])
    assert made.local_transcriber is not None
    made.transcriber.lifetime_s = 20.0
    async with made.open() as registry:
        view = await registry.start(request(diarizer="none"))
        await asyncio.sleep(14.0)
        made.transcriber.refusals = [NO_CREDIT] * 9
        assert (await links_at(made, 6.0)).transcriber.reason == "FELL_BACK"
        await made.ended(view.record.id)
    first, second = made.transcriber.streams[0], made.local_transcriber.streams[0]
    assert len(made.store.turns_known) == 15
    assert {turn.text_source for turn in made.store.turns_known} == {TextSource.COMPLETED}
    assert len(first.committed) + len(second.committed) == 15, "nothing was asked for twice"


@virtual_time
@pytest.mark.parametrize("at_s", [0.0, 5.0])
async def test_a_diarizer_that_refuses_is_replaced_by_another_epoch(at_s: float) -> None:
    made = house()
    assert made.local_diarizer is not None
    made.local_diarizer.script = [("X", start, end) for _, start, end in VOICES]
    if at_s == 0.0:
        made.diarizer.refusals = [NO_PLAN] * 9
    async with made.open() as registry:
        view = await registry.start(request())
        if at_s:
            await asyncio.sleep(at_s)
            made.diarizer.streams[0].break_now(NO_PLAN)
        links = await links_at(made, 0.5)
        assert links.diarizer == Link(
            Health.UP, "FELL_BACK", "The plan does not include this. The local diarizer serves instead."
        )
        await made.ended(view.record.id)
    labels = [turn.speaker_id for turn in made.store.turns_known]
    assert len(labels) == 3
    assert None not in labels
    assert labels[1] == labels[2], "X of the local engine's epoch"
    assert (labels[0] == labels[1]) is (at_s == 0.0), "a label of another epoch is another speaker"


@virtual_time
async def test_what_the_substitute_lags_is_held_back_at_once() -> None:
    made = house()
    made.local_diarizer = FakeDiarizer(VOICES, lag_s=1.9)
    async with made.open() as registry:
        view = await registry.start(request())
        merger = registry._sessions[view.record.id]._driver._merger
        await asyncio.sleep(5.0)
        assert merger.hold_back_s == 0.5
        made.diarizer.streams[0].break_now(NO_PLAN)
        await asyncio.sleep(1.0)
        assert merger.hold_back_s == 1.9
        await made.ended(view.record.id)


@virtual_time
@pytest.mark.parametrize("refuses", [True, False])
async def test_whoever_connects_is_sent_as_much_of_the_past_as_it_takes(refuses: bool) -> None:
    made = house()
    assert made.local_diarizer is not None
    made.local_diarizer.capabilities = DiarizerCapabilities("local", 1.0, catch_up_s=10.0)
    made.diarizer.refusals = [DOWN, DOWN, *([NO_PLAN] * refuses)]
    async with made.open() as registry:
        view = await registry.start(request())
        await made.ended(view.record.id)
    (stream,) = made.local_diarizer.streams if refuses else made.diarizer.streams
    missed_s = 16.0 - stream.sent / 16_000
    assert missed_s == 0.0 if refuses else missed_s >= 1.0


@virtual_time
@pytest.mark.parametrize("fallback", ["none", "local"])
async def test_without_leave_or_without_a_local_engine_a_refusal_stays_one(fallback: str) -> None:
    made = house()
    made.missing = {"local": WrongState("ENGINE_MISSING", "not installed")} if fallback == "local" else {}
    made.transcriber.refusals = [NO_CREDIT] * 9
    made.diarizer.refusals = [NO_PLAN] * 9
    async with made.open() as registry:
        view = await registry.start(request(fallback))
        links = await links_at(made, 0.5)
        assert links.transcriber == Link(Health.REFUSED, "QUOTA_EXHAUSTED", NO_CREDIT.message)
        assert links.diarizer == Link(Health.REFUSED, "PAYMENT_REQUIRED", NO_PLAN.message)
        await asyncio.sleep(8.0)
        assert made.partials, "who speaks is shown"
        assert len(made.transcriber.attempts_s) == len(made.diarizer.attempts_s) == 1
        await made.ended(view.record.id)


@virtual_time
@pytest.mark.parametrize("fault", [DOWN, Unavailable("RATE_LIMITED", "slow down", retry_after_s=3.0)])
async def test_what_may_pass_is_waited_for(fault: MinutedError) -> None:
    made = house()
    assert made.local_transcriber is not None
    made.transcriber.refusals = [fault]
    async with made.open() as registry:
        view = await registry.start(request())
        await made.ended(view.record.id)
    assert made.local_transcriber.streams == []
    assert [turn.text_source for turn in made.store.turns_known] == [TextSource.COMPLETED] * 3


@virtual_time
async def test_a_substitute_that_refuses_is_the_end_of_it() -> None:
    made = house()
    assert made.local_transcriber is not None
    made.transcriber.refusals = [NO_CREDIT]
    made.local_transcriber.refusals = [Rejected("ENGINE_MISSING", "The models are gone.")] * 9
    async with made.open() as registry:
        view = await registry.start(request())
        assert (await links_at(made, 1.0)).transcriber == Link(Health.REFUSED, "ENGINE_MISSING", "The models are gone.")
        await made.ended(view.record.id)
    assert len(made.local_transcriber.attempts_s) == 1


@virtual_time
async def test_fallback_is_as_asked_else_as_configured() -> None:
    made = house()
    made.configured = {"standup": SessionConfig(fallback="local")}
    async with made.open() as registry:
        for asked, got in (("", "local"), ("none", "none")):
            view = await registry.start(request(asked))
            assert view.record.settings.fallback == got
            await registry.stop("standup")
        with pytest.raises(Invalid) as caught:
            await registry.start(request("openai"))
    assert caught.value.facts["fields"] == "fallback"


# --- which language is not known --------------------------------------------------------------------------------------


@virtual_time
async def test_a_language_that_is_not_known_is_said_from_the_start_and_taken_all_the_same() -> None:
    made = house()
    async with made.open() as registry:
        view = await registry.start(
            StartRequest("standup", "file:/x.wav", transcriber="local", languages=("en-GB", "de", "pt-BR"))
        )
        assert view.links is not None
        assert view.links.transcriber == Link(
            Health.CONNECTING,
            "LANGUAGE_NOT_KNOWN",
            "The local transcriber knows only en, and will get de, pt-BR wrong.",
        )
        assert (await links_at(made, 0.5)).transcriber.health is Health.UP
        await made.ended(view.record.id)
    assert [turn.text_source for turn in made.store.turns_known] == [TextSource.COMPLETED] * 3


@virtual_time
async def test_a_substitute_that_does_not_know_the_language_says_both() -> None:
    made = house()
    made.transcriber.refusals = [NO_CREDIT]
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav", languages=("de",), fallback="local"))
        assert view.links is not None
        assert view.links.transcriber.reason == ""
        link = (await links_at(made, 0.5)).transcriber
        assert (link.health, link.reason) == (Health.UP, "FELL_BACK")
        assert "no credit" in link.detail
        assert link.detail.endswith("The local transcriber knows only en, and will get de wrong.")
        await made.ended(view.record.id)


def test_languages_are_compared_by_their_first_part() -> None:
    assert language_remark("local", ("en",), ("EN-us", "en")) == ""
    assert language_remark("openai", None, ("tlh",)) == ""
    assert language_remark("local", ("en",), ()) == ""
    assert "enm" in language_remark("local", ("en",), ("enm",))


def test_worse_news_go_before_remarks() -> None:
    usage = EngineUsage()
    usage.warn("LANGUAGE_NOT_KNOWN", "It does not know it.")
    down = Link(Health.DOWN, "VENDOR_DOWN", "away")
    assert usage.annotate(down) == down
    assert usage.annotate(Link(Health.OFF)) == Link(Health.OFF)
    assert usage.annotate(Link(Health.UP)) == Link(Health.UP, "LANGUAGE_NOT_KNOWN", "It does not know it.")


@virtual_time
async def test_hints_that_the_vendor_does_not_take_are_said_until_a_connection_takes_them() -> None:
    made = house()
    made.transcriber.remarks = {"HINTS_LEFT_OUT": "It takes no keywords."}
    async with made.open() as registry:
        await registry.start(request())
        assert (await links_at(made, 2.0)).transcriber == Link(Health.UP, "HINTS_LEFT_OUT", "It takes no keywords.")
        made.transcriber.remarks = {}
        made.transcriber.streams[0].break_now(DOWN)
        assert (await links_at(made, 2.0)).transcriber == Link(Health.UP)

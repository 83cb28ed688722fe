"""One session over fakes in virtual time: what is heard becomes stored turns, whatever the engines do."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from minuted_daemon.core.events import (
    Attribution,
    MergeOutput,
    SuspectReason,
    TextCompleted,
    TextSource,
    TranscriberEvent,
)
from minuted_daemon.core.merge.merger import Merger
from minuted_daemon.core.records import LIVE_STATES, Health, SessionRecord, SessionState, SpeakerRecord, TurnRecord
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.errors import DeviceError, Garbled, Rejected, Unavailable
from minuted_daemon.ports.capture import CaptureHealth, Filled
from minuted_daemon.service.merge.driver import MergeDriver
from minuted_daemon.service.session.status import NEXT_STATES
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.capture import audio, block
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time, wall_s

TWO_TURNS = audio((1.0, False), (3.0, True), (2.0, False), (2.0, True), (1.0, False))
TWO_VOICES = [("A", 1.0, 4.0), ("B", 6.0, 8.0)]
DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")


def house(script: list = TWO_TURNS, voices: list = TWO_VOICES) -> House:  # type: ignore[type-arg,assignment]
    made = House()
    made.capture.script = script
    made.diarizer.script = voices
    return made


def spans(made: House) -> list[tuple[float, float]]:
    return [(turn.start / 16000, turn.end / 16000) for turn in made.store.turns_known]


def test_every_state_has_a_row_and_leads_to_an_end() -> None:
    assert set(NEXT_STATES) == set(SessionState)
    for state in SessionState:
        assert bool(NEXT_STATES[state]) == (state in LIVE_STATES)
        if state in LIVE_STATES:
            assert SessionState.FAILED in NEXT_STATES[state]


@virtual_time
async def test_what_is_said_of_a_silence_that_a_diarizer_claims_is_stored_with_its_mark() -> None:
    made = house(
        audio((1.0, False), (3.0, True), (30.0, False)), [("A", 1.0, 4.0), ("B", 10.0, 14.0), ("B", 20.0, 24.0)]
    )
    made.transcriber.says = "So let us go on with the next point."
    async with made.open():
        await made.run_file()
    assert [(turn.text, turn.suspect) for turn in made.store.turns_known] == [
        (made.transcriber.says, None),
        *[(made.transcriber.says, SuspectReason.NO_SPEECH)] * 2,
    ]


@virtual_time
async def test_taps_that_a_diarizer_claims_are_stored_with_their_mark() -> None:
    made = house(audio(*[(0.1, True), (3.9, False)] * 5), [("A", 4.0 * n - 0.2, 4.0 * n + 1.2) for n in range(1, 5)])
    made.transcriber.says = "Thank you for watching!"
    async with made.open():
        await made.run_file()
    reasons = {turn.suspect for turn in made.store.turns_known}
    assert reasons <= {SuspectReason.BOILERPLATE, SuspectReason.NO_SPEECH}
    assert len(made.store.turns_known) >= 4


@virtual_time
async def test_a_recording_becomes_attributed_turns() -> None:
    made = house()
    async with made.open():
        await made.run_file()
    (session,) = made.store.sessions_known
    assert session.state is SessionState.STOPPED
    assert session.heard == samples(9.0)
    assert session.ended_s is not None
    first, second = made.store.turns_known
    assert (first.start / 16000, first.end / 16000) == pytest.approx((1.0, 4.0), abs=0.2)
    assert (second.start / 16000, second.end / 16000) == pytest.approx((6.0, 8.0), abs=0.2)
    assert "heard" in first.text
    assert {turn.text_source for turn in (first, second)} == {TextSource.COMPLETED}
    assert {turn.attribution for turn in (first, second)} == {Attribution.DIARIZED}
    assert first.speaker_id != second.speaker_id
    assert first.latency_s is not None
    assert 0.3 < first.latency_s < 2.5
    assert first.start_wall_s == pytest.approx(made.store.points[0].wall_s + first.start / 16000)


@virtual_time
async def test_states_are_stored_in_order_and_a_speaker_before_its_turn() -> None:
    made = house()
    async with made.open():
        await made.run_file()
    records = [record for transaction in made.store.transactions for record in transaction]
    states = [record.state.value for record in records if isinstance(record, SessionRecord)]
    assert states == ["starting", "running", "stopping", "stopped"]
    kinds = [type(record) for record in records if not isinstance(record, SessionRecord)]
    assert kinds == [SpeakerRecord, TurnRecord, SpeakerRecord, TurnRecord]
    assert isinstance(records[-1], SessionRecord), "the end comes behind the last turn"


@virtual_time
async def test_the_transcriber_hears_the_turn_and_nothing_else() -> None:
    made = house()
    async with made.open():
        await made.run_file()
    (stream,) = made.transcriber.streams
    whole = np.concatenate([item.wide for item in TWO_TURNS])  # type: ignore[union-attr]
    for utterance in stream.committed:
        heard = stream.heard(utterance)
        start = np.flatnonzero(np.correlate(whole.astype(float), heard[:4000].astype(float)) > 0).size
        assert start > 0
        loud = np.abs(heard) > 100
        assert loud.mean() > 0.75
    assert len(stream.committed) == 2


@virtual_time
async def test_partials_come_before_the_final_with_its_id() -> None:
    made = house()
    async with made.open():
        await made.run_file()
    ids = {partial.turn.turn.id for partial in made.partials}
    assert {turn.id for turn in made.store.turns_known} <= ids
    assert all(partial.turn.speakers for partial in made.partials)


@virtual_time
async def test_a_diarizer_that_breaks_makes_a_new_epoch_from_live_audio() -> None:
    made = house(
        audio((1.0, False), (3.0, True), (3.0, False), (3.0, True), (1.0, False)),
        [("A", 1.0, 4.0), ("B", 7.0, 10.0)],
    )
    made.diarizer.refusals = []
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(5.0)
        made.diarizer.streams[0].break_now(Garbled("BAD_ANSWER", "what"))
        made.diarizer.refusals = [DOWN]
        await asyncio.sleep(0.2)
        links = (await registry.view(view.record.id)).links
        assert links is not None
        assert links.diarizer.health is Health.DOWN
        assert links.diarizer.reason == "BAD_ANSWER"
        await made.ended(view.record.id)
    one, two = made.diarizer.streams
    assert one.closed
    assert made.diarizer.attempts_s[1] - made.diarizer.attempts_s[0] <= 6.0
    assert two.base == samples(6.6) or two.base in range(samples(6.4), samples(6.9))
    assert two.sent == samples(11.0) - two.base, "only live audio, without a burst"
    first, second = made.store.turns_known
    assert second.start / 16000 == pytest.approx(7.0, abs=0.2)
    assert first.speaker_id != second.speaker_id


@virtual_time
async def test_a_refused_diarizer_is_not_asked_again_and_turns_are_unknown() -> None:
    made = house()
    made.diarizer.refusals = [Rejected("KEY_REJECTED", "the key is no good")] * 9
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(1.0)
        live = (await registry.view("standup")).links
        assert live is not None
        assert (live.diarizer.health, live.diarizer.reason) == (Health.REFUSED, "KEY_REJECTED")
        await made.ended(view.record.id)
    assert len(made.diarizer.attempts_s) == 1
    turns = made.store.turns_known
    assert len(turns) == 2
    assert {turn.attribution for turn in turns} == {Attribution.UNKNOWN}
    assert {turn.speaker_id for turn in turns} == {None}
    assert all("heard" in turn.text for turn in turns)


@virtual_time
async def test_a_transcriber_that_was_away_gets_the_whole_turn() -> None:
    made = house()
    made.transcriber.refusals = [DOWN] * 4
    async with made.open():
        await made.run_file()
    assert len(made.transcriber.attempts_s) == 5
    waits = [later - earlier for earlier, later in pairwise(made.transcriber.attempts_s)]
    assert waits == pytest.approx([0.5, 1, 2, 4], abs=0.01)
    assert [turn.text_source for turn in made.store.turns_known] == [TextSource.COMPLETED] * 2
    (stream,) = made.transcriber.streams
    assert len(stream.heard(stream.committed[0])) / 24000 >= 2.9


@virtual_time
async def test_a_connection_that_breaks_in_a_turn_loses_nothing() -> None:
    made = house()
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(3.0)
        made.transcriber.streams[0].break_now(DOWN)
        await made.ended(view.record.id)
    assert [turn.text_source for turn in made.store.turns_known] == [TextSource.COMPLETED] * 2
    again = made.transcriber.streams[1]
    assert len(again.heard(again.committed[0])) / 24000 >= 2.9


@virtual_time
async def test_a_refused_transcriber_leaves_turns_without_text() -> None:
    made = house()
    made.transcriber.refusals = [Rejected("QUOTA_EXHAUSTED", "no credit")] * 9
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(8.0)
        assert {one.turn.turn.text for one in made.partials} == {""}, "they are shown all the same"
        assert len({one.turn.turn.speaker_id for one in made.partials}) == 2
        assert len(made.transcriber.attempts_s) == 1
        await made.ended(view.record.id)
    assert [turn.text_source for turn in made.store.turns_known] == [TextSource.NONE] * 2
    assert {turn.attribution for turn in made.store.turns_known} == {Attribution.DIARIZED}


@virtual_time
@pytest.mark.parametrize(("diarizer", "transcriber"), [("none", "openai"), ("pyannote", "none")])
async def test_a_session_may_do_without_an_engine(diarizer: str, transcriber: str) -> None:
    made = house()
    made.settings = type(made.settings)(transcribes=transcriber != "none")
    async with made.open() as registry:
        request = StartRequest("standup", "file:/x.wav", diarizer, transcriber)
        view = await registry.start(request)
        assert view.links is not None
        off = view.links.diarizer if diarizer == "none" else view.links.transcriber
        assert off.health is Health.OFF
        await made.ended(view.record.id)
    assert len(made.store.turns_known) == 2
    wanted = TextSource.NONE if transcriber == "none" else TextSource.COMPLETED
    assert {turn.text_source for turn in made.store.turns_known} == {wanted}
    assert made.store.sessions_known[0].state is SessionState.STOPPED


@virtual_time
async def test_the_drain_has_a_limit_and_stores_what_there_is() -> None:
    made = house()
    made.transcriber.answers = False
    made.diarizer.never_finishes = True
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        began_s = asyncio.get_running_loop().time()
        await made.ended(view.record.id)
        assert asyncio.get_running_loop().time() - began_s <= 9.0 + 20.1
    assert made.store.sessions_known[0].state is SessionState.STOPPED
    assert len(made.store.turns_known) == 2
    assert TextSource.COMPLETED not in {turn.text_source for turn in made.store.turns_known}


@virtual_time
async def test_a_source_that_fails_ends_the_session_with_what_was_heard() -> None:
    made = house([*TWO_TURNS[:45], DeviceError("FILE_DAMAGED", "the recording is damaged at 4.5 s")])
    async with made.open() as registry:
        await made.run_file()
        view = await registry.view("standup")
    assert view.record.state is SessionState.FAILED
    assert (view.record.reason, view.record.heard) == ("FILE_DAMAGED", samples(4.5))
    (turn,) = made.store.turns_known
    assert turn.text_source is TextSource.COMPLETED


@virtual_time
async def test_what_was_not_heard_is_one_interval() -> None:
    filled = [block(False, n, (Filled(0, 1600, "DEVICE_LOST"),)) for n in range(20)]
    made = house([*TWO_TURNS[:50], block(False, 0, (Filled(800, 1600, "DEVICE_LOST"),)), *filled, *TWO_TURNS[:3]])
    async with made.open():
        await made.run_file()
    (gap,) = made.store.intervals_known
    assert (gap.start, gap.end) == (samples(5.05), samples(7.1))
    assert gap.reason == "DEVICE_LOST"


@virtual_time
async def test_capture_health_is_told_apart_from_state() -> None:
    lost = CaptureHealth(Health.DOWN, "DEVICE_LOST", "unplugged")
    made = house([*TWO_TURNS[:10], lost, *TWO_TURNS[:10], CaptureHealth(Health.UP), *TWO_TURNS[:10]])
    async with made.open() as registry:
        await registry.start(StartRequest("standup", device="default"))
        seen = []
        for _ in range(3):
            await asyncio.sleep(1.01)
            view = await registry.view("standup")
            assert view.links is not None
            seen.append((view.record.state, view.links.capture.health))
        assert seen[0] == (SessionState.RUNNING, Health.UP) or seen[0][1] is Health.DOWN
        assert (SessionState.RUNNING, Health.DOWN) in seen
        assert seen[-1] == (SessionState.RUNNING, Health.UP)


@virtual_time
async def test_a_slow_diarizer_breaks_its_epoch_and_not_the_audio() -> None:
    made = house(audio((12.0, False)), [])
    made.diarizer.send_takes_s = 0.25
    async with made.open():
        await made.run_file()
    assert made.store.sessions_known[0].heard == samples(12.0)
    assert len(made.diarizer.streams) > 1
    assert made.diarizer.streams[0].closed


@virtual_time
async def test_the_store_may_fail_for_a_while_and_nothing_is_lost() -> None:
    made = house()
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(0.5)
        made.store.break_with("DISK_FULL")
        await asyncio.sleep(7.0)
        assert (await registry.view("standup")).record.reason == "DISK_FULL"
        made.store.fault = None
        await made.ended(view.record.id)
    assert len(made.store.turns_known) == 2
    assert (made.store.sessions_known[0].state, made.store.sessions_known[0].reason) == (SessionState.STOPPED, "")


@virtual_time
async def test_a_slow_store_does_not_hold_up_the_audio() -> None:
    made = house()
    made.store.write_takes_s = 3.0
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(8.0)
        assert (await registry.view("standup")).heard >= samples(7.8)
        await made.ended(view.record.id)
    assert made.store.sessions_known[0].state is SessionState.STOPPED


@virtual_time
async def test_a_bug_in_the_merge_ends_this_session_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made = house(audio((60.0, True)), [])
    async with made.open() as registry:
        ill = await registry.start(StartRequest("ill", device="file:/x.wav"))
        well = await registry.start(StartRequest("well", device="file:/x.wav"))
        mergers: list[Merger] = []
        advance = Merger.advance

        def broken(merger: Merger, now: Sample) -> Sequence[MergeOutput]:
            if merger not in mergers:
                mergers.append(merger)
            if merger is mergers[0] and now > samples(1.0):
                raise ZeroDivisionError
            return advance(merger, now)

        monkeypatch.setattr(Merger, "advance", broken)
        await made.ended(ill.record.id)
        assert (await registry.view("well")).record.state is SessionState.RUNNING
        assert (await registry.view("ill")).record.state is SessionState.FAILED
        assert (await registry.view("ill")).record.reason == "INTERNAL_FAULT"
        await registry.stop(well.record.id)


@virtual_time
async def test_a_transcriber_is_renewed_between_turns_before_its_end() -> None:
    made = house(audio(*[(1.0, False), (2.0, True)] * 20), [])
    made.transcriber.lifetime_s = 40.0
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav", diarizer="none"))
        await made.ended(view.record.id)
    one, two = made.transcriber.streams[:2]
    assert one.closed
    assert made.transcriber.attempts_s[1] - made.transcriber.attempts_s[0] == pytest.approx(30.0, abs=0.2)
    assert one.open is None, "no utterance was cut in two"
    assert two.committed
    assert len(made.store.turns_known) == 20
    assert {turn.text_source for turn in made.store.turns_known} == {TextSource.COMPLETED}


@virtual_time
async def test_a_spool_that_overflows_is_accounted_for() -> None:
    made = house(audio((1.0, False), (15.0, True), (1.0, False)), [("A", 1.0, 16.0)])
    made.spools.bound_s = 5.0
    made.transcriber.refusals = [DOWN] * 5
    async with made.open():
        await made.run_file()
    (lost,) = made.store.intervals_known
    assert lost.kind.value == "lost"
    assert lost.start / 16000 <= 1.0
    assert 5.0 < lost.end / 16000 < 14.0


@virtual_time
async def test_the_final_follows_the_vendors_answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = house()
    made.transcriber.answer_after_s = 1.7
    answered_s: list[float] = []
    stored_s: list[float] = []
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        before = MergeDriver.transcribed

        def noted(driver: MergeDriver, event: TranscriberEvent) -> None:
            if isinstance(event, TextCompleted):
                answered_s.append(wall_s())
            before(driver, event)

        monkeypatch.setattr(MergeDriver, "transcribed", noted)
        write = made.store.write

        async def written(*of_it: object) -> object:
            stored = await write(*of_it)  # type: ignore[arg-type]
            stored_s.extend(wall_s() for record in stored if isinstance(record, TurnRecord))
            return stored

        made.store.write = written  # type: ignore[assignment,method-assign]
        await made.ended(view.record.id)
    assert len(stored_s) == 2
    assert all(0 <= stored - answered < 0.01 for stored, answered in zip(stored_s, answered_s, strict=True))

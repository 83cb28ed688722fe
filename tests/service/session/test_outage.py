"""The transcriber away for long: everything else goes on, and afterwards the past is made up for beside the present."""

import asyncio
from itertools import pairwise

import pytest

from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import Health, IntervalKind, TurnRecord
from minuted_daemon.core.samples import RATE_HZ, samples, seconds
from minuted_daemon.errors import Unavailable
from minuted_daemon.service.retries.policy import NO_CONNECTION_MAX_S
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.capture import Item, audio, block
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time

DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")
PERIOD_S, SPEECH_S = 10.0, 4.0
BEFORE_S = 20.0
BACK_S = 10.0
"""Live latency is as before so long after the return at the latest."""


def meeting(length_s: float) -> list[Item]:
    """Four seconds of speech in every ten. The blocks of an hour are the same few."""
    few = audio((3.0, False), (SPEECH_S, True), (3.0, False))
    return few * round(length_s / PERIOD_S)


def voices(length_s: float) -> list[tuple[str, float, float]]:
    starts = [n * PERIOD_S + 3.0 for n in range(round(length_s / PERIOD_S))]
    return [("AB"[n % 2], start, start + SPEECH_S) for n, start in enumerate(starts)]


async def away(
    outage_s: float, after_s: float, bound_s: float = float("inf"), diarizer: str = "pyannote"
) -> tuple[House, float]:
    """Play a meeting with an outage from BEFORE_S on; give the house, and when the vendor was back (in the session)."""
    length_s = BEFORE_S + outage_s + after_s
    made = House()
    made.capture.script = meeting(length_s)
    made.diarizer.script = voices(length_s)
    made.spools.bound_s = bound_s
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav", diarizer))
        await asyncio.sleep(BEFORE_S)
        made.transcriber.refusals = [DOWN] * 10_000
        for stream in made.transcriber.streams:
            stream.break_now(DOWN)
        await asyncio.sleep(outage_s)
        assert (await registry.view("standup")).links.transcriber.health is Health.DOWN  # type: ignore[union-attr]
        made.transcriber.refusals = []
        await made.ended(view.record.id)
    return made, BEFORE_S + outage_s


def order_stored(made: House) -> list[TurnRecord]:
    """The turns in the order in which they became final."""
    records = [record for transaction in made.store.transactions for record in transaction]
    return [record for record in records if isinstance(record, TurnRecord)]


def check_all_is_made_up(made: House, back_s: float, outage_s: float) -> None:
    turns = order_stored(made)
    assert {turn.text_source for turn in turns} == {TextSource.COMPLETED}
    assert len({turn.id for turn in turns}) == len(turns) == len(made.capture.script) // 100
    assert [turn.seq for turn in turns] == sorted(turn.seq for turn in turns)
    assert made.store.intervals_known == []

    past = [turn for turn in turns if BEFORE_S < turn.end / RATE_HZ < back_s - 10.0]
    assert [turn.start for turn in past] == sorted(turn.start for turn in past), "oldest first"
    for turn in turns:
        if turn.start / RATE_HZ > back_s + BACK_S:
            assert turn.latency_s is not None
            assert turn.latency_s < 2.5, f"{turn.start / RATE_HZ:.0f} s"

    _, first, beside = made.transcriber.streams
    assert len(beside.committed) >= 0.8 * len(past)
    sent_s = sum(len(beside.heard(utterance)) for utterance in beside.committed) / 24_000
    assert sent_s <= 1.2 * SPEECH_S * len(past)
    assert first.committed
    assert beside.closed, "it rests when nothing is left to make up for"

    waits = [later - earlier for earlier, later in pairwise(made.transcriber.attempts_s)]
    assert max(waits[1:]) <= 1.25 * NO_CONNECTION_MAX_S, "so that the return is noticed soon"
    assert len(waits) <= 8 + outage_s / NO_CONNECTION_MAX_S, "no storm"


@virtual_time
async def test_a_minute_away_is_made_up_for_beside_the_present() -> None:
    made, back_s = await away(60.0, 80.0)
    check_all_is_made_up(made, back_s, 60.0)


@pytest.mark.e2e
@pytest.mark.timeout(120)
@virtual_time
async def test_an_hour_away_is_made_up_for_beside_the_present() -> None:
    made, back_s = await away(3600.0, 600.0, diarizer="none")
    check_all_is_made_up(made, back_s, 3600.0)


@virtual_time
async def test_what_the_spool_could_not_hold_is_final_without_text_and_told_to_be_lost() -> None:
    made, _ = await away(120.0, 60.0, bound_s=60.0)
    turns = made.store.turns_known
    without = [turn for turn in turns if turn.text_source is TextSource.NONE]
    assert len(turns) == 20
    assert 5 <= len(without) <= 8
    assert all(turn.text == "" and turn.speaker_id for turn in without)
    lost = made.store.intervals_known
    assert {(interval.kind, interval.reason) for interval in lost} == {(IntervalKind.LOST, "SPOOL_FULL")}
    for turn in without:
        # Given up with its first sample: what a sentence without its beginning would be is anybody's guess.
        assert any(one.start <= turn.end and turn.start - samples(0.3) < one.end for one in lost)
    for turn in turns:
        if turn.text_source is TextSource.COMPLETED:
            assert not any(one.start <= turn.start and turn.end <= one.end for one in lost)
    assert seconds(sum(one.end - one.start for one in lost)) < 120.0


@virtual_time
async def test_audio_is_released_when_it_is_frozen_and_not_before() -> None:
    made = House()
    made.capture.script = meeting(50.0)
    made.freeze_s = 40.0
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(49.0)
        spool = made.spools.opened[view.record.id]
        assert 40.0 <= seconds(spool.end - spool.begin) <= 40.2
        await made.ended(view.record.id)
        await asyncio.sleep(0.1)
        assert made.spools.finished == [view.record.id]


def test_the_few_blocks_of_the_meeting_tell_speech_from_silence() -> None:
    loud = [abs(item.pcm).max() > 1000 for item in meeting(10.0) if hasattr(item, "pcm")]
    assert sum(loud) == 40
    assert not abs(block(False).pcm).max() > 100

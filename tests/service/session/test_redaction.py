"""Forgetting the last minutes of a session that goes on, over fakes in virtual time."""

import asyncio

import numpy as np
import pytest

from minuted_daemon.core.records import IntervalKind, TurnLife, TurnRecord
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.errors import Invalid
from minuted_daemon.service.views import StartRequest, Stretch
from tests.fakes_service.capture import audio
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time


def at(position_s: float) -> Sample:
    return Sample(samples(position_s))


def house(*voices: tuple[str, float, float]) -> House:
    made = House()
    loud = [any(start <= n / 10 < end for _, start, end in voices) and n % 8 != 0 for n in range(600)]
    made.capture.script = audio(*((0.1, one) for one in loud))
    made.diarizer.script = list(voices)
    return made


def worded(made: House) -> list[tuple[float, float]]:
    return [(turn.start / 16000, turn.end / 16000) for turn in made.store.turns_known if turn.text]


@virtual_time
async def test_who_speaks_on_behind_a_redaction_is_heard_and_nothing_of_it_is() -> None:
    made = house(("A", 1.0, 3.0), ("B", 5.0, 17.0))
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup"))
        await asyncio.sleep(12.05)
        partials = len(made.partials)
        left = await registry.redact("standup", Stretch(last=at(4.0)))
        assert (left.start, left.end) == (at(8.0), at(12.0))
        assert made.audio.erased == [(view.record.id, at(8.0), at(12.0))]
        await asyncio.sleep(10.0)
        await registry.stop("standup")
    (interval,) = made.store.intervals_known
    assert (interval.kind, interval.reason) == (IntervalKind.MUTED, "REDACTED")
    assert worded(made) == [
        pytest.approx((1.0, 3.0), abs=0.2),
        pytest.approx((5.0, 8.0), abs=0.2),
        pytest.approx((12.0, 17.0), abs=0.2),
    ]
    speakers = [turn.speaker_id for turn in made.store.turns_known]
    assert speakers[1] == speakers[2] != speakers[0]
    for partial in made.partials[partials:]:
        turn = partial.turn.turn
        if turn.life is not TurnLife.RETRACTED:
            assert turn.end <= left.start or turn.start >= left.end
    for batch in made.store.transactions:
        for record in batch:
            if isinstance(record, TurnRecord) and record.text:
                assert record.end <= left.start or record.start >= left.end


@virtual_time
async def test_nothing_of_a_redacted_stretch_is_sent_any_more() -> None:
    made = house(("A", 1.0, 30.0))
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(12.0)
        await registry.redact("standup", Stretch(last=at(6.0)))
        before = set(made.transcriber.streams[0].committed)
        await asyncio.sleep(22.0)
        await registry.stop("standup")
    stream = made.transcriber.streams[0]
    whole = np.concatenate([block.wide for block in made.capture.script])  # type: ignore[union-attr]
    forbidden = whole[9 * 24_000 : 9 * 24_000 + 480]  # some 20 ms in the middle of it
    for utterance in set(stream.committed) - before:
        sent = stream.heard(utterance)
        windows = np.lib.stride_tricks.sliding_window_view(sent, 480)[::2]
        assert not (windows[:, :8] == forbidden[:8]).all(axis=1).any()


@virtual_time
async def test_a_turn_that_waits_for_its_text_is_taken_back_and_its_answer_comes_too_late() -> None:
    made = house(("A", 2.0, 6.0))
    made.transcriber.answer_after_s = 5.0
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(9.0)
        assert made.transcriber.streams[0].committed, "it is asked for"
        await registry.redact("standup", Stretch(last=at(9.0)))
        await asyncio.sleep(10.0)
        await registry.stop("standup")
    assert made.store.turns_known == []


@virtual_time
async def test_final_turns_are_redacted_and_are_never_revised_again() -> None:
    made = house(("A", 1.0, 3.0), ("B", 4.0, 6.0), ("A", 20.0, 22.0))
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(15.0)
        assert len(worded(made)) == 2
        left = await registry.redact("standup", Stretch(start=at(0.5), end=at(3.5)))
        assert left.turns == 1
        await asyncio.sleep(20.0)
        await registry.stop("standup")
    assert worded(made) == [pytest.approx((4.0, 6.0), abs=0.2), pytest.approx((20.0, 22.0), abs=0.2)]


@virtual_time
async def test_nothing_to_forget_is_refused() -> None:
    made = house(("A", 1.0, 3.0))
    async with made.open() as registry:
        await registry.start(StartRequest("standup"))
        await asyncio.sleep(5.0)
        with pytest.raises(Invalid) as refused:
            await registry.redact("standup", Stretch(start=at(60.0)))
        assert refused.value.reason == "NOTHING_TO_REDACT"
        assert made.store.requests == []

"""Which audio is sent of a turn that was stored without its text: its own, whole words, and nobody else's."""

import numpy as np

from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import SessionId, StoredTurn, TurnId, TurnLife, TurnRecord
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples
from minuted_daemon.core.transcription.turn import LEAD, TAIL
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.ports.store import OwedTurn
from minuted_daemon.service.backfill.audio import OwedAudio, owed_audio
from tests.fakes_service.spools import FakeSpool

LENGTH_S = 30.0


def room(*voices: tuple[float, float]) -> FakeSpool:
    """Quiet noise, and louder noise where somebody speaks (seconds)."""
    rng = np.random.default_rng(1)
    pcm = rng.normal(0.0, 20.0, samples(LENGTH_S))
    for start_s, end_s in voices:
        pcm[samples(start_s) : samples(end_s)] = rng.normal(0.0, 3_000.0, samples(end_s) - samples(start_s))
    spool = FakeSpool()
    for at in range(0, len(pcm), BLOCK):
        block = pcm[at : at + BLOCK].astype(np.int16)
        spool.append(AudioBlock(block, np.resize(block, BLOCK * 3 // 2), 0.0))
    return spool


def owed(start_s: float, end_s: float, free_from_s: float | None = None, free_to_s: float | None = None) -> OwedTurn:
    turn = TurnRecord(
        TurnId("01TURN"),
        SessionId("01ROOM"),
        Sample(samples(start_s)),
        Sample(samples(end_s)),
        None,
        Attribution.UNKNOWN,
        "",
        TextSource.NONE,
        TurnLife.FINAL,
        0.0,
    )
    edges = [None if edge is None else Sample(samples(edge)) for edge in (free_from_s, free_to_s)]
    return OwedTurn(StoredTurn(turn, "room"), *edges)


def near(audio: OwedAudio | None, start: float, end: float) -> bool:
    """Within three frames, in samples."""
    assert audio is not None
    return abs(audio.start - start) <= 480 and abs(audio.end - end) <= 480


async def test_a_little_silence_goes_with_it() -> None:
    audio = await owed_audio(room((20.0, 21.0)), owed(20.0, 21.0))
    assert near(audio, samples(20.0) - LEAD, samples(21.0) + TAIL)
    assert audio is not None
    assert audio.whole


async def test_voice_that_sticks_out_goes_with_it_whole() -> None:
    audio = await owed_audio(room((19.75, 20.5), (20.7, 21.25)), owed(20.0, 21.0))
    assert near(audio, samples(19.75), samples(21.25))


async def test_voice_that_goes_on_is_somebody_elses() -> None:
    audio = await owed_audio(room((18.0, 23.0)), owed(20.0, 21.0))
    assert near(audio, samples(20.0), samples(21.0))


async def test_nothing_of_a_neighbours_stretch_is_sent() -> None:
    audio = await owed_audio(room((19.8, 21.2)), owed(20.0, 21.0, 19.95, 21.05))
    assert audio is not None
    assert audio.start >= samples(19.95)
    assert audio.end <= samples(21.05)


async def test_what_lies_between_two_turns_went_with_the_first() -> None:
    spool = room((18.0, 19.7), (19.9, 21.0))
    first = await owed_audio(spool, owed(18.0, 19.5, None, 20.0))
    second = await owed_audio(spool, owed(20.0, 21.0, 19.5, None))
    assert first is not None
    assert second is not None
    assert samples(19.7) <= first.end <= second.start <= samples(19.9)


async def test_turns_that_touch_share_nothing() -> None:
    spool = room((18.0, 22.0))
    first = await owed_audio(spool, owed(18.0, 20.0, None, 20.0))
    second = await owed_audio(spool, owed(20.0, 22.0, 20.0, None))
    assert first is not None
    assert second is not None
    assert first.end == second.start == samples(20.0)


async def test_audio_that_is_partly_gone_is_told_apart() -> None:
    spool = room((20.0, 21.0))
    spool.release(Sample(samples(20.5)))
    audio = await owed_audio(spool, owed(20.0, 21.0))
    assert audio is not None
    assert not audio.whole
    spool.release(Sample(samples(22.0)))
    assert await owed_audio(spool, owed(20.0, 21.0)) is None


async def test_a_turn_at_either_end_of_the_audio_has_its_edges() -> None:
    spool = room((0.0, 1.0), (29.0, 30.0))
    first, last = await owed_audio(spool, owed(0.0, 1.0)), await owed_audio(spool, owed(29.0, LENGTH_S))
    assert first is not None
    assert last is not None
    assert first.start == 0
    assert last.end == LENGTH_S * RATE_HZ

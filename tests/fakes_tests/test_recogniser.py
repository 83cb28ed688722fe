"""The recogniser finds what it hears to the sample, whatever was done to the audio on its way."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from tests.fakes.meeting import RATE_HZ, Meeting, load_meeting, parse_spec, render, synthetic_meeting
from tests.fakes.recogniser import Listener, Recogniser

Pcm = NDArray[np.int16]


@pytest.fixture(scope="module")
def meetings() -> list[Meeting]:
    return [load_meeting("ES2011b", 300, 60), load_meeting("IB4010", 600, 90)]


@pytest.fixture(scope="module")
def recogniser(meetings: list[Meeting]) -> Recogniser:
    return Recogniser(meetings)


@pytest.fixture(scope="module")
def sounds(meetings: list[Meeting]) -> dict[int, Pcm]:
    pcm = render(meetings[1])
    return {16_000: pcm, 24_000: soxr.resample(pcm, 16_000, 24_000)}


def in_chunks(listener: Listener, pcm: Pcm, rng: np.random.Generator, longest: int = 4000) -> tuple[float, float]:
    start, at = listener.received, 0
    while at < len(pcm):
        size = int(rng.integers(1, longest))
        listener.feed(pcm[at : at + size])
        at += size
    return start, listener.received


def true_words(meeting: Meeting, start: float, end: float) -> list[str]:
    return [
        w.text
        for w in meeting.words
        if start <= w.middle < end and (min(end, w.end) - max(start, w.start)) * 5 >= w.end - w.start
    ]


def texts(listener: Listener, span: tuple[float, float]) -> list[str]:
    return [heard.word.text for heard in listener.words(*span)]


@pytest.mark.parametrize("rate_hz", [16_000, 24_000])
def test_random_cuts_are_placed_to_the_sample(
    recogniser: Recogniser, meetings: list[Meeting], sounds: dict[int, Pcm], rate_hz: int
) -> None:
    rng = np.random.default_rng(rate_hz)
    pcm = sounds[rate_hz]
    listener = recogniser.listen(rate_hz)
    for _ in range(60):
        first = int(rng.integers(0, len(pcm) - 5 * rate_hz))
        count = int(rng.integers(rate_hz // 10, 4 * rate_hz))
        span = in_chunks(listener, pcm[first : first + count], rng)
        listener.mark()
        start, end = first * RATE_HZ / rate_hz, (first + count) * RATE_HZ / rate_hz
        spans = listener.spans(*span)
        assert [meeting.name for meeting, _, _ in spans] == [meetings[1].name]
        assert spans[0][1:] == (pytest.approx(start, abs=1), pytest.approx(end, abs=1))
        assert texts(listener, span) == true_words(meetings[1], start, end)


@pytest.mark.parametrize("rate_hz", [16_000, 24_000])
def test_neighbouring_buffers_hold_every_word_exactly_once(
    recogniser: Recogniser, meetings: list[Meeting], sounds: dict[int, Pcm], rate_hz: int
) -> None:
    rng = np.random.default_rng(5)
    listener = recogniser.listen(rate_hz)
    heard: list[str] = []
    at = 0
    while at < len(sounds[rate_hz]):
        size = int(rng.integers(rate_hz // 10, 3 * rate_hz))
        span = in_chunks(listener, sounds[rate_hz][at : at + size], rng)
        listener.mark()
        heard += texts(listener, span)
        at += size
    assert len(heard) == len(set(heard)) == len(meetings[1].words)


def test_words_come_in_order_of_their_start_and_a_tie_goes_to_the_first(
    recogniser: Recogniser, meetings: list[Meeting], sounds: dict[int, Pcm]
) -> None:
    word = next(w for w in meetings[1].words if (w.end - w.start) % 2 == 0 and w.start > RATE_HZ)
    half = (word.start + word.end) // 2
    listener = recogniser.listen(16_000)
    spans = []
    for part in (sounds[16_000][half - 12_000 : half], sounds[16_000][half : half + 12_000]):
        spans.append(in_chunks(listener, part, np.random.default_rng(1)))
        listener.mark()
    assert word.text in texts(listener, spans[0])
    assert word.text not in texts(listener, spans[1])
    starts = [heard.word.start for heard in listener.words(spans[0][0], spans[1][1])]
    assert starts == sorted(starts)


def test_gain_other_rates_and_digital_silence_do_not_matter(
    recogniser: Recogniser, meetings: list[Meeting], sounds: dict[int, Pcm]
) -> None:
    part = sounds[16_000][160_000:240_000]
    there_and_back = soxr.resample(soxr.resample(part, 16_000, 48_000), 48_000, 16_000)
    for gain in (0.71, 1.41):
        changed = np.clip(there_and_back * gain, -32768, 32767).astype(np.int16)
        listener = recogniser.listen(16_000)
        listener.feed(np.zeros(777, dtype=np.int16))
        listener.feed(changed[:40_000].astype(np.float32) / 32768)
        listener.feed(np.zeros(3_333, dtype=np.int16))
        listener.feed(changed[40_000:])
        listener.feed(np.zeros(5_000, dtype=np.int16))
        listener.mark()
        first, second = listener.stretches
        assert (first.start, first.end, first.offset) == (pytest.approx(777, abs=20), 40_777, 160_000 - 777)
        assert second.start + second.offset == pytest.approx(200_000, abs=20)
        assert texts(listener, (0, listener.received)) == true_words(meetings[1], 160_000, 240_000)


def test_jumps_without_a_mark_are_found(recogniser: Recogniser, sounds: dict[int, Pcm]) -> None:
    rng = np.random.default_rng(3)
    listener = recogniser.listen(16_000)
    firsts = [int(rng.integers(0, 1_200_000)) for _ in range(12)]
    in_chunks(listener, np.concatenate([sounds[16_000][at : at + 11_111] for at in firsts]), rng)
    listener.mark()
    for number, at in enumerate(firsts):
        spans = [s for s in listener.spans(number * 11_111, (number + 1) * 11_111) if s[2] - s[1] > 400]
        assert len(spans) == 1
        assert spans[0][1:] == (pytest.approx(at, abs=100), pytest.approx(at + 11_111, abs=100))


def test_other_sound_is_no_meeting(recogniser: Recogniser) -> None:
    listener = recogniser.listen(16_000)
    listener.feed((np.random.default_rng(9).standard_normal(32_000) * 3000).astype(np.int16))
    listener.mark()
    assert listener.stretches == []
    assert listener.settled == pytest.approx(32_000, abs=4)


def test_progress_is_told_while_audio_comes(recogniser: Recogniser, sounds: dict[int, Pcm]) -> None:
    listener = recogniser.listen(24_000)
    for at in range(0, 240_000, 2400):
        listener.feed(sounds[24_000][at : at + 2400])
        if at > 4800:
            assert listener.received - listener.settled <= 0.03 * RATE_HZ
    assert len(listener.stretches) == 1


@pytest.mark.parametrize("build", [lambda: load_meeting("IS1008c", 100, 40), lambda: synthetic_meeting(3, 5, 1.0)])
def test_a_meeting_is_the_same_everywhere(build: Callable[[], Meeting]) -> None:
    meeting = build()
    assert parse_spec(meeting.spec) == meeting
    assert len({word.text for word in meeting.words}) == len(meeting.words)
    for word in meeting.words:
        assert any(s.speaker == word.speaker and s.start <= word.start < word.end <= s.end for s in meeting.segments)
        assert word.end - word.start <= 0.4501 * RATE_HZ
    for speaker in meeting.speakers:
        own = [(s.start, s.end) for s in meeting.segments if s.speaker == speaker]
        assert all(a[1] < b[0] for a, b in pairwise(own))
        for start, end in own:
            inside = [w for w in meeting.words if w.speaker == speaker and start <= w.start < end]
            assert (inside[0].start, inside[-1].end) == (start, end)
    assert np.array_equal(render(meeting)[12_345:99_999], meeting.sound(12_345, 99_999))

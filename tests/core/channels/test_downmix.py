"""Channels become one so that speech survives, whatever is dead, silent, inverted or of no relation to the others."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.core.channels.choice import MIXES, ChannelChoice
from minuted_daemon.core.channels.downmix import Downmix
from minuted_daemon.core.channels.remarks import CHANNEL_SILENT, CHANNELS_CANCEL, CLIPPING, ChannelRemarks

RATE = 16_000
BLOCK = 1_600


def speech(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """Noise in syllables and pauses."""
    noise = np.random.default_rng(seed).normal(0, level, round(seconds * RATE))
    loudness = np.repeat(np.random.default_rng(seed + 100).random(-(-len(noise) // 2_400)) ** 3, 2_400)[: len(noise)]
    return np.clip(noise * loudness, -1, 1).astype(np.float32)


def hiss(seconds: float, seed: int, level: float = 1e-4) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE)).astype(np.float32)


def mixed(channels: list[np.ndarray], mix: str = "best", chosen: tuple[int, ...] = ()) -> np.ndarray:
    frames = np.stack(channels, axis=1)
    downmix = Downmix(ChannelChoice(chosen, mix), frames.shape[1], RATE)
    return np.concatenate([downmix.mix(downmix.select(frames[n : n + BLOCK])) for n in range(0, len(frames), BLOCK)])


def gain_db(out: np.ndarray, wanted: np.ndarray) -> float:
    """How loud the wanted sound is in what came out, whichever way up."""
    return float(20 * np.log10(abs((out * wanted).sum()) / (wanted**2).sum()))


SPEECH = speech(6.0)


@pytest.mark.parametrize("mix", MIXES)
def test_one_channel_stays_as_it_is(mix: str) -> None:
    assert np.array_equal(mixed([SPEECH], mix), SPEECH)
    assert np.array_equal(mixed([hiss(6, 1), SPEECH], mix, (2,)), SPEECH)


@pytest.mark.parametrize("mix", MIXES)
def test_two_equal_channels_are_one(mix: str) -> None:
    assert np.array_equal(mixed([SPEECH, SPEECH], mix), SPEECH)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_channels_that_all_carry_sound_are_averaged_as_ever(count: int) -> None:
    channels = [SPEECH + hiss(6, n, 1e-3) for n in range(count)]
    assert np.abs(mixed(channels) - np.mean(channels, axis=0)).max() < 1e-7


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3])
def test_an_inverted_channel_is_turned_round(level: float) -> None:
    out = mixed([SPEECH + hiss(6, 1, level), -SPEECH + hiss(6, 2, level)])
    assert gain_db(out, SPEECH) == pytest.approx(0.0, abs=0.1)
    assert gain_db(out[:BLOCK], SPEECH[:BLOCK]) > -0.5, "from the first block on"


def test_one_inverted_among_many() -> None:
    assert gain_db(mixed([SPEECH, SPEECH, -SPEECH, SPEECH]), SPEECH) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(("dead", "live"), [(1, 0), (1, 1), (7, 3)])
@pytest.mark.parametrize("level", [0.0, 3e-5])
def test_dead_channels_cost_nothing(dead: int, live: int, level: float) -> None:
    channels = [hiss(6, n, level) + np.float32(0.01) for n in range(dead)]  # a constant is no sound either
    channels.insert(live, SPEECH)
    out = mixed(channels)
    assert gain_db(out, SPEECH) == pytest.approx(0.0, abs=0.3)
    late = np.concatenate((np.zeros(RATE * 3, np.float32), SPEECH))
    silent = [np.zeros(len(late), np.float32)] * dead
    out = mixed([*silent[:live], late, *silent[live:]])
    assert gain_db(out[RATE * 3 : RATE * 3 + BLOCK], SPEECH[:BLOCK]) > -1.5, "the first word is there"


def test_a_second_microphone_is_heard_as_soon_as_it_is_spoken_into() -> None:
    one, other = speech(10.0, 1), speech(10.0, 2)
    one[RATE * 5 :] = hiss(5, 3)
    other[: RATE * 5] = hiss(5, 4)
    out = mixed([one, other])
    assert gain_db(out[: RATE * 5], one[: RATE * 5]) > -0.5
    assert gain_db(out[RATE * 5 :], other[RATE * 5 :]) > -6.5


def test_sound_that_nothing_but_one_channel_can_save_comes_from_one() -> None:
    """Three in a circle: none is another's opposite, and their mean is nothing."""
    low, high = speech(6.0, 5), speech(6.0, 6)
    three = [np.cos(turn) * low + np.sin(turn) * high for turn in (0, 2 * np.pi / 3, 4 * np.pi / 3)]
    out = mixed([channel.astype(np.float32) for channel in three])
    assert (out**2).mean() > 0.1 * (low**2).mean()


def test_a_channel_that_hums_louder_than_speech_is_left_out() -> None:
    late = np.concatenate((hiss(8, 1), speech(6.0)))
    hum = (0.7 * np.sin(2 * np.pi * 50 * np.arange(len(late)) / RATE)).astype(np.float32)
    out = mixed([hum + hiss(14, 2, 1e-3), late])[RATE * 10 :]
    assert gain_db(out, late[RATE * 10 :]) == pytest.approx(0, abs=0.1)
    assert (out**2).mean() < 1.1 * (late[RATE * 10 :] ** 2).mean()


def test_the_loudest_keeps_its_place_until_another_is_clearly_louder() -> None:
    near, far = SPEECH, SPEECH * np.float32(0.5)
    swapped = [np.concatenate((near, far)), np.concatenate((far, near))]
    out = mixed(swapped, "loudest")
    assert gain_db(out[: RATE * 6], near) == pytest.approx(0, abs=0.1)
    slightly = [np.concatenate((near, far * 1.6)), np.concatenate((far * 1.6, near))]
    assert np.array_equal(mixed(slightly, "loudest"), slightly[0]), "two decibels are no reason"


@given(st.lists(st.sampled_from([1.0, -1.0, 0.0, 0.5, -0.5, 0.03]), min_size=2, max_size=5), st.integers(0, 50))
def test_speech_survives_any_gains(gains: list[float], seed: int) -> None:
    source = speech(2.0, seed)
    channels = [source * np.float32(gain) + hiss(2, 7 + n, 2e-5) for n, gain in enumerate(gains)]
    loudest = max(abs(gain) for gain in gains)
    if loudest > 0.1:
        assert gain_db(mixed(channels), source * np.float32(loudest)) > -6.5


def test_the_same_recording_always_gives_the_same() -> None:
    channels = [speech(4.0, 1), -speech(4.0, 1) * np.float32(0.7), hiss(4, 2)]
    assert np.array_equal(mixed(channels), mixed(channels))


def test_weights_change_seldom_and_without_a_click() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE * 20) / RATE)).astype(np.float32)
    dying = tone.copy()
    dying[RATE * 10 :] = 0
    out = mixed([tone, dying])
    steepest = np.abs(np.diff(tone)).max()
    assert np.abs(np.diff(out)).max() < 1.2 * steepest
    assert gain_db(out[RATE * 11 :][: RATE * 5], tone[RATE * 11 :][: RATE * 5]) > -6.1
    frames = np.stack([speech(30.0, 1), -speech(30.0, 1) * np.float32(0.2) + speech(30.0, 2, 0.03)], axis=1)
    downmix = Downmix(ChannelChoice(), 2, RATE)
    weights = []
    for start in range(0, len(frames), BLOCK):
        downmix.mix(frames[start : start + BLOCK])
        weights.append(tuple(downmix.weights if downmix.weights is not None else ()))
    assert sum(a != b for a, b in pairwise(weights)) <= 6


def remarks(channels: list[np.ndarray], mix: str = "best") -> list[tuple[int, str]]:
    """Return what is remarked, with the second of it."""
    frames = np.stack(channels, axis=1)
    downmix = Downmix(ChannelChoice((), mix), frames.shape[1], RATE)
    watch = ChannelRemarks(downmix, mix)
    told = []
    for start in range(0, len(frames), BLOCK):
        part = frames[start : start + BLOCK]
        downmix.mix(part)
        if watch.observe(part, 0.1):
            told.append((start // RATE, watch.remark[0]))
    return told


def test_a_person_is_told_what_is_odd_for_long_and_once() -> None:
    long, quiet = speech(70.0), np.zeros(RATE * 70, np.float32)
    assert remarks([long]) == remarks([long, long]) == []
    for mix in MIXES:
        assert [reason for _, reason in remarks([long, -long], mix)] == [CHANNELS_CANCEL]
    assert [reason for _, reason in remarks([long, quiet])] == [CHANNEL_SILENT]
    assert [(at, reason) for at, reason in remarks([quiet])] == [(59, CHANNEL_SILENT)]
    assert [reason for _, reason in remarks([np.clip(long * 100, -1, 1)])] == [CLIPPING]
    assert remarks([speech(20.0), np.zeros(RATE * 20, np.float32)]) == [], "not so soon"


def test_what_is_no_longer_odd_is_taken_back() -> None:
    mended = np.concatenate((-speech(5.0), speech(60.0, 3)))
    told = remarks([np.concatenate((speech(5.0), speech(60.0, 3))), mended])
    assert [reason for _, reason in told] == [CHANNELS_CANCEL, ""]
    noise = hiss(20, 1, 1e-3)
    assert remarks([noise, hiss(20, 2, 1e-3)]) == []

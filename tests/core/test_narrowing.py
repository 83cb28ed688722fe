"""24 kHz to 16 kHz: what is heard stays, where it was; what cannot be heard goes; pieces make no difference."""

import numpy as np
import pytest
from numpy.typing import NDArray

from minuted_daemon.core.narrowing import Narrower


def tone(hz: float, rate_hz: int, count: int) -> NDArray[np.float64]:
    return np.asarray(20_000 * np.sin(2 * np.pi * hz * np.arange(count) / rate_hz))


def narrowed(pcm: NDArray[np.int16], piece: int) -> NDArray[np.int16]:
    narrower = Narrower()
    made = [narrower.feed(pcm[at : at + piece]) for at in range(0, len(pcm), piece)]
    return np.concatenate([*made, narrower.finish()])


@pytest.mark.parametrize("hz", [50, 440, 3000, 6500])
def test_what_is_heard_stays_where_it_was(hz: float) -> None:
    made = narrowed(tone(hz, 24_000, 24_000).astype(np.int16), 4_800)
    assert len(made) == 16_000
    wanted = tone(hz, 16_000, 16_000)
    error = made[100:-100] - wanted[100:-100]
    assert np.sqrt(np.mean(error**2)) < 0.002 * 20_000


@pytest.mark.parametrize("hz", [8200, 9500, 11_500])
def test_what_lies_above_is_kept_out(hz: float) -> None:
    made = narrowed(tone(hz, 24_000, 24_000).astype(np.int16), 4_800)[100:-100]
    assert np.sqrt(np.mean(made.astype(float) ** 2)) < 0.0015 * 20_000


@pytest.mark.parametrize("piece", [1, 7, 100, 4_800, 100_000])
def test_pieces_make_no_difference(piece: int) -> None:
    noise = np.random.default_rng(3).integers(-20_000, 20_000, 5_000).astype(np.int16)
    apart = narrowed(noise, piece).astype(int) - narrowed(noise, 5_000)
    assert np.abs(apart).max() <= 1, "but for rounding"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 37, 74, 100, 2_400])
def test_the_length_is_two_thirds(count: int) -> None:
    assert len(narrowed(np.zeros(count, np.int16), 1_000)) == -(-2 * count // 3)


def test_the_loudest_sound_does_not_wrap_around() -> None:
    square = np.where(np.arange(4_800) // 24 % 2, 32_767, -32_768).astype(np.int16)
    made = narrowed(square, 4_800)
    assert np.all(np.abs(made[200:216].astype(int)) > 20_000)

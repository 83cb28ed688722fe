"""Sounds that are not speech, made from fixed seeds: what a room is full of when nobody says anything.

Each maker gives float64 at 16 kHz within -1..1, shape (n,), and the same samples for the same arguments.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from minuted_daemon.core.samples import RATE_HZ

Sound = NDArray[np.float64]
Maker = Callable[[float, int], Sound]
"""(seconds, seed) -> a sound."""


def db(decibels: float) -> float:
    """Return the factor of an amplitude."""
    return float(10.0 ** (decibels / 20))


def level_db(sound: Sound) -> float:
    """Return the mean level in dB of full scale."""
    return float(10 * np.log10(np.mean(sound**2) + 1e-20))


def at_level(sound: Sound, wanted_db: float) -> Sound:
    """Return the sound at a mean level."""
    return sound * db(wanted_db - level_db(sound))


def room_noise(seconds: float, seed: int, shape: str = "pink", at_db: float = -48.0) -> Sound:
    """A quiet room: `white`, `pink` or `brown` noise, nothing below 30 Hz."""
    count = round(seconds * RATE_HZ)
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / RATE_HZ)
    slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[shape]
    spectrum *= np.maximum(frequency, 30.0) ** -slope * (frequency > 30.0)
    return at_level(np.fft.irfft(spectrum, count), at_db)


def taps(seconds: float, seed: int, every_s: float = 2.0) -> Sound:
    """A pen on a table: short damped sines of a few modes, each with the room's decay behind it."""
    rng = np.random.default_rng(seed)
    return _events(seconds, rng, every_s, lambda: _struck(rng, (180, 2400), 0.012, rng.uniform(0.1, 0.5)))


def fan(seconds: float, seed: int) -> Sound:
    """A fan that is switched on after a fifth of the time: coloured noise that comes up in 2 s, and breathes slowly."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    wind = lfilter([1.0], [1.0, -0.94], rng.standard_normal(count))
    at = np.arange(count) / RATE_HZ
    blades = sum(np.sin(2 * np.pi * 87.0 * k * at + k) / k for k in range(1, 5))
    sound = at_level(wind, -30.0) + at_level(np.asarray(blades), -38.0)
    breath = 1 + 0.25 * np.sin(2 * np.pi * 0.3 * at)
    return np.asarray(sound * breath * np.clip((at - seconds / 5) / 2.0, 0.0, 1.0))


def hum(seconds: float, seed: int) -> Sound:
    """Mains hum of 50 Hz and its harmonics, which begins at once."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = [np.sin(2 * np.pi * 50 * k * at + rng.uniform(0, 6)) / k**0.7 for k in range(1, 9)]
    return at_level(np.sum(tones, axis=0), -36.0)


def music(seconds: float, seed: int) -> Sound:
    """Chords of a keyboard instrument with a melody above and a beat below, without a singer."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    sound = np.zeros(count)
    chords = [(48, 52, 55), (45, 48, 52), (41, 45, 48), (43, 47, 50)]
    beat = round(0.5 * RATE_HZ)
    for number, start in enumerate(range(0, count - beat, beat)):
        chord = chords[number // 4 % 4]
        notes = [*(chord if number % 2 == 0 else ()), 12 + int(rng.choice(chord)) + 12]
        for note in notes:
            _add(sound, start, 0.25 * _note(note, 0.9))
        _add(sound, start, 0.5 * _struck(rng, (60, 90), 0.08, 0.1))
        _add(sound, start + beat // 2, 0.08 * _burst(rng, 0.03, (3000, 7500)))
    return at_level(sound, -26.0)


def keyboard(seconds: float, seed: int) -> Sound:
    """Somebody types: five keys a second in bursts, each a click down and a click up."""
    rng = np.random.default_rng(seed)

    def key() -> Sound:
        down, up = _burst(rng, 0.012, (900, 6500)), _burst(rng, 0.008, (1500, 7000))
        click = np.zeros(round(0.12 * RATE_HZ))
        _add(click, 0, down)
        _add(click, round(rng.uniform(0.06, 0.1) * RATE_HZ), 0.5 * up)
        return 0.06 * click

    sound = _events(seconds, rng, 0.2, key)
    at = np.arange(len(sound)) / RATE_HZ
    return np.asarray(sound * (np.sin(2 * np.pi * at / 9.0) > -0.4))


def doors(seconds: float, seed: int) -> Sound:
    """Doors that fall shut, and steps."""
    rng = np.random.default_rng(seed)
    slams = _events(seconds, rng, 11.0, lambda: 0.7 * _struck(rng, (50, 400), 0.09, 0.5))
    steps = _events(seconds, rng, 0.6, lambda: 0.03 * _struck(rng, (70, 300), 0.03, 0.2))
    return slams + steps


def coughs(seconds: float, seed: int) -> Sound:
    """Coughs: one to three bursts of noise through a throat."""
    rng = np.random.default_rng(seed)

    def cough() -> Sound:
        whole = np.zeros(round(1.2 * RATE_HZ))
        for number in range(int(rng.integers(1, 4))):
            length = rng.uniform(0.12, 0.28)
            air = _burst(rng, length, (350, 3800))
            for centre in (rng.uniform(500, 800), rng.uniform(1100, 1600)):
                air = air + 1.5 * sosfilt(
                    butter(1, (0.8 * centre, 1.2 * centre), "band", fs=RATE_HZ, output="sos"), air
                )
            _add(whole, round(number * 0.35 * RATE_HZ), air)
        return 0.25 * whole / np.abs(whole).max()

    return _events(seconds, rng, 6.0, cough)


def paper(seconds: float, seed: int) -> Sound:
    """Pages that are turned."""
    rng = np.random.default_rng(seed)

    def page() -> Sound:
        count = round(rng.uniform(0.4, 0.9) * RATE_HZ)
        crackle = np.abs(rng.standard_normal(count)) ** 4
        rustle = sosfilt(
            butter(2, (1200, 7500), "band", fs=RATE_HZ, output="sos"), crackle * rng.standard_normal(count)
        )
        swell = np.hanning(count)
        return 0.12 * np.asarray(rustle * swell / np.abs(rustle).max())

    return _events(seconds, rng, 3.0, page)


KINDS: dict[str, Maker] = {
    "taps": taps,
    "fan": fan,
    "hum": hum,
    "music": music,
    "keyboard": keyboard,
    "doors": doors,
    "coughs": coughs,
    "paper": paper,
}


def _events(seconds: float, rng: np.random.Generator, every_s: float, make: Callable[[], Sound]) -> Sound:
    sound = np.zeros(round(seconds * RATE_HZ))
    at = rng.uniform(0.3, 1.0) * every_s
    while at < seconds - 0.1:
        _add(sound, round(at * RATE_HZ), make())
        at += every_s * rng.uniform(0.6, 1.4)
    return sound


def _add(sound: Sound, start: int, part: Sound) -> None:
    end = min(start + len(part), len(sound))
    sound[start:end] += part[: end - start]


def _struck(rng: np.random.Generator, band: tuple[float, float], decay_s: float, loud: float) -> Sound:
    at = np.arange(round(0.7 * RATE_HZ)) / RATE_HZ
    modes = [
        rng.uniform(0.3, 1.0) * np.sin(2 * np.pi * rng.uniform(*band) * at + rng.uniform(0, 6))
        * np.exp(-at / (decay_s * rng.uniform(0.5, 1.5)))
        for _ in range(5)
    ]  # fmt: skip
    blow = np.sum(modes, axis=0)
    tail = rng.standard_normal(round(0.35 * RATE_HZ)) * np.exp(-np.arange(round(0.35 * RATE_HZ)) / (0.05 * RATE_HZ))
    tail[0] = 8.0  # the direct sound
    whole = fftconvolve(blow, tail)[: len(blow)]
    return np.asarray(loud * whole / np.abs(whole).max())


def _burst(rng: np.random.Generator, length_s: float, band: tuple[float, float]) -> Sound:
    count = round(length_s * RATE_HZ)
    noise = rng.standard_normal(count + 400)
    shaped = sosfilt(butter(2, band, "band", fs=RATE_HZ, output="sos"), noise)[400:]
    envelope = np.exp(-3.0 * np.arange(count) / count) * np.minimum(1.0, np.arange(count) / (0.002 * RATE_HZ))
    return np.asarray(shaped * envelope / np.abs(shaped).max())


def _note(midi: int, length_s: float) -> Sound:
    at = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    pitch = 440.0 * 2 ** ((midi - 69) / 12)
    tones = [np.sin(2 * np.pi * pitch * k * at) / k**1.5 for k in range(1, 7) if pitch * k < 7800]
    return np.asarray(np.sum(tones, axis=0) * np.exp(-3.5 * at) * np.minimum(1.0, at / 0.005))

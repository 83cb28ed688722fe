"""Puts what was said into a room: who speaks when, how loud, with which echo, over which hum.

Every draw is seeded with the meeting's name and the number of its line, so that a change in one line leaves the draws
of the others alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from tests.fakes.meeting import RATE_HZ, seed_of
from tests.voices.dialogue import Entry, Line, Script

LEAD_S = 0.6
TAIL_S = 1.0
GAP_MEDIAN_S = 0.3
GAP_SPREAD = 0.7  # of the gap's logarithm
GAP_LIMITS_S = (0.06, 1.4)
PAUSE_S = (1.6, 3.2)
OVERLAP_S = (0.25, 0.8)
OVERLAP_SHARE = 0.45  # of the shorter of both lines, at most
WITHIN = (0.3, 0.7)  # of the line above
BREATH_S = 0.15  # between two lines of one speaker, at least
PACE = (0.95, 1.12)
LOUDNESS_DB = -22.0  # full scale, of the loudest speaker's speech
SPEAKER_DB = (-7.0, 0.0)
LINE_DB = 0.8  # spread from line to line
ECHO_S = {"small": 0.25, "live": 0.5}  # until an echo has faded by 60 dB
DIRECT_DB = {"small": (8.0, 14.0), "live": (3.0, 8.0)}  # of the direct sound over its echo
HUM_CORNER_HZ = 300.0
GRAIN = 32  # the last five bits are zero: at -71 dB well below the hum, and FLAC files are a third smaller
PEAK = 0.97

Floats = NDArray[np.float32]
Say = Callable[[str, str, float], Floats]


@dataclass(frozen=True, slots=True)
class Placed:
    """A line with its place, in samples at 16 kHz."""

    line: Line
    start: int
    end: int


def stage(script: Script, say: Say) -> tuple[NDArray[np.int16], list[Placed]]:
    """Return the meeting's sound (int16, mono, 16 kHz) and what is said where, by start.

    `say(text, voice, pace)` gives the sound of a line at 16 kHz.
    """
    paces = {name: float(_draws(script, "pace", name).uniform(*PACE)) for name in script.voices}
    spoken = [say(line.text, script.voices[line.speaker], paces[line.speaker]) for line in script.lines]
    placed = place(script, [len(sound) for sound in spoken])
    length = max(one.end for one in placed) + round(TAIL_S * RATE_HZ)
    mixed = _hum(script, length)
    for number, (one, sound) in enumerate(zip(placed, spoken, strict=True)):
        heard = _in_room(script, one.line.speaker, _levelled(script, number, one.line.speaker, sound))
        mixed[one.start : one.start + len(heard)] += heard[: length - one.start]
    mixed *= min(1.0, PEAK / float(np.abs(mixed).max()))
    pcm = (np.rint(mixed * 32_767 / GRAIN) * GRAIN).astype(np.int16)
    return pcm, sorted(placed, key=lambda one: one.start)


def place(script: Script, lengths: list[int]) -> list[Placed]:
    """Return each line its place, in the order of the script. One speaker never speaks twice at once."""
    placed: list[Placed] = []
    own_end: dict[str, int] = {}
    floor_start, floor_end = 0, 0
    for number, (line, length) in enumerate(zip(script.lines, lengths, strict=True)):
        draws = _draws(script, "place", str(number))
        match line.entry:
            case Entry.AFTER:
                gap_s = np.clip(GAP_MEDIAN_S * np.exp(draws.normal(0, GAP_SPREAD)), *GAP_LIMITS_S)
                start = floor_end + _samples(gap_s)
            case Entry.PAUSE:
                start = floor_end + _samples(draws.uniform(*PAUSE_S))
            case Entry.OVERLAP:
                most = round(OVERLAP_SHARE * min(length, floor_end - floor_start))
                start = floor_end - min(_samples(draws.uniform(*OVERLAP_S)), most)
            case Entry.WITHIN:
                start = floor_start + round(float(draws.uniform(*WITHIN)) * (floor_end - floor_start))
        if number == 0:
            start = _samples(LEAD_S)
        if line.speaker in own_end:
            start = max(start, own_end[line.speaker] + _samples(BREATH_S))
        placed.append(Placed(line, start, start + length))
        own_end[line.speaker] = start + length
        if line.entry is Entry.WITHIN:
            floor_end = max(floor_end, start + length)
        else:
            floor_start, floor_end = start, max(floor_end, start + length)
    return placed


def _draws(script: Script, *what: str) -> np.random.Generator:
    return np.random.default_rng(seed_of("voices", script.name, *what))


def _samples(seconds: float) -> int:
    return round(float(seconds) * RATE_HZ)


def _levelled(script: Script, number: int, speaker: str, sound: Floats) -> Floats:
    power_db = 10 * np.log10(np.mean(sound.astype(np.float64) ** 2))
    speaker_db = _draws(script, "level", speaker).uniform(*SPEAKER_DB)
    line_db = np.clip(_draws(script, "line", str(number)).normal(0, LINE_DB), -2, 2)
    return sound * np.float32(10 ** ((LOUDNESS_DB + speaker_db + line_db - power_db) / 20))


def _in_room(script: Script, speaker: str, sound: Floats) -> Floats:
    """Add the echo of the speaker's seat: noise that fades, as long after the sound as the room rings."""
    if script.room not in ECHO_S:
        return sound
    draws = _draws(script, "seat", speaker)
    length = _samples(ECHO_S[script.room])
    echo = draws.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    echo[: _samples(0.004)] = 0
    direct_db = draws.uniform(*DIRECT_DB[script.room])
    echo *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(echo**2))
    echo[0] = 1.0
    return np.asarray(scipy.signal.fftconvolve(sound, echo), dtype=np.float32)


def _hum(script: Script, length: int) -> Floats:
    """Noise of the room, flat up to a corner and falling above it as air conditioning does."""
    draws = _draws(script, "hum")
    spectrum = np.fft.rfft(draws.standard_normal(length))
    hz = np.fft.rfftfreq(length, 1 / RATE_HZ)
    noise = np.fft.irfft(spectrum / np.sqrt(1 + (hz / HUM_CORNER_HZ) ** 2), length)
    noise *= 10 ** (script.noise_db / 20) / np.sqrt(np.mean(noise**2))
    return noise.astype(np.float32)

"""Finds out how a diarizer counts time, from its events and from when there was voice.

A diarizer should report seconds since its stream began. If it reports something else, the unit follows from how fast
its times rise compared with the audio sent, and the base from where voice begins and ends. Nothing is guessed: times
that are misunderstood would put words on the wrong speaker.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.samples import FRAME, RATE_HZ, samples, seconds

UNITS = {
    "seconds": 1.0,
    "tenths of a second": 10.0,
    "hundredths of a second": 100.0,
    "milliseconds": 1e3,
    "samples": float(RATE_HZ),
    "microseconds": 1e6,
    "nanoseconds": 1e9,
}
"""How many of each are a second. Neighbours differ by a factor of ten at least: no unit passes for another."""

ENOUGH = 10
"""The number of events in a row that must agree."""
MOST_EARLY = samples(1.0)
"""An event cannot be about audio that was not sent; the slack forgives rounding."""
MOST_LATE = samples(30.0)
"""Later events change nothing."""

_STEADY = samples(4.0)  # lags of events in a row differ by no more
_SPAN = samples(10.0)  # what events in a row must spread over: under a wrong unit they differ by more than _STEADY
_MOST_LAG = samples(3.0)
_LEAST_LAG = samples(-0.2)
_STEP = 2 * FRAME
_EDGE = 30  # frames on either side of an event that are compared
_HANG = 25  # frames: a pause between words is no end of speech
_NEAR = samples(0.6)  # bases nearer than this are one
_SAME = samples(0.15)
_AGREES, _FOUND, _CLEARLY, _NEARLY = 0.33, 0.42, 0.15, 0.03
"""With ENOUGH events; chance shrinks with the square root of their number, and so do these."""
_UNIX = range(1_000_000_000, 4_000_000_000)


@dataclass(frozen=True, slots=True)
class EventClock:
    """A diarizer's clock: `per_s` units a second, and what it shows at the stream's first sample, in samples."""

    per_s: float = 1.0
    zero: int = 0

    def at(self, told: int) -> int:
        """Return the position in the stream of a reported time that was read as seconds since its start."""
        return round(told / self.per_s) - self.zero

    @property
    def of_wall(self) -> bool:
        """Whether it shows the time of day, so that it runs on over all streams."""
        return int(seconds(self.zero)) in _UNIX

    @property
    def unit(self) -> str:
        """The unit's name, for people."""
        return next(name for name, per_s in UNITS.items() if per_s == self.per_s)

    @property
    def base(self) -> str:
        """What the clock counts from, for people."""
        if self.zero == 0:
            return "since the stream began"
        if self.of_wall:
            return "since 1970"
        return f"with {seconds(self.zero):.1f} s at the stream's begin"


STREAM = EventClock()
"""The clock that the protocol promises."""


@dataclass(frozen=True, slots=True)
class Told:
    """A start or an end: its time, taken for seconds, and how much audio had been sent when it came; in samples."""

    starts: bool
    at: int
    sent: int


def plausible(at: int, sent: int) -> bool:
    """Return whether an event at a place of the stream may have come when so much had been sent."""
    return at >= -MOST_EARLY and -MOST_EARLY <= sent - at <= MOST_LATE


def steady(told: Sequence[Told]) -> bool:
    """Return whether these times rise like those of a clock, in some unit."""
    return any(len(_run(told, per_s)) == len(told) for per_s in UNITS.values())


def understood(
    told: Sequence[Told], voiced: NDArray[np.bool_], voiced_from: int, zeros: Sequence[int]
) -> EventClock | None:
    """Return the one clock under which the last events, ENOUGH at least, agree with the voice; None if there is none.

    voiced: one entry for each 10 ms from the place `voiced_from` of the stream on. zeros: what the clock may well show
    at the stream's begin (samples); any other base must show more clearly.
    """
    runs = {per_s: _run(told, per_s) for per_s in UNITS.values()}
    fitting = [per_s for per_s, run in runs.items() if _is_clock(run)]
    if len(fitting) != 1:
        return None
    (per_s,) = fitting
    zero = _zero(runs[per_s], per_s, voiced, voiced_from, zeros)
    return None if zero is None else EventClock(per_s, zero)


def _run(told: Sequence[Told], per_s: float) -> Sequence[Told]:
    """The last events whose lags differ by no more than lags do, under a unit."""
    least = most = 0.0
    for count, one in enumerate(reversed(told)):
        lag = one.sent - one.at / per_s
        least, most = (lag, lag) if count == 0 else (min(least, lag), max(most, lag))
        if most - least > _STEADY:
            return told[len(told) - count :]
    return told


def _is_clock(run: Sequence[Told]) -> bool:
    return len(run) >= ENOUGH and max(one.sent for one in run) - min(one.sent for one in run) >= _SPAN


def _zero(
    run: Sequence[Told], per_s: float, voiced: NDArray[np.bool_], voiced_from: int, zeros: Sequence[int]
) -> int | None:
    shown = np.array([one.at / per_s for one in run])
    ahead = shown - np.array([one.sent for one in run])
    first = round(float(ahead.max())) + _LEAST_LAG
    candidates = np.arange(first, max(first + 1, round(float(np.median(ahead))) + _MOST_LAG), _STEP, dtype=np.int64)
    signs = np.array([1.0 if one.starts else -1.0 for one in run])
    agreement = _agreement(shown, signs, candidates, voiced, voiced_from)
    best, slack = int(agreement.argmax()), (ENOUGH / len(run)) ** 0.5
    named = _named(candidates, agreement, zeros, slack)
    if len(named) == 1:
        return named[0]
    rivals = agreement[np.abs(candidates - candidates[best]) > _NEAR]
    if named or agreement[best] < slack * _FOUND or (len(rivals) and agreement[best] - rivals.max() < slack * _CLEARLY):
        return None
    return int(candidates[best])


def _named(
    candidates: NDArray[np.int64], agreement: NDArray[np.float64], zeros: Sequence[int], slack: float
) -> list[int]:
    """Those of `zeros` that agree as well as the best does; of some that are next to each other the first."""
    found: list[int] = []
    for zero in zeros:
        near = agreement[np.abs(candidates - zero) <= _SAME]
        fits = len(near) and near.max() >= slack * _AGREES and near.max() >= agreement.max() - slack * _NEARLY
        if fits and all(abs(zero - other) > _SAME for other in found):
            found.append(zero)
    return found


def _agreement(
    shown: NDArray[np.float64],
    signs: NDArray[np.float64],
    candidates: NDArray[np.int64],
    voiced: NDArray[np.bool_],
    voiced_from: int,
) -> NDArray[np.float64]:
    """For each base, how far voice begins at starts and ends at ends: from -1 to 1, about 0 by chance."""
    until = np.concatenate(([0], np.cumsum(_without_pauses(voiced))))
    places = ((shown[None, :] - candidates[:, None] - voiced_from) // FRAME).astype(np.int64)
    inside = (places >= _EDGE) & (places < len(voiced) - _EDGE)
    places = np.where(inside, places, _EDGE)
    if len(voiced) <= 2 * _EDGE:
        return np.full(len(candidates), -1.0)
    risen = (until[places + _EDGE] - 2 * until[places] + until[places - _EDGE]) / _EDGE
    counted = inside.sum(axis=1)
    total = np.where(inside, risen * signs, 0.0).sum(axis=1)
    return np.where(counted >= ENOUGH, total / np.maximum(counted, 1), -1.0)


def _without_pauses(voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voice with the pauses between words filled in."""
    at = np.flatnonzero(voiced)
    filled = voiced.copy()
    for place in np.flatnonzero((np.diff(at) > 1) & (np.diff(at) <= _HANG)):
        filled[at[place] : at[place + 1]] = True
    return filled

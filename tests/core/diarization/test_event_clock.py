"""Clocks are understood from what is said and from the voice: the right one or none, never a wrong one."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from minuted_daemon.core.diarization.event_clock import ENOUGH, STREAM, UNITS, EventClock, Told, steady, understood
from minuted_daemon.core.samples import BLOCK, RATE_HZ, samples, seconds
from tests.bench.weather import KINDS, QUIET
from tests.fakes.meeting import Meeting, load_meeting, synthetic_meeting
from tests.support.diarized_talk import Talk, voice_of

UNIX = samples(1_764_600_000.25)


@cache
def meeting() -> tuple[Meeting, NDArray[np.bool_]]:
    made = synthetic_meeting(11, speakers=3, minutes=6)
    return made, voice_of(made)


@cache
def real(name: str) -> tuple[Meeting, NDArray[np.bool_]]:
    made = load_meeting(name, 300.0, 600.0)
    return made, voice_of(made)


@pytest.mark.parametrize("per_s", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize("zero", [0, samples(12.5), UNIX], ids=["stream", "runs on", "unix"])
def test_other_units_and_bases_are_understood(per_s: float, zero: int) -> None:
    talk = Talk(*meeting(), clock=EventClock(per_s, zero)).play(120)
    assert talk.check.clock.per_s == per_s
    assert abs(talk.check.clock.zero - zero) < samples(0.3)
    assert talk.complaint is None
    assert len(talk.heard) > 20
    assert talk.misplaced_s() < 0.5


def test_a_base_that_is_known_is_met_to_the_sample() -> None:
    talk = Talk(*meeting(), clock=EventClock(1.0, samples(31.7)))
    talk.check.expect((), (samples(31.7),))
    assert talk.play(60).check.clock == EventClock(1.0, samples(31.7))
    assert Talk(*meeting(), clock=EventClock(1e3, 0)).play(60).check.clock == EventClock(1e3, 0)


def test_a_clock_says_what_it_is() -> None:
    assert (EventClock(1e3).unit, EventClock(1e3).base) == ("milliseconds", "since the stream began")
    assert EventClock(1.0, UNIX).base == "since 1970"
    assert EventClock(1.0, samples(30)).base == "with 30.0 s at the stream's begin"


def test_fewer_than_ten_events_prove_nothing() -> None:
    told = [Told(True, at * 1000, at + samples(0.3)) for at in range(0, samples(18), samples(2))]
    assert len(told) == ENOUGH - 1
    assert understood(told, np.tile(np.arange(200) < 100, 12), 0, (0,)) is None


def test_without_voice_to_hold_them_against_times_prove_nothing() -> None:
    told = [Told(True, at * 1000, at + samples(0.3)) for at in range(0, samples(60), samples(2))]
    for voiced in (np.zeros(7000, np.bool_), np.ones(7000, np.bool_)):
        assert understood(told, voiced, 0, (0,)) is None


def test_times_that_are_random_are_no_clock() -> None:
    rng = np.random.default_rng(3)
    told = [Told(bool(n % 2), int(rng.integers(0, 1 << 40)), samples(n)) for n in range(60)]
    assert understood(told, rng.random(6000) < 0.6, 0, (0,)) is None
    assert not steady(told)
    assert steady([Told(True, samples(n) * 1000, samples(n + 0.3)) for n in range(60)])


bases = st.one_of(st.just(0), st.integers(samples(1.5), samples(40)), st.integers(samples(900), samples(2e9)))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    per_s=st.sampled_from(list(UNITS.values())),
    zero=bases,
    name=st.sampled_from(["IB4010", "TS3004b", ""]),
    begin=st.integers(0, 250).map(lambda at: at * RATE_HZ // BLOCK * BLOCK),
    lag_s=st.sampled_from([0.1, 0.3, 0.8, 1.5]),
    noise_s=st.sampled_from([0.0, 0.05, 0.1]),
    weather=st.sampled_from([QUIET, *KINDS]),
    seed=st.integers(0, 1000),
)
def test_the_right_clock_or_none(
    per_s: float, zero: int, name: str, begin: int, lag_s: float, noise_s: float, weather: object, seed: int
) -> None:
    room = real(name) if name else meeting()
    talk = Talk(*room, begin, EventClock(per_s, zero), lag_s, weather, noise_s, seed)  # type: ignore[arg-type]
    talk.play(90)
    clock = talk.check.clock
    if clock != STREAM:
        assert clock.per_s == per_s
        assert abs(seconds(clock.zero - zero)) < 0.5
    if (per_s, zero) == (1.0, 0):
        assert clock == STREAM


@pytest.mark.parametrize("lag_s", [0.3, 0.8, 2.0])
@pytest.mark.parametrize("weather", [QUIET, *KINDS], ids=lambda weather: weather.name)
@pytest.mark.parametrize("name", ["IB4003", "ES2011b"])
def test_a_diarizer_that_keeps_to_its_protocol_is_believed_at_once(weather: object, lag_s: float, name: str) -> None:
    talk = Talk(*real(name), lag_s=lag_s, weather=weather, sure=True)  # type: ignore[arg-type]
    talk.play(580)
    assert talk.check.clock == STREAM
    assert talk.complaint is None
    in_time = [event for sent, event in talk.heard if sent - event.at <= samples(30)]  # type: ignore[union-attr]
    assert len(in_time) == len(talk.heard)
    assert len(talk.heard) > 100

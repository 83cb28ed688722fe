"""What holds for every meeting, every diarizer and every transcriber."""

import itertools
import random
from collections.abc import Iterable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minuted_daemon.core.events import (
    Append,
    Commit,
    SpeakerEnded,
    SpeakerRelabelled,
    SpeakerStarted,
    TextCompleted,
    TextFailed,
    TextSource,
    TranscriberLost,
    TranscriberReady,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    UtteranceId,
)
from minuted_daemon.core.samples import Sample
from tests.core.room import Room, Said, s

PROPERTY = settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Meeting:
    """Random turn-taking with overlaps, interjections, pauses and monologues."""

    def __init__(self, seed: int, speakers: int = 3, length_s: float = 30.0) -> None:
        rng = random.Random(seed)
        self.length_s = length_s
        self.segments: list[tuple[str, float, float]] = []
        at = rng.uniform(0, 2)
        while at < length_s - 4:
            who = rng.choice("ABCDE"[:speakers])
            length = min(rng.choice([0.15, 0.4, 1.0, 2.5, 6.0, 26.0]) * rng.uniform(0.7, 1.3), length_s - 2 - at)
            self.segments.append((who, round(at, 2), round(at + length, 2)))
            at += max(0.02, length + rng.choice([-0.6, -0.2, 0.0, 0.05, 0.2, 0.5, 1.5, 3.0]))
        merged: dict[str, list[list[float]]] = {}
        for who, start, end in sorted(self.segments, key=lambda segment: segment[1]):
            own = merged.setdefault(who, [])
            if own and start <= own[-1][1]:
                own[-1][1] = max(own[-1][1], end)
            else:
                own.append([start, end])
        self.segments = [(who, start, end) for who, own in merged.items() for start, end in own]
        self.words: list[Said] = []
        for who, start, end in sorted(self.segments, key=lambda segment: segment[1]):
            at = start
            while at < end - 0.05:
                until = min(end, at + rng.uniform(0.2, 0.45))
                self.words.append(Said(f"{who}{len(self.words)}", s(at), s(until)))
                at = until + rng.choice([0.04, 0.06, 0.1, 0.3])


class Weather:
    """What the vendors do: lag and jitter; how often events are lost, doubled or very late; how answers behave."""

    def __init__(self, seed: int, bad: bool) -> None:
        self.rng = random.Random(seed)
        self.bad = bad

    def tell(self, room: Room, meeting: Meeting) -> None:
        lag = self.rng.choice([0.1, 0.3, 0.8])
        for who, start, end in meeting.segments:
            for kind, at in ((SpeakerStarted, start), (SpeakerEnded, end)):
                times = self.rng.choices([1, 0, 2], [90, 5, 5])[0] if self.bad else 1
                for _ in range(times):
                    late = self.rng.expovariate(0.5) if self.bad and self.rng.random() < 0.1 else 0.0
                    delay = max(0.02, self.rng.gauss(lag, lag / 4)) + late
                    room.tell(s(at + delay), kind(who, s(at)))
        if self.bad and meeting.segments:
            who, start, end = self.rng.choice(meeting.segments)
            room.tell(s(end + 3), SpeakerRelabelled(who, "Z", s(start), s(end)))
            at = self.rng.uniform(1, meeting.length_s - 4)
            room.at(at, lambda: room.merger.feed(TranscriberLost()))
            room.at(at + self.rng.uniform(0.2, 2), lambda: room.merger.feed(TranscriberReady()))

    def answer(self, utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        when = at + s(self.rng.uniform(0.2, 1.5))
        if self.bad:
            kind = self.rng.choices(["fine", "missing", "failed", "twice", "late"], [88, 3, 3, 3, 3])[0]
            self_again = [(when + s(0.5), TextCompleted(utterance, text + " again"))]
            if kind == "missing":
                return []
            if kind == "failed":
                return [(when, TextFailed(utterance, "SERVER_ERROR"))]
            if kind == "late":
                return [(at + s(20), TextCompleted(utterance, text))]
            if kind == "twice":
                return [(when, TextCompleted(utterance, text)), *self_again]
        return [(when, TextCompleted(utterance, text))]


def play(seed: int, bad: bool, extra_advances: bool = False) -> tuple[Meeting, Room]:
    meeting, weather = Meeting(seed), Weather(seed, bad)
    room = Room(meeting.words, meeting.length_s, weather.answer, partials=True)
    weather.tell(room, meeting)
    if extra_advances:
        step = room._step

        def stepping(size: int, audio: bool) -> None:
            step(size, audio)
            assert room.merger.advance(Sample(room.now)) == []

        room._step = stepping  # type: ignore[method-assign]
    return meeting, room.run()


def counting(room: Room) -> list[tuple[int, int]]:
    """The ranges of the utterances whose text counts."""
    generations: dict[int, UtteranceId | None] = {}
    for _, output in room.outputs:
        if isinstance(output, TurnSettled | TurnRevised):
            generations[output.turn.number] = output.generation
        elif isinstance(output, TurnRetracted):
            generations.pop(output.number, None)
    return sorted(span for utterance in generations.values() if utterance for span in room.sent[utterance].ranges)


@PROPERTY
@given(seed=st.integers(0, 10**6), bad=st.booleans())
def test_no_word_is_lost_or_told_twice(seed: int, bad: bool) -> None:
    meeting, room = play(seed, bad)
    assert room.merger.settled
    told = [word for turn in room.finals for word in turn.text.split()]
    assert len(told) == len(set(told)), "told twice"
    if any(turn.text_source is not TextSource.COMPLETED for turn in room.finals):
        return
    assert {word.text for word in meeting.words} - set(told) == set()


@PROPERTY
@given(seed=st.integers(0, 10**6), bad=st.booleans())
def test_no_sample_is_in_two_counting_commits(seed: int, bad: bool) -> None:
    _, room = play(seed, bad)
    ranges = counting(room)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))


@PROPERTY
@given(seed=st.integers(0, 10**6))
def test_in_quiet_weather_everybody_is_known(seed: int) -> None:
    _, room = play(seed, bad=False)
    assert all(turn.speaker is not None for turn in room.finals)


@settings(PROPERTY, max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_replay_is_identical_and_extra_advances_change_nothing(seed: int) -> None:
    _, first = play(seed, bad=True)
    _, second = play(seed, bad=True, extra_advances=True)
    assert first.outputs == second.outputs


@PROPERTY
@given(seed=st.integers(0, 10**6), bad=st.booleans())
def test_nothing_is_asked_for_that_may_have_been_dropped(seed: int, bad: bool) -> None:
    meeting, weather = Meeting(seed), Weather(seed, bad)
    room = Room(meeting.words, meeting.length_s, weather.answer)
    weather.tell(room, meeting)
    take, kept = room._take, [0]

    def taking(output: object) -> None:
        if isinstance(output, Append):
            assert output.start >= kept[0]
        take(output)  # type: ignore[arg-type]

    step = room._step

    def stepping(size: int, audio: bool) -> None:
        step(size, audio)
        assert room.merger.retain_from >= kept[0]
        kept[0] = room.merger.retain_from

    room._take, room._step = taking, stepping  # type: ignore[method-assign,assignment]
    room.run()


@PROPERTY
@given(seed=st.integers(0, 10**6), bad=st.booleans())
def test_a_turn_lives_once(seed: int, bad: bool) -> None:
    _, room = play(seed, bad)
    settled: set[int] = set()
    gone: set[int] = set()
    for _, output in room.outputs:
        match output:
            case TurnSettled():
                assert output.turn.number not in settled | gone
                settled.add(output.turn.number)
            case TurnRevised():
                assert output.turn.number in settled - gone
            case TurnRetracted():
                assert output.number not in gone
                assert output.was_final == (output.number in settled)
                gone.add(output.number)
            case Commit():
                assert 0 <= output.pad <= s(0.3)
            case _:
                pass

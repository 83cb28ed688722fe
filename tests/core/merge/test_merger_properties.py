"""What holds for every meeting, every diarizer and every transcriber."""

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minuted_daemon.core.events import (
    Append,
    Commit,
    TextSource,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    UtteranceId,
)
from minuted_daemon.core.samples import Sample
from tests.support.merge_meeting import Meeting, Weather
from tests.support.merge_room import Room, s

PROPERTY = settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def play(seed: int, bad: bool, extra_advances: bool = False) -> tuple[Meeting, Room]:
    meeting, weather = Meeting(seed), Weather(seed, bad)
    room = Room(meeting.words, meeting.length_s, weather.answer, partials=True)
    weather.tell(room, meeting)
    if extra_advances:
        step = room.step

        def stepping(size: int, audio: bool) -> None:
            step(size, audio)
            assert room.merger.advance(Sample(room.now)) == []

        room.step = stepping  # type: ignore[method-assign]
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
    take, kept = room.take, [0]

    def taking(output: object) -> None:
        if isinstance(output, Append):
            assert output.start >= kept[0]
        take(output)  # type: ignore[arg-type]

    step = room.step

    def stepping(size: int, audio: bool) -> None:
        step(size, audio)
        assert room.merger.retain_from >= kept[0]
        kept[0] = room.merger.retain_from

    room.take, room.step = taking, stepping  # type: ignore[method-assign,assignment]
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

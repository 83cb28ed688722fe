"""What holds for every redaction of a live session: nothing of it is told again, and what is outside of it stays."""

import random
from dataclasses import dataclass, field

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from minuted_daemon.core.events import (
    Redacted,
    SpeakerRelabelled,
    TextSource,
    TurnGrew,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    TurnState,
)
from minuted_daemon.core.merge.unclaimed_speech import MARGIN
from minuted_daemon.core.samples import Sample
from tests.support.merge_meeting import Meeting, Weather
from tests.support.merge_room import Room, Said, s

PROPERTY = settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EDGE = MARGIN
"""So near to a redaction a word may be cut apart by it or go with it: voice so near to a turn is sent with it."""


@dataclass
class Redaction:
    """Of [start, end), at `when`. `stored`: the turns that were final by then; `told`: how many outputs there were."""

    start: int
    end: int
    when: int
    stored: dict[int, TurnState] = field(default_factory=dict)
    told: int = 0

    def touches(self, turn: TurnState) -> bool:
        return turn.start < self.end and turn.end > self.start

    def holds(self, word: Said) -> bool:
        return self.start <= (word.start + word.end) // 2 < self.end

    def near(self, word: Said) -> bool:
        return word.start < self.end + EDGE and word.end > self.start - EDGE


def play(seed: int, bad: bool) -> tuple[Meeting, Room, Redaction]:
    """Play a meeting in which something is redacted: the last seconds, what is being made anew, or any interval."""
    rng = random.Random(seed)
    meeting, weather = Meeting(seed), Weather(seed, bad)
    room = Room(meeting.words, meeting.length_s, weather.answer, partials=True)
    weather.tell(room, meeting)
    kind = rng.choice(["last", "any", "revision"])
    length = s(rng.choice([0.3, 1.0, 3.0, 8.0, 60.0]) * rng.uniform(0.5, 1.0))
    due = s(rng.uniform(1.0, meeting.length_s))
    redaction = Redaction(0, 0, 0)

    def redact(end: int) -> None:
        redaction.start, redaction.end, redaction.when = max(0, end - length), end, room.now
        redaction.stored = {turn.number: turn for turn in room.finals}
        redaction.told = len(room.outputs)
        room.merger.feed(Redacted(Sample(redaction.start), Sample(redaction.end)))
        for output in room.merger.advance(Sample(room.now)):
            room.take(output)
        for who, start_s, end_s in meeting.segments:  # what is known of it changes once more
            if s(start_s) < redaction.end and s(end_s) > redaction.start:
                room.tell(room.now + s(0.5), SpeakerRelabelled(who, f"{who}2", s(start_s), s(end_s)))

    step = room.step

    def stepping(size: int, audio: bool) -> None:
        step(size, audio)
        if redaction.when:
            return
        heard, anew = min(room.now, room.length), room.merger._reviser.new_turns
        if kind == "revision" and anew:
            redact(min(heard, rng.choice(anew).end))
        elif room.now >= (room.length if kind == "revision" else due):
            redact(rng.randrange(s(0.5), heard + 1) if kind == "any" else heard)

    room.step = stepping  # type: ignore[method-assign]
    room.run()
    assert redaction.when
    return meeting, room, redaction


def stored_words(room: Room, redaction: Redaction) -> list[str]:
    """What is in the store at the end: it takes the words of what touches the redaction, and takes none for it."""
    return [word for turn in room.finals if not redaction.touches(turn) for word in turn.text.split()]


@PROPERTY
@given(seed=st.integers(0, 10**6), bad=st.booleans())
@example(seed=19, bad=True)  # three in which turns are being made anew
@example(seed=34, bad=True)
@example(seed=116, bad=True)
def test_nothing_of_it_is_ever_told_again(seed: int, bad: bool) -> None:
    meeting, room, redaction = play(seed, bad)
    gone = {word.text for word in meeting.words if redaction.holds(word)}
    for _, output in room.outputs[redaction.told :]:
        if isinstance(output, TurnGrew | TurnSettled | TurnRevised):
            assert not gone & set(output.turn.text.split())
            assert output.turn.end <= redaction.start or output.turn.start >= redaction.end
            assert output.turn.number not in {n for n, turn in redaction.stored.items() if redaction.touches(turn)}
    deep = {word.text for word in meeting.words if redaction.holds(word) and not at_edge(word, redaction)}
    assert not deep & set(stored_words(room, redaction))
    assert room.merger.settled


def at_edge(word: Said, redaction: Redaction) -> bool:
    return word.start < redaction.start + EDGE or word.end > redaction.end - EDGE


@PROPERTY
@given(seed=st.integers(0, 10**6), bad=st.booleans())
@example(seed=24, bad=True)
@example(seed=241, bad=True)
def test_what_lies_outside_is_neither_lost_nor_told_twice(seed: int, bad: bool) -> None:
    meeting, room, redaction = play(seed, bad)
    told = stored_words(room, redaction)
    assert len(told) == len(set(told)), "told twice"
    if any(turn.text_source is not TextSource.COMPLETED for turn in room.finals):
        return
    # A turn that was stored and touches the redaction loses all its words: nobody knows where in it they lie.
    taken = {word for turn in redaction.stored.values() if redaction.touches(turn) for word in turn.text.split()}
    due = {word.text for word in meeting.words if not redaction.near(word)} - taken
    assert due - set(told) == set()


@PROPERTY
@given(seed=st.integers(0, 10**6), bad=st.booleans())
def test_a_growing_turn_of_it_is_taken_back_at_once(seed: int, bad: bool) -> None:
    _, room, redaction = play(seed, bad)
    growing: dict[int, TurnState] = {}
    for when, output in room.outputs:
        if isinstance(output, TurnGrew):
            growing[output.turn.number] = output.turn
        elif isinstance(output, TurnSettled | TurnRetracted):
            growing.pop(output.turn.number if isinstance(output, TurnSettled) else output.number, None)
        if when > redaction.when:
            assert not [turn for turn in growing.values() if redaction.touches(turn)]

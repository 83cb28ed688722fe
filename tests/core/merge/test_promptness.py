"""How soon the transcriber hears a word: behind the hold-back at once, also where the floor changes hands."""

import random
from bisect import bisect_left

import pytest

from minuted_daemon.core.events import Append, Clear, Commit, SpeakerEnded, SpeakerStarted, TurnSettled, UtteranceId
from minuted_daemon.core.merge.merger import MergeSettings
from minuted_daemon.core.samples import RATE_HZ, seconds
from tests.bench.weather import QUIET
from tests.fakes.meeting import load_meeting, seed_of
from tests.support.merge_room import Room, Said, assert_every_word_once, run_of_words, s, said

HOLD_BACK_S = 0.5
LATEST_S = 0.15
"""A block, and half a block to see whether a stretch is one."""


def heard_at(room: Room) -> dict[str, int]:
    """When the transcriber had each word: all of its audio, or as much of it as was committed."""
    starts, found = [word.start for word in room.words], dict[str, int]()
    ranges: dict[UtteranceId, tuple[int, int]] = {}
    for now, output in room.outputs:
        if not isinstance(output, Append | Commit):
            if isinstance(output, Clear):
                ranges.pop(output.utterance, None)
            continue
        if isinstance(output, Append):
            low, _ = ranges.get(output.utterance, (output.start, output.end))
            ranges[output.utterance] = (low, output.end)
        low, high = ranges[output.utterance]
        for word in room.words[bisect_left(starts, low - RATE_HZ) : bisect_left(starts, high)]:
            whole = word.end <= high or isinstance(output, Commit)
            if whole and low <= (word.start + word.end) // 2 < high:
                found.setdefault(word.text, now)
    return found


@pytest.mark.parametrize(("name", "start_s"), [("IB4010", 1945.0), ("ES2011d", 880.0), ("TS3004b", 600.0)])
def test_no_word_of_a_real_meeting_waits(name: str, start_s: float) -> None:
    meeting = load_meeting(name, start_s, 120)
    script = QUIET.script(meeting, 0.3, random.Random(seed_of(name, start_s)))
    words = [Said(word.text, word.start, word.end) for word in meeting.words]
    room = Room(words, meeting.duration / RATE_HZ, settings=MergeSettings(hold_back_s=HOLD_BACK_S))
    for told in script.told:
        room.tell(told.arrival, (SpeakerStarted if told.starts else SpeakerEnded)(told.label, told.at))
    heard = heard_at(room.run())
    before_the_end = [word for word in words if word.end < meeting.duration - RATE_HZ]
    late = {word.text: seconds(heard[word.text] - word.end) - HOLD_BACK_S for word in before_the_end}
    assert len(late) > 200
    assert {text: late_s for text, late_s in late.items() if late_s > LATEST_S} == {}


def test_who_speaks_on_has_the_floor_at_once() -> None:
    word = said("yes", 3, 3.12)
    words = [*run_of_words("a", 1, 3), word, *run_of_words("b", 3.2, 6)]
    room = Room(words, 10, settings=MergeSettings(hold_back_s=HOLD_BACK_S))
    room.speaks("A", 1, 3)
    room.speaks("B", 2.9, 5.9)
    heard = heard_at(room.run())
    assert seconds(heard["yes"] - word.end) - HOLD_BACK_S <= LATEST_S
    assert_every_word_once(room)


def test_a_holder_who_was_only_pausing_gets_the_floor_back() -> None:
    """A restarts within 0.3 s, and it is told too late: B has begun a turn meanwhile."""
    words = [*run_of_words("a", 1, 3), *run_of_words("c", 3.25, 6)]
    room = Room(words, 12, settings=MergeSettings(hold_back_s=HOLD_BACK_S))
    room.speaks("A", 1, 3)
    room.speaks("B", 2.5, 4)
    room.speaks("A", 3.25, 6, lag_s=0.7)
    room.run()
    said_first = [output.turn for output in room.of(TurnSettled)]  # type: ignore[union-attr]
    assert len({turn.speaker for turn in said_first}) == 2, "this is about a floor that was given away"
    assert {label for label, _ in room.lines()} == {"S1"}
    assert sum(overlap.duration for turn in room.finals for overlap in turn.overlapping) == s(1.5)
    assert_every_word_once(room)

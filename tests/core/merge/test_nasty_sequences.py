"""Each nasty sequence of a diarizer, by name. Those of a transcriber are in test_texts.py."""

from minuted_daemon.core.events import (
    Attribution,
    Clear,
    SpeakerEnded,
    SpeakerRelabelled,
    SpeakerStarted,
    TextCompleted,
    TextGrew,
    TurnGrew,
    TurnRevised,
    UtteranceId,
)
from minuted_daemon.core.merge.merger import MergeSettings
from tests.support.merge_room import Room, assert_every_word_once, run_of_words, s, said


def test_two_voices_in_turn() -> None:
    room = Room([said("a1", 1, 1.9), said("b1", 2.1, 3), said("a2", 5, 5.5)], 8)
    room.speaks("A", 1, 1.9)
    room.speaks("B", 2.1, 3)
    room.speaks("A", 5, 5.5)
    assert room.run().lines() == [("S1", "a1"), ("S2", "b1"), ("S1", "a2")]
    assert [(turn.start, turn.end) for turn in room.finals] == [(s(1), s(1.9)), (s(2.1), s(3)), (s(5), s(5.5))]


def test_an_end_that_never_comes() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 7, 9)], 12)
    room.speaks("A", 1, None)
    room.speaks("B", 7, 9)
    room.run()
    assert [label for label, _ in room.lines()] == ["S1", "S2"]
    assert room.finals[0].end == s(2.9)  # where the silence began
    assert_every_word_once(room)


def test_a_true_end_replaces_the_provisional_one() -> None:
    room = Room([*run_of_words("a", 1, 3), said("late", 5, 5.4)], 10)
    room.speaks("A", 1, None)
    room.tell(s(5.6), SpeakerEnded("A", s(5.4)))
    room.run()
    assert {label for label, _ in room.lines()} == {"S1"}
    assert_every_word_once(room)


def test_a_late_start_after_the_floor_moved() -> None:
    # B speaks alone from 3.0 on, but is told of only at 4.8, when C (told in time) already holds the floor.
    room = Room([*run_of_words("a", 1, 2.8), *run_of_words("b", 3, 3.8), *run_of_words("c", 4, 6)], 9)
    room.speaks("A", 1, 2.75)
    room.speaks("C", 4, 5.9)
    room.tell(s(4.8), SpeakerStarted("B", s(3)))
    room.tell(s(4.9), SpeakerEnded("B", s(3.7)))
    room.run()
    assert [text.split()[0][0] for _, text in room.lines()] == ["a", "b", "c"]
    assert len({label for label, _ in room.lines()}) == 3
    assert_every_word_once(room)


def test_equal_timestamps() -> None:
    # B starts at the very sample where A ends; the start arrives first.
    room = Room([*run_of_words("a", 1, 2), *run_of_words("b", 2, 3)], 6)
    room.tell(s(1.3), SpeakerStarted("A", s(1)))
    room.tell(s(2.3), SpeakerStarted("B", s(2)))
    room.tell(s(2.3), SpeakerEnded("A", s(2)))
    room.tell(s(3.3), SpeakerEnded("B", s(3)))
    room.run()
    assert room.lines() == [("S1", "a0 a1"), ("S2", "b0 b1")] or [x for x, _ in room.lines()] == ["S1", "S2"]
    assert room.finals[0].end == room.finals[1].start == s(2)
    assert room.finals[1].overlapping == ()


def test_an_end_and_a_start_of_one_label_at_the_same_sample() -> None:
    room = Room(run_of_words("a", 1, 3), 6)
    room.speaks("A", 1, 2)
    room.speaks("A", 2, 3)
    assert [label for label, _ in room.run().lines()] == ["S1"]
    assert_every_word_once(room)


def test_a_pair_of_no_length_is_nothing() -> None:
    room = Room(run_of_words("a", 1, 3), 6)
    room.speaks("A", 1, 3)
    room.speaks("B", 2, 2)
    room.tell(s(2.8), SpeakerStarted("C", s(2.5)))
    room.tell(s(2.8), SpeakerEnded("C", s(2.45)))
    room.run()
    assert [label for label, _ in room.lines()] == ["S1"]
    assert room.finals[0].overlapping == ()


def test_an_interjection_does_not_cut_and_is_noted() -> None:
    room = Room(run_of_words("a", 1, 5), 8)
    room.speaks("A", 1, 5)
    room.speaks("B", 2.2, 2.7)
    room.run()
    assert len(room.finals) == 1
    (overlap,) = room.finals[0].overlapping
    assert overlap.duration == s(0.5)


def test_an_interjection_that_outlives_the_holder() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 3, 5)], 8)
    room.speaks("A", 1, 3)
    room.speaks("B", 2.5, 5)
    room.run()
    assert [(turn.start, turn.end) for turn in room.finals] == [(s(1), s(3)), (s(3), s(5))]
    assert room.finals[0].overlapping[0].duration == s(0.5)
    assert_every_word_once(room)


def test_two_voices_flickering() -> None:
    # A holder who restarts within 0.3 s never lost the floor.
    room = Room(run_of_words("a", 1, 5), 8)
    at = 1.0
    while at < 5:
        room.speaks("A", at, at + 0.4)
        room.speaks("B", at + 0.3, at + 0.55)
        at += 0.6
    room.run()
    assert {label for label, _ in room.lines()} == {"S1"}
    assert len(room.finals) == 1
    assert_every_word_once(room)


def test_a_stretch_below_100_ms_is_not_cut_out() -> None:
    room = Room(run_of_words("a", 1, 5), 8)
    room.speaks("A", 1, 2.5)
    room.speaks("B", 2.4, 2.58)
    room.speaks("A", 2.9, 5)
    room.run()
    assert len(room.finals) == 1
    assert room.finals[0].overlapping[0].duration == s(0.18)
    assert_every_word_once(room)


def test_a_late_end_is_repaired_before_the_commit() -> None:
    # A's end comes 1.2 s late: by then much of B has been appended to A's utterance.
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 3, 6)], 10)
    room.tell(s(1.3), SpeakerStarted("A", s(1)))
    room.tell(s(3.1), SpeakerStarted("B", s(2.9)))
    room.tell(s(4.2), SpeakerEnded("A", s(2.9)))
    room.tell(s(6.3), SpeakerEnded("B", s(5.9)))
    room.run()
    assert len(room.of(Clear)) == 1
    assert [text.split()[0] for _, text in room.lines()] == ["a0", "b0"]
    assert_every_word_once(room)


def test_a_clear_after_deltas_were_shown() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 3, 6)], 10, partials=True)
    room.tell(s(1.3), SpeakerStarted("A", s(1)))
    room.tell(s(3.1), SpeakerStarted("B", s(2.9)))
    room.tell(s(4.9), SpeakerEnded("A", s(2.9)))
    room.tell(s(6.3), SpeakerEnded("B", s(5.9)))
    room.run()
    (cleared,) = (when for when, output in room.outputs if isinstance(output, Clear))
    of_first = [
        (when, output.turn.text)
        for when, output in room.outputs
        if isinstance(output, TurnGrew) and output.turn.number == 1
    ]
    assert any("b" in text for when, text in of_first if when < cleared), "the wrong voice was shown before"
    assert of_first[[when >= cleared for when, _ in of_first].index(True)][1] == "", "the partial starts from empty"
    assert all("b" not in text for when, text in of_first if when >= cleared)


def test_a_completion_for_a_cleared_utterance_is_dropped() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 3, 6)], 10)
    room.tell(s(1.3), SpeakerStarted("A", s(1)))
    room.tell(s(3.1), SpeakerStarted("B", s(2.9)))
    room.tell(s(4.2), SpeakerEnded("A", s(2.9)))
    room.tell(s(6.3), SpeakerEnded("B", s(5.9)))
    room.at(4.4, lambda: room.merger.feed(TextCompleted(UtteranceId(1), "nonsense")))
    room.at(4.4, lambda: room.merger.feed(TextGrew(UtteranceId(1), "nonsense")))
    room.run()
    assert all("nonsense" not in text for _, text in room.lines())
    assert_every_word_once(room)


def test_an_epoch_breaking_in_mid_turn() -> None:
    room = Room(run_of_words("a", 1, 9), 14)
    room.speaks("A", 1, None)
    room.epoch_breaks(4.0)
    room.epoch_opens(6.0, 2)
    room.tell(s(6.3), SpeakerStarted("A", s(0)), epoch=2)
    room.tell(s(9.4), SpeakerEnded("A", s(3)), epoch=2)
    room.run()
    assert [turn.attribution for turn in room.finals] == [
        Attribution.DIARIZED,
        Attribution.UNKNOWN,
        Attribution.DIARIZED,
    ]
    first, unknown, third = room.finals
    assert first.end == unknown.start == s(4)
    assert unknown.end == third.start == s(6)
    assert first.speaker != third.speaker, "labels mean nothing in another epoch"
    assert_every_word_once(room)


def test_the_hold_back_growing_while_a_turn_is_open() -> None:
    room = Room([*run_of_words("x", 0.5, 16.5), *run_of_words("y", 17, 19)], 24)
    for i in range(40):  # interjections told ever later
        room.speaks("B", 1 + 0.3 * i, 1.2 + 0.3 * i, lag_s=0.3 + 0.03 * i)
    room.speaks("A", 0.5, 16.5, lag_s=0.4)
    room.speaks("C", 17, 19, lag_s=1.3)
    room.run()
    assert room.merger.hold_back_s > 1.0
    assert_every_word_once(room)  # Room asserts that append positions never move back
    assert room.lines()[-1][1] == "y0 y1 y2 y3 y4"


def test_a_monologue_is_cut_at_its_first_free_pause() -> None:
    words = [*run_of_words("a", 1, 15), *run_of_words("z", 15.4, 19)]
    room = Room(words, 24)
    room.speaks("A", 1, 19)
    room.run()
    assert [(turn.start, turn.end) for turn in room.finals] == [(s(1), s(14.9)), (s(15.4), s(19))]
    assert_every_word_once(room)


def test_a_monologue_cut_while_overlapped() -> None:
    words = run_of_words("a", 1, 31)
    room = Room(words, 36)
    room.speaks("A", 1, 31)
    room.speaks("B", 5, 30)
    room.run()
    assert {label for label, _ in room.lines()} == {"S1"}
    assert all(turn.end - turn.start <= s(20) for turn in room.finals)
    assert_every_word_once(room)


def test_no_diarizer() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 5, 7)], 10, diarized=False)
    room.run()
    assert [label for label, _ in room.lines()] == ["?", "?"]
    assert all(turn.attribution is Attribution.UNKNOWN for turn in room.finals)
    assert_every_word_once(room)


def test_speech_that_no_speaker_claims() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("u", 4.5, 6), *run_of_words("b", 8, 9)], 12)
    room.speaks("A", 1, 3)
    room.speaks("B", 8, 9)
    room.run()
    assert [label for label, _ in room.lines()] == ["S1", "?", "S2"]
    assert_every_word_once(room)


def test_a_diarizer_that_relabels() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 4.5, 6), *run_of_words("c", 8, 9)], 24)
    room.speaks("A", 1, 3)
    room.speaks("X", 4.5, 6)
    room.speaks("A", 8, 9)
    room.tell(s(9.5), SpeakerRelabelled("X", "A", s(4.5), s(6)))
    room.run()
    assert [label for label, _ in room.lines()] == ["S1", "S1", "S1"]
    assert len(room.of(TurnRevised)) == 1
    assert len(room.finals) == 3, "labels change, cuts do not"


def test_a_holder_who_is_relabelled_while_the_next_turn_is_open_keeps_the_floor() -> None:
    room = Room(run_of_words("a", 1, 18), 24, settings=MergeSettings(max_turn_s=10))
    room.speaks("X", 1, 18)
    room.speaks("B", 3, 17)  # under X's floor all the time
    room.tell(s(18.5), SpeakerRelabelled("X", "A", 0, s(18)))
    room.run()
    assert len(room.finals) == 2, "this is about a turn behind a cut"
    assert len({label for label, _ in room.lines()}) == 1
    assert_every_word_once(room)


def test_relabelling_a_turn_again_waits_ten_seconds() -> None:
    room = Room(run_of_words("a", 1, 3), 40)
    room.speaks("A", 1, 3)
    for i in range(10):
        old, new = ("A", "B") if i % 2 == 0 else ("B", "A")
        room.tell(s(8 + i), SpeakerRelabelled(old, new, s(1), s(3)))
    room.tell(s(30), SpeakerRelabelled("A", "C", s(1), s(3)))
    room.run()
    assert len(room.of(TurnRevised)) <= 3
    assert room.lines()[0][0] != "S1"


def test_a_late_duplicate_and_orphan_events() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 4, 6)], 9)
    room.tell(s(0.9), SpeakerEnded("A", s(0.5)))
    room.tell(s(1.3), SpeakerStarted("A", s(1)))
    room.tell(s(1.4), SpeakerStarted("A", s(1.1)))
    room.tell(s(3.3), SpeakerEnded("A", s(3)))
    room.tell(s(3.4), SpeakerEnded("A", s(3)))
    room.tell(s(4.5), SpeakerEnded("B", s(4.2)))  # an end before its start ...
    room.tell(s(4.6), SpeakerStarted("B", s(4)))  # ... arrives first
    room.speaks("B", 4.25, 6)
    room.run()
    assert [label for label, _ in room.lines()] == ["S1", "S2"]
    assert_every_word_once(room)

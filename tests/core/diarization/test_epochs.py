"""What becomes of turns and speakers where one epoch follows another."""

import pytest

from minuted_daemon.core.events import (
    Attribution,
    Epoch,
    EpochClosed,
    SpeakerEnded,
    SpeakerNumber,
    SpeakersMatched,
    SpeakerStarted,
    TurnGrew,
    TurnRevised,
)
from minuted_daemon.core.samples import Sample
from tests.support.epochs_room import Heard, Segment, hold
from tests.support.merge_room import Room, Said, assert_every_word_once, run_of_words, s

STANDS_BY_S, RELIEF_S = 20.0, 30.0


def speech(segments: list[Segment]) -> list[Said]:
    words: list[Said] = []
    for index, (who, start_s, end_s) in enumerate(segments):
        words += run_of_words(f"{who.lower()}{index}_", start_s, end_s)
    return words


def roll_over(lag_s: float = 0.3, jitter_s: float = 0.0, edge_s: float = 0.0) -> list[Heard]:
    return [
        Heard(1, 0, RELIEF_S, lag_s=lag_s, jitter_s=jitter_s, edge_s=edge_s),
        Heard(2, STANDS_BY_S, 1000, RELIEF_S, lag_s=lag_s, jitter_s=jitter_s, edge_s=edge_s),
    ]


def play(segments: list[Segment], length_s: float = 50, epochs: list[Heard] | None = None) -> Room:
    room = Room(speech(segments), length_s, partials=True)
    hold(room, segments, epochs or roll_over())
    return room.run()


def speakers_of(room: Room) -> dict[str, set[str]]:
    """Who was called what."""
    called: dict[str, set[str]] = {}
    for label, text in room.lines():
        for word in text.split():
            called.setdefault(word[0], set()).add(label)
    return called


ALTERNATING: list[Segment] = [
    ("A", 1, 5), ("B", 5.2, 9), ("A", 9.5, 14), ("C", 14.5, 19), ("B", 20.5, 23), ("A", 23.4, 26), ("C", 26.2, 28.5),
    ("B", 32, 35), ("A", 35.5, 38), ("C", 38.5, 43),
]  # fmt: skip


def test_a_planned_change_over_in_silence() -> None:
    room = play(ALTERNATING)
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2"}, "c": {"S3"}}
    assert_every_word_once(room)


def test_a_planned_change_over_is_as_if_there_had_been_none() -> None:
    segments = [*ALTERNATING[:6], ("C", 26.2, 34.0), *ALTERNATING[8:]]
    with_it, without = play(segments), play(segments, epochs=[Heard(1, 0, 1000)])
    assert with_it.finals == without.finals
    assert {label for label, _ in with_it.lines()} == {"S1", "S2", "S3"}


def test_a_turn_goes_on_across_the_change_over() -> None:
    room = play([("A", 1, 5), ("B", 6, 19), ("A", 20.5, 22.5), ("B", 23, 39.5)])
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2"}}
    (turn,) = (turn for turn in room.finals if turn.start < s(RELIEF_S) < turn.end)
    assert turn.start == s(23)
    assert turn.end > s(35)
    assert_every_word_once(room)


def test_an_overlap_goes_on_across_the_change_over() -> None:
    segments = [("A", 1, 5), ("B", 6, 19), ("A", 20.5, 22.5), ("B", 23, 25), ("A", 26, 33), ("B", 29, 31.5)]
    room = Room(speech(segments[:-1]), 40)
    hold(room, segments, roll_over())
    room.run()
    (turn,) = (turn for turn in room.finals if turn.start == s(26))
    assert (turn.speaker, turn.end) == (1, s(33))
    assert [(overlap.speaker, overlap.duration) for overlap in turn.overlapping] == [(2, s(2.5))]


@pytest.mark.parametrize("lag_s", [0.1, 0.8, 1.5])
@pytest.mark.parametrize("shift_s", [-0.4, -0.2, 0.0, 0.05, 0.3])
def test_late_events_about_either_side_of_the_change_over(lag_s: float, shift_s: float) -> None:
    edge = RELIEF_S + shift_s
    segments = [("A", 1, 5), ("B", 6, 19), ("A", 20.5, 22.5), ("B", 23, 26), ("A", 26.4, edge), ("B", edge, 36)]
    room = play(segments, epochs=roll_over(lag_s))
    without = play(segments, epochs=[Heard(1, 0, 1000, lag_s=lag_s)])
    assert [(turn.start, turn.end, turn.speaker) for turn in room.finals] == [
        (turn.start, turn.end, turn.speaker) for turn in without.finals
    ]
    assert_every_word_once(room)


def test_jittery_positions() -> None:
    room = play(ALTERNATING, epochs=roll_over(0.4, 0.15, 0.06))
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2"}, "c": {"S3"}}
    assert_every_word_once(room)


def test_whoever_is_silent_while_both_hear_stays_apart() -> None:
    room = play([("A", 1, 5), ("B", 6, 19), ("A", 20.5, 29), ("B", 32, 36), ("A", 37, 40)])
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2", "S3"}}
    assert_every_word_once(room)


def test_whoever_is_new_while_both_hear_is_one_speaker() -> None:
    room = play([("A", 1, 5), ("D", 21, 24), ("A", 25, 29), ("D", 32, 36)])
    assert speakers_of(room) == {"a": {"S1"}, "d": {"S2"}}


def test_a_second_of_speech_in_both_is_enough_and_half_a_second_is_not() -> None:
    room = play([("A", 1, 5), ("B", 6, 19), ("C", 20.5, 20.9), ("B", 21.2, 22.2), ("A", 23, 29), ("B", 32, 36),
                 ("C", 37, 40)])  # fmt: skip
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2"}, "c": {"S3", "S4"}}


def test_whoever_speaks_only_into_others_is_found_once_the_others_are() -> None:
    segments = [("A", 1, 5), ("B", 6, 12), ("A", 21, 29), ("B", 24, 25.5), ("A", 31, 33), ("B", 34, 38)]
    room = Room(speech([one for one in segments if one != ("B", 24, 25.5)]), 45)
    hold(room, segments, roll_over())
    room.run()
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2"}}


def test_two_who_were_only_heard_together_are_not_told_apart() -> None:
    segments = [("A", 1, 5), ("B", 6, 12), ("A", 22, 26), ("B", 22, 26), ("A", 32, 36), ("B", 37, 41)]
    room = Room(speech([one for one in segments if one != ("B", 22, 26)]), 45)
    hold(room, segments, roll_over())
    room.run()
    assert speakers_of(room)["b"] == {"S2", "S4"} or len(speakers_of(room)["b"]) == 2
    assert not speakers_of(room)["b"] & speakers_of(room)["a"]


def test_a_label_that_the_new_epoch_splits_goes_on_as_its_greatest_part() -> None:
    segments: list[Segment] = [
        ("A", 1, 5), ("B", 6, 12), ("A", 20.5, 24.5), ("B", 24.6, 26.8), ("A", 27, 29), ("A", 32, 36), ("B", 37, 40),
    ]  # fmt: skip

    def labels(epoch: int, who: str, start_s: float) -> str:
        return f"{who}-split" if epoch == 2 and (who, start_s) == ("A", 27) else f"{who}{epoch}"

    room = Room(speech(segments), 45)
    hold(room, segments, roll_over(), labels)
    room.run()
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2"}}


def test_an_end_of_the_old_epoch_that_comes_behind_the_change_over() -> None:
    segments = [("A", 1, 5), ("B", 6, 19), ("A", 20.5, 22.5), ("B", 23, 29.4), ("A", 29.5, 35)]
    room = Room(speech(segments), 40)
    hold(room, segments[:3] + segments[4:], roll_over())
    room.speaks("b", 6, 19)
    room.speaks("b", 23, None)
    room.tell(s(30.25), SpeakerEnded("b", s(29.4)))
    room.tell(s(23.3), SpeakerStarted("X", s(23 - STANDS_BY_S)), epoch=2)
    room.tell(s(30.25), SpeakerEnded("X", s(29.4 - STANDS_BY_S)), epoch=2)
    room.run()
    assert (s(29.5), s(35), 1) in [(turn.start, turn.end, turn.speaker) for turn in room.finals]
    assert_every_word_once(room)


def test_an_old_epoch_whose_ends_never_come() -> None:
    room = Room(speech([("A", 1, 29), ("A", 31, 33)]), 40)
    room.speaks("A", 1, None)
    room.epoch_opens(STANDS_BY_S, 2)
    room.speaks("X", 0, 29 - STANDS_BY_S, epoch=2, lag_s=STANDS_BY_S + 0.3)
    room.speaks("X", 31 - STANDS_BY_S, 33 - STANDS_BY_S, epoch=2, lag_s=STANDS_BY_S + 0.3)
    room.takes_over(RELIEF_S, 2)
    room.at(35, lambda: room.merger.feed(EpochClosed(Epoch(1), Sample(s(RELIEF_S)))))
    room.run()
    assert {label for label, _ in room.lines()} == {"S1"}
    assert_every_word_once(room)


def test_change_overs_in_a_row() -> None:
    segments: list[Segment] = [("ABC"[i % 3], 1 + 3.1 * i, 3.8 + 3.1 * i) for i in range(60)]
    epochs = [Heard(1, 0, 30)]
    epochs += [Heard(n, 30 * n - 42, 30 * n if n < 6 else 1000, 30 * n - 30) for n in range(2, 7)]
    room = play(segments, 190, epochs)
    without = play(segments, 190, [Heard(1, 0, 1000)])
    assert room.finals == without.finals
    assert room.merger.epochs_of(room.finals[0].speaker or 0) == set(range(1, 7))  # type: ignore[arg-type]


def test_the_old_epoch_breaks_while_the_new_one_stands_by() -> None:
    segments = [*ALTERNATING[:6], ("C", 26.2, 34.0), *ALTERNATING[8:]]
    epochs = [Heard(1, 0, 28.0, breaks=True), Heard(2, STANDS_BY_S, 1000)]
    room = play(segments, epochs=epochs)
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2"}, "c": {"S3"}}
    assert all(turn.attribution is Attribution.DIARIZED for turn in room.finals)
    assert (s(26.2), s(34)) in [(turn.start, turn.end) for turn in room.finals]
    assert_every_word_once(room)


def test_a_break_that_is_noticed_late_while_the_new_one_stands_by() -> None:
    segments: list[Segment] = [("A", 1, 5), ("B", 6, 19), ("A", 20.5, 26), ("B", 26.5, 30), ("A", 32, 35)]
    room = Room(speech(segments), 40)
    hold(room, segments, [Heard(2, STANDS_BY_S, 1000)])
    for who, start_s, end_s in segments[:3]:
        room.speaks(who, start_s, end_s)
    room.at(29, lambda: room.merger.feed(EpochClosed(Epoch(1), Sample(s(26.2)))))
    room.run()
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2", "S3"}} or speakers_of(room)["a"] == {"S1"}
    assert not [turn for turn in room.finals if turn.speaker is None]
    assert_every_word_once(room)


def test_a_relieved_epoch_that_breaks_before_it_heard_all() -> None:
    segments: list[Segment] = [("A", 1, 5), ("B", 6, 19), ("A", 20.5, 24), ("B", 24.5, 34)]
    room = Room(speech(segments), 40)
    hold(room, segments, [Heard(2, STANDS_BY_S, 1000, RELIEF_S)])
    for who, start_s, end_s in segments:
        room.speaks(who, start_s, None if end_s == 34 else end_s)
    room.at(RELIEF_S + 0.1, lambda: room.merger.feed(EpochClosed(Epoch(1), Sample(s(28.5)))))
    room.run()
    assert (s(24.5), s(34)) in [(turn.start, turn.end) for turn in room.finals]
    assert speakers_of(room) == {"a": {"S1"}, "b": {"S2"}}
    assert_every_word_once(room)


def test_the_one_that_stands_by_breaks() -> None:
    room = Room(speech(ALTERNATING), 50)
    hold(room, ALTERNATING, [Heard(1, 0, 1000), Heard(2, 20, 24, breaks=True), Heard(3, 25, 28, breaks=True)])
    room.run()
    assert room.finals == play(ALTERNATING, epochs=[Heard(1, 0, 1000)]).finals
    assert room.merger.speaker(Epoch(2), "SPEAKER_00") is None


def test_both_break() -> None:
    segments = ALTERNATING
    epochs = [Heard(1, 0, 27, breaks=True), Heard(2, 20, 28, breaks=True), Heard(3, 30, 1000)]
    room = play(segments, epochs=epochs)
    called = speakers_of(room)
    assert called["a"] == {"S1", "S5"} or len(called["a"]) == 2, "nothing joins the third epoch to the first"
    assert_every_word_once(room)


# --- unplanned breaks, and joins from outside ---


def match(room: Room, newer: int, older: int) -> None:
    room.merger.feed(SpeakersMatched(SpeakerNumber(newer), SpeakerNumber(older)))


def broken(gap_s: float, resumed_by: str = "A") -> Room:
    words = [*run_of_words("a", 1, 8.0), *run_of_words("z", 8.0 + gap_s, 12.0 + gap_s), *run_of_words("b", 14, 16)]
    words += run_of_words("u", 8.1, 7.9 + gap_s)
    room = Room([word for word in words if word.start < s(24)], 30)
    room.speaks("A", 1, None)
    room.epoch_breaks(8.0)
    base_s = 8.0 + gap_s
    room.epoch_opens(base_s, 2)
    room.tell(s(base_s + 0.3), SpeakerStarted(resumed_by, 0), epoch=2)
    room.tell(s(base_s + 4.3), SpeakerEnded(resumed_by, s(4)), epoch=2)
    return room


def test_a_gap_between_joined_sides_becomes_theirs() -> None:
    room = broken(2.0)
    room.at(20, lambda: match(room, 2, 1))
    room.run()
    before, between, after = room.finals[:3]
    assert (before.end, between.start, between.end, after.start) == (s(8), s(8), s(10), s(10))
    assert [turn.speaker for turn in (before, between, after)] == [1, 1, 1]
    assert [turn.attribution for turn in (before, between, after)] == [
        Attribution.DIARIZED,
        Attribution.INFERRED,
        Attribution.DIARIZED,
    ]
    revised = [output.turn.number for output in room.of(TurnRevised)]  # type: ignore[union-attr]
    assert sorted(revised) == sorted([between.number, after.number]), "each once"


def test_a_gap_between_sides_that_are_apart_is_nobodys() -> None:
    room = broken(2.0).run()
    assert [turn.speaker for turn in room.finals[:3]] == [1, None, 2]


def test_a_gap_of_more_than_three_seconds_stays_unknown() -> None:
    room = broken(3.5)
    room.at(20, lambda: match(room, 2, 1))
    room.run()
    assert [turn.speaker for turn in room.finals[:3]] == [1, None, 1]


def test_a_gap_behind_an_overlap_stays_unknown() -> None:
    room = broken(2.0)
    room.speaks("B", 6, None)
    room.at(20, lambda: match(room, 2, 1))
    room.run()
    (gap,) = (turn for turn in room.finals if turn.start == s(8))
    assert gap.attribution is Attribution.UNKNOWN


def test_a_partial_takes_the_older_speaker_at_once() -> None:
    room = Room(run_of_words("a", 1, 8), 14, partials=True)
    room.speaks("A", 1, None)
    room.epoch_breaks(4.0)
    room.epoch_opens(4.0, 2)
    room.tell(s(4.3), SpeakerStarted("A", s(0.1)), epoch=2)

    def match() -> None:
        assert room.merger.speaker(Epoch(2), "A") == 2
        room.merger.feed(SpeakersMatched(SpeakerNumber(2), SpeakerNumber(1)))

    room.at(6.45, match)
    room.run()
    shown = [
        (when, output.turn.speaker)
        for when, output in room.outputs
        if isinstance(output, TurnGrew) and output.turn.start >= s(4)
    ]
    assert {speaker for when, speaker in shown if when < s(6.4)} == {2}
    assert {speaker for when, speaker in shown if when >= s(6.5)} == {1}


def test_speakers_of_one_epoch_are_never_joined() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 4, 6)], 20)
    room.speaks("A", 1, 3)
    room.speaks("B", 4, 6)
    room.at(9, lambda: match(room, 2, 1))
    room.at(10, lambda: match(room, 7, 1))
    room.run()
    assert [label for label, _ in room.lines()] == ["S1", "S2"]
    assert room.of(TurnRevised) == []


def test_a_match_renames_overlapping_speakers_too_and_only_once_a_turn() -> None:
    segments: list[Segment] = [("A", 1, 4), ("B", 5, 8), ("B", 14, 20), ("A", 15, 16.5)]
    room = Room(speech(segments[:3]), 40)
    hold(room, segments, [Heard(1, 0, 10, breaks=True), Heard(2, 11, 1000)])

    room.at(25, lambda: match(room, 3, 2))
    room.at(26, lambda: match(room, 4, 1))
    room.run()
    turn = room.finals[-1]
    assert turn.speaker == 2
    assert [(overlap.speaker, overlap.duration) for overlap in turn.overlapping] == [(1, s(1.5))]
    (revised,) = (when for when, output in room.outputs if isinstance(output, TurnRevised))
    assert revised > s(26), "not twice within ten seconds: both at once"


def test_a_turn_that_is_frozen_keeps_its_speaker() -> None:
    room = broken(2.0)
    room = Room(room.words, 340)
    room.speaks("A", 1, None)
    room.epoch_breaks(8.0)
    room.epoch_opens(10.0, 2)
    room.speaks("A", 0, 4, epoch=2, lag_s=10.3)
    room.at(330, lambda: match(room, 2, 1))
    room.run()
    assert room.of(TurnRevised) == []


def test_the_speaker_of_a_label() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 4, 6)], 12)
    room.speaks("A", 1, 3)
    room.speaks("B", 4, 6)
    asked: list[object] = []
    room.at(0.5, lambda: asked.append(room.merger.speaker(Epoch(1), "A")))
    room.at(11, lambda: asked.append(room.merger.speaker(Epoch(1), "B")))
    room.at(11, lambda: asked.append(room.merger.epochs_of(asked[-1])))  # type: ignore[arg-type]
    room.run()
    assert asked == [None, 2, {1}]

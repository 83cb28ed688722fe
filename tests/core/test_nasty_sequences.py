"""Each nasty sequence of a diarizer and a transcriber, by name."""

from collections.abc import Iterable

import pytest

from minuted_daemon.core.events import (
    Attribution,
    Clear,
    Commit,
    SpeakerEnded,
    SpeakerRelabelled,
    SpeakerStarted,
    TextCompleted,
    TextFailed,
    TextGrew,
    TextSource,
    TranscriberLost,
    TranscriberReady,
    TranscriberRefused,
    TurnGrew,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    UtteranceId,
)
from minuted_daemon.core.merger import MergeSettings
from tests.core.room import Room, Said, s, said


def run_of_words(prefix: str, start_s: float, end_s: float, every_s: float = 0.4) -> list[Said]:
    """Words of 0.3 s, 0.1 s apart."""
    count = round((end_s - start_s) / every_s)
    return [said(f"{prefix}{i}", start_s + i * every_s, start_s + i * every_s + 0.3) for i in range(count)]


def assert_every_word_once(room: Room) -> None:
    told = sorted(word for turn in room.finals for word in turn.text.split())
    assert told == sorted(word.text for word in room.words)


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


# --- texts ------------------------------------------------------------------------------------------------------------


def test_completions_out_of_order() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + s(7.0 - 2 * utterance), TextCompleted(utterance, text))]

    room = Room([said("a", 1, 1.5), said("b", 1.6, 2.1), said("c", 2.2, 2.7)], 12, answer)
    room.speaks("A", 1, 1.5)
    room.speaks("B", 1.6, 2.1)
    room.speaks("C", 2.2, 2.7)
    room.run()
    assert room.lines() == [("S1", "a"), ("S2", "b"), ("S3", "c")]
    assert [output.turn.text for output in room.of(TurnSettled)] == ["c", "b", "a"]  # type: ignore[union-attr]


def test_a_completion_that_comes_twice() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + s(1), TextCompleted(utterance, text)), (at + s(2), TextCompleted(utterance, "again"))]

    room = Room([said("a", 1, 1.5)], 12, answer)
    room.speaks("A", 1, 1.5)
    assert room.run().lines() == [("S1", "a")]
    assert not room.of(TurnRevised)


@pytest.mark.parametrize("kind", ["missing", "failed"])
def test_one_lost_answer_is_asked_for_again(kind: str) -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        if utterance == 1:
            return [(at + s(1), TextFailed(utterance, "SERVER_ERROR"))] if kind == "failed" else []
        return [(at + s(1), TextCompleted(utterance, text))]

    room = Room([said("a", 1, 1.5), said("b", 2, 2.5)], 20, answer)
    room.speaks("A", 1, 1.5)
    room.speaks("B", 2, 2.5)
    assert room.run().lines() == [("S1", "a"), ("S2", "b")]
    assert len(room.of(Commit)) == 3


def test_after_a_second_miss_the_deltas_become_the_text() -> None:
    room = Room([said("a", 1, 1.5)], 40, lambda *_: [], partials=True)
    room.speaks("A", 1, 1.5)
    room.run()
    assert room.lines() == [("S1", "a")]
    assert room.finals[0].text_source is TextSource.PROVISIONAL
    assert len(room.of(Commit)) == 2


def test_the_true_text_after_a_provisional_one_is_a_revision() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + s(20), TextCompleted(utterance, text + "!"))]

    room = Room([said("a", 1, 1.5)], 60, answer, partials=True)
    room.speaks("A", 1, 1.5)
    room.run()
    assert room.lines() == [("S1", "a!")]
    assert room.finals[0].text_source is TextSource.COMPLETED


def test_an_empty_completion_takes_the_turn_back() -> None:
    room = Room([said("a", 1, 1.5)], 12, lambda u, _t, at: [(at + s(1), TextCompleted(u, " ."))], partials=True)
    room.speaks("A", 1, 1.5)
    room.run()
    assert room.finals == []
    (retracted,) = room.of(TurnRetracted)
    assert isinstance(retracted, TurnRetracted)
    assert not retracted.was_final


def test_a_transcriber_lost_in_mid_turn_is_sent_all_that_is_not_answered() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + s(3), TextCompleted(utterance, text))]

    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 3.2, 7)], 14, answer)
    room.speaks("A", 1, 3)
    room.speaks("B", 3.2, 7)
    room.at(5.0, lambda: room.merger.feed(TranscriberLost()))
    room.at(6.5, lambda: room.merger.feed(TranscriberReady()))
    # The old connection's answers never arrive; the room's would, so they are for utterances nobody waits for.
    room.run()
    assert [text.split()[0] for _, text in room.lines()] == ["a0", "b0"]
    assert_every_word_once(room)


def test_a_transcriber_refused_for_good() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 6, 8)], 12)
    room.speaks("A", 1, 3)
    room.speaks("B", 6, 8)
    room.at(5.5, lambda: room.merger.feed(TranscriberRefused()))
    room.run()
    assert [turn.text_source for turn in room.finals] == [TextSource.COMPLETED, TextSource.NONE]
    assert room.merger.settled


def test_without_a_transcriber_turns_are_final_at_their_end() -> None:
    room = Room(run_of_words("a", 1, 3), 8, settings=MergeSettings(transcribes=False))
    room.speaks("A", 1, 3)
    room.run()
    assert room.lines() == [("S1", "")]
    assert not room.of(Commit)
    (settled,) = ((when, output) for when, output in room.outputs if isinstance(output, TurnSettled))
    assert settled[0] <= s(3 + 0.5 + 0.8 + 0.1)


def test_a_turn_is_committed_at_most_hold_back_and_join_gap_after_its_end() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 3.1, 5)], 9)
    room.speaks("A", 1, 3)
    room.speaks("B", 3.1, 5)
    room.run()
    commits = [when for when, output in room.outputs if isinstance(output, Commit)]
    for when, turn in zip(commits, room.finals, strict=True):
        assert when - turn.end <= s(0.5 + 0.8 + 0.1)


def test_short_turns_are_padded() -> None:
    room = Room([said("a", 1, 1.05)], 5)
    room.speaks("A", 1, 1.05)
    room.run()
    (commit,) = room.of(Commit)
    assert isinstance(commit, Commit)
    sent = sum(end - start for start, end in room.sent[commit.utterance].ranges)
    assert sent + commit.pad >= s(0.3)


def test_silence_is_not_sent() -> None:
    room = Room([said("a", 1, 1.5), said("b", 20, 20.5)], 30)
    room.speaks("A", 1, 1.5)
    room.speaks("A", 20, 20.5)
    room.run()
    assert room.sent_samples <= s(2 * (0.5 + 0.1 + 0.15))

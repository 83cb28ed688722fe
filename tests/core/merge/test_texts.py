"""What the transcriber is sent and what becomes of its answers: late, out of order, twice, or never."""

from collections.abc import Iterable

import pytest

from minuted_daemon.core.events import (
    Append,
    AudioShed,
    Commit,
    TextCompleted,
    TextFailed,
    TextSource,
    TranscriberLost,
    TranscriberReady,
    TranscriberRefused,
    TurnGrew,
    TurnRevised,
    TurnSettled,
    UtteranceId,
)
from minuted_daemon.core.merge.merger import MergeSettings
from minuted_daemon.core.samples import RATE_HZ, Sample
from tests.support.merge_room import Room, assert_every_word_once, run_of_words, s, said


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


def test_while_the_transcriber_refuses_turns_are_shown_and_wait() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 6, 8)], 22)
    room.speaks("A", 1, 3)
    room.speaks("B", 6, 8)
    room.at(5.5, lambda: room.merger.feed(TranscriberRefused()))
    room.at(19.0, lambda: room.merger.feed(TranscriberReady()))
    room.run()
    shown = [(when, output.turn) for when, output in room.outputs if isinstance(output, TurnGrew)]
    assert [(turn.speaker, turn.text) for when, turn in shown if when < s(19)] == [(2, "")]
    assert [turn.text_source for turn in room.finals] == [TextSource.COMPLETED] * 2
    assert_every_word_once(room)
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


def test_after_an_outage_the_present_does_not_wait_for_the_past() -> None:
    room = Room(run_of_words("a", 1, 149), 150)
    room.speaks("A", 1, None)
    room.at(20, lambda: room.merger.feed(TranscriberLost()))
    room.at(110, lambda: room.merger.feed(TranscriberReady()))
    room.run()
    assert_every_word_once(room)
    behind = [
        (now - output.end) / RATE_HZ
        for now, output in room.outputs
        if isinstance(output, Append) and not output.makes_up and now > s(120)
    ]
    assert max(behind) <= room.merger.hold_back_s + 0.1
    made_up = [(now, output) for now, output in room.outputs if isinstance(output, Append) and output.makes_up]
    assert [output.start for _, output in made_up] == sorted(output.start for _, output in made_up), "oldest first"
    sent = sum(output.end - output.start for _, output in made_up)
    assert sent <= 4.1 * (made_up[-1][0] - made_up[0][0]) + s(0.5), "at most four times as fast as real time"


def test_what_was_shed_gets_no_text_and_is_told_all_the_same() -> None:
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 30, 32)], 60)
    room.speaks("A", 1, 3)
    room.speaks("B", 30, 32)
    room.at(0.5, lambda: room.merger.feed(TranscriberLost()))
    room.at(20, lambda: room.merger.feed(AudioShed(Sample(s(10)))))
    room.at(50, lambda: room.merger.feed(TranscriberReady()))
    room.run()
    assert [turn.text_source for turn in room.finals] == [TextSource.NONE, TextSource.COMPLETED]
    assert room.merger.settled


def test_a_transcriber_that_has_too_much_to_do_is_asked_again_later() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        busy = at < s(10)
        return [(at + s(0.3), TextFailed(utterance, "RATE_LIMITED") if busy else TextCompleted(utterance, text))]

    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 5, 7), *run_of_words("c", 12, 14)], 18, answer)
    room.speaks("A", 1, 3)
    room.speaks("B", 5, 7)
    room.speaks("C", 12, 14)
    room.run()
    assert [turn.text_source for turn in room.finals] == [TextSource.COMPLETED] * 3
    assert_every_word_once(room)
    assert len(room.of(Commit)) == 4 + 3 + 1, "not asked in a storm"

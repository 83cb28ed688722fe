"""A final text without a word where speech was heard: asked again once, then what was said before stays."""

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

from minuted_daemon.core.diarization.timeline import UNCLAIMED, Voice
from minuted_daemon.core.events import (
    Commit,
    SpeakerEnded,
    SpeakerStarted,
    TextCompleted,
    TextSource,
    TranscriberReady,
    TurnGrew,
    TurnRetracted,
    TurnRevised,
    UtteranceId,
    WordsMissing,
)
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.core.transcription.turn import Turn
from minuted_daemon.core.words import grown, has_words, settled, storable
from tests.support.merge_room import Room, assert_every_word_once, run_of_words, s, said
from tests.support.watched_queue import WatchedQueue, turn

WORDLESS = ("", "...", " .", "—", "♪ ♪", "¿?", "​")


def empty(*utterances: int, text: str = "") -> Callable[[UtteranceId, str, int], Iterable[tuple[int, object]]]:
    """Answer these without a word, all others with what was said; all of them where none is named."""

    def answer(utterance: UtteranceId, true: str, at: int) -> Iterable[tuple[int, object]]:
        wordless = not utterances or utterance in utterances
        return [(at + s(0.6), TextCompleted(utterance, text if wordless else true))]

    return answer


def a_room(answer: Callable[..., Iterable[tuple[int, object]]], end_s: float = 3.0, partials: bool = False) -> Room:
    room = Room(run_of_words("a", 1, end_s), 30, answer, partials=partials)
    room.speaks("A", 1, end_s)
    return room


@pytest.mark.parametrize("text", WORDLESS)
def test_a_claimed_turn_is_asked_for_again(text: str) -> None:
    room = a_room(empty(1, text=text)).run()
    assert_every_word_once(room)
    assert [turn.text_source for turn in room.finals] == [TextSource.COMPLETED]
    assert len(room.of(Commit)) == 2
    assert not room.of(TurnRetracted)


def test_what_the_deltas_said_stays_where_the_second_answer_is_empty_too() -> None:
    room = a_room(empty(), partials=True).run()
    assert_every_word_once(room)
    assert [turn.text_source for turn in room.finals] == [TextSource.PROVISIONAL]
    assert len(room.of(Commit)) == 2
    shown = [output.turn.text for output in room.of(TurnGrew) if isinstance(output, TurnGrew)]
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown)), "nothing goes"


def test_a_claimed_stretch_without_any_text_stays_a_turn() -> None:
    room = a_room(empty()).run()
    assert [(turn.text, turn.text_source) for turn in room.finals] == [("", TextSource.NONE)]
    assert len(room.of(Commit)) == 2
    assert not room.of(WordsMissing), "the turn tells of it"


def test_a_short_sound_that_is_no_word_twice_is_no_turn_and_is_told() -> None:
    room = a_room(empty(), end_s=1.4).run()
    assert room.finals == []
    assert room.of(WordsMissing) == [WordsMissing(Sample(s(1)), Sample(s(1.4)))]
    assert len(room.of(Commit)) == 2


def test_a_short_word_that_was_begun_stays() -> None:
    assert a_room(empty(), end_s=1.4, partials=True).run().lines() == [("S1", "a0")]


def test_what_nobody_heard_vanishes_at_once() -> None:
    room = Room([said("a", 1, 1.5)], 12, empty())
    room.run()
    assert room.finals == []
    assert len(room.of(Commit)) == 1
    assert not room.of(WordsMissing)


def test_unclaimed_speech_of_which_something_was_said_does_not_vanish() -> None:
    room = Room(run_of_words("a", 1, 3), 12, empty(), partials=True)
    room.run()
    assert_every_word_once(room)


def test_every_second_final_empty_loses_nothing() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + s(0.6), TextCompleted(utterance, text if utterance % 2 else ""))]

    room = Room([w for n in range(12) for w in run_of_words(f"t{n}w", 1 + 3 * n, 3 + 3 * n)], 50, answer, partials=True)
    for n in range(12):
        room.speaks("AB"[n % 2], 1 + 3 * n, 3 + 3 * n)
    room.run()
    assert_every_word_once(room)


def sparse_room(answer: Callable[..., Iterable[tuple[int, object]]]) -> Room:
    room = Room([w for n in range(12) for w in run_of_words(f"t{n}w", 1 + 6 * n, 3 + 6 * n)], 80, answer)
    for n in range(12):
        room.speaks("AB"[n % 2], 1 + 6 * n, 3 + 6 * n)
    return room.run()


def test_where_an_empty_answer_proves_wrong_those_before_are_asked_about_again() -> None:
    room = sparse_room(empty(1, 2, 3))
    assert_every_word_once(room)
    assert {one.text_source for one in room.finals} == {TextSource.COMPLETED}
    assert len(room.of(Commit)) == 12 + 3


def test_nothing_is_asked_about_until_something_is_invented() -> None:
    """One answer of many has a word: that is no reason to ask about each sound eight times."""
    room = sparse_room(empty(*(number for number in range(1, 99) if number != 8)))
    assert [bool(one.text) for one in room.finals].count(True) == 1
    assert len(room.of(Commit)) <= 12 * 2 + 6


def test_a_transcriber_that_repeats_itself_is_not_asked_again() -> None:
    room = a_room(empty())
    room.at(0.1, lambda: room.merger.feed(TranscriberReady(repeats=True)))
    room.run()
    assert [turn.text_source for turn in room.finals] == [TextSource.NONE]
    assert len(room.of(Commit)) == 1


def test_an_empty_answer_that_comes_late_wipes_no_words() -> None:
    def answer(utterance: UtteranceId, _: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + s(20), TextCompleted(utterance, "..."))]

    room = Room(run_of_words("a", 1, 3), 60, answer, partials=True)
    room.speaks("A", 1, 3)
    room.run()
    assert_every_word_once(room)
    assert not room.of(TurnRevised)


def test_the_first_attempts_late_text_counts_where_the_second_was_empty() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [
            (at + s(14), TextCompleted(utterance, text))
            if utterance == 1
            else (at + s(1), TextCompleted(utterance, ""))
        ]

    room = Room(run_of_words("a", 1, 3), 40, answer)
    room.speaks("A", 1, 3)
    room.run()
    assert_every_word_once(room)
    assert room.finals[0].text_source is TextSource.COMPLETED


def test_a_late_text_is_taken_while_the_second_attempt_still_waits() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + s(9.5 if utterance == 1 else 0.6), TextCompleted(utterance, text))]

    words = [*run_of_words("a", 1, 3), *run_of_words("b", 10, 18)]
    room = Room(words, 30, answer)
    room.speaks("A", 1, 3)
    room.speaks("B", 10, 18)
    room.run()
    assert_every_word_once(room)
    assert len(room.of(Commit)) == 2, "the second attempt stood behind B, and was not needed"


def test_a_revision_whose_new_turns_have_no_words_changes_nothing() -> None:
    """A told late that B spoke in the middle: B's own audio is answered without a word, so the old turn stays."""
    room = Room(run_of_words("a", 1, 5), 40, lambda u, t, at: [(at + s(0.6), TextCompleted(u, t if u == 1 else ""))])
    room.speaks("A", 1, 5)
    room.tell(s(8), SpeakerStarted("B", s(3)))
    room.tell(s(8.1), SpeakerEnded("B", s(5)))
    room.tell(s(8), SpeakerEnded("A", s(3)))
    room.run()
    assert_every_word_once(room)


def test_a_transcript_that_was_superseded_by_an_empty_one_is_kept() -> None:
    transcription = WatchedQueue()
    one = turn(1, 1.0)
    one.voice = Voice(1)
    transcription.ready()
    transcription.submit(one)
    transcription.step(samples(3))
    transcription.grew(one.utterance, "all of it", False)  # type: ignore[arg-type]
    first = one.utterance
    assert first is not None
    transcription.step(samples(12))  # missed: asked again
    transcription.completed(first, "")
    assert one.utterance is not None
    transcription.completed(one.utterance, "")
    assert (one.text, one.text_source) == ("all of it", TextSource.PROVISIONAL)


def test_words_are_letters_and_digits_of_any_script() -> None:
    assert not any(map(has_words, WORDLESS))
    assert all(map(has_words, ("yes", "7", "はい", "نعم", "हाँ", "ж.", "½")))


def test_halves_of_a_character_join_and_a_lone_one_is_told_as_such() -> None:
    text = ""
    for piece in ("well \ud83d", "\ude00", " \ud83d", "x", "\ude00", "\ud83c"):
        text = grown(text, piece)
    assert settled(text) == "well \U0001f600 \ud83dx\ude00"
    assert storable(text) == "well \U0001f600 \ufffdx\ufffd\ufffd"
    assert storable(grown(text, "\udf89")) == "well \U0001f600 \ufffdx\ufffd\U0001f389"


def test_halves_in_two_deltas_are_one_character_and_never_shown_as_halves() -> None:
    transcription = WatchedQueue()
    transcription.ready()
    one = Turn(turn(1, 1.0).number, UNCLAIMED, s(1), s(2), s(1), s(2), 0, closed=True)
    transcription.submit(one)
    transcription.step(samples(3))
    assert one.utterance is not None
    transcription.grew(one.utterance, "party \ud83c", False)
    assert one.said == "party"
    transcription.grew(one.utterance, "\udf89", False)
    assert one.said == "party \U0001f389"

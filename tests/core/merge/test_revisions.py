"""News about turns that are final already: transcribed again and replaced in one step, or left as they are."""

from collections.abc import Iterable
from itertools import pairwise

from minuted_daemon.core.events import (
    Attribution,
    Commit,
    MergeOutput,
    SpeakerEnded,
    SpeakerStarted,
    TextCompleted,
    TextFailed,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    UtteranceId,
)
from minuted_daemon.core.merge.merger import MergeSettings
from tests.support.merge_room import Room, Said, assert_every_word_once, run_of_words, s

CHANGES = (TurnSettled, TurnRevised, TurnRetracted)


def changes_after(room: Room, at_s: float) -> list[tuple[int, MergeOutput]]:
    return [(now, output) for now, output in room.outputs if now > s(at_s) and isinstance(output, CHANGES)]


def an_end_that_comes_at_twelve(**settings: float) -> Room:
    """A's end is told of 9 s late: B, who speaks behind it, was taken for an interjection."""
    room = Room(
        [*run_of_words("a", 1, 3), *run_of_words("b", 3.2, 6)], 16, settings=MergeSettings(**settings)
    )  # the last word ends at 5.9
    room.speaks("A", 1, None)
    room.speaks("B", 3.2, 5.9)
    room.tell(s(12), SpeakerEnded("A", s(2.9)))
    return room


def test_a_turn_of_two_voices_is_taken_apart() -> None:
    room = an_end_that_comes_at_twelve().run()
    before, changed = room.of(TurnSettled)[0], changes_after(room, 12)
    assert {word[0] for word in before.turn.text.split()} == {"a", "b"}  # type: ignore[union-attr]
    assert [(label, text.split()[0][0]) for label, text in room.lines()] == [("S1", "a"), ("S2", "b")]
    assert len({now for now, _ in changed}) == 1, "in one step"
    assert_every_word_once(room)


def test_a_turn_keeps_its_number_where_it_keeps_half_of_its_stretch() -> None:
    room = an_end_that_comes_at_twelve().run()
    was = room.of(TurnSettled)[0].turn  # type: ignore[union-attr]
    shares = {
        turn.number: (min(turn.end, was.end) - max(turn.start, was.start)) / (was.end - was.start)
        for turn in room.finals
    }
    assert shares[was.number] >= 0.5
    assert room.of(TurnRetracted) == []


def test_a_later_generation_counts() -> None:
    room = an_end_that_comes_at_twelve().run()
    first = room.of(TurnSettled)[0].generation  # type: ignore[union-attr]
    generations = [output.generation for _, output in changes_after(room, 12)]  # type: ignore[union-attr]
    assert all(first is not None and generation is not None and generation > first for generation in generations)
    ranges = sorted(span for generation in generations for span in room.sent[generation].ranges)  # type: ignore[index]
    assert all(one[1] <= other[0] for one, other in pairwise(ranges))


def test_what_the_interjections_were_taken_for_is_retracted() -> None:
    # A has held the floor all along, is told late, and B and C were interjections.
    words = [Said("a1", s(1.5), s(1.8)), *run_of_words("b", 2, 3), *run_of_words("c", 3.1, 4), *run_of_words("a", 4, 5)]
    room = Room(words, 14)
    room.speaks("B", 2, 2.9)
    room.speaks("C", 3.1, 4)
    room.tell(s(9), SpeakerStarted("A", s(1.5)))
    room.tell(s(9.1), SpeakerEnded("A", s(5)))
    room.run()
    assert len(room.finals) == 1
    retracted = room.of(TurnRetracted)
    assert retracted
    assert all(output.was_final for output in retracted)  # type: ignore[union-attr]
    assert [overlap.duration for overlap in room.finals[0].overlapping] == [s(0.9), s(0.9)]
    assert_every_word_once(room)


def test_where_the_new_text_stays_away_the_old_turn_stays() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [(at + s(0.6), TextCompleted(utterance, text) if at < s(12) else TextFailed(utterance, "NO"))]

    room = an_end_that_comes_at_twelve()
    room.answer = answer
    room.run()
    assert room.merger.settled
    assert [output for _, output in changes_after(room, 12)] == []
    assert_every_word_once(room)


def test_what_is_frozen_stays() -> None:
    room = an_end_that_comes_at_twelve(freeze_s=4.0).run()
    assert changes_after(room, 12) == []


def test_unknown_speech_gets_its_speaker_without_being_transcribed_again() -> None:
    room = Room(run_of_words("a", 1, 3), 14)
    room.tell(s(8), SpeakerStarted("A", s(1)))
    room.tell(s(8.1), SpeakerEnded("A", s(2.9)))
    room.run()
    assert [turn.attribution for turn in room.finals] == [Attribution.DIARIZED]
    first, last = room.of(TurnSettled)[0].turn, room.of(TurnRevised)[-1].turn  # type: ignore[union-attr]
    assert first.attribution is Attribution.UNKNOWN
    assert (last.number, last.text) == (first.number, first.text)
    assert len(room.of(Commit)) == 1


def test_an_overlap_that_turns_out_shorter_is_corrected() -> None:
    room = Room(run_of_words("a", 1, 9), 20)
    room.speaks("A", 1, 8.9)
    room.tell(s(4.3), SpeakerStarted("B", s(4)))
    room.tell(s(14), SpeakerEnded("B", s(4.5)))
    room.run()
    assert [overlap.duration for overlap in room.finals[0].overlapping] == [s(0.5)]
    assert len(room.finals) == 1
    assert_every_word_once(room)


def test_a_retold_word_is_not_worth_a_revision() -> None:
    # The end of A comes late, but lies in the silence behind the last word: nothing changes hands.
    room = Room([*run_of_words("a", 1, 3), *run_of_words("b", 6, 7)], 16)
    room.speaks("A", 1, None)
    room.speaks("B", 6, 6.9)
    room.tell(s(12), SpeakerEnded("A", s(3.2)))
    room.run()
    assert changes_after(room, 12) == []

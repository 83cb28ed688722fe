"""Who is who: decisions kept, and what they are made from."""

import itertools

from minuted_daemon.core.diarization.epochs import Epochs
from minuted_daemon.core.diarization.identity import Identity
from minuted_daemon.core.diarization.label_matching import SharedSpeech
from minuted_daemon.core.diarization.timeline import Span, Voice
from minuted_daemon.core.events import (
    Epoch,
    EpochOpened,
    EpochTookOver,
    SpeakerEnded,
    SpeakerNumber,
    SpeakerStarted,
)
from minuted_daemon.core.samples import Sample
from tests.support.merge_room import s

A, B, C, D, E = (Voice(n) for n in range(1, 6))
END = s(100)


def spans(*told: tuple[Voice, float, float | None]) -> list[Span]:
    return [
        Span(voice, s(start), None if end is None else s(end), order) for order, (voice, start, end) in enumerate(told)
    ]


def matched(older: list[Span], newer: list[Span]) -> dict[Voice, Voice]:
    return SharedSpeech().matches(older, newer, 0, END, {})


# --- evidence ---


def test_a_second_of_speech_in_both_tells_who_is_who() -> None:
    assert matched(spans((A, 1, 2), (B, 3, 5)), spans((C, 3, 5), (D, 1, 2))) == {C: B, D: A}
    assert matched(spans((A, 1, 1.5)), spans((C, 1, 1.5))) == {}


def test_what_was_added_counts_with_what_is_there() -> None:
    shared = SharedSpeech()
    for start, end in itertools.pairwise(range(0, s(1.2), s(0.2))):
        shared.add(spans((A, 0, None)), spans((C, 0, None)), start, end)
    assert shared.matches([], [], s(1), s(1), {}) == {C: A}
    assert shared.matches([], [], s(1), s(1), {C: A}) == {}, "not given again"


def test_overlapped_speech_alone_tells_nobody_apart() -> None:
    assert matched(spans((A, 1, 5), (B, 1, 5)), spans((C, 1, 5), (D, 1, 5))) == {}


def test_the_rest_of_an_overlap_is_told_once_the_others_are_known() -> None:
    assert matched(spans((A, 1, 5), (B, 2, 3.5)), spans((C, 1, 5), (D, 2, 3.5))) == {C: A, D: B}


def test_who_spoke_with_two_is_neither() -> None:
    assert matched(spans((A, 1, 3), (B, 3, 5)), spans((C, 1, 5))) == {}
    assert matched(spans((A, 1, 4), (B, 4, 5)), spans((C, 1, 5))) == {C: A}


def test_of_two_halves_the_greater_one_goes_on() -> None:
    assert matched(spans((A, 1, 8)), spans((C, 1, 4), (D, 4, 8))) == {D: A}


def test_a_label_whose_end_was_lost_is_not_whoever_speaks_next() -> None:
    """B's end was lost, and then a start of A: the only stretch with one label in each is B's, and C is A."""
    older = spans((B, 0, None), (A, 1, 8))
    newer = spans((C, 1, 9.5))
    assert matched(older, newer) == {C: A}


def test_who_speaks_and_is_silent_with_a_label_is_that_label_although_others_speak_meanwhile() -> None:
    # B speaks first, then C; A speaks through most of both: only 0.77 s of A stand alone.
    older = spans((A, 27.94, 29.96), (B, 26.0, 28.28), (C, 28.53, 29.78))
    newer = spans((D, 27.94, 29.96), (E, 28.53, 29.78), (Voice(6), 26.0, 28.28))
    assert matched(older, newer) == {D: A, E: C, Voice(6): B}


# --- decisions ---


def test_speakers_are_numbered_by_their_first_turn() -> None:
    identity = Identity()
    assert identity.known(B) is None
    assert [identity.speaker(voice) for voice in (B, A, B)] == [1, 2, 1]


def test_a_renamed_voice_is_the_older_one_from_the_start() -> None:
    identity = Identity()
    identity.rename(B, A)
    identity.rename(C, B)
    assert identity.voice(C) == A
    assert identity.speaker(C) == identity.speaker(A) == 1
    assert identity.speaker(D) == 2, "no number is left out"


def test_matches_reach_through_one_another() -> None:
    identity = Identity()
    one, two, three = (identity.speaker(voice) for voice in (A, B, C))
    assert identity.match(three, two)
    assert identity.match(two, one)
    assert {identity.known(voice) for voice in (A, B, C)} == {one}
    assert not identity.match(three, one), "that is known"
    assert not identity.match(SpeakerNumber(9), one)
    assert identity.speaker(D) == 4


def test_joining_voices_of_which_only_one_has_had_a_turn() -> None:
    identity = Identity()
    identity.speaker(A)
    assert not identity.join(B, A)
    assert identity.known(B) == 1
    identity.speaker(D)
    assert not identity.join(D, C)
    assert identity.known(C) == identity.known(D) == 2
    assert identity.join(D, A)
    assert identity.known(D) == 1
    assert not identity.join(E, Voice(9))
    assert identity.speaker(E) == identity.speaker(Voice(9)) == 3


def test_speech_across_a_change_over_is_one_span() -> None:
    identity = Identity()
    epochs = Epochs(identity)
    epochs.opened(EpochOpened(Epoch(1), Sample(0)))
    epochs.apply(Epoch(1), SpeakerStarted("A", s(10)))
    epochs.opened(EpochOpened(Epoch(2), Sample(s(20))))
    epochs.apply(Epoch(2), SpeakerStarted("X", 0))
    older, newer = epochs.voice(Epoch(1), "A"), epochs.voice(Epoch(2), "X")
    assert older is not None
    assert newer is not None
    assert [(span.voice, span.start, span.end) for span in epochs.spans(0)] == [(older, s(10), None)]
    assert epochs.took_over(EpochTookOver(Epoch(2), Sample(s(30)))) == s(30)
    assert [(span.voice, span.start, span.end) for span in epochs.spans(0)] == [
        (older, s(10), s(30)),
        (newer, s(30), None),
    ]
    identity.rename(newer, older)
    assert [(span.voice, span.start, span.end) for span in epochs.spans(0)] == [(older, s(10), None)]
    assert dict(epochs.active_time(s(25), s(40))) == {older: s(15)}
    epochs.apply(Epoch(2), SpeakerEnded("X", s(9.5)))
    assert [(span.voice, span.start, span.end) for span in epochs.spans(0)] == [(older, s(10), s(30))], "as told so far"

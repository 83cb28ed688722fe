"""The reference and the scores, on cases small enough to be worked out by hand."""

from dataclasses import replace

import pytest

from tests.bench.reference import floor, joined, reference
from tests.bench.scoring import Arrival, ScoredTurn, arrivals, cp_wer, obvious_merge, score
from tests.fakes.meeting import RATE_HZ, Meeting, Segment, Word, load_meeting, meeting_of

Spans = list[tuple[str, float, float]]


def segments(spans: Spans) -> list[Segment]:
    return [Segment(who, round(a * RATE_HZ), round(b * RATE_HZ)) for who, a, b in spans]


@pytest.mark.parametrize(
    ("given", "held"),
    [
        # A pause is nobody's; the next to start takes the floor.
        ([("a", 0, 1), ("b", 2, 3)], [("a", 0, 1), ("b", 2, 3)]),
        # An interjection does not cut; who is still active when the holder ends takes over there.
        ([("a", 0, 3), ("b", 1, 2)], [("a", 0, 3)]),
        ([("a", 0, 2), ("b", 1, 3)], [("a", 0, 2), ("b", 2, 3)]),
        # Of several the one who started last.
        ([("a", 0, 3), ("b", 1, 5), ("c", 2, 4)], [("a", 0, 3), ("c", 3, 4), ("b", 4, 5)]),
        # A restart within 0.3 s: never lost. Later: lost.
        ([("a", 0, 1), ("b", 0.5, 3), ("a", 1.3, 2)], [("a", 0, 2), ("b", 2, 3)]),
        ([("a", 0, 1), ("b", 0.5, 3), ("a", 1.4, 2)], [("a", 0, 1), ("b", 1, 3)]),
        # Equal times: ends before starts; of equal starts the first to arrive.
        ([("a", 0, 1), ("b", 1, 2)], [("a", 0, 1), ("b", 1, 2)]),
        ([("a", 0, 1), ("b", 0, 2)], [("a", 0, 1), ("b", 1, 2)]),
        ([("b", 0, 1), ("a", 0, 2)], [("b", 0, 1), ("a", 1, 2)]),
        # Too short to be cut out: goes to the stretch it touches, and stays where it touches none.
        ([("a", 0, 1), ("b", 0.5, 1.05), ("c", 1.05, 2)], [("a", 0, 1.05), ("c", 1.05, 2)]),
        ([("a", 0, 0.05), ("b", 0.05, 2)], [("b", 0, 2)]),
        ([("a", 0, 1), ("b", 2, 2.05), ("a", 3, 4)], [("a", 0, 1), ("b", 2, 2.05), ("a", 3, 4)]),
        ([("a", 0, 1), ("b", 0.5, 1.05), ("a", 1.35, 2)], [("a", 0, 1.05), ("a", 1.35, 2)]),
    ],
)
def test_floor(given: Spans, held: Spans) -> None:
    assert [(h.speaker, h.start / RATE_HZ, h.end / RATE_HZ) for h in floor(segments(given))] == held


def test_turns_join_pauses_with_nobody_between() -> None:
    held = floor(segments([("a", 0, 1), ("a", 1.8, 2), ("a", 2.9, 4), ("b", 4.1, 4.5), ("a", 4.6, 5)]))
    spans = [(h.speaker, h.start / RATE_HZ, h.end / RATE_HZ) for h in joined(held)]
    assert spans == [("a", 0, 2), ("a", 2.9, 4), ("b", 4.1, 4.5), ("a", 4.6, 5)]


def test_every_word_of_a_real_meeting_is_in_one_turn() -> None:
    meeting = load_meeting("IB4010", 600, 120)
    found = reference(meeting)
    turns = [
        ScoredTurn(t.speaker, 0, 0, " ".join(w.text for w in meeting.words if t.start <= w.middle < t.end))
        for t in found.turns
    ]
    assert all(a.end <= b.start for a, b in zip(found.turns, found.turns[1:], strict=False))
    got = score(meeting, turns)
    assert (got.words_lost, got.words_repeated) == (0, 0)
    assert got.right == pytest.approx(found.right)


@pytest.fixture
def meeting() -> Meeting:
    """Words a0..a3 of one speaker and b0..b3 of another, half a second each, in turns of two."""
    made = meeting_of("tiny", segments([("a", 0, 1), ("b", 1, 2), ("a", 2, 3), ("b", 3, 4)]), 5 * RATE_HZ)
    words = []
    for n, text in enumerate(["a0", "a1", "b0", "b1", "a2", "a3", "b2", "b3"]):
        words.append(Word(text, text[0], n * RATE_HZ // 2, (n + 1) * RATE_HZ // 2))
    return replace(made, words=tuple(words))


def test_score(meeting: Meeting) -> None:
    got = score(
        meeting,
        [
            ScoredTurn("S2", 0, 1.5, "a0 a1 b0", ["S1"]),
            ScoredTurn("S1", 1.5, 2, "b1 a1"),
            ScoredTurn(None, 2, 2.5, "a2"),
            ScoredTurn("S1", 3, 4, "b2 hm"),
            ScoredTurn("S3", 4, 4, "b3"),
        ],
    )
    assert (got.words, got.words_lost, got.words_repeated, got.words_foreign) == (8, 1, 1, 1)
    assert got.mapping == {"S2": "a", "S1": "b"}
    assert (got.right, got.right_or_listed, got.right_merged, got.unknown) == (4 / 8, 5 / 8, 5 / 8, 1 / 8)


def test_cp_wer_does_not_care_for_names() -> None:
    true = [ScoredTurn("a", 0, 1, "one two"), ScoredTurn("b", 1, 2, "three"), ScoredTurn("a", 2, 3, "four")]
    same = [ScoredTurn("x", 1, 2, "three"), ScoredTurn("y", 0, 1, "one two"), ScoredTurn("y", 2, 3, "four")]
    assert cp_wer(true, same) == 0
    assert cp_wer(true, [*same[1:], ScoredTurn(None, 1, 2, "tree")]) == pytest.approx(1 / 4)


def test_the_obvious_merge_gives_late_cuts_and_slips(meeting: Meeting) -> None:
    # No lag: every end falls on its cut, and each text meets its label.
    assert score(meeting, obvious_merge(meeting, arrivals(meeting, 0.0))).right == 1.0
    # 0.3 s late: of each two words the next speaker's first is in the buffer already.
    late = obvious_merge(meeting, arrivals(meeting, 0.3))
    assert [turn.text for turn in late[:2]] == ["a0 a1 b0", "b1 a2"]
    # Completions that overtake one another swap labels.
    swapped = obvious_merge(meeting, arrivals(meeting, 0.0), lambda number: 2.0 if number == 0 else 0.1)
    assert score(meeting, swapped).right < 1.0
    # Two ends at once: the second commit is refused, and where its label stays every later one is wrong.
    events = [Arrival(0.5, "start", "c", 0.5), Arrival(1.0, "end", "c", 1.0), *arrivals(meeting, 0.0)]
    events.sort(key=lambda event: event.at_s)
    assert [turn.speaker for turn in obvious_merge(meeting, events)[:4]] == ["c", "b", "a", "b"]
    assert [turn.speaker for turn in obvious_merge(meeting, events, slips=True)[:4]] == ["c", "a", "b", "a"]

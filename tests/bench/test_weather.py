"""The reference as told, on cases small enough to be worked out by hand; each kind of weather does what it says."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from minuted_daemon.core.events import TextCompleted, TextFailed, UtteranceId
from tests.bench import weather
from tests.bench.playing import best_errors, with_words
from tests.bench.reference import as_told, floor, joined, reference
from tests.bench.scoring import score, word_errors
from tests.bench.weather import KINDS, QUIET, Answers, Change, Retold, Script, Told, punctual
from tests.bench.weather_table import bad, bad_table
from tests.fakes.meeting import RATE_HZ, Meeting, Segment, load_meeting, meeting_of, seed_of

Spans = list[tuple[str, float, float]]
A, B = "a", "b"


def at(seconds: float) -> int:
    return round(seconds * RATE_HZ)


def start(label: str, position_s: float, arrival_s: float | None = None) -> Told:
    return Told(at(position_s + 0.3 if arrival_s is None else arrival_s), True, label, at(position_s))


def end(label: str, position_s: float, arrival_s: float | None = None) -> Told:
    return Told(at(position_s + 0.3 if arrival_s is None else arrival_s), False, label, at(position_s))


@pytest.fixture(scope="module")
def room() -> Meeting:
    """a speaks in [1, 4) and [9, 11), b in [3, 5) and [11, 12): nobody is heard in [5, 9)."""
    spans = [(A, 1, 4), (B, 3, 5), (A, 9, 11), (B, 11, 12)]
    return meeting_of("room", [Segment(who, at(low), at(high)) for who, low, high in spans], at(16))


@pytest.fixture(scope="module")
def meeting() -> Meeting:
    return load_meeting("IB4010")


TRUE = [start(A, 1), start(B, 3), end(A, 4), end(B, 5), start(A, 9), end(A, 11), start(B, 11), end(B, 12)]
TRUTH = [(A, 1, 4), (B, 3, 5), (A, 9, 11), (B, 11, 12)]


def without(*gone: Told) -> list[Told]:
    return [one for one in TRUE if one not in gone]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (TRUE, TRUTH),
        (TRUE[::-1], TRUTH),
        # Late, and told twice: only positions count.
        ([*without(end(A, 4)), end(A, 4, 11)], TRUTH),
        ([*TRUE, end(A, 4, 9.5), start(A, 9, 10)], TRUTH),
        # An end that nobody began, also of a label nobody knows; a start of one who is active already.
        ([*TRUE, end(B, 7), end("c", 2)], TRUTH),
        ([*TRUE, start(A, 2)], TRUTH),
        # A pair without length, in either order of arrival, and the end a little before the start.
        ([*TRUE, start(B, 2, 2.3), end(B, 2, 2.4)], TRUTH),
        ([*TRUE, start(B, 2, 2.4), end(B, 2, 2.3)], TRUTH),
        ([*TRUE, start(B, 2), end(B, 1.96)], TRUTH),
        # More than 50 ms before it belongs to something else: the start counts.
        ([*TRUE, start(B, 2), end(B, 1.94)], [(A, 1, 4), (B, 2, 5), (A, 9, 11), (B, 11, 12)]),
        # A lost end is where the silence begins; an end told inside the silence is believed.
        (without(end(B, 5)), TRUTH),
        (without(end(A, 4)), [(A, 1, 5), (B, 3, 5), (A, 9, 11), (B, 11, 12)]),
        ([*without(end(B, 5)), end(B, 8)], [(A, 1, 4), (B, 3, 8), (A, 9, 11), (B, 11, 12)]),
        # An end behind the silence whose start was lost says nothing about the one before the silence.
        (without(end(A, 4), start(A, 9)), [(A, 1, 5), (B, 3, 5), (B, 11, 12)]),
        # Without a silence a lost end is as if the next start had never been.
        ([start(A, 9), start(A, 10), end(A, 11)], [(A, 9, 11)]),
        ([start(A, 9)], [(A, 9, 12)]),
        # A lost start leaves nothing; a start that is nobody's goes on to the label's next end.
        (without(start(B, 3)), [(A, 1, 4), (A, 9, 11), (B, 11, 12)]),
        ([*TRUE, start(B, 1.5)], [(A, 1, 4), (B, 1.5, 5), (A, 9, 11), (B, 11, 12)]),
        # When nobody is heard any more nobody starts.
        ([*TRUE, start(A, 14)], TRUTH),
    ],
)
def test_as_told(room: Meeting, told: list[Told], found: Spans) -> None:
    segments = as_told(Script(tuple(told)), room)
    assert [(s.speaker, s.start / RATE_HZ, s.end / RATE_HZ) for s in segments] == found


def test_as_told_follows_a_diarizer_that_changes_its_mind(room: Meeting) -> None:
    told = [start(A, 1), end(A, 2), start("x", 2), end("x", 4), *TRUE[4:], start("x", 12.5), end("x", 13)]
    script = Script(tuple(told), (Retold(at(6), "x", A, 0, at(5)),))
    segments = [(s.speaker, s.start / RATE_HZ, s.end / RATE_HZ) for s in as_told(script, room)]
    assert segments == [(A, 1, 4), (A, 9, 11), (B, 11, 12), ("x", 12.5, 13)]


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.name in ("late", "twice", "orphan-ends", "empty-pairs", "split-retold")]
)
def test_where_the_truth_can_be_known_it_is_found(meeting: Meeting, kind: weather.Weather) -> None:
    segments = as_told(kind.script(meeting, 0.5, random.Random(1)), meeting)
    assert sorted(segments, key=repr) == sorted(meeting.segments, key=repr)


def test_the_reference_as_told_is_the_reference_where_all_is_told(meeting: Meeting) -> None:
    held = joined(floor(as_told(punctual(meeting, 0.5, random.Random(1)), meeting)))
    turns = with_words(meeting, held)
    found = score(meeting, turns)
    assert (found.words_lost, found.words_repeated) == (0, 0)
    assert found.right == pytest.approx(reference(meeting).right)


def test_word_errors_count_a_word_on_the_wrong_speaker_twice(room: Meeting) -> None:
    held = tuple(joined(floor(room.segments)))
    true = with_words(room, held)
    wrong = len(room.words) - round(score(room, true).right * len(room.words))
    assert wrong
    assert word_errors(room, true) == best_errors(room, held)
    assert wrong <= word_errors(room, true).cp <= 2 * wrong
    assert wrong <= word_errors(room, true).tcp <= 2 * wrong


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_line_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    excerpt = load_meeting("IB4010", 600, 60)
    kinds = [kind for kind in KINDS if kind.name in ("twice", "answers-twice")]
    assert bad_table([excerpt], kinds, words=True) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[:2] for line in lines] == [[kind.name, str(len(excerpt.words))] for kind in kinds]


def test_a_line_says_what_it_misses() -> None:
    result = bad(load_meeting("IB4010", 600, 60), QUIET)
    assert result.misses == []
    worse = replace(result.played.ours, right=result.best.right - 0.011, words_lost=1, words_repeated=2)
    told = replace(result, played=replace(result.played, ours=worse, settled=False))
    assert told.misses == ["unsettled", "right", "lost", "repeated"]
    assert told.short == pytest.approx(1.1)


# --- the weather ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quiet(meeting: Meeting) -> Script:
    return punctual(meeting, 0.5, random.Random(7))


Changed = Callable[[Change], tuple[list[Told], list[Told], Script]]


@pytest.fixture
def changed(meeting: Meeting, quiet: Script) -> Changed:
    """Return what was added, what is gone, and the whole."""

    def change(maker: Change) -> tuple[list[Told], list[Told], Script]:
        script = maker(meeting, quiet, random.Random(8))
        before, after = Counter(quiet.told), Counter(script.told)
        return list((after - before).elements()), list((before - after).elements()), script

    return change


def share(found: int, of: int) -> float:
    return found / of


def test_events_are_punctual(meeting: Meeting, quiet: Script) -> None:
    assert [(one.at, one.starts, one.label) for one in quiet.told] == [
        (position, bool(starts), label) for position, starts, label in meeting.boundaries
    ]
    lags = [(one.arrival - one.at) / RATE_HZ for one in quiet.told]
    assert sum(lags) / len(lags) == pytest.approx(0.5, abs=0.02)
    assert min(lags) >= 0.02


def test_late(changed: Changed, quiet: Script) -> None:
    _, _, script = changed(weather.late)
    delays = [
        (after.arrival - before.arrival) / RATE_HZ
        for before, after in zip(quiet.told, script.told, strict=True)
        if after.arrival != before.arrival
    ]
    assert share(len(delays), len(quiet.told)) == pytest.approx(weather.LATE_SHARE, abs=0.015)
    assert sum(delays) / len(delays) == pytest.approx(weather.LATE_MEAN_S, abs=0.5)
    assert sum(delay > 5 for delay in delays) >= 3


def test_twice(changed: Changed, quiet: Script) -> None:
    added, gone, _ = changed(weather.twice)
    assert not gone
    assert share(len(added), len(quiet.told)) == pytest.approx(weather.TWICE_SHARE, abs=0.02)
    first = {(one.starts, one.label, one.at): one.arrival for one in quiet.told}
    assert all(0 <= one.arrival - first[one.starts, one.label, one.at] <= RATE_HZ for one in added)


def test_lost(changed: Changed, quiet: Script) -> None:
    added, gone, _ = changed(weather.lost)
    assert not added
    assert share(len(gone), len(quiet.told)) == pytest.approx(weather.LOST_SHARE, abs=0.006)
    assert {one.starts for one in gone} == {True, False}


@pytest.mark.parametrize(
    ("maker", "starts", "expected"),
    [
        (weather.orphan_ends, {False}, weather.ORPHAN_END_SHARE),
        (weather.orphan_starts, {True}, weather.ORPHAN_START_SHARE),
        (weather.empty_pairs, {True, False}, 2 * weather.PAIR_SHARE),
    ],
)
def test_what_is_made_up_is_of_labels_that_are_silent(
    changed: Changed, meeting: Meeting, quiet: Script, maker: Change, starts: set[bool], expected: float
) -> None:
    added, gone, _ = changed(maker)
    assert not gone
    assert share(len(added), len(quiet.told)) == pytest.approx(expected, abs=0.001)
    assert {one.starts for one in added} == starts
    assert not any(one.label in meeting.active_at(one.at) for one in added)


def test_empty_pairs_have_no_length_or_less(changed: Changed) -> None:
    _, _, script = changed(weather.empty_pairs)
    made = script.told[-2 * round(weather.PAIR_SHARE * len(script.told) / (1 + 2 * weather.PAIR_SHARE)) :]
    pairs = list(zip(made[::2], made[1::2], strict=True))
    assert all(a.label == b.label and a.starts and not b.starts for a, b in pairs)
    lengths = [b.at - a.at for a, b in pairs]
    assert all(-at(0.05) <= length <= 0 for length in lengths)
    assert share(lengths.count(0), len(lengths)) == pytest.approx(0.5, abs=0.15)
    assert share(sum(b.arrival < a.arrival for a, b in pairs), len(pairs)) == pytest.approx(0.2, abs=0.1)


def test_split(changed: Changed, meeting: Meeting) -> None:
    added, gone, script = changed(weather.split)
    assert {(one.arrival, one.at) for one in added} == {(one.arrival, one.at) for one in gone}
    (speaker,) = {one.label for one in gone}
    assert {one.label for one in added} <= {f"{speaker}~{number}" for number in range(2, 5)}
    assert len({one.label for one in added}) >= 2
    minute = meeting.segments[0].start + at(60)
    assert all(one.at < minute for one in added if one.starts)
    assert not script.retold
    assert {segment.start for segment in as_told(script, meeting)} == {segment.start for segment in meeting.segments}


def test_split_and_retold(changed: Changed, meeting: Meeting) -> None:
    added, gone, script = changed(weather.split_and_retold)
    assert {one.old for one in script.retold} == {one.label for one in added}
    assert {one.new for one in script.retold} == {one.label for one in gone}
    assert all(one.arrival > one.end >= max(told.at for told in added) for one in script.retold)


def test_answers_fail_as_often_as_they_should() -> None:
    faults = {"missing": 0.05, "failed": 0.05, "twice": 0.05, "late": 0.05}
    answers = Answers(random.Random(3), faults)
    given = [list(answers(UtteranceId(number), "one two", at(10))) for number in range(4000)]
    assert sum(not events for events in given) == answers.seen["missing"]
    assert sum(isinstance(events[0][1], TextFailed) for events in given if events) == answers.seen["failed"]
    assert sum(len(events) == 2 for events in given) == answers.seen["twice"]
    assert sum(events[0][0] == at(30) for events in given if events) == answers.seen["late"]
    assert all(share(answers.seen[kind], 4000) == pytest.approx(0.05, abs=0.012) for kind in faults)
    for events in given:
        texts = [event.text for _, event in events if isinstance(event, TextCompleted)]
        assert texts in ([], ["one two"], ["one two", "otherone othertwo"])
        assert [when for when, _ in events] == sorted(when for when, _ in events)


@pytest.mark.parametrize("kind", [QUIET, *KINDS], ids=lambda kind: kind.name)
def test_the_same_seed_gives_the_same_script(kind: weather.Weather) -> None:
    meeting = load_meeting("IB4010", 600, 120)
    scripts = [kind.script(meeting, 0.5, random.Random(seed_of(meeting.name, kind.name))) for _ in range(2)]
    assert scripts[0] == scripts[1]

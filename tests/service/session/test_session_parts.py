"""The small parts of a session: ids, the wall clock's map, intervals, minutes."""

import re
from dataclasses import replace

import pytest

from minuted_daemon.core.events import (
    Attribution,
    Evidence,
    Overlap,
    SpeakerNumber,
    SuspectReason,
    TextSource,
    TurnNumber,
    TurnState,
)
from minuted_daemon.core.records import (
    IntervalKind,
    IntervalRecord,
    SessionId,
    SpeakerRecord,
    TurnLife,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.core.session_rules import is_session_name
from minuted_daemon.service.ids import UlidSource
from minuted_daemon.service.merge.intervals import IntervalRecords, IntervalTracker
from minuted_daemon.service.merge.turn_records import TurnRecords
from minuted_daemon.service.session.wall_clock import WallClock

# --- names ---


@pytest.mark.parametrize("name", ["a", "boardroom", "room-2", "a" * 63])
def test_good_names(name: str) -> None:
    assert is_session_name(name)


@pytest.mark.parametrize("name", ["", "A", "2nd", "room-", "-room", "a" * 64, "a_b", "a\n", "é"])
def test_bad_names(name: str) -> None:
    assert not is_session_name(name)


def test_ulids_rise_even_when_the_clock_goes_back() -> None:
    times = iter([100.0, 100.0, 99.0, 100.001])
    new_id = UlidSource(lambda: next(times), lambda bits: (1 << bits) - 1)
    ids = [new_id() for _ in range(4)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", one) for one in ids)
    assert ids[0][:10] == "00000031N0"


# --- the map from samples to wall time ---


def test_the_map_follows_drift_and_not_jitter() -> None:
    clock = WallClock()
    stored = []
    for n in range(1000):
        jitter = 0.05 if n % 7 == 0 else 0.0
        stored.append(clock.observe(Sample(n * BLOCK), 500.0 + n * 0.1 * 1.0005 + jitter))
    points = [point for point in stored if point is not None]
    assert points[0] == WallPoint(Sample(0), 500.0 + 0.05)
    assert 2 <= len(points) <= 6
    for at_s in (5, 50, 99):
        assert clock.wall_s(Sample(at_s * 16000)) == pytest.approx(500.0 + at_s * 1.0005, abs=0.075)


def test_the_map_takes_a_jump_and_keeps_what_was_before() -> None:
    clock = WallClock()
    for n in range(50):
        clock.observe(Sample(n * BLOCK), 500.0 + n * 0.1 + (3600.0 if n >= 20 else 0.0))
    assert clock.wall_s(Sample(10 * BLOCK)) == pytest.approx(501.0)
    assert clock.wall_s(Sample(40 * BLOCK)) == pytest.approx(4104.0)


# --- intervals ---


def clock() -> WallClock:
    return WallClock([WallPoint(Sample(0), 1000.0)])


def tracker() -> IntervalTracker:
    return IntervalTracker(IntervalKind.GAP, IntervalRecords(SessionId("s"), UlidSource(), clock()))


def test_neighbouring_stretches_are_one_interval_stored_at_its_end() -> None:
    gaps = tracker()
    assert gaps.add(Sample(800), Sample(1600), "DEVICE_LOST") == []
    assert gaps.passed(Sample(1600)) == []
    assert gaps.add(Sample(1600), Sample(2000), "DEVICE_LOST") == []
    (stored,) = gaps.passed(Sample(3200))
    assert (stored.start, stored.end, stored.reason) == (800, 2000, "DEVICE_LOST")
    assert stored.start_wall_s == 1000.05
    assert gaps.passed(Sample(4800)) == []


def test_another_reason_is_another_interval() -> None:
    gaps = tracker()
    gaps.add(Sample(0), Sample(1600), "DEVICE_LOST")
    (first,) = gaps.add(Sample(1600), Sample(3200), "OVERRUN")
    (second,) = gaps.close()
    assert (first.reason, second.reason) == ("DEVICE_LOST", "OVERRUN")
    assert first.id != second.id


def test_a_long_gap_is_told_while_it_lasts_and_not_with_every_block() -> None:
    gaps = tracker()
    stored: list[IntervalRecord] = []
    blocks = 3 * 600
    for n in range(blocks):
        stored += gaps.add(Sample(n * BLOCK), Sample((n + 1) * BLOCK), "DEVICE_LOST")
    stored += gaps.close()
    assert len({one.id for one in stored}) == 1
    assert [one.end for one in stored[:2]] == [samples(5), samples(65)]
    assert len(stored) == 4
    assert stored[-1].end == blocks * BLOCK


# --- minutes ---


class Now:
    s = 2000.0


def turn_records(now: Now) -> TurnRecords:
    return TurnRecords(SessionId("s"), "standup", UlidSource(), clock(), lambda: now.s)


def turn(number: int, text: str = "hello", speaker: int | None = 1, end_s: float = 2.0) -> TurnState:
    return TurnState(
        TurnNumber(number),
        Sample(16000),
        Sample(round(end_s * 16000)),
        None if speaker is None else SpeakerNumber(speaker),
        Attribution.UNKNOWN if speaker is None else Attribution.DIARIZED,
        text,
        TextSource.COMPLETED,
        (Overlap(SpeakerNumber(2), 4000),),
    )


def test_a_turn_keeps_its_id_and_its_speakers_are_stored_before_it_once() -> None:
    commits = turn_records(Now())
    partial = commits.grew(turn(1, "hel"))
    assert partial is not None
    assert not commits.all_stored(partial)
    first = commits.settled(turn(1), None)
    assert [type(record) for record in first] == [SpeakerRecord, SpeakerRecord, TurnRecord]
    assert [r.label for r in first if isinstance(r, SpeakerRecord)] == ["S1", "S2"]
    assert isinstance(first[-1], TurnRecord)
    assert first[-1].id == partial.turn.turn.id
    assert first[-1].speaker_id == first[0].id == partial.turn.speakers[0].id
    assert first[-1].start_wall_s == 1001.0
    (second,) = commits.settled(turn(2), None)
    commits.stored([*first, second])
    later = commits.grew(turn(3, "x"))
    assert later is not None
    assert commits.all_stored(later)


def test_latency_is_that_of_the_first_storing() -> None:
    now = Now()
    commits = turn_records(now)
    now.s = 1002.5
    stamped = commits.stamped(commits.settled(turn(1), None)[-1])
    assert isinstance(stamped, TurnRecord)
    assert stamped.latency_s == pytest.approx(0.5)
    commits.stored([stamped])
    now.s = 1900.0
    revised = commits.stamped(commits.settled(turn(1, "hello there"), None)[-1])
    assert isinstance(revised, TurnRecord)
    assert revised.latency_s == pytest.approx(0.5)


def test_retractions_and_partials_of_final_turns() -> None:
    commits = turn_records(Now())
    commits.grew(turn(1))
    gone = commits.retracted(TurnNumber(1))
    assert gone is not None
    assert not isinstance(gone, TurnRecord)
    assert gone.turn.turn.life is TurnLife.RETRACTED
    commits.settled(turn(2), None)
    assert commits.grew(turn(2, "again")) is None
    record = commits.retracted(TurnNumber(2))
    assert isinstance(record, TurnRecord)
    assert record.life is TurnLife.RETRACTED
    assert commits.retracted(TurnNumber(9)) is None


def test_what_is_unsettled_says_how_it_came_by_its_text() -> None:
    commits = turn_records(Now())
    commits.grew(turn(1, "so far"))
    commits.grew(turn(2, " "))
    commits.settled(turn(3), None)
    assert [left.text_source for left in commits.unsettled()] == [TextSource.PROVISIONAL, TextSource.NONE]


def test_old_final_turns_are_forgotten_and_others_are_not() -> None:
    commits = turn_records(Now())
    before = [record.id for record in commits.settled(turn(1), None)][-1]
    commits.grew(turn(2))
    commits.forget(Sample(samples(3)))
    assert [left.number for left in commits.unsettled()] == [2]
    assert commits.settled(turn(1), None)[-1].id != before


def test_a_text_is_judged_once_and_again_when_it_changes() -> None:
    commits = turn_records(Now())

    def mark(state: TurnState) -> SuspectReason | None:
        record = commits.settled(state, None)[-1]
        assert isinstance(record, TurnRecord)
        assert record.evidence == state.evidence
        return record.suspect

    silent = replace(turn(1, "Shall we begin?"), evidence=Evidence(0, 0))
    assert mark(silent) is SuspectReason.NO_SPEECH
    assert mark(replace(silent, speaker=None, attribution=Attribution.UNKNOWN)) is SuspectReason.NO_SPEECH
    assert mark(replace(silent, text="Subtitles by the Amara.org community")) is SuspectReason.BOILERPLATE
    assert mark(replace(silent, text="", text_source=TextSource.NONE)) is None
    said = replace(turn(2, "Shall we begin?"), evidence=Evidence(9_000, 9_000))
    assert mark(said) is None
    gone = commits.retracted(TurnNumber(1))
    assert isinstance(gone, TurnRecord)
    partial = commits.grew(replace(turn(3, "Subtitles by the Amara.org community"), evidence=Evidence(0, 0)))
    assert partial is not None
    assert partial.turn.turn.suspect is None, "judged when it is settled"


def test_text_that_cannot_be_stored_is_mended() -> None:
    record = turn_records(Now()).settled(turn(1, "na\ud800ïve"), None)[-1]
    assert isinstance(record, TurnRecord)
    assert record.text == "na\ufffdïve"

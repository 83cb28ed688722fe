"""Turns and speakers as records: ids, latency, retractions, suspicion."""

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
from minuted_daemon.core.records import SessionId, SpeakerRecord, TurnLife, TurnRecord
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.service.ids import UlidSource
from minuted_daemon.service.merge.turn_records import TurnRecords


class Clock:
    """A sample clock that began 1000 s after 1970."""

    def wall_s(self, at: Sample) -> float:
        return 1000.0 + at / 16000


class Now:
    s = 2000.0


def turn_records(now: Now) -> TurnRecords:
    return TurnRecords(SessionId("s"), "standup", UlidSource(), Clock(), lambda: now.s)


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

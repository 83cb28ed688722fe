import pytest

from minuted_daemon.core.events import Attribution, Evidence, SuspectReason, TextSource
from minuted_daemon.core.records import OverlapRecord, SessionId, SpeakerId, TurnId, TurnLife, TurnRecord
from minuted_daemon.core.redaction import redacted
from minuted_daemon.core.samples import Sample, samples

ADA = SpeakerId("ada")


def turn(start_s: float, end_s: float, life: TurnLife = TurnLife.FINAL) -> TurnRecord:
    return TurnRecord(
        id=TurnId("t"),
        session_id=SessionId("s"),
        start=Sample(samples(start_s)),
        end=Sample(samples(end_s)),
        speaker_id=ADA,
        attribution=Attribution.DIARIZED,
        text="some words",
        text_source=TextSource.COMPLETED,
        life=life,
        start_wall_s=1000.0 + start_s,
        overlapping=(OverlapRecord(SpeakerId("ben"), 100),),
        generation=4,
        suspect=SuspectReason.BOILERPLATE,
        evidence=Evidence(100, 200),
    )


def without(of: TurnRecord, start_s: float, end_s: float) -> TurnRecord:
    return redacted(of, Sample(samples(start_s)), Sample(samples(end_s)))


@pytest.mark.parametrize(("start_s", "end_s"), [(0, 10), (20, 30), (0, 1)])
def test_a_turn_that_does_not_touch_the_stretch_is_as_it_was(start_s: float, end_s: float) -> None:
    assert without(turn(10, 20), start_s, end_s) == turn(10, 20)


@pytest.mark.parametrize(("start_s", "end_s"), [(10, 20), (9, 21), (10, 21)])
def test_a_turn_inside_is_retracted(start_s: float, end_s: float) -> None:
    left = without(turn(10, 20), start_s, end_s)
    assert (left.life, left.text, left.text_source) == (TurnLife.RETRACTED, "", TextSource.NONE)
    assert (left.speaker_id, left.overlapping, left.generation) == (None, (), None)
    assert (left.suspect, left.evidence) == (None, None)


@pytest.mark.parametrize(
    ("start_s", "end_s", "kept"),
    [(15, 25, (10, 15)), (5, 15, (15, 20)), (16, 18, (10, 16)), (12, 14, (14, 20)), (14, 16, (10, 14))],
)
def test_a_turn_that_reaches_out_keeps_its_speaker_and_the_longer_part(
    start_s: float, end_s: float, kept: tuple[float, float]
) -> None:
    left = without(turn(10, 20), start_s, end_s)
    assert (left.start, left.end) == (samples(kept[0]), samples(kept[1]))
    assert left.start_wall_s == pytest.approx(1000.0 + kept[0])
    assert (left.life, left.text, left.text_source) == (TurnLife.FINAL, "", TextSource.NONE)
    assert (left.speaker_id, left.attribution) == (ADA, Attribution.DIARIZED)
    assert (left.suspect, left.evidence) == (None, None)
    assert without(left, start_s, end_s) == left


def test_a_retracted_turn_loses_its_words_too() -> None:
    left = without(turn(10, 20, TurnLife.RETRACTED), 15, 25)
    assert (left.life, left.text, left.start, left.end) == (TurnLife.RETRACTED, "", samples(10), samples(20))

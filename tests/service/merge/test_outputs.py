"""What follows from the merge's decisions: one transaction for each event, and texts that are owed."""

from collections.abc import Sequence

from minuted_daemon.core.coverage import NO_TEXT, Claim, Ground
from minuted_daemon.core.events import (
    Attribution,
    SpeakerNumber,
    TextSource,
    TurnGrew,
    TurnNumber,
    TurnRetracted,
    TurnSettled,
    TurnState,
    WordsMissing,
)
from minuted_daemon.core.records import IntervalRecord, Record, SessionId, SpeakerRecord, TurnRecord
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.service.ids import UlidSource
from minuted_daemon.service.merge.intervals import IntervalRecords
from minuted_daemon.service.merge.outputs import MARGIN, MergeOutputs, OwedTexts
from minuted_daemon.service.merge.turn_records import TurnRecords
from minuted_daemon.service.session.wall_clock import WallClock
from minuted_daemon.service.views import PartialTurn
from tests.fakes_service.capture import block
from tests.fakes_service.spools import FakeSpool


class Ends:
    """Where records and partials end up."""

    def __init__(self) -> None:
        self.stored: list[Sequence[Record]] = []
        self.told: list[PartialTurn] = []

    def put(self, records: Sequence[Record]) -> None:
        self.stored.append(records)

    def tell(self, partial: PartialTurn) -> None:
        self.told.append(partial)


def outputs(ends: Ends, owed: OwedTexts) -> MergeOutputs:
    new_id, clock = UlidSource(), WallClock()
    turn_records = TurnRecords(SessionId("s"), "standup", new_id, clock, lambda: 0.0)
    return MergeOutputs(turn_records, IntervalRecords(SessionId("s"), new_id, clock), ends, ends, owed)


def turn(number: int, start_s: float, text: str = "hello") -> TurnState:
    source = TextSource.COMPLETED if text else TextSource.NONE
    start, end = Sample(samples(start_s)), Sample(samples(start_s + 1))
    return TurnState(TurnNumber(number), start, end, SpeakerNumber(1), Attribution.DIARIZED, text, source)


def owed_nothing() -> OwedTexts:
    return OwedTexts(None, None, FakeSpool())


def test_what_follows_from_one_event_is_one_transaction_and_partials_are_told() -> None:
    ends = Ends()
    out = outputs(ends, owed_nothing())
    out.dispatch(
        [
            TurnGrew(turn(1, 0.0, "hel")),
            TurnSettled(turn(1, 0.0), None),
            WordsMissing(Sample(samples(5.0)), Sample(samples(6.0))),
            TurnGrew(turn(2, 7.0)),
            TurnRetracted(TurnNumber(2), was_final=False),
        ]
    )
    ((speaker, stored, missing),) = ends.stored
    assert isinstance(speaker, SpeakerRecord)
    assert isinstance(stored, TurnRecord)
    assert isinstance(missing, IntervalRecord)
    assert [partial.turn.turn.life.value for partial in ends.told] == ["partial", "partial", "retracted"]
    out.dispatch([])
    assert len(ends.stored) == 1, "nothing is no transaction"


def test_a_turn_is_owed_its_text_only_where_there_was_no_more_time() -> None:
    ends, owed = Ends(), owed_nothing()
    out = outputs(ends, owed)
    out.dispatch([TurnSettled(turn(1, 3.0, ""), None)])
    assert owed.since is None
    assert out.retain_from is None
    out.give_up()
    out.dispatch([TurnSettled(turn(2, 20.0, ""), None), TurnSettled(turn(3, 10.0), None), TurnGrew(turn(4, 12.0, ""))])
    assert owed.since == samples(20.0)
    out.settle_rest()
    assert owed.since == samples(12.0)
    assert out.retain_from == samples(12.0) - MARGIN
    assert len(ends.stored) == 3


def test_a_text_is_owed_while_its_audio_is_there() -> None:
    spool = FakeSpool()
    owed = OwedTexts(Sample(samples(4.0)), Sample(samples(9.0)), spool)

    def lacks(start_s: float) -> Claim:
        return Claim(Sample(samples(start_s)), Sample(samples(start_s + 1)), Ground.TEXT, NO_TEXT)

    assert owed.before == samples(9.0)
    assert owed.covers(lacks(4.0))
    assert not owed.covers(lacks(3.0))
    for _ in range(90):
        spool.append(block(loud=False))
    spool.release(Sample(samples(5.0)))
    assert not owed.covers(lacks(4.0))
    assert owed.covers(lacks(5.0))
    owed.clear()
    assert not owed.covers(lacks(5.0))
    assert (owed.since, owed.before, owed.retain_from) == (None, None, None)

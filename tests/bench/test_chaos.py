"""The judges of `make chaos` and `make soak` see what they are there to see."""

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from minuted import Session, Speaker, TextSource, Turn
from tests.bench.chaos import FAULTS, meeting_of, strike_of
from tests.bench.chaos_judge import AFTER_S, Window, adds_up, counted, latest_s, recovered_s
from tests.bench.chaos_kills import CommitRanges
from tests.bench.soak_slope import slope
from tests.bench.soak_virtual import Device, Hour, Soak
from tests.fakes.meeting import RATE_HZ, Segment
from tests.fakes.meeting import meeting_of as made_of

NOBODY = (0.0, 0.0)
MEETING = made_of("room", [Segment("Ada", 0, 80_000), Segment("Bob", 96_000, 176_000)], 192_000)
BEGAN_AT = 1_000_000.0


def turn(label: str, start_s: float, end_s: float, text: str | None = None, number: int = 1) -> Turn:
    words = [w.text for w in MEETING.words if start_s * RATE_HZ <= w.start and w.end <= end_s * RATE_HZ]
    start, end, at = Duration(), Duration(), Timestamp()
    start.FromNanoseconds(round(start_s * 1e9))
    end.FromNanoseconds(round(end_s * 1e9))
    at.FromNanoseconds(round((BEGAN_AT + start_s) * 1e9))
    return Turn(
        id=f"{label}{start_s}",
        seq=number,
        speaker=Speaker(label=label),
        text=" ".join(words) if text is None else text,
        start_offset=start,
        end_offset=end,
        start_time=at,
        text_source=TextSource.TEXT_SOURCE_COMPLETED if text is None else TextSource.TEXT_SOURCE_NONE,
    )


GOOD = [turn("S1", 0, 5), turn("S2", 6, 11)]


def test_all_is_well() -> None:
    counts = counted(MEETING, GOOD, NOBODY, 12.0)
    assert (counts.lost, counts.repeated, counts.foreign, counts.wrong) == (0, 0, 0, 0)
    assert counts.words == counts.outside == len(MEETING.words)


def test_lost_words_count_unless_nobody_heard_them() -> None:
    bobs = sum(word.speaker == "Bob" for word in MEETING.words)
    assert counted(MEETING, GOOD[:1], NOBODY, 12.0).lost == bobs
    assert counted(MEETING, GOOD[:1], NOBODY, 5.5).lost == 0


def test_words_without_text_are_lost() -> None:
    bobs = sum(word.speaker == "Bob" for word in MEETING.words)
    assert counted(MEETING, [GOOD[0], turn("S2", 6, 11, text="")], NOBODY, 12.0).lost == bobs


def test_repeated_and_foreign_words_count() -> None:
    counts = counted(MEETING, [*GOOD, turn("S1", 0, 5), turn("S1", 11, 12, text="misheard")], NOBODY, 12.0)
    assert counts.repeated == sum(word.speaker == "Ada" for word in MEETING.words)
    assert counts.foreign == 1


def test_wrong_speakers_count_outside_the_outage_only() -> None:
    mixed = [turn("S1", 0, 5), turn("S1", 6, 11)]
    assert counted(MEETING, mixed, NOBODY, 12.0).wrong > 0
    assert counted(MEETING, mixed, (5.5, 12.0), 12.0).wrong == 0
    assert counted(MEETING, [turn("S1", 0, 5), turn("", 6, 11)], NOBODY, 12.0).wrong > 0


def test_labels_of_two_epochs_count_as_joined() -> None:
    parted = [turn("S1", 0, 2.5), turn("S3", 2.5, 5), turn("S2", 6, 11)]
    missing = {word.text for word in MEETING.words} - {text for one in parted for text in one.text.split()}
    counts = counted(MEETING, parted, NOBODY, 12.0)
    assert counts.lost == len(missing)
    assert counts.wrong == 0


def test_recovery_is_the_first_turn_begun_behind_the_fault() -> None:
    window = Window(BEGAN_AT + 2, BEGAN_AT + 4)
    final_at = {GOOD[0].id: BEGAN_AT + 4.5, GOOD[1].id: BEGAN_AT + 13}
    assert recovered_s(window, GOOD, final_at) == pytest.approx(9)
    assert recovered_s(window, GOOD[:1], final_at) is None
    assert latest_s(window, GOOD, final_at) is None
    early = Window(BEGAN_AT - AFTER_S, BEGAN_AT - AFTER_S)
    assert latest_s(early, GOOD, final_at) == pytest.approx(2)
    assert latest_s(early, GOOD, final_at, heard_s=12.0) is None


def test_coverage_must_add_up() -> None:
    session = Session(duration=Duration(seconds=10))
    session.coverage.text.seconds = 7
    assert not adds_up(session)
    session.coverage.silence.seconds = 2
    session.coverage.lost.add(reason="NO_TEXT", duration=Duration(seconds=1))
    assert adds_up(session)
    session.coverage.pending.seconds = 1
    session.coverage.silence.seconds = 1
    assert not adds_up(session)
    assert adds_up(session, owed=True)


def test_turns_that_are_gone_or_renumbered_are_noted() -> None:
    book = CommitRanges()
    renumbered = turn("S2", 6, 11, number=9)
    book.compare(GOOD, [renumbered])
    assert (book.gone, book.renumbered) == ({GOOD[0].id}, {GOOD[1].id})


def test_the_table_has_no_name_twice_and_follows_its_seed() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) > 40
    for fault in FAULTS:
        assert strike_of(fault, 1) == strike_of(fault, 1) < fault.length_s
    assert meeting_of(FAULTS[0], 1).name == meeting_of(FAULTS[0], 1).name
    assert len({strike_of(FAULTS[0], seed) for seed in range(5)}) == 5


def test_slope_and_its_certainty() -> None:
    times_s = [10.0 * number for number in range(360)]
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.5, 360)
    found = slope(times_s, [100 + 3 * at_s / 3600 + noise[n] for n, at_s in enumerate(times_s)])
    assert abs(found.per_hour - 3) < found.plus_minus < 1
    walk = slope(times_s, list(np.cumsum(noise)))
    assert walk.plus_minus > 5 * found.plus_minus
    assert slope([1, 2, 3, 4], [7, 7, 7, 7]).least == 0
    with pytest.raises(ValueError, match="four"):
        slope([1, 2], [1, 2])


def test_a_block_that_is_missing_is_a_gap() -> None:
    device = Device(np.random.default_rng(1))
    assert sum(device.block()[1] for _ in range(50)) == 0
    device.given += 20
    assert device.block()[1] > 0


def test_minutes_of_virtual_time_are_told_word_for_word() -> None:
    soak, hour = Soak(1), Hour()
    for _ in range(4000):
        soak.block(hour)
    assert hour.turns > 5
    assert hour.told > 100
    assert hour.gaps == 0
    assert 0 < hour.off_s < 0.1

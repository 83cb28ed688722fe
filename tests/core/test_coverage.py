"""The ledger against the slow way: one account for each sample."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minuted_daemon.core.coverage import NO_TEXT, Claim, Coverage, Ground, Ledger, interval_claim, turn_claim
from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import IntervalKind
from minuted_daemon.core.samples import Sample

HEARD = 60


def claim(start: int, end: int, ground: Ground, reason: str = "") -> Claim:
    return Claim(Sample(start), Sample(end), ground, reason)


def added_up(claims: Sequence[Claim], heard: int = HEARD) -> Coverage:
    ledger = Ledger(Sample(heard))
    ledger.enter(sorted(claims, key=lambda one: one.start))
    return ledger.close()


def sample_by_sample(claims: Sequence[Claim], heard: int) -> Coverage:
    sums: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for sample in range(heard):
        over = [one for one in claims if one.start <= sample < one.end]
        if not over:
            sums["silence"] += 1
            continue
        best = min(over, key=lambda one: (one.ground, one.start, one.reason))
        if best.ground in (Ground.UNCLAIMED, Ground.LOST, Ground.WORDLESS):
            lost[best.reason] += 1
        else:
            sums[best.ground.name.lower()] += 1
    return Coverage(sums["text"], sums["silence"], sums["muted"], sums["pending"], dict(lost))


REASONS = {
    Ground.UNCLAIMED: ["DEVICE_LOST", "OVERRUN"],
    Ground.LOST: ["SPOOL_FULL", "DEVICE_LOST"],
    Ground.WORDLESS: [NO_TEXT],
}


@st.composite
def any_claim(draw: st.DrawFn) -> Claim:
    ground = draw(st.sampled_from(Ground))
    start = draw(st.integers(0, HEARD + 5))
    return claim(start, start + draw(st.integers(0, 25)), ground, draw(st.sampled_from(REASONS.get(ground, [""]))))


@given(st.lists(any_claim(), max_size=12), st.integers(0, HEARD))
@example([claim(0, 20, Ground.MUTED), claim(2, 4, Ground.TEXT), claim(3, 30, Ground.TEXT)], HEARD)
@example([claim(0, 1, Ground.UNCLAIMED, "OVERRUN"), claim(0, 1, Ground.UNCLAIMED, "DEVICE_LOST")], 1)
@example([claim(0, 5, Ground.TEXT), claim(0, 9, Ground.PENDING), claim(7, 7, Ground.MUTED)], HEARD)
def test_each_sample_is_in_exactly_one_part(claims: list[Claim], heard: int) -> None:
    # For every length: so the accounts of two lengths differ by the one of the sample between them.
    told = added_up(claims, heard)
    assert told == sample_by_sample(claims, heard)
    assert told.total == heard


@given(st.lists(any_claim(), max_size=12), st.integers(1, 4))
def test_claims_may_come_in_portions(claims: list[Claim], portion: int) -> None:
    claims.sort(key=lambda one: one.start)
    ledger = Ledger(Sample(HEARD))
    for first in range(0, len(claims), portion):
        ledger.enter(claims[first : first + portion])
    assert ledger.close() == added_up(claims)


def test_claims_out_of_order_are_refused() -> None:
    ledger = Ledger(Sample(HEARD))
    ledger.enter([claim(5, 9, Ground.TEXT)])
    with pytest.raises(ValueError, match="order"):
        ledger.enter([claim(4, 6, Ground.TEXT)])


def test_where_two_things_are_known_the_better_ground_counts() -> None:
    source = TextSource.COMPLETED
    turn = turn_claim(Sample(10), Sample(30), source, transcribed=True)
    gap = interval_claim(Sample(12), Sample(14), IntervalKind.GAP, "DEVICE_GAP")
    shed = interval_claim(Sample(8), Sample(20), IntervalKind.LOST, "SPOOL_FULL")
    muted = interval_claim(Sample(28), Sample(35), IntervalKind.MUTED, "PAUSED")
    told = added_up([turn, gap, shed, muted, claim(5, 40, Ground.PENDING)])
    assert told == Coverage(text=16, silence=25, muted=7, pending=3 + 5, lost={"DEVICE_GAP": 2, "SPOOL_FULL": 2}), (
        "no word is in a gap, but a text shows that what was shed was not missed"
    )


def test_a_turn_without_text_is_lost_where_there_is_a_transcriber() -> None:
    spans = Sample(10), Sample(30)
    assert turn_claim(*spans, TextSource.PROVISIONAL, transcribed=True).ground is Ground.TEXT
    assert turn_claim(*spans, TextSource.NONE, transcribed=False).ground is Ground.TEXT
    wordless = turn_claim(*spans, TextSource.NONE, transcribed=True)
    shed = interval_claim(Sample(5), Sample(12), IntervalKind.LOST, "SPOOL_FULL")
    assert added_up([wordless, shed]).lost == {NO_TEXT: 18, "SPOOL_FULL": 7}
    assert added_up([turn_claim(*spans, TextSource.NONE, True, "REDACTED")]).lost == {"REDACTED": 20}


def test_an_interval_without_a_reason_is_lost_by_its_kind() -> None:
    assert added_up([interval_claim(Sample(0), Sample(9), IntervalKind.GAP, "")]).lost == {"GAP": 9}

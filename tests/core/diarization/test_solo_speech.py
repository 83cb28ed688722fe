"""Solos: who spoke alone, told late enough to be true, each sample once, in bounded memory."""

import random
from itertools import pairwise

import pytest

from minuted_daemon.core.diarization.solo_speech import LONGEST, REACH, SETTLE, Solos
from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerRelabelled, SpeakerStarted
from minuted_daemon.core.samples import BLOCK, samples

Told = list[tuple[str, float, float]]


def play(
    events: list[tuple[float, DiarizerEvent]], length_s: float, base_s: float = 0.0, quiet_from_s: float = 1e9
) -> Told:
    """Advance block by block; `events` come with the second they arrive at."""
    base = samples(base_s)
    solos = Solos(base, base, samples(0.5))
    left = sorted(events, key=lambda item: item[0])
    told: Told = []
    now = base
    while now < samples(length_s):
        now += BLOCK
        while left and samples(left[0][0]) <= now:
            solos.feed(left.pop(0)[1])
        for solo in solos.advance(now, min(now, samples(quiet_from_s))):
            assert solo.end <= now - SETTLE
            assert solo.start >= now - REACH
            told.append((solo.label, solo.start / 16_000, solo.end / 16_000))
    told += [(solo.label, solo.start / 16_000, solo.end / 16_000) for solo in solos.close(now)]
    return told


def speaks(label: str, start_s: float, end_s: float | None, lag_s: float = 0.3) -> list[tuple[float, DiarizerEvent]]:
    events: list[tuple[float, DiarizerEvent]] = [(start_s + lag_s, SpeakerStarted(label, samples(start_s)))]
    if end_s is not None:
        events.append((end_s + lag_s, SpeakerEnded(label, samples(end_s))))
    return events


def total(told: Told, label: str) -> float:
    return sum(end - start for name, start, end in told if name == label)


def test_alone_means_alone_and_the_edges_are_off() -> None:
    told = play([*speaks("A", 1.0, 3.0), *speaks("B", 2.4, 4.5)], 12.0)
    assert told == [("A", 1.15, 2.25), ("B", 3.15, 4.35)]


def test_a_monologue_is_told_in_pieces_while_it_lasts() -> None:
    told = play(speaks("A", 1.0, None), 20.0)
    assert told[0] == ("A", 1.15, 3.65)
    assert all(after[1] == before[2] for before, after in pairwise(told))
    assert total(told[:-1], "A") == pytest.approx((len(told) - 1) * LONGEST / 16_000)
    assert told[-1][2] == pytest.approx(18.65), "but not of the last moments, about which the events never came"


def test_a_moment_is_too_short_and_a_moment_of_another_splits() -> None:
    assert play(speaks("A", 1.0, 1.6), 8.0) == []
    told = play([*speaks("A", 1.0, 5.0), *speaks("B", 2.5, 2.8)], 12.0)
    assert told == [("A", 1.15, 2.35), ("A", 2.95, 4.85)]


def test_an_event_as_late_as_it_may_be_is_heeded() -> None:
    told = play([*speaks("A", 1.0, 6.0), *speaks("B", 3.0, 4.0, lag_s=2.9)], 15.0)
    assert total(told, "A") == pytest.approx(1.7 + 1.7)
    assert total(told, "B") == 0.0


def test_doubled_orphaned_and_empty_events_change_nothing() -> None:
    plain = speaks("A", 1.0, 4.0)
    strange: list[tuple[float, DiarizerEvent]] = [
        (1.4, SpeakerStarted("A", samples(1.0))),
        (4.4, SpeakerEnded("A", samples(4.0))),
        (2.0, SpeakerEnded("B", samples(1.7))),
        (2.2, SpeakerStarted("C", samples(2.0))),
        (2.2, SpeakerEnded("C", samples(2.0))),
    ]
    assert play([*plain, *strange], 10.0) == play(plain, 10.0)


def test_who_was_never_told_to_have_ended_ends_with_the_voices() -> None:
    told = play(speaks("A", 1.0, None), 12.0, quiet_from_s=5.0)
    assert total(told, "A") == pytest.approx(5.0 - 1.0 - 0.3)


def test_positions_count_from_the_epochs_base() -> None:
    told = play([(7.0, SpeakerStarted("A", samples(1.0))), (9.0, SpeakerEnded("A", samples(3.0)))], 15.0, base_s=5.0)
    assert told == [("A", 6.15, 7.85)]


def test_an_epoch_that_is_behind_tells_nothing_until_it_has_caught_up() -> None:
    solos = Solos(samples(2.0), samples(6.0), samples(0.5))
    solos.feed(SpeakerStarted("A", 0))
    assert solos.advance(samples(9.9), samples(9.9)) == []
    assert [solo.label for solo in solos.advance(samples(10.0), samples(10.0))] == ["A"]


def test_a_change_of_mind_changes_what_is_still_to_be_told() -> None:
    change = SpeakerRelabelled("A", "B", samples(1.0), samples(3.0))
    told = play([*speaks("A", 1.0, 3.0), (4.0, change)], 10.0)
    assert told == [("B", 1.15, 2.85)]


def test_whatever_comes_it_is_one_label_at_a_time_and_each_sample_once() -> None:
    rng = random.Random(7)
    for _ in range(20):
        events: list[tuple[float, DiarizerEvent]] = []
        for _ in range(120):
            start = rng.uniform(0, 55)
            events += speaks(rng.choice("ABCD"), start, start + rng.expovariate(0.5), rng.expovariate(1.0))
        kept = [event for event in events if rng.random() > 0.1]
        told = play(kept, 60.0)
        spans = sorted((start, end) for _, start, end in told)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        assert all(0.4 <= end - start <= LONGEST / 16_000 for start, end in spans)

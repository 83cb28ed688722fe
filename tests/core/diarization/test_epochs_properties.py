"""What holds for every meeting, whenever its diarizer's connections follow one another."""

import itertools
import random
from collections.abc import Sequence

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from minuted_daemon.core.events import Epoch, SpeakerNumber
from tests.support.epochs_room import Heard, Segment, hold, own_labels
from tests.support.merge_meeting import Meeting
from tests.support.merge_room import Room, assert_every_word_once

PROPERTY = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
LENGTH_S = 60.0


def planned(rng: random.Random, every_s: float, jittery: bool) -> list[Heard]:
    """Connections that live `every_s`, each renewed a quarter of that before its limit."""
    margin_s, lag_s = every_s / 4, rng.choice([0.1, 0.3, 0.8])
    jitter_s, edge_s = (lag_s / 3, 0.03) if jittery else (0.0, 0.0)
    epochs: list[Heard] = []
    base_s = 0.0
    relieved_s: float | None = None
    while base_s < LENGTH_S:
        until_s = base_s + every_s - margin_s / 4
        epochs.append(
            Heard(len(epochs) + 1, base_s, until_s, relieved_s, lag_s=lag_s, jitter_s=jitter_s, edge_s=edge_s)
        )
        base_s, relieved_s = round(base_s + every_s - margin_s, 1), until_s
    return epochs


def play(seed: int, epochs: Sequence[Heard], speakers: int = 4) -> tuple[Meeting, Room]:
    meeting = Meeting(seed, speakers, LENGTH_S)
    room = Room(meeting.words, LENGTH_S)
    hold(room, meeting.segments, epochs)
    return meeting, room.run()


def alone_s(segments: Sequence[Segment], start_s: float, end_s: float) -> dict[str, float]:
    """For how long each speaks with nobody else."""
    edges = sorted({start_s, end_s, *(at for _, low, high in segments for at in (low, high) if start_s < at < end_s)})
    found: dict[str, float] = {}
    for low, high in itertools.pairwise(edges):
        speaking = {who for who, start, end in segments if start <= low and end >= high}
        if len(speaking) == 1:
            (who,) = speaking
            found[who] = found.get(who, 0.0) + high - low
    return found


def told_long_enough(segments: Sequence[Segment], epochs: Sequence[Heard]) -> bool:
    """Whether everybody who speaks on both sides of a change-over was heard alone for a second by both epochs."""
    for old, new in itertools.pairwise(epochs):
        before = {who for who, start_s, _ in segments if start_s < old.to_s}
        behind = {who for who, _, end_s in segments if end_s > old.to_s}
        alone = alone_s(segments, new.base_s, old.to_s)
        if any(alone.get(who, 0.0) < 1.0 for who in before & behind):
            return False
    return True


def persons(room: Room, meeting: Meeting, epochs: Sequence[Heard]) -> dict[SpeakerNumber, set[str]]:
    """Who hides behind each speaker."""
    found: dict[SpeakerNumber, set[str]] = {}
    for epoch, who in itertools.product(epochs, {who for who, _, _ in meeting.segments}):
        speaker = room.merger.speaker(Epoch(epoch.number), own_labels(epoch.number, who, 0.0))
        if speaker is not None:
            found.setdefault(speaker, set()).add(who)
    return found


@PROPERTY
@given(seed=st.integers(0, 10**6), every_s=st.floats(8.0, 40.0), jittery=st.booleans())
def test_planned_change_overs_lose_no_word_and_join_nobody_wrongly(seed: int, every_s: float, jittery: bool) -> None:
    epochs = planned(random.Random(seed), round(every_s, 1), jittery)
    meeting, room = play(seed, epochs)
    assert_every_word_once(room)
    assert all(len(people) == 1 for people in persons(room, meeting, epochs).values())
    # Of two stretches nearer to one another than positions are exact, one may be lost.
    enough_s = 1.6 if jittery else 1.0
    for old, new in itertools.pairwise(epochs):
        if new.reigns_from_s is None or new.reigns_from_s > LENGTH_S - 2.0:
            continue
        end_s = min(old.to_s, LENGTH_S - 1.0)
        for who, length_s in alone_s(meeting.segments, new.base_s, end_s).items():
            before, after = (
                room.merger.speaker(Epoch(epoch.number), own_labels(epoch.number, who, 0.0)) for epoch in (old, new)
            )
            assert length_s < enough_s or before == after, "heard for a second in both"


@PROPERTY
@given(seed=st.integers(0, 10**6), every_s=st.floats(30.0, 56.0))
def test_turns_are_those_of_one_long_epoch(seed: int, every_s: float) -> None:
    epochs = planned(random.Random(seed), round(every_s, 1), jittery=False)
    assume(told_long_enough(Meeting(seed, 2, LENGTH_S).segments, epochs))
    _, room = play(seed, epochs, speakers=2)
    _, without = play(seed, [Heard(1, 0.0, 2 * LENGTH_S, lag_s=epochs[0].lag_s)], speakers=2)
    assert room.finals == without.finals


@PROPERTY
@given(seed=st.integers(0, 10**6), breaks=st.lists(st.floats(5.0, 50.0), min_size=1, max_size=4))
def test_unplanned_breaks_lose_no_word_and_join_nobody(seed: int, breaks: list[float]) -> None:
    rng = random.Random(seed)
    epochs: list[Heard] = []
    base_s = 0.0
    for at_s in [*sorted(breaks), 2 * LENGTH_S]:
        if at_s > base_s + 0.5:
            epochs.append(Heard(len(epochs) + 1, round(base_s, 1), round(at_s, 1), breaks=at_s < LENGTH_S))
            base_s = round(at_s, 1) + rng.choice([0.1, 0.7, 2.0, 4.0])
    meeting, room = play(seed, epochs)
    assert_every_word_once(room)
    assert all(len(people) == 1 for people in persons(room, meeting, epochs).values())


@PROPERTY
@given(seed=st.integers(0, 10**6), shadow_s=st.floats(0.2, 20.0), stall_s=st.floats(0.0, 2.5))
def test_a_break_while_another_stands_by(seed: int, shadow_s: float, stall_s: float) -> None:
    broke_s = 30.0
    heard_to_s = round(broke_s - min(stall_s, shadow_s - 0.1), 1)
    epochs = [Heard(1, 0.0, heard_to_s, breaks=True), Heard(2, round(broke_s - shadow_s, 1), 2 * LENGTH_S)]
    meeting, room = play(seed, epochs)
    assert_every_word_once(room)
    assert all(len(people) == 1 for people in persons(room, meeting, epochs).values())

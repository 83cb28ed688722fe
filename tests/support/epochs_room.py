"""A meeting heard by one epoch after another, each with labels of its own."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minuted_daemon.core.events import Epoch, EpochClosed, SpeakerEnded, SpeakerStarted
from minuted_daemon.core.samples import Sample
from tests.support.merge_room import Room, s

Segment = tuple[str, float, float]
"""Who, from, to: seconds."""

Labels = Callable[[int, str, float], str]
"""(epoch, who, start of the segment) -> label."""


@dataclass(frozen=True)
class Heard:
    """One epoch: hears [base_s, to_s), stands by until `reigns_from_s`. What it has not said when it breaks is lost."""

    number: int
    base_s: float
    to_s: float
    reigns_from_s: float | None = None
    breaks: bool = False
    lag_s: float = 0.3
    jitter_s: float = 0.0
    edge_s: float = 0.0
    """The sigma of the error of its positions."""


def own_labels(epoch: int, who: str, start_s: float) -> str:
    """Each epoch numbers people in an order of its own."""
    del start_s
    order = random.Random(epoch).sample("ABCDEFGH", 8)
    return f"SPEAKER_{order.index(who):02d}"


def hold(room: Room, segments: Sequence[Segment], epochs: Sequence[Heard], labels: Labels = own_labels) -> None:
    """Script the room: the first epoch is open from the start on."""
    for epoch in epochs:
        rng = random.Random(f"{epoch.number} {epoch.base_s}")
        if epoch.number != 1:
            room.epoch_opens(epoch.base_s, epoch.number)
        for who, start_s, end_s in segments:
            low, high = max(start_s, epoch.base_s), min(end_s, epoch.to_s)
            if low >= high:
                continue
            label = labels(epoch.number, who, start_s)
            _tell(room, epoch, rng, SpeakerStarted, label, low, start_s < epoch.base_s)
            if end_s < epoch.to_s or not epoch.breaks:
                _tell(room, epoch, rng, SpeakerEnded, label, high, end_s > epoch.to_s)
        if epoch.reigns_from_s is not None:
            room.takes_over(epoch.reigns_from_s, epoch.number)
        if epoch.to_s < room.length / s(1):
            _close(room, epoch)


def _tell(
    room: Room,
    epoch: Heard,
    rng: random.Random,
    kind: type[SpeakerStarted] | type[SpeakerEnded],
    label: str,
    at_s: float,
    exact: bool,
) -> None:
    lag_s = max(0.02, rng.gauss(epoch.lag_s, epoch.jitter_s))
    if epoch.breaks and at_s + lag_s > epoch.to_s:
        return
    told_s = at_s if exact else max(epoch.base_s, at_s + rng.gauss(0, epoch.edge_s))
    room.tell(s(at_s + lag_s), kind(label, s(told_s) - s(epoch.base_s)), epoch.number)


def _close(room: Room, epoch: Heard) -> None:
    """A finished epoch says what it still has to say first."""
    after_s = 0.0 if epoch.breaks else 2.5
    closed = EpochClosed(Epoch(epoch.number), Sample(s(epoch.to_s)))
    room.at(epoch.to_s + after_s, lambda: room.merger.feed(closed))

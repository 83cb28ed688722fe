"""Which speakers of different epochs are one person, by how alike their voices are. Pure: prints in, joins out.

A missed join costs a person one click, a wrong one the trust in every name: so a join needs likeness, a margin over
everybody else it might be, and speech enough on both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import Epoch, SpeakerNumber, SpeakersMatched
from minuted_daemon.core.samples import samples

STAGES = tuple(samples(length_s) for length_s in (1.5, 3.0, 5.0, 8.0))
"""A voice is looked at when there is so much of its speech; less is no evidence, more changes nothing.

The first is what is left of 2 s when the edges are off.
"""
ALIKE = 0.65
"""Cosine similarity from which on two voices may be one. Of 2 s to 10 s of speech (CAM++), one synthetic voice has 0.7
to 0.95 with itself and 0.1 to 0.45 with others; the nearest two real ones known, on a telephone, 0.6."""
MARGIN = 0.1
"""By how much the best must be more alike than the second best, seen from either side."""


@dataclass(frozen=True, slots=True, eq=False)
class VoicePrint:
    """A speaker's voice: a unit vector (float32, shape (d,)) of `speech` samples, and the epochs they were heard in."""

    speaker: SpeakerNumber
    vector: NDArray[np.float32]
    speech: int
    epochs: frozenset[Epoch]


def stage(speech: int) -> int:
    """Return how many stages so many samples of speech have reached; 0 is too little to say anything."""
    return sum(speech >= least for least in STAGES)


def may_be_one(one: frozenset[Epoch], other: frozenset[Epoch]) -> bool:
    """Two speakers of one epoch are two people: its diarizer told them apart."""
    return bool(one) and bool(other) and not one & other


def matches(prints: Sequence[VoicePrint], alike: float = ALIKE, margin: float = MARGIN) -> list[SpeakersMatched]:
    """Return the joins these prints are evidence for, the clearest first; each speaker is `newer` at most once.

    A join decides what may be joined after it: its two speakers' epochs are then one speaker's.
    """
    left = [one for one in prints if stage(one.speech)]
    found: list[SpeakersMatched] = []
    while (pair := _clearest(left, alike, margin)) is not None:
        newer, older = sorted(pair, key=lambda one: one.speaker, reverse=True)
        found.append(SpeakersMatched(newer.speaker, older.speaker))
        left = [one for one in left if one not in pair] + [_joined(newer, older)]
    return found


def _clearest(prints: Sequence[VoicePrint], alike: float, margin: float) -> tuple[VoicePrint, VoicePrint] | None:
    if len(prints) < 2:
        return None
    vectors = np.stack([one.vector for one in prints])
    likeness = vectors @ vectors.T
    possible = np.array([[may_be_one(one.epochs, other.epochs) for other in prints] for one in prints])
    pairs = np.argwhere(np.triu(possible & (likeness >= alike)))
    for one, other in sorted(pairs.tolist(), key=lambda pair: -likeness[pair[0], pair[1]]):
        both = ((one, other), (other, one))
        if all(_clear(*pair, likeness, possible, alike, margin) for pair in both):
            return prints[one], prints[other]
    return None


def _clear(
    one: int, other: int, likeness: NDArray[np.float32], possible: NDArray[np.bool_], alike: float, margin: float
) -> bool:
    """Return whether no other speaker is nearly as like `one` as `other` is.

    It does no harm that somebody is who may well be `other` as well: of another epoch, and alike. But where one of
    them is known not to be another of them, or not to be `one`, the voices are too near each other to tell.
    """
    near = likeness[one] > likeness[one, other] - margin
    near[[one, other]] = False
    if not (likeness[other, near] >= alike).all():
        return False
    near[[one, other]] = True
    group = np.flatnonzero(near)
    return bool(np.count_nonzero(possible[np.ix_(group, group)]) == len(group) * (len(group) - 1))


def _joined(newer: VoicePrint, older: VoicePrint) -> VoicePrint:
    total = newer.vector * newer.speech + older.vector * older.speech
    return replace(
        older,
        vector=np.asarray(total / np.linalg.norm(total), dtype=np.float32),
        speech=newer.speech + older.speech,
        epochs=newer.epochs | older.epochs,
    )

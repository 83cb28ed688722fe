"""Who is joined by voice: likeness, margin, speech enough, one to one, and never two of one epoch."""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from minuted_daemon.core.events import Epoch, SpeakerNumber, SpeakersMatched
from minuted_daemon.core.samples import samples
from minuted_daemon.core.voice.matching import ALIKE, MARGIN, STAGES, VoicePrint, matches, may_be_one, stage

DIMENSIONS = 64


def direction(number: int) -> NDArray[np.float32]:
    return np.asarray(np.eye(DIMENSIONS, dtype=np.float32)[number])


def like(person: NDArray[np.float32], likeness: float, aside: int) -> NDArray[np.float32]:
    """A unit vector with this cosine to `person`; `aside` is a direction of its own."""
    return np.asarray(likeness * person + np.sqrt(1 - likeness**2) * direction(aside), dtype=np.float32)


def voice(number: int, vector: NDArray[np.float32], *epochs: int, speech_s: float = 5.0) -> VoicePrint:
    return VoicePrint(SpeakerNumber(number), vector, samples(speech_s), frozenset(map(Epoch, epochs)))


def joined(*prints: VoicePrint) -> list[tuple[int, int]]:
    return [(match.newer, match.older) for match in matches(prints)]


ADA, BEN = direction(0), direction(1)


def test_who_sounds_alike_is_joined_whatever_the_order() -> None:
    prints = [voice(1, ADA, 1), voice(2, BEN, 1), voice(3, like(BEN, 0.8, 10), 2), voice(4, like(ADA, 0.8, 11), 2)]
    for _ in range(5):
        random.Random(1).shuffle(prints)
        assert sorted(joined(*prints)) == [(3, 2), (4, 1)]


def test_who_sounds_like_nobody_stays_apart() -> None:
    assert joined(voice(1, ADA, 1), voice(2, like(ADA, ALIKE - 0.01, 10), 2)) == []


def test_two_of_one_epoch_are_never_one() -> None:
    assert joined(voice(1, ADA, 1), voice(2, ADA, 1)) == []
    assert joined(voice(1, ADA, 1, 2), voice(2, ADA, 2, 3)) == []


def test_a_narrow_lead_over_the_second_best_is_not_enough_on_either_side() -> None:
    between = like(ADA, 0.72, 1)  # 0.72 like ADA, 0.69 like BEN
    assert joined(voice(1, ADA, 1), voice(2, BEN, 1), voice(3, between, 2)) == []
    assert joined(voice(1, between, 1), voice(2, ADA, 2), voice(3, BEN, 2)) == []
    assert joined(voice(1, ADA, 1), voice(3, between, 2)) == [(3, 1)], "where there is nobody else it might be"


def test_too_little_speech_says_nothing_on_either_side() -> None:
    least_s = STAGES[0] / 16_000
    assert joined(voice(1, ADA, 1), voice(2, ADA, 2, speech_s=least_s - 0.01)) == []
    assert joined(voice(1, ADA, 1, speech_s=least_s - 0.01), voice(2, ADA, 2)) == []
    assert joined(voice(1, ADA, 1, speech_s=least_s), voice(2, ADA, 2, speech_s=least_s)) == [(2, 1)]


def test_somebody_with_little_speech_is_no_rival() -> None:
    near = like(ADA, 0.95, 9)
    assert joined(voice(1, ADA, 1), voice(2, near, 1, speech_s=0.5), voice(3, ADA, 2)) == [(3, 1)]


def test_one_who_was_missed_before_is_no_rival_to_himself() -> None:
    prints = [voice(1, ADA, 1), voice(2, like(ADA, 0.8, 10), 2), voice(3, like(ADA, 0.82, 11), 3)]
    assert sorted(joined(*prints)) == [(2, 1), (3, 1)]


def test_where_known_strangers_sound_alike_nobody_is_joined() -> None:
    twin = like(ADA, 0.95, 9)
    assert joined(voice(1, ADA, 1), voice(2, twin, 1), voice(3, ADA, 2)) == []
    assert joined(voice(1, ADA, 1), voice(3, like(ADA, 0.85, 10), 2), voice(4, twin, 2)) == []
    # 3 was missed for that reason. Now 4 comes: it is like 3, but 3 may be 1 or 2, who are two.
    assert joined(voice(1, ADA, 1), voice(2, twin, 1), voice(3, ADA, 2), voice(4, ADA, 3)) == []


def test_a_join_forbids_what_it_makes_impossible() -> None:
    # 3 is joined to 1, and so is heard in epochs 1 and 2: 4, of epoch 2, cannot be 1 as well.
    prints = [voice(1, ADA, 1), voice(3, like(ADA, 0.95, 10), 2), voice(4, like(ADA, 0.7, 11), 2)]
    assert joined(*prints) == [(3, 1)]


def test_stages() -> None:
    assert [stage(samples(speech_s)) for speech_s in (0.0, 1.0, 4.0, 8.0, 100.0)][-2:] == [len(STAGES)] * 2
    assert stage(STAGES[0] - 1) == 0
    assert not may_be_one(frozenset(), frozenset({Epoch(1)})), "of one never heard nothing is known"


@pytest.mark.parametrize("seed", range(20))
def test_no_person_is_ever_two_of_one_epoch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prints = []
    for number in range(1, 25):
        vector = rng.normal(size=4)  # few dimensions: everybody is like somebody
        epochs = rng.choice(5, size=int(rng.integers(1, 3)), replace=False) + 1
        unit = np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
        prints.append(voice(number, unit, *map(int, epochs), speech_s=float(rng.uniform(0, 12))))
    found = matches(prints, alike=0.3, margin=0.0)
    heard = {one.speaker: one.epochs for one in prints}
    for match in found:
        assert match.newer > match.older
        assert not heard[match.newer] & heard[match.older]
        heard[match.older] |= heard.pop(match.newer)
    assert matches(prints, alike=0.3, margin=0.0) == found
    assert len(matches(prints, alike=0.3, margin=MARGIN)) <= len(found)


def test_nobody_is_joined_to_nobody() -> None:
    assert matches([]) == []
    assert matches([voice(1, ADA, 1)]) == []
    assert SpeakersMatched(SpeakerNumber(2), SpeakerNumber(1)) not in matches([voice(1, ADA, 1), voice(2, BEN, 2)])

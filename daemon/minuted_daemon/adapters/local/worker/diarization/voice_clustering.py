"""Whose voice a segment is: average-linkage clustering of all recent voices again after each new one. Numpy only.

What is older than the freeze horizon is folded into one weighted centroid for each label, so neither the cost nor the
memory of a step grows with the meeting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.worker.diarization.co_occurrence import CoOccurrence

Embedding = NDArray[np.float32]

SAME_VOICE = 0.43
"""Voices whose average cosine similarity reaches this belong together."""
UNLIKE = 0.3
"""Below this similarity to all others, a voice that has only just begun is a new one."""
RELIABLE = 19_200
"""Samples of speech (1.2 s) from which on a voice may found a cluster."""
FREEZE = 4_800_000
"""Samples (300 s) after which a segment's label changes no more."""
MOST_VOICES = 240
"""Segments kept apart at most; the oldest are frozen early. Bounds the cost of a step in a lively meeting."""
MOST_FROZEN = 40
"""Labels remembered beyond that; those with the least speech are forgotten, which are hardly ever people."""
TOLD_APART = 0.4
"""By how much two segments of different local speakers are less alike."""
_WEIGHTED_UP_TO = 80_000
_APART = 8_000


@dataclass(slots=True)
class Voice:
    """One segment's voice: a unit-length embedding of `speech` samples of it, and the label it has now.

    A tentative one is still being spoken: it founds a cluster only if it is like no other voice. `backing` is how much
    speech supported the label when it was given; a tentative voice's label was a guess.
    """

    segment: int
    start: int
    end: int
    embedding: Embedding
    speech: int
    label: int = -1
    tentative: bool = False
    backing: int = 1

    @property
    def weight(self) -> int:
        """How much it says in a centroid."""
        return min(self.speech, _WEIGHTED_UP_TO)


@dataclass(slots=True)
class FrozenVoice:
    """All a label's frozen segments: the sum of their weighted embeddings, and how many there were."""

    total: Embedding
    count: int

    @property
    def centroid(self) -> Embedding:
        """The direction of the sum."""
        return unit(self.total)


@dataclass(slots=True)
class VoiceClusters:
    """Labels for segments, 0, 1, 2..., kept by overlap with the labelling before."""

    co_occurrence: CoOccurrence = field(default_factory=CoOccurrence)
    same_voice: float = SAME_VOICE
    most_voices: int = MOST_VOICES
    most_frozen: int = MOST_FROZEN
    _voices: dict[int, Voice] = field(default_factory=dict)
    _frozen: dict[int, FrozenVoice] = field(default_factory=dict)
    _next_label: int = 0

    @property
    def size(self) -> int:
        """How many voices a step compares."""
        return len(self._voices) + len(self._frozen)

    def labels(self) -> dict[int, int]:
        """Return the label each segment has now, for those that are not frozen."""
        return {number: voice.label for number, voice in self._voices.items()}

    def put(
        self, segment: int, start: int, end: int, embedding: Embedding, speech: int, *, tentative: bool = False
    ) -> None:
        """Add a segment's voice, or a better picture of it, and cluster again."""
        known = self._voices.get(segment)
        label, backing = (known.label, known.backing) if known else (-1, 1)
        self._voices[segment] = Voice(segment, start, end, unit(embedding), speech, label, tentative, backing)
        self._freeze(end)
        self._cluster()

    def _freeze(self, now: int) -> None:
        oldest_first = sorted(self._voices.values(), key=lambda voice: voice.end)
        surplus = len(oldest_first) - self.most_voices
        for position, voice in enumerate(oldest_first):
            if voice.label < 0 or (voice.end >= now - FREEZE and position >= surplus):
                continue
            del self._voices[voice.segment]
            if voice.speech < RELIABLE and voice.label in self._frozen:
                continue
            frozen = self._frozen.setdefault(voice.label, FrozenVoice(np.zeros_like(voice.embedding), 0))
            frozen.total = frozen.total + voice.embedding * voice.weight
            frozen.count += 1
        by_speech = sorted(self._frozen, key=lambda label: np.linalg.norm(self._frozen[label].total))
        for label in by_speech[: -self.most_frozen]:
            del self._frozen[label]

    def _cluster(self) -> None:
        voices = list(self._voices.values())
        apart = self._apart(voices)
        founding = [i for i, voice in enumerate(voices) if voice.speech >= RELIABLE]
        settled = [i for i in founding if not voices[i].tentative]
        founding = [i for i in founding if i in settled or not self._like_another(i, settled, voices, apart)]
        if not founding and not self._frozen:
            founding = [max(range(len(voices)), key=lambda i: voices[i].speech)]
        founders, pinned = [voices[i] for i in founding], list(self._frozen)
        embeddings = np.stack([self._frozen[label].centroid for label in pinned] + [v.embedding for v in founders])
        sizes = np.array([self._frozen[label].count for label in pinned] + [1] * len(founders), dtype=np.float64)
        distances = 1.0 - embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
        distances[len(pinned) :, len(pinned) :] += TOLD_APART * apart[np.ix_(founding, founding)]
        _forbid(distances, len(pinned), founders)
        groups = average_linkage(distances, sizes, 1.0 - self.same_voice)
        centroids = np.stack([self._centroid(group, pinned, founders) for group in groups])
        members = [[founding[i - len(pinned)] for i in group if i >= len(pinned)] for group in groups]
        membership = {voices[i].segment: number for number, group in enumerate(members) for i in group}
        for i, voice in enumerate(voices):
            if voice.segment not in membership:
                alike = centroids @ voice.embedding - TOLD_APART * np.array(
                    [apart[i, group].any() for group in members]
                )
                membership[voice.segment] = int(alike.argmax())
        names = self._names(groups, pinned, membership)
        for voice in voices:
            voice.label = names[membership[voice.segment]]
            voice.backing = 1 if voice.tentative else max(voice.speech, 1)

    def _apart(self, voices: Sequence[Voice]) -> NDArray[np.bool_]:
        """Return which two voices the segmentation separated, shape (voices, voices)."""
        places = {voice.segment: i for i, voice in enumerate(voices)}
        apart = np.zeros((len(voices), len(voices)), dtype=np.bool_)
        for segment, other in self.co_occurrence.apart():
            if segment in places and other in places:
                i, j = places[segment], places[other]
                apart[i, j] = apart[j, i] = True
        return apart

    def _like_another(self, i: int, settled: Sequence[int], voices: Sequence[Voice], apart: NDArray[np.bool_]) -> bool:
        """Whether a tentative voice is near enough to a known one to wait until there is more of it."""
        others = [voices[j].embedding for j in settled if not apart[i, j]]
        others += [frozen.centroid for frozen in self._frozen.values()]
        return any(float(other @ voices[i].embedding) >= UNLIKE for other in others)

    def _centroid(self, group: Sequence[int], pinned: Sequence[int], founders: Sequence[Voice]) -> Embedding:
        total = np.zeros_like(founders[0].embedding if founders else self._frozen[pinned[0]].total)
        for index in group:
            if index < len(pinned):
                total = total + self._frozen[pinned[index]].total
            else:
                voice = founders[index - len(pinned)]
                total = total + voice.embedding * voice.weight
        return unit(total)

    def _names(
        self, groups: Sequence[Sequence[int]], pinned: Sequence[int], membership: Mapping[int, int]
    ) -> dict[int, int]:
        """Return each group the label most of its speech had; a frozen voice's group keeps that voice's."""
        names = {number: pinned[i] for number, group in enumerate(groups) for i in group if i < len(pinned)}
        shared: dict[tuple[int, int], int] = {}
        for voice in self._voices.values():
            if voice.label >= 0:
                key = (membership[voice.segment], voice.label)
                shared[key] = shared.get(key, 0) + voice.backing
        taken = set(names.values()) | set(pinned)
        for (number, label), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
            if number not in names and label not in taken:
                names[number] = label
                taken.add(label)
        for number in range(len(groups)):
            if number not in names:
                names[number] = self._next_label
                self._next_label += 1
        return names


def average_linkage(distances: NDArray[np.float64], sizes: NDArray[np.float64], below: float) -> list[list[int]]:
    """Merge the two nearest groups while their mean distance is below `below`; return the groups as lists of indices.

    distances: shape (n, n), symmetric; infinite where two must never be in one group. sizes: how many each stands for.
    """
    between = distances.copy()
    np.fill_diagonal(between, np.inf)
    weights = sizes.copy()
    groups: dict[int, list[int]] = {index: [index] for index in range(len(sizes))}
    while len(groups) > 1:
        kept, gone = sorted(divmod(int(np.argmin(between)), len(sizes)))
        if between[kept, gone] > below:
            break
        merged = (weights[kept] * between[kept] + weights[gone] * between[gone]) / (weights[kept] + weights[gone])
        between[kept] = between[:, kept] = merged
        between[kept, kept] = np.inf
        between[gone] = between[:, gone] = np.inf
        weights[kept] += weights[gone]
        groups[kept] += groups.pop(gone)
    return list(groups.values())


def _forbid(distances: NDArray[np.float64], pinned: int, founders: Sequence[Voice]) -> None:
    """Keep apart what cannot be one person: two frozen labels, and two voices heard at the same time."""
    distances[:pinned, :pinned] = np.inf
    starts = np.array([voice.start for voice in founders])
    ends = np.array([voice.end for voice in founders])
    together = np.minimum(ends[:, None], ends[None]) - np.maximum(starts[:, None], starts[None])
    distances[pinned:, pinned:][together > _APART] = np.inf


def unit(vector: Embedding) -> Embedding:
    """Return a vector of length 1 in the same direction."""
    norm = float(np.linalg.norm(vector))
    return np.asarray(vector / norm if norm > 0 else vector, dtype=np.float32)

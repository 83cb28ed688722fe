"""Whether a session kept its speakers apart and together while its diarizer's connections came and went.

Judged from outside, by the truth: a word counts only where even the best floor gives it to its own speaker, so that
speech at the same time is nobody's mistake here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.bench.reference import holder_at
from tests.e2e.live_run import Played
from tests.fakes.meeting import RATE_HZ, Meeting, Word

HEARD = RATE_HZ
"""Whoever is heard for so many samples in both streams keeps the identity."""
CLEAR_WORDS = 3
"""So many words make clear whose turn it is, and whose a label."""


@dataclass(frozen=True)
class Joins:
    """`wrong`: labels that got whole turns of a second person, and who that is. `kept` and `lost`: (roll-over, person)
    pairs with the same label on both sides and with another one, of those heard for long enough in both streams."""

    labels: Mapping[str, Counter[str]]
    wrong: Sequence[tuple[str, str]]
    kept: Sequence[tuple[int, str]]
    lost: Sequence[tuple[int, str]]


def joins(played: Played, pyannote: Mapping[str, Any]) -> Joins:
    """Judge a session by the words under each of its labels."""
    owned = _owned(played)
    labels: dict[str, Counter[str]] = {}
    for turn in played.turns:
        people = Counter(owned[text].speaker for text in turn.text.split() if text in owned)
        if turn.speaker.label and people.total() >= CLEAR_WORDS:
            person, count = people.most_common(1)[0]
            labels.setdefault(turn.speaker.label, Counter())[person] += count
    wrong = [(label, person) for label, people in sorted(labels.items()) for person, _ in people.most_common()[1:]]
    kept: list[tuple[int, str]] = []
    lost: list[tuple[int, str]] = []
    label_of = {text: turn.speaker.label for turn in played.turns for text in turn.text.split()}
    alone_from = 0  # until then the stream before it gave the labels
    for number, (old, new) in enumerate(pairwise(spans(played.meeting, pyannote)), 1):
        for person in played.meeting.speakers:
            words = [word for word in owned.values() if word.speaker == person]
            before = _label(label_of, [word for word in words if alone_from <= word.start and word.end <= new[0]])
            after = _label(label_of, [word for word in words if old[1] <= word.start and word.end <= new[1]])
            if before and after and _spoken(played.meeting, person, new[0], old[1]) >= HEARD:
                (kept if before == after else lost).append((number, person))
        alone_from = old[1]
    return Joins(labels, wrong, kept, lost)


def spans(meeting: Meeting, pyannote: Mapping[str, Any]) -> list[tuple[int, int]]:
    """What each stream heard of a meeting, from its first to its last sample, in the order of the streams."""
    heard = [one["span"] for one in pyannote["connections"] if one["hears"] == [meeting.name]]
    return sorted((int(start), int(end)) for start, end in heard)


def _owned(played: Played) -> dict[str, Word]:
    turns = played.best.turns
    return {word.text: word for word in played.meeting.words if holder_at(turns, word.middle) == word.speaker}


def _label(label_of: Mapping[str, str], words: Sequence[Word]) -> str:
    """The label most of these words are under; none if they are too few to say."""
    labels = Counter(label_of[word.text] for word in words if label_of.get(word.text))
    return labels.most_common(1)[0][0] if labels.total() >= CLEAR_WORDS else ""


def _spoken(meeting: Meeting, person: str, start: int, end: int) -> int:
    return sum(
        max(0, min(segment.end, end) - max(segment.start, start))
        for segment in meeting.segments
        if segment.speaker == person
    )

"""Counts how many words of a meeting came out, on whom, and what the obvious merge would have made of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import meeteval
import numpy as np
from scipy.optimize import linear_sum_assignment

from tests.fakes.meeting import RATE_HZ, Meeting

UNKNOWN = "UNKNOWN"
COLLAR_S = 5.0


@dataclass(frozen=True, slots=True)
class ScoredTurn:
    """One turn as a subscriber sees it: seconds, and labels of the session; None is a speaker nobody knows."""

    speaker: str | None
    start_s: float
    end_s: float
    text: str
    overlapping: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """Shares are of all words of the meeting, so a lost word is also a wrong one.

    `mapping` is the one-to-one mapping of labels to true speakers that makes most words right; `right_merged` is what
    would be right if labels could be joined by a person. `words_repeated` counts every appearance after the first.
    """

    words: int
    words_lost: int
    words_repeated: int
    words_foreign: int
    right: float
    right_or_listed: float
    right_merged: float
    unknown: float
    turns: int
    mapping: dict[str, str] = field(default_factory=dict)


def score(meeting: Meeting, turns: Sequence[ScoredTurn]) -> Score:
    """Score turns whose text is made of the meeting's words."""
    places: dict[str, ScoredTurn] = {}
    repeated = foreign = 0
    for turn in turns:
        for text in turn.text.split():
            if text not in meeting.by_text:
                foreign += 1
            elif text in places:
                repeated += 1
            else:
                places[text] = turn
    counts: Counter[tuple[str, str]] = Counter()
    unknown = 0
    for text, turn in places.items():
        if turn.speaker is None:
            unknown += 1
        else:
            counts[turn.speaker, meeting.by_text[text].speaker] += 1
    mapping = best_mapping(counts)
    right = listed = 0
    for text, turn in places.items():
        speaker = meeting.by_text[text].speaker
        if turn.speaker is not None and mapping.get(turn.speaker) == speaker:
            right += 1
        elif speaker in {mapping.get(label) for label in turn.overlapping}:
            listed += 1
    merged: dict[str, int] = {}
    for (label, _), count in counts.items():
        merged[label] = max(merged.get(label, 0), count)
    total = max(1, len(meeting.words))
    return Score(
        words=len(meeting.words),
        words_lost=len(meeting.words) - len(places),
        words_repeated=repeated,
        words_foreign=foreign,
        right=right / total,
        right_or_listed=(right + listed) / total,
        right_merged=sum(merged.values()) / total,
        unknown=unknown / total,
        turns=len(turns),
        mapping=mapping,
    )


def best_mapping(counts: Counter[tuple[str, str]]) -> dict[str, str]:
    """The one-to-one mapping of labels to speakers with the largest sum of `counts[label, speaker]`."""
    labels = sorted({label for label, _ in counts})
    speakers = sorted({speaker for _, speaker in counts})
    table = np.array([[counts[label, speaker] for speaker in speakers] for label in labels], dtype=np.int64)
    if not table.size:
        return {}
    rows, columns = linear_sum_assignment(table, maximize=True)
    return {labels[r]: speakers[c] for r, c in zip(rows, columns, strict=True) if table[r, c]}


def cp_wer(true: Sequence[ScoredTurn], turns: Sequence[ScoredTurn]) -> float:
    """Concatenated minimum-permutation word error rate of real text. Unknown speakers count as one more speaker."""
    rate = meeteval.wer.cp_word_error_rate(_texts(true), _texts(turns))
    return float(rate.error_rate or 0.0)


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Word errors of a meeting in the best permutation of speakers: in all (cpWER), with a collar of 5 s (tcpWER)."""

    words: int
    cp: int
    tcp: int


def word_errors(meeting: Meeting, turns: Sequence[ScoredTurn]) -> WordErrors:
    """Count the errors against the true words. A word on the wrong speaker is two: one is missing, one too many."""
    true = [ScoredTurn(w.speaker, w.start / RATE_HZ, w.end / RATE_HZ, w.text) for w in meeting.words]
    given = [turn for turn in sorted(turns, key=lambda turn: turn.start_s) if turn.text]
    cp = meeteval.wer.cp_word_error_rate(_texts(true), _texts(given))
    tcp = meeteval.wer.time_constrained_minimum_permutation_word_error_rate(
        _segments(true),
        _segments(given),
        collar=COLLAR_S,
        reference_pseudo_word_level_timing="none",
        hypothesis_pseudo_word_level_timing="character_based_points",
    )
    return WordErrors(len(true), int(cp.errors), int(tcp.errors))


def _texts(turns: Sequence[ScoredTurn]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for turn in sorted(turns, key=lambda t: t.start_s):
        texts.setdefault(turn.speaker or UNKNOWN, []).append(turn.text)
    return {speaker: " ".join(parts) for speaker, parts in texts.items()}


def _segments(turns: Sequence[ScoredTurn]) -> meeteval.io.SegLST:
    return meeteval.io.SegLST(
        [
            {
                "session_id": "",
                "speaker": turn.speaker or UNKNOWN,
                "start_time": turn.start_s,
                "end_time": turn.end_s,
                "words": turn.text,
            }
            for turn in turns
        ]
    )


@dataclass(frozen=True, slots=True)
class Arrival:
    """A diarization event as it arrives: `at_s` on the clock of the audio, `stamp_s` the position it tells."""

    at_s: float
    kind: str  # "start" or "end"
    speaker: str
    stamp_s: float


def arrivals(meeting: Meeting, lag_s: float = 0.3) -> list[Arrival]:
    """The events of a perfect diarizer that is `lag_s` late."""
    return [
        Arrival(sample / RATE_HZ + lag_s, "start" if kind else "end", speaker, sample / RATE_HZ)
        for sample, kind, speaker in meeting.boundaries
    ]


def obvious_merge(
    meeting: Meeting,
    events: Sequence[Arrival],
    completion_delay_s: Callable[[int], float] = lambda _: 0.7,
    shortest_s: float = 0.1,
    slips: bool = False,
) -> list[ScoredTurn]:
    """What comes of committing the buffer whenever a speaker-end event arrives.

    Each end commits all audio so far and puts its label into a queue; each completed text, in the order of
    completion, takes the oldest label, else whoever started last and has not ended. A commit of less than
    `shortest_s` is refused by the transcriber; with `slips` its label stays in the queue all the same, as in the
    plainest form of the idea, and every later label is one off. The end of the meeting commits what is left.
    `completion_delay_s` is given the number of the commit.
    """
    todo: list[tuple[float, int, int, object]] = [(event.at_s, 1, n, event) for n, event in enumerate(events)]
    end_s = max([meeting.duration / RATE_HZ, *(event.at_s for event in events)]) + 0.5
    todo.append((end_s, 2, 0, None))
    pending: list[str] = []
    active: list[str] = []
    turns: list[ScoredTurn] = []
    begin_s, commits = 0.0, 0
    while todo:
        todo.sort(key=lambda item: item[:3])
        at_s, _, _, what = todo.pop(0)
        if isinstance(what, Arrival) and what.kind == "start":
            active.append(what.speaker)
            continue
        if isinstance(what, tuple):
            low_s, high_s, text = what
            label = pending.pop(0) if pending else active[-1] if active else None
            turns.append(ScoredTurn(label, low_s, high_s, text))
            continue
        if isinstance(what, Arrival):
            if what.speaker in active:
                active.remove(what.speaker)
            if slips or at_s - begin_s >= shortest_s:
                pending.append(what.speaker)
        if at_s - begin_s >= shortest_s:
            low, high = round(begin_s * RATE_HZ), round(at_s * RATE_HZ)
            text = " ".join(w.text for w in meeting.words_between(low, high) if low <= w.middle < high)
            todo.append((at_s + completion_delay_s(commits), 0, commits, (begin_s, at_s, text)))
            begin_s, commits = at_s, commits + 1
    return turns

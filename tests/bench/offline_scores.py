"""How far an offline transcript is from what was said, and its speakers from who spoke."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerRelabelled, SpeakerStarted, TurnState
from minuted_daemon.core.samples import RATE_HZ
from tests.bench.offline_recordings import Recording, Span
from tests.bench.scoring import UNKNOWN, ScoredTurn, cp_wer

FRAMES_A_SECOND = 100


@dataclass(frozen=True, slots=True)
class Score:
    """Shares: of all words, and of all speech without a collar.

    `words_alone` is the error rate of the words in order of their turns, whoever is said to have spoken them.
    """

    cp_wer: float
    words_alone: float
    missed: float
    false: float
    confused: float
    speakers: int

    @property
    def diarization_error(self) -> float:
        """The share of speech that is missed, false or on the wrong speaker."""
        return self.missed + self.false + self.confused


def score(recording: Recording, turns: Sequence[TurnState], events: Iterable[DiarizerEvent]) -> Score:
    """Score what came of a recording."""
    said = _plain(recording.said)
    told = _plain(
        ScoredTurn(
            None if turn.speaker is None else f"S{turn.speaker}",
            turn.start / RATE_HZ,
            turn.end / RATE_HZ,
            turn.text,
        )
        for turn in turns
    )
    return Score(
        cp_wer(said, told),
        cp_wer(_one_speaker(said), _one_speaker(told)),
        *_diarization_errors(recording.spoken, spoken(events), recording.length_s),
        len({turn.speaker for turn in turns} - {None}),
    )


def spoken(events: Iterable[DiarizerEvent]) -> list[Span]:
    """Return who spoke when, as the events say in the end."""
    done: list[tuple[int, int, str]] = []
    speaking: dict[str, int] = {}
    for event in events:
        match event:
            case SpeakerStarted(label, at):
                speaking[label] = at
            case SpeakerEnded(label, at):
                done.append((speaking.pop(label), at, label))
            case SpeakerRelabelled(old, new, start, end):
                done = [part for span in done for part in _relabelled(span, old, new, start, end)]
    return [(label, start / RATE_HZ, end / RATE_HZ) for start, end, label in sorted(done)]


def _relabelled(span: tuple[int, int, str], old: str, new: str, start: int, end: int) -> list[tuple[int, int, str]]:
    first, last, label = span
    if label != old or last <= start or first >= end:
        return [span]
    parts = [(first, start, old), (max(first, start), min(last, end), new), (end, last, old)]
    return [part for part in parts if part[0] < part[1]]


def _diarization_errors(true: Sequence[Span], told: Sequence[Span], length_s: float) -> tuple[float, float, float]:
    frames = round(length_s * FRAMES_A_SECOND) + 1
    said, heard = _activity(true, frames), _activity(told, frames)
    both = said.astype(int) @ heard.T.astype(int)
    right = both[linear_sum_assignment(both, maximize=True)].sum()
    n_said, n_heard = said.sum(axis=0), heard.sum(axis=0)
    total = n_said.sum()
    return (
        float(np.maximum(n_said - n_heard, 0).sum() / total),
        float(np.maximum(n_heard - n_said, 0).sum() / total),
        float((np.minimum(n_said, n_heard).sum() - right) / total),
    )


def _activity(spans: Sequence[Span], frames: int) -> NDArray[np.bool_]:
    speakers = sorted({speaker for speaker, _, _ in spans})
    active = np.zeros((len(speakers), frames), dtype=np.bool_)
    for speaker, start_s, end_s in spans:
        active[speakers.index(speaker), round(start_s * FRAMES_A_SECOND) : round(end_s * FRAMES_A_SECOND)] = True
    return active


def _plain(turns: Iterable[ScoredTurn]) -> list[ScoredTurn]:
    return [replace(turn, text=" ".join(re.findall(r"[a-z0-9']+", turn.text.lower()))) for turn in turns]


def _one_speaker(turns: Iterable[ScoredTurn]) -> list[ScoredTurn]:
    return [replace(turn, speaker=UNKNOWN) for turn in turns]

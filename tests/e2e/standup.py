"""The recorded meeting of three people: what is said in it, and how far a transcript is from that."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from minuted import Turn
from tests.bench.scoring import ScoredTurn, cp_wer
from tests.e2e.live_run import scored

RECORDING = Path(__file__).parents[1] / "audio" / "standup.wav"
LENGTH_S = 62.94


def error_rate(turns: Sequence[Turn]) -> float:
    """The share of words that are wrong, missing or on the wrong speaker; case and punctuation do not count."""
    told = json.loads(RECORDING.with_suffix(".json").read_text())["segments"]
    true = [ScoredTurn(turn["speaker"], turn["start"], turn["end"], turn["text"]) for turn in told]
    return cp_wer(_plain(true), _plain(scored(turns)))


def speakers(turns: Sequence[Turn]) -> list[str]:
    """The labels of all who speak, "" for a speaker nobody knows."""
    return sorted({turn.speaker.label for turn in turns})


def shown(turns: Sequence[Turn]) -> str:
    """The transcript, for the message of a test that fails."""
    return "\n".join(f"{t.start_s:6.2f} {t.end_s:6.2f} {t.speaker or '?':3} {t.text}" for t in scored(turns))


def _plain(turns: Iterable[ScoredTurn]) -> list[ScoredTurn]:
    return [replace(turn, text=" ".join(re.findall(r"[a-z0-9']+", turn.text.lower()))) for turn in turns]

"""What a subscriber sees and when: who a word was first shown under, how late, and how soon a final turn came.

All times are wall times of one machine: the stand-in's, the daemon's and the subscriber's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any

import minuted
from minuted import Interrupted, Turn, TurnState
from tests.e2e.following import Seen
from tests.e2e.live_run import CATCH_UP_S, Played
from tests.fakes.meeting import RATE_HZ


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """The label a word had in the first turn that showed it (None: nobody knows), and when that came."""

    label: str | None
    at: float


@dataclass
class Onlooker(Seen):
    """Notes of each (session id, word) how it was first shown, in a partial or a final, and when it was final."""

    clock: Callable[[], float] = time
    shown: dict[tuple[str, str], SessionStatus] = field(default_factory=dict)
    final_at: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, event: "minuted.StreamTurnsResponse | Interrupted") -> None:
        now = self.clock()
        super().take(event)
        if isinstance(event, Interrupted) or event.WhichOneof("event") != "turn":
            return
        turn = event.turn
        for word in turn.text.split():
            key = turn.session_id, word
            self.shown.setdefault(key, SessionStatus(turn.speaker.label or None, now))
            if turn.state == TurnState.TURN_STATE_FINAL:
                self.final_at.setdefault(key, now)


def right_when_shown(played: Played, onlooker: Onlooker) -> float:
    """The share of the meeting's words that were first shown under their speaker, by the mapping of the finals."""
    mapping = played.score.mapping
    right = 0
    for word in played.meeting.words:
        shown = onlooker.shown.get((played.session.id, word.text))
        right += shown is not None and shown.label is not None and mapping.get(shown.label) == word.speaker
    return right / max(1, len(played.meeting.words))


def shown_late_s(
    played: Played, onlooker: Onlooker, openai: Mapping[str, Any], hold_back_s: float
) -> list[tuple[float, str]]:
    """How much later each word was shown than it must be, and the word; by how late.

    A word must be shown when it was captured to its end, plus the hold-back, plus what the stand-in took from the
    arrival of the word's last sample to its text. Words due before the transcriber was connected are left out.
    """
    connections = [commit["connection"] for commit in _commits(played, openai)]
    opened_at = min(one["opened_at"] for one in openai["connections"] if one["number"] in connections)
    own_s: dict[str, float] = {}
    for delta in openai["deltas"]:
        if delta["meeting"] == played.meeting.name:
            own_s.setdefault(delta["word"], delta["sent_at"] - delta["heard_at"])
    late: list[tuple[float, str]] = []
    for turn in played.turns:
        for text in turn.text.split():
            word, shown = played.meeting.by_text.get(text), onlooker.shown.get((played.session.id, text))
            if word is None or shown is None or text not in own_s:
                continue
            due = _wall_of(turn, word.end) + hold_back_s
            if due > opened_at + CATCH_UP_S:
                late.append((shown.at - due - own_s[text], text))
    return sorted(late)


def finals_late_s(played: Sequence[Played], onlooker: Onlooker, openai: Mapping[str, Any]) -> list[float]:
    """From the stand-in's sending of each text to the final turn with it at the subscriber, sorted."""
    late: list[float] = []
    for one in played:
        told: set[str] = set()
        for commit in _commits(one, openai):
            fresh = [word for word in commit["words"] if word not in told]
            told.update(fresh)
            final_at = [onlooker.final_at[one.session.id, w] for w in fresh if (one.session.id, w) in onlooker.final_at]
            if final_at and commit["completed_at"] is not None:
                late.append(min(final_at) - commit["completed_at"])
    return sorted(late)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that a share of the others is not above; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _commits(played: Played, openai: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    name = played.meeting.name
    return [commit for commit in openai["commits"] if any(span[0] == name for span in commit["spans"])]


def _wall_of(turn: Turn, sample: int) -> float:
    """The wall time of a sample, by the map of the session around this turn."""
    start_s = turn.start_time.ToNanoseconds() / 1e9
    return start_s + sample / RATE_HZ - turn.start_offset.ToNanoseconds() / 1e9

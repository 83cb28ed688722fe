"""Rendered meetings as live sessions of the real daemon against the vendor stand-ins, and what came of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minuted import AsyncClient, Session, SessionState, Turn
from tests.bench.reference import Reference, reference
from tests.bench.scoring import Score, ScoredTurn, arrivals, obvious_merge, score
from tests.e2e.following import Seen, ended, follow
from tests.fakes.meeting import RATE_HZ, Meeting, seed_of, write_wav

LAG_S, SIGMA_S = 0.3, 0.05
PYANNOTE_KNOBS = {"latency_s": LAG_S, "sigma_s": SIGMA_S}
COMPLETED_S = (0.6, 0.9)
OUT_OF_ORDER = 0.5
"""The share of completions that come 1 to 2 s later than the others, in the runs out of order."""
EXCERPTS = (
    ("IB4010", 2825.5),
    ("TS3004b", 2049.5),
    ("ES2011d", 939.5),
    ("IS1008c", 902.0),
    ("ES2011b", 129.0),
    ("IB4003", 1035.0),
)
"""Lively minutes of real meetings that begin with a pause, in which both vendors are being connected."""
HOLD_BACK_S = 0.5
"""As it starts; with events that are LAG_S late it does not change within the first minute."""
CATCH_UP_S = 1.0
"""After so long a connection has been sent what was kept for it."""


@dataclass(frozen=True)
class Played:
    """One meeting and the session that heard it: as it ended, its turns as ListTurns gives them, all that was seen."""

    meeting: Meeting
    session: Session
    turns: Sequence[Turn]
    seen: Seen

    @property
    def score(self) -> Score:
        return score(self.meeting, scored(self.turns))

    @property
    def best(self) -> Reference:
        return reference(self.meeting)

    def obvious(self, out_of_order: float) -> Score:
        """What the obvious merge makes of the same meeting, with events and completions as the stand-ins give them."""
        rng = np.random.default_rng(seed_of("obvious", self.meeting.name))
        due_s = 0.0
        events = []
        for event in arrivals(self.meeting, 0.0):
            due_s = max(due_s, event.stamp_s + max(0.02, rng.normal(LAG_S, SIGMA_S)))
            events.append(type(event)(due_s, event.kind, event.speaker, event.stamp_s))

        def completion_s(_: int) -> float:
            late = rng.uniform(1.0, 2.0) if rng.random() < out_of_order else 0.0
            return float(rng.uniform(*COMPLETED_S) + late)

        return score(self.meeting, obvious_merge(self.meeting, events, completion_s))

    def commit_latencies_s(self, openai: Mapping[str, Any]) -> list[float]:
        """From the end of each turn's speech to the commit that was answered with its words, as the vendor saw it.

        Without the turns that began before the connection was there and what had been kept for it was sent.
        """
        opened_at = {one["number"]: one["opened_at"] for one in openai["connections"]}
        turn_of = {word: turn for turn in self.turns for word in turn.text.split()}
        found: list[float] = []
        for commit in openai["commits"]:
            turns = {turn_of[word].id: turn_of[word] for word in commit["words"] if word in turn_of}
            if len(turns) != 1:
                continue
            (turn,) = turns.values()
            start_s, length_ns = turn.start_time.ToNanoseconds() / 1e9, turn.end_offset.ToNanoseconds()
            length_s = (length_ns - turn.start_offset.ToNanoseconds()) / 1e9
            if start_s > opened_at[commit["connection"]] + CATCH_UP_S:
                found.append(commit["at"] - (start_s + length_s))
        return found

    def sent_share(self, openai: Mapping[str, Any]) -> float:
        """Audio sent to the transcriber as a share of the speech in the meeting."""
        numbers = {c["connection"] for c in openai["commits"] if any(s[0] == self.meeting.name for s in c["spans"])}
        sent_s = sum(c["appended_s"] for c in openai["connections"] if c["number"] in numbers)
        return float(sent_s * RATE_HZ / speech(self.meeting))


async def play(client: AsyncClient, meetings: Sequence[Meeting], place: Path, seen: Seen | None = None) -> list[Played]:
    """Hear all meetings at once, each as a session of its own, until all have ended; one subscriber sees it all."""
    names = {f"room-{number}": meeting for number, meeting in enumerate(meetings)}
    for name, meeting in names.items():
        await asyncio.to_thread(write_wav, place / f"{name}.wav", meeting)

    async def start() -> None:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(client.start(name, device=f"file:{place}/{name}.wav"))

    began_at = (await client.info()).highest_seq
    seen = await follow(client, ended(len(names)), after=began_at, partials=True, seen=seen, caught_up=start)
    played = []
    for session in seen.sessions.values():
        turns = [turn async for turn in client.turns(session.id)]
        assert session.state == SessionState.SESSION_STATE_STOPPED, session.failure
        played.append(Played(names[session.name], session, turns, seen))
    return sorted(played, key=lambda one: list(names).index(one.session.name))


def scored(turns: Sequence[Turn]) -> list[ScoredTurn]:
    """Turns of the contract, for the scoring."""
    return [
        ScoredTurn(
            turn.speaker.label or None,
            turn.start_offset.ToNanoseconds() / 1e9,
            turn.end_offset.ToNanoseconds() / 1e9,
            turn.text,
            [other.speaker.label for other in turn.overlapping_speakers],
        )
        for turn in turns
    ]


def speech(meeting: Meeting) -> int:
    """Samples in which anybody speaks."""
    total = until = 0
    for segment in meeting.segments:
        total += max(0, segment.end - max(segment.start, until))
        until = max(until, segment.end)
    return total

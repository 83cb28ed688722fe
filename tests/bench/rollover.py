"""`make bench-rollover`: five minutes of real meetings while both vendors end every connection soon.

Three sessions of one daemon at once. OpenAI's sessions expire after 20 s, pyannote's streams are closed after 90 s, and
each stream numbers the speakers anew. Nothing may be lost or repeated, nobody joined with somebody else, and everybody
who is heard for a second in two streams keeps the identity. Exits 1 if a figure misses its target.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.live_joins import Joins, joins, spans
from tests.bench.live_shown import Onlooker, finals_late_s, quantile
from tests.e2e.daemon_process import run_daemon, short_place
from tests.e2e.live_run import PYANNOTE_KNOBS, Played, play
from tests.fakes.meeting import Meeting, load_meeting
from tests.fakes.processes import openai_standin, pyannote_standin

MEETINGS = (("IB4010", 2634.5), ("ES2011d", 921.5), ("TS3004b", 1794.5))
LENGTH_S = 300.0
SESSION_S, STREAM_S = 20.0, 90.0
MAY_MISS = 0.01


@dataclass(frozen=True)
class Outcome:
    """What came of it: the sessions, what one subscriber saw, and what both vendors did."""

    played: Sequence[Played]
    onlooker: Onlooker
    openai: Mapping[str, Any]
    pyannote: Mapping[str, Any]

    def misses(self, played: Played, joined: Joins) -> list[str]:
        """The targets that one session missed."""
        ours, found = played.score, []
        if ours.words_lost or ours.words_repeated or ours.words_foreign:
            found.append("lost, repeated or foreign")
        if joined.wrong:
            found.append("wrong joins")
        if joined.lost:
            found.append("identities lost")
        if ours.right_merged < played.best.right - MAY_MISS:
            found.append("right")
        return found

    @property
    def breaches(self) -> list[str]:
        """What the vendors had to complain of, and connections they had to end."""
        found = []
        if any(set(one["errors"]) - {"session_expired"} for one in self.openai["connections"]):
            found.append("protocol of openai")
        if any(one["bad_frames"] or one["pace_violations"] for one in self.pyannote["connections"]):
            found.append("protocol of pyannote")
        if any(one["closed_by"] == "server" for one in self.openai["connections"]):
            found.append("session not renewed in time")
        if any(one["close_code"] != 1000 for one in self.pyannote["connections"]):
            found.append("stream not renewed in time")
        return found


async def run(meetings: Sequence[Meeting], session_s: float = SESSION_S, stream_s: float = STREAM_S) -> Outcome:
    """Play the meetings once, with connections that last so long."""
    knobs = {**PYANNOTE_KNOBS, "max_stream_s": stream_s, "max_stream_code": 1011}
    with (
        short_place() as place,
        pyannote_standin(meetings, knobs=knobs) as pyannote,
        openai_standin(meetings, knobs={"expires_s": session_s}) as openai,
    ):
        limited = {"base_url": pyannote.base_url, "max_stream_s": stream_s}
        async with (
            run_daemon(place, openai_url=openai.base_url, pyannote=limited) as daemon,
            daemon.client() as client,
        ):
            onlooker = Onlooker()
            played = await play(client, meetings, place, onlooker)
            return Outcome(played, onlooker, openai.stats(), pyannote.stats())


def report(outcome: Outcome) -> int:
    """Print what came of it; give how many rows miss a target."""
    missed = 0
    for played in outcome.played:
        ours, best, joined = played.score, played.best, joins(played, outcome.pyannote)
        wrong = outcome.misses(played, joined)
        missed += bool(wrong)
        people = len(played.meeting.speakers)
        print(
            f"{played.meeting.name:19}{ours.words:6}{100 * ours.right:8.2f}{100 * ours.right_merged:8.2f}"
            f"{100 * best.right:8.2f}{100 * ours.right_or_listed:8.2f}{ours.words_lost:6}{ours.words_repeated:6}"
            f"{100 * ours.unknown:9.2f}{ours.turns:7}{best.count:6}{people:8}{len(joined.labels):8}"
            f"{len(joined.wrong):7}{len(joined.kept):6}{len(joined.lost):6}"
            f"{len(spans(played.meeting, outcome.pyannote)):9}  {', '.join(wrong)}"
        )
        for label, person in joined.wrong:
            print(f"  {label} is also {person}: {dict(joined.labels[label])}")
        for number, person in joined.lost:
            print(f"  {person} is somebody else after roll-over {number}")
    finals = finals_late_s(outcome.played, outcome.onlooker, outcome.openai)
    print(
        f"text to final turn: median {1000 * quantile(finals, 0.5):.1f} ms, "
        f"99 % {1000 * quantile(finals, 0.99):.1f} ms, {len(finals)} turns; load {os.getloadavg()[0]:.2f}"
    )
    for vendor, stats in (("openai", outcome.openai), ("pyannote", outcome.pyannote)):
        ends = Counter(f"{one['close_code']} by {one['closed_by']}" for one in stats["connections"])
        print(f"{vendor}: {len(stats['connections'])} connections, ended with {dict(ends)}")
    print(
        f"openai: {len(outcome.openai['words_twice'])} words were in two commits, "
        f"{outcome.openai['twice_committed_s']:.1f} s of audio"
        f"  {', '.join(outcome.breaches)}"
    )
    return missed + bool(outcome.breaches)


def main() -> int:
    """Print the table; give the exit code."""
    print(f"sessions of openai end after {SESSION_S:.0f} s, streams of pyannote after {STREAM_S:.0f} s; words in %;")
    print("merged: right if a person joined the labels of one speaker; people: who speak; labels: with a clear turn")
    print(
        f"{'meeting':19}{'words':>6}{'right':>8}{'merged':>8}{'ref.':>8}{'listed':>8}{'lost':>6}{'rep.':>6}"
        f"{'unknown':>9}{'turns':>7}{'ref.':>6}{'people':>8}{'labels':>8}{'wrong':>7}{'kept':>6}{'apart':>6}"
        f"{'streams':>9}",
        flush=True,
    )
    meetings = [load_meeting(name, start_s, LENGTH_S) for name, start_s in MEETINGS]
    missed = report(asyncio.run(run(meetings)))
    print("every figure within its target" if not missed else f"{missed} rows miss a target")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-live`: three real meetings at once through the real daemon, against both vendors' stand-ins.

60 s each of three timelines as three sessions of one daemon, first with completions in the order of their commits, then
out of order. The diarizer's events come 0.3 s late (sigma 0.05 s). Exits 1 if a figure misses its target.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

from tests.e2e.daemon_process import run_daemon, short_place
from tests.e2e.live_run import EXCERPTS, OUT_OF_ORDER, PYANNOTE_KNOBS, Played, play
from tests.fakes.meeting import load_meeting
from tests.fakes.processes import openai_standin, pyannote_standin

LENGTH_S = 60.0
MAY_MISS = 0.02
LATEST_S = 0.5 + 0.8 + 0.1
"""From the end of a turn's speech to its commit: hold-back (as it starts; in a minute it only grows), join gap, 0.1."""


def misses(played: Played, openai: Mapping[str, Any], pyannote: Mapping[str, Any]) -> list[str]:
    """The targets that one session missed."""
    ours, found = played.score, []
    if ours.right < played.best.right - MAY_MISS:
        found.append("right")
    if ours.words_lost or ours.words_repeated or ours.words_foreign:
        found.append("lost, repeated or foreign")
    if max(played.commit_latencies_s(openai), default=LATEST_S) > LATEST_S:
        found.append("commit latency")
    if openai["words_twice"] or any(one["errors"] for one in openai["connections"]):
        found.append("protocol of openai")
    if any(one["bad_frames"] or one["pace_violations"] for one in pyannote["connections"]):
        found.append("protocol of pyannote")
    return found


async def run(out_of_order: float) -> int:
    """Play the three meetings and print their figures; give how many of them miss a target."""
    meetings = [load_meeting(name, start_s, LENGTH_S) for name, start_s in EXCERPTS]
    with (
        short_place() as place,
        pyannote_standin(meetings, knobs=PYANNOTE_KNOBS) as pyannote,
        openai_standin(meetings, knobs={"out_of_order": out_of_order}) as openai,
    ):
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            results = await play(client, meetings, place)
            heard, told = openai.stats(), pyannote.stats()
    missed = 0
    for played in results:
        ours, best = played.score, played.best
        latencies = sorted(played.commit_latencies_s(heard))
        wrong = misses(played, heard, told)
        missed += bool(wrong)
        print(
            f"{played.meeting.name:16}{out_of_order:6.2f}{ours.words:7}{100 * played.obvious(out_of_order).right:9.2f}"
            f"{100 * ours.right:8.2f}{100 * best.right:11.2f}{100 * ours.right_or_listed:8.2f}{ours.words_lost:6}"
            f"{ours.words_repeated:6}{100 * ours.unknown:9.2f}{ours.turns:7}{best.count:6}"
            f"{played.sent_share(heard):7.3f}{latencies[len(latencies) // 2]:8.2f}{latencies[-1]:7.2f}"
            f"  {', '.join(wrong)}",
            flush=True,
        )
    return missed


def main() -> int:
    """Print the table; give the exit code."""
    print("words on the right speaker in %; late: share of completions 1 to 2 s later than the others;")
    print(f"commit: from the end of a turn's speech to its commit in s, median and maximum (at most {LATEST_S:.1f})")
    print(
        f"{'meeting':16}{'late':>6}{'words':>7}{'obvious':>9}{'ours':>8}{'reference':>11}{'listed':>8}{'lost':>6}"
        f"{'rep.':>6}{'unknown':>9}{'turns':>7}{'ref.':>6}{'sent':>7}{'commit':>8}{'max':>7}",
        flush=True,
    )
    missed = sum(asyncio.run(run(out_of_order)) for out_of_order in (0.0, OUT_OF_ORDER))
    print("every figure within its target" if not missed else f"{missed} rows miss a target")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Hours of a real daemon with four sessions: memory, descriptors, threads, and whether every word still comes."""

import asyncio
import os
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import soundfile

from minuted import AsyncClient, SessionState
from tests.bench.footprint import cpu_s
from tests.bench.soak_slope import slope
from tests.e2e.daemon_process import DaemonProcess, descendants, short_place
from tests.e2e.live_run import PYANNOTE_KNOBS
from tests.fakes.meeting import RATE_HZ, Meeting, load_meeting, render
from tests.fakes.processes import openai_standin, pyannote_standin

MEETINGS = (("IB4010", 2634.5), ("TS3004b", 1794.5), ("ES2011d", 921.5), ("IS1008c", 902.0))
LENGTH_S = 300.0
"""Of each meeting, again and again."""
EVERY_S = 10.0
WARM_UP_SHARE = 0.25
"""Not measured: in this part of the run whatever has a bound fills up, such as the samples of voices."""
MOST_MB_AN_HOUR = 1.0


@dataclass
class Figures:
    """One figure for each look."""

    at_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    cpu_share: float = 0.0
    turns: int = 0
    degraded: int = 0

    def look(self, pid: int, at_s: float) -> None:
        """Take all figures now."""
        pids = [pid, *descendants(pid)]
        self.at_s.append(at_s)
        self.memory_mb.append(own_mb(pids))
        self.descriptors.append(sum(len(list(Path(f"/proc/{one}/fd").iterdir())) for one in pids))
        self.threads.append(sum(len(list(Path(f"/proc/{one}/task").iterdir())) for one in pids))
        self.processes.append(len(pids))

    def after(self, warm_s: float) -> "Figures":
        """The figures behind the warm-up."""
        first = sum(at_s < warm_s for at_s in self.at_s)
        return Figures(
            self.at_s[first:],
            self.memory_mb[first:],
            self.descriptors[first:],
            self.threads[first:],
            self.processes[first:],
            self.cpu_share,
            self.turns,
            self.degraded,
        )


def own_mb(pids: Sequence[int]) -> float:
    """Memory that processes have for themselves. A share of what they have in common with others changes with those."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    own = [re.search(r"^Anonymous:\s+(\d+)", rollup, re.MULTILINE) for rollup in rollups]
    return sum(int(found[1]) for found in own if found) / 1024


def report(minutes: float) -> list[str]:
    """Run, print the figures, and give the names of those that miss their targets."""
    figures = asyncio.run(run(minutes * 60))
    warm_s = WARM_UP_SHARE * minutes * 60
    kept = figures.after(warm_s)
    memory = slope(kept.at_s, kept.memory_mb)
    descriptors, threads = slope(kept.at_s, kept.descriptors), slope(kept.at_s, kept.threads)
    print(
        f"{minutes:.0f} min of {len(MEETINGS)} sessions, the first {warm_s / 60:.0f} left out; "
        f"load {os.getloadavg()[0]:.2f}"
    )
    print(
        f"memory       {kept.memory_mb[0]:.1f} to {kept.memory_mb[-1]:.1f} MB, most {max(kept.memory_mb):.1f}; "
        f"{memory} (95 %; less than {MOST_MB_AN_HOUR:.0f})"
    )
    print(f"descriptors  {min(kept.descriptors)} to {max(kept.descriptors)}; {descriptors}")
    print(f"threads      {min(kept.threads)} to {max(kept.threads)}; {threads}; processes {max(kept.processes)}")
    print(f"processor    {100 * figures.cpu_share:.1f} % of one core; {figures.turns} final turns")
    missed = []
    if memory.per_hour >= MOST_MB_AN_HOUR:
        missed.append("memory")
    if _grew(kept.descriptors):
        missed.append("descriptors")
    if _grew(kept.threads):
        missed.append("threads")
    if figures.degraded:
        missed.append("sessions degraded at the end")
    return missed


async def run(length_s: float) -> Figures:
    """Hear four meetings over and over, and look every ten seconds."""
    meetings = [load_meeting(name, start_s, LENGTH_S) for name, start_s in MEETINGS]
    figures = Figures()
    with ExitStack() as stack:
        place = stack.enter_context(short_place())
        pyannote = stack.enter_context(pyannote_standin(meetings, knobs=PYANNOTE_KNOBS))
        openai = stack.enter_context(openai_standin(meetings))
        for number, meeting in enumerate(meetings):
            _write(place / f"{number}.flac", meeting, length_s + 2 * EVERY_S)
        vendors = {"pyannote": {"base_url": pyannote.base_url}, "openai": {"base_url": openai.base_url}}
        async with DaemonProcess(place, vendors, log_level="info") as daemon, daemon.client() as client:
            for number in range(len(meetings)):
                await client.start(f"room-{number}", device=f"file:{place}/{number}.flac")
            began, used_s = time.monotonic(), cpu_s([daemon.pid])
            while (now_s := time.monotonic() - began) < length_s:
                await asyncio.to_thread(figures.look, daemon.pid, now_s)
                await asyncio.sleep(EVERY_S)
            figures.cpu_share = (cpu_s([daemon.pid]) - used_s) / (time.monotonic() - began)
            await _count(client, range(len(meetings)), figures)
            for number in range(len(meetings)):
                await client.stop(f"room-{number}")
    return figures


async def _count(client: AsyncClient, numbers: Sequence[int] | range, figures: Figures) -> None:
    for number in numbers:
        session = await client.session(f"room-{number}")
        figures.degraded += session.degraded or session.state != SessionState.SESSION_STATE_RUNNING
        async for _ in client.turns(session.id):
            figures.turns += 1


def _write(path: Path, meeting: Meeting, length_s: float) -> None:
    """The meeting over and over."""
    left, sound = round(length_s * RATE_HZ), render(meeting)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
        while left > 0:
            file.write(sound[:left])
            left -= len(sound)


def _grew(figures: Sequence[int]) -> bool:
    """Whether the last quarter lies above all of the first: steps of a few that come and go are none."""
    quarter = max(1, len(figures) // 4)
    return min(figures[-quarter:]) > max(figures[:quarter])

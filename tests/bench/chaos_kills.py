"""`make chaos` with `--kills N`: `kill -9` N times at random moments over running sessions, and what that cost.

The sessions hear files, which go on where the spool ends, so after the last word of the last file every word is due,
whatever happened in between; those whose audio was captured less than a second before a kill are counted apart.
"""

import asyncio
import os
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field

import minuted
from minuted import SessionState, Turn
from tests.bench.chaos_stage import Witness
from tests.e2e.daemon_process import DaemonProcess, short_place
from tests.e2e.following import ENDED
from tests.e2e.live_run import PYANNOTE_KNOBS
from tests.fakes.meeting import RATE_HZ, Meeting, load_meeting, write_wav
from tests.fakes.processes import openai_standin, pyannote_standin

MEETINGS = (("IB4010", 2634.5), ("ES2011d", 921.5))
EACH_S, REST_S = 4.0, 30.0
"""How much of a meeting is heard for each kill, and behind the last."""
APART_S = (0.5, 6.0)
READY_S = 2.0
"""So soon after each start the daemon answers."""
CAPTURED_S = 1.0
"""Audio captured so long before a kill is on disk."""
END_LIMIT_S = 60.0
LOOK_EVERY_S = 1.0


@dataclass
class CommitRanges:
    """What was found wrong with what had been stored, over all kills. Times in seconds."""

    gone: set[str] = field(default_factory=set)
    renumbered: set[str] = field(default_factory=set)
    ready_s: list[float] = field(default_factory=list)
    killed_at: dict[str, list[float]] = field(default_factory=dict)
    """Of each session, how much of it had been heard when the daemon was killed."""

    def compare(self, before: Sequence[Turn], after: Sequence[Turn]) -> None:
        """Note turns that a subscriber had seen and the store has not, or has under another number."""
        stored = {turn.id: turn for turn in after}
        for turn in before:
            now = stored.get(turn.id)
            if now is None:
                self.gone.add(turn.id)
            elif now.seq < turn.seq or (now.revision == turn.revision and now.seq != turn.seq):
                self.renumbered.add(turn.id)


@dataclass(frozen=True, slots=True)
class Left:
    """A session after it all. `lost` without those words that were captured right before a kill: `lost_late`."""

    name: str
    state: str
    words: int
    lost: int
    lost_late: int
    repeated: int
    differs: bool

    @property
    def fell_short(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.lost or self.repeated or self.differs or self.state != "STOPPED")


async def run(kills: int, seed: int) -> tuple[CommitRanges, list[Left]]:
    """Kill the daemon so many times, then let the sessions end."""
    rng, book, witness = random.Random(seed), CommitRanges(), Witness()
    meetings = [load_meeting(name, start_s, EACH_S * kills + REST_S) for name, start_s in MEETINGS]
    rooms = {f"room-{number}": meeting for number, meeting in enumerate(meetings)}
    with ExitStack() as stack:
        place = stack.enter_context(short_place())
        pyannote = stack.enter_context(pyannote_standin(meetings, knobs=PYANNOTE_KNOBS))
        openai = stack.enter_context(openai_standin(meetings))
        for name, meeting in rooms.items():
            write_wav(place / f"{name}.wav", meeting)
        vendors = {"openai": {"base_url": openai.base_url}, "pyannote": {"base_url": pyannote.base_url}}
        daemon = DaemonProcess(place, vendors, log_level="info")
        async with daemon, daemon.client() as client, asyncio.TaskGroup() as group:
            for name in rooms:
                await client.start(name, device=f"file:{place}/{name}.wav")
            watching = group.create_task(_watch(client, witness))
            for _ in range(kills):
                await asyncio.sleep(rng.uniform(*APART_S))
                await _kill(daemon, rooms, witness, book)
            await _ended(daemon, rooms)
            left = [await _left(daemon, name, meeting, witness, book) for name, meeting in rooms.items()]
            watching.cancel()
    book.gone -= witness.retracted
    return book, left


async def _watch(client: minuted.AsyncClient, witness: Witness) -> None:
    async with aclosing(client.watch(after=0)) as stream:
        async for event in stream:
            witness.take(event)


async def _kill(daemon: DaemonProcess, rooms: dict[str, Meeting], witness: Witness, book: CommitRanges) -> None:
    async with daemon.client() as client:
        for name in rooms:
            heard_s = (await client.session(name)).duration.ToNanoseconds() / 1e9
            book.killed_at.setdefault(name, []).append(heard_s)
    daemon.kill()
    before = witness.turns
    await daemon.start()
    book.ready_s.append(daemon.ready_s)
    async with daemon.client() as client:
        after = [turn for name in rooms async for turn in client.turns(name)]
    book.compare(before, after)


async def _ended(daemon: DaemonProcess, rooms: dict[str, Meeting]) -> None:
    """Wait until all sessions have ended, if they do."""
    until = time.monotonic() + max(meeting.duration for meeting in rooms.values()) / RATE_HZ + END_LIMIT_S
    async with daemon.client() as client:
        while True:
            states = [(await client.session(name)).state for name in rooms]
            if all(state in ENDED for state in states) or time.monotonic() > until:
                return
            await asyncio.sleep(LOOK_EVERY_S)


async def _left(daemon: DaemonProcess, name: str, meeting: Meeting, witness: Witness, book: CommitRanges) -> Left:
    async with daemon.client() as client:
        session = await client.session(name)
        turns = [turn async for turn in client.turns(name)]
    texts = [text for turn in turns for text in turn.text.split()]
    lost = [word for word in meeting.words if word.text not in texts]
    late = [
        word
        for word in lost
        if any(at_s - CAPTURED_S <= word.end / RATE_HZ <= at_s + CAPTURED_S for at_s in book.killed_at.get(name, ()))
    ]
    seen = [turn for turn in witness.turns if turn.session_id == session.id]
    state = SessionState.Name(session.state).removeprefix("SESSION_STATE_")
    repeated = len(texts) - len(set(texts))
    return Left(name, state, len(meeting.words), len(lost) - len(late), len(late), repeated, turns != seen)


def main(kills: int, seed: int) -> int:
    """Print what came of it; give the exit code."""
    began = time.monotonic()
    book, left = asyncio.run(run(kills, seed))
    slowest_s = max(book.ready_s)
    print(f"kill -9, {kills} times over {len(left)} sessions, seed {seed}; load {os.getloadavg()[0]:.2f}")
    print(f"stored turns lost      {len(book.gone)}")
    print(f"stored turns renumbered{len(book.renumbered):2}")
    print(f"first answer after     median {statistics.median(book.ready_s):.2f} s, most {slowest_s:.2f} s")
    for one in left:
        print(
            f"{one.name}: {one.state}, {one.words} words, lost {one.lost}, of the last {CAPTURED_S:.0f} s before a "
            f"kill {one.lost_late}, repeated {one.repeated}, "
            f"subscriber {'differs from' if one.differs else 'saw'} the stored finals"
        )
    missed = bool(book.gone or book.renumbered) or slowest_s > READY_S or any(one.fell_short for one in left)
    print(f"{'falls short' if missed else 'every promise kept'}; {(time.monotonic() - began) / 60:.1f} min")
    return 1 if missed else 0

"""The faults of the daemon's own house, as a table: its process, its disk, its database, and who listens to it."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing

from minuted import Interrupted, StreamTurnsResponse
from tests.bench.chaos_judge import Window
from tests.bench.chaos_play import Fault, Strike
from tests.bench.chaos_stage import Stage
from tests.bench.small_disk import fill
from tests.e2e.following import Seen

STOP_READING_S = 20.0
CATCH_UP_S = 10.0
DISK = "24m"


def killed(times: int, apart_s: float) -> Strike:
    """`kill -9`, and start it again at once."""

    async def strike(stage: Stage) -> Window:
        began_at, slowest_s = time.time(), 0.0
        for number in range(times):
            if number:
                await asyncio.sleep(apart_s)
            stage.daemon.kill()
            await stage.daemon.start()
            slowest_s = max(slowest_s, stage.daemon.ready_s)
        stage.daemon.ready_s = slowest_s
        return Window(began_at, time.time())

    return strike


async def ended_and_started(stage: Stage) -> Window:
    """SIGTERM in mid-speech, and start it again."""
    began_at = time.time()
    await stage.daemon.stop()
    await stage.daemon.start()
    return Window(began_at, time.time())


def stopped(for_s: float) -> Strike:
    """The daemon's process stands still for a while (SIGSTOP)."""

    async def strike(stage: Stage) -> Window:
        began_at = time.time()
        os.kill(stage.daemon.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            os.kill(stage.daemon.pid, signal.SIGCONT)
        return Window(began_at, time.time())

    return strike


def disk_full(for_s: float) -> Strike:
    """The disk with the state directory is filled to its last byte, and then freed."""

    async def strike(stage: Stage) -> Window:
        began_at, told = time.time(), len(stage.told)
        ballast = await asyncio.to_thread(fill, stage.daemon.state_dir)
        await asyncio.sleep(for_s)
        if len(stage.told) == told:
            stage.notes.append("the session did not tell that the disk is full")
        ballast.unlink()
        return Window(began_at, time.time())

    return strike


def database_locked(for_s: float) -> Strike:
    """Another process holds the database's write lock."""

    async def strike(stage: Stage) -> Window:
        began_at = time.time()
        with closing(sqlite3.connect(stage.daemon.state_dir / "minuted.db", isolation_level=None, timeout=5)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(for_s)
            other.execute("ROLLBACK")
        return Window(began_at, time.time())

    return strike


async def reads_no_more(stage: Stage) -> Window:
    """A subscriber with partials stops reading for a while, then goes on."""
    began_at, seen = time.time(), Seen()
    async with stage.daemon.client() as client, aclosing(client.watch(after=0)) as stream:
        async for event in stream:
            seen.take(event)
            if seen.seqs:
                break
        await asyncio.sleep(STOP_READING_S)
        over_at = time.time()
        await _catch_up(stage, seen, stream)
    return Window(began_at, over_at)


async def reconnects(stage: Stage) -> Window:
    """A subscriber hangs up after every third change and asks again at its cursor."""
    began_at, seen, cursor = time.time(), Seen(), 0
    while time.time() < began_at + STOP_READING_S:
        async with stage.daemon.client() as client, aclosing(client.watch(after=cursor)) as stream:
            async for event in stream:
                seen.take(event)
                cursor = seen.seqs[-1] if seen.seqs else 0
                if len(seen.seqs) % 3 == 2:
                    break
    over_at = time.time()
    async with stage.daemon.client() as client, aclosing(client.watch(after=cursor)) as stream:
        await _catch_up(stage, seen, stream)
    return Window(began_at, over_at)


async def _catch_up(stage: Stage, seen: Seen, stream: AsyncGenerator[StreamTurnsResponse | Interrupted, None]) -> None:
    """Read on until everything is there that the list has now, each final once: Seen sees to that."""
    due = {(turn.id, turn.revision) for turn in await stage.turns()}
    try:
        async with asyncio.timeout(CATCH_UP_S):
            async for event in stream:
                seen.take(event)
                if due <= {(turn.id, turn.revision) for turn in seen.turns} | _newer(due, seen):
                    return
    except TimeoutError:
        stage.notes.append("the subscriber did not catch up")


def _newer(due: set[tuple[str, int]], seen: Seen) -> set[tuple[str, int]]:
    """Those of `due` that have been revised or withdrawn since."""
    gone = {one for one in due if one[0] in seen.retracted}
    return gone | {one for one in due if one[0] in seen.finals and seen.finals[one[0]].revision > one[1]}


HOUSE: Sequence[Fault] = (
    Fault("process: kill -9", "process", killed(1, 0)),
    Fault("process: kill -9, three times", "process", killed(3, 4.0), length_s=60.0),
    Fault("process: SIGTERM in mid-speech, started again", "process", ended_and_started, cut_short=True),
    Fault("process: stopped for 3 s (SIGSTOP)", "process", stopped(3.0)),
    Fault("disk: full to the last byte for 10 s", "disk", disk_full(10.0), length_s=60.0, disk=DISK),
    Fault("disk: database locked for 5 s", "disk", database_locked(5.0)),
    Fault("client: reads nothing for 20 s", "client", reads_no_more, length_s=60.0),
    Fault("client: hangs up and asks again", "client", reconnects, length_s=60.0),
)

"""Plays one fault over one meeting and says what came of it."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import minuted
from minuted import SessionState, TextSource
from tests.bench.chaos_judge import LATEST_S, Counts, Window, adds_up, counted, latest_s, recovered_s, start_at
from tests.bench.chaos_stage import Stage, look, staged, start, watch
from tests.e2e.following import ENDED
from tests.fakes.meeting import Meeting

DRAIN_S = 45.0
"""So long after the end of the audio, plus the outage, a session has ended."""
QUIET_S = 3.0
"""Nothing more is expected once nothing has changed for so long."""
MENDED_S = 45.0
"""So long after the transcriber is mended the texts of an ended session are there."""
READY_S = 2.0
"""So soon after each start the daemon answers; judged where the fault is the process's, and few others are played."""
HEARD_S = 1.0
"""What was heard less than this before SIGTERM may have been in no block yet."""

Strike = Callable[[Stage], Awaitable[Window]]


@dataclass(frozen=True)
class Fault:
    """One row. `strike` does it, `strike_s` into the session, and returns when it is over.

    `on` says whose fault it is: "openai", "pyannote", "both", "process", "disk", "client", "all". `refused`: for good,
    so that what comes after cannot have speakers, and has text only once the cause is mended. `cut_short`: the session
    ends with the daemon. `disk` is the size of a state directory in memory. `slower_s`: from then on the vendor itself
    answers so much later. `sent`: so many times the transcriber may be sent what it was sent at all; 0 is no matter.
    """

    name: str
    on: str
    strike: Strike
    length_s: float = 45.0
    strike_s: float = 12.0
    refused: bool = False
    cut_short: bool = False
    disk: str = ""
    slower_s: float = 0.0
    sent: float = 0.0

    @property
    def silences(self) -> bool:
        """Whether nothing gets text any more as long as the session lives."""
        return self.refused and self.on in ("openai", "both")


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a fault. `missed` says what fell short, in words; `ready_s`: the slowest first answer to an RPC."""

    fault: str
    on: str
    counts: Counts | None
    recovered_s: float | None
    latest_s: float | None
    ready_s: float
    told: tuple[str, ...]
    missed: tuple[str, ...]


def play(fault: Fault, meeting: Meeting, strike_s: float, seed: int, logs: Path | None) -> Row:
    """Play a fault, `strike_s` into the session; takes the meeting's length and about 10 s."""
    try:
        return asyncio.run(_play(fault, meeting, strike_s, seed, logs))
    except (AssertionError, OSError, subprocess.SubprocessError, minuted.Error, BaseExceptionGroup) as error:
        return _broken(fault, "; ".join(_first_lines(error)))


async def _play(fault: Fault, meeting: Meeting, strike_s: float, seed: int, logs: Path | None) -> Row:
    async with staged(meeting, fault.disk, seed) as stage:
        with _log_kept(stage, fault, logs) as missed:
            async with asyncio.TaskGroup() as group:
                watching = [group.create_task(watch(stage)), group.create_task(look(stage))]
                await start(stage)
                await asyncio.sleep(max(0.0, stage.began_at + strike_s - time.time()))
                window = await fault.strike(stage)
                await _ended(stage, fault, window)
                if fault.silences:
                    await _mended(stage, fault)
                row = await _row(stage, fault, window)
                for task in watching:
                    task.cancel()
            bugs = await _bugs(stage)
            missed += [*row.missed, *bugs]
            return replace(row, missed=tuple(missed))


async def _bugs(stage: Stage) -> list[str]:
    """End the daemon, which looks through its log."""
    try:
        await stage.daemon.stop()
    except AssertionError as error:
        events = [line.split()[2] for line in str(error).splitlines() if len(line.split()) > 2]
        return [f"the log tells of a bug: {', '.join(sorted(set(events)))}"[:120]]
    return []


@contextmanager
def _log_kept(stage: Stage, fault: Fault, logs: Path | None) -> Iterator[list[str]]:
    """Keep the daemon's log if anything is put into the list, or is raised."""
    missed: list[str] = []
    try:
        yield missed
    except BaseException:
        missed.append("raised")
        raise
    finally:
        if missed and logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
            name = "".join(letter if letter.isalnum() else "_" for letter in fault.name)
            (logs / f"{name}.log").write_text(stage.daemon.log)


async def _ended(stage: Stage, fault: Fault, window: Window) -> None:
    """Wait until the session has ended and nothing more changes."""
    until = max(window.ended_at, stage.began_at + fault.length_s) + (window.ended_at - window.began_at) + DRAIN_S
    async with stage.changed:
        try:
            async with asyncio.timeout(max(0.0, until - time.time())):
                await stage.changed.wait_for(lambda: any(one.state in ENDED for one in stage.witness.sessions.values()))
                while True:
                    async with asyncio.timeout(QUIET_S):
                        await stage.changed.wait()
        except TimeoutError:
            return


async def _mended(stage: Stage, fault: Fault) -> None:
    """Take a refusal back behind the end, as who pays the bill, and start the daemon anew; wait for the texts."""
    session = await stage.session()
    if session.coverage.lost or not session.coverage.pending.ToNanoseconds():
        stage.notes.append("what waits for its text is told to be lost")
    for vendor in ("openai", "pyannote") if fault.on == "both" else (fault.on,):
        await stage.order(vendor, clear_faults=True)
    await stage.daemon.stop()
    await stage.daemon.start()
    stage.told.append("mended behind the end")
    try:
        async with asyncio.timeout(MENDED_S), stage.changed:
            await stage.changed.wait_for(
                lambda: all(turn.text_source == TextSource.TEXT_SOURCE_COMPLETED for turn in stage.witness.turns)
            )
    except TimeoutError:
        stage.notes.append("not all texts came")


async def _row(stage: Stage, fault: Fault, window: Window) -> Row:
    session, turns = await stage.session(), await stage.turns()
    stage.take(session)
    witness = stage.witness
    # Before the fault session time and wall time run side by side.
    first = min(turns, key=lambda turn: turn.start_offset.ToNanoseconds(), default=None)
    began_at = stage.began_at if first is None else start_at(first) - first.start_offset.ToNanoseconds() / 1e9
    heard_s = session.duration.ToNanoseconds() / 1e9
    counts = counted(
        stage.meeting,
        turns,
        (window.began_at - began_at - 1.0, float("inf") if fault.refused else window.over_at - began_at),
        heard_s - HEARD_S if fault.cut_short else stage.meeting.duration,
    )
    who = witness.attributed_at if fault.on in ("pyannote", "both", "all") else witness.final_at
    back_s, late_s = recovered_s(window, turns, who), latest_s(window, turns, witness.final_at, heard_s)
    missed = list(stage.notes)
    if session.state != SessionState.SESSION_STATE_STOPPED:
        state = SessionState.Name(session.state).removeprefix("SESSION_STATE_")
        missed.append(f"session {state} {session.failure.reason}".strip())
    if fault.on == "process" and stage.daemon.ready_s > READY_S:
        missed.append(f"answered {stage.daemon.ready_s:.1f} s after a start")
    if counts.lost or counts.repeated or counts.foreign:
        missed.append("words lost or repeated")
    if counts.wrong > counts.wrong_allowed and not (fault.refused and fault.on == "pyannote"):
        missed.append("wrong speakers")
    if back_s is None and not (fault.refused or fault.cut_short):
        missed.append("never recovered")
    if late_s is not None and late_s > LATEST_S + fault.slower_s and not fault.refused:
        missed.append("late afterwards")
    if {turn.id: turn for turn in turns} != {turn.id: turn for turn in witness.turns if turn.session_id == session.id}:
        missed.append("subscriber and list differ")
    if not adds_up(session, owed=any(turn.text_source != TextSource.TEXT_SOURCE_COMPLETED for turn in turns)):
        missed.append("coverage does not add up")
    missed += await asyncio.to_thread(_breaches, stage, fault)
    return Row(
        fault.name,
        fault.on,
        counts,
        None if fault.refused or fault.cut_short else back_s,
        None if fault.refused else late_s,
        stage.daemon.ready_s,
        tuple(stage.told),
        tuple(missed),
    )


def _breaches(stage: Stage, fault: Fault) -> list[str]:
    """What the vendors have to complain of, and who pays them."""
    found = []
    if fault.sent:
        openai = stage.openai.stats()
        times = sum(one["appended_s"] for one in openai["connections"]) / openai["covered_s"]
        stage.told.append(f"sent {times:.2f} times")
        if times > fault.sent:
            found.append(f"sent {times:.2f} times")
    if any(one["pace_violations"] for one in stage.pyannote.stats()["connections"]):
        found.append("pyannote was sent audio in bursts")
    if any(one["bad_frames"] for one in stage.pyannote.stats()["connections"]):
        found.append("pyannote was sent bad frames")
    return found


def _broken(fault: Fault, why: str) -> Row:
    return Row(fault.name, fault.on, None, None, None, 0.0, (), (why,))


def _first_lines(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [line for one in error.exceptions for line in _first_lines(one)]
    lines = str(error).strip().splitlines()
    return [f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]]

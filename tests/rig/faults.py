"""Every way in which a microphone is known to fail, done to a real stream, and how long it took to notice and to mend.

Used by the end-to-end tests and by the bench, which prints the same as a table.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.core.records import Health
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, CaptureStream
from tests.rig.fixtures import Rig, SoundServer
from tests.rig.hearing import take, workers_of
from tests.rig.ramp import lost_s

STEADY_BLOCKS = 12
AFTER_BLOCKS = 12
MOST_S = 20.0

Act = Callable[[], object]


@dataclass(frozen=True)
class Fault:
    """What happens to a device, and what ends it `lasts_s` later; no cure where the daemon is to mend it alone.

    `from_the_start`: the session begins in the middle of it.
    """

    name: str
    device: str
    cause: Act
    cure: Act | None = None
    lasts_s: float = 0.0
    from_the_start: bool = False


@dataclass(frozen=True)
class Outcome:
    """How one fault went.

    `reason`: what DOWN said. `filled`: the reasons of the gap. `detected_s`: from the cause to DOWN. `recovered_s`:
    from the device's return (or the cause, if the daemon mends it alone) to the first block that was heard.
    `silent_s`: the length of the gap. `lost_s`: audio missing between blocks that were called heard. `off_s`: how far
    the sample clock is behind real time at the end.
    """

    fault: str
    reason: str
    filled: Sequence[str]
    detected_s: float
    recovered_s: float
    silent_s: float
    lost_s: float
    off_s: float


async def suffer(capture: MachineCapture, fault: Fault, opening: asyncio.Lock) -> Outcome:
    """Hear a device before, during and after a fault. Raises TimeoutError if that takes more than 20 s.

    `opening` is held while the device is opened: many workers that start at once keep each other waiting.
    """
    async with opening:
        if fault.from_the_start:
            fault.cause()
        stream = await capture.open(fault.device, wait=fault.from_the_start)
    try:
        async with asyncio.timeout(MOST_S):
            return await _suffered(stream, fault)
    finally:
        await stream.close()


async def _suffered(stream: CaptureStream, fault: Fault) -> Outcome:
    blocks: list[AudioBlock] = []
    if not fault.from_the_start:
        blocks += await take(stream, STEADY_BLOCKS)
    before, began_s = len(blocks), time.monotonic()
    if not fault.from_the_start:
        await asyncio.to_thread(fault.cause)
    async with asyncio.TaskGroup() as group:
        curing = group.create_task(_cured_s(fault, began_s))
        down, detected_s = await _until(stream, Health.DOWN, blocks)
        _, recovered_s = await _until(stream, Health.UP, blocks)
    blocks += await take(stream, AFTER_BLOCKS)
    off_s = time.monotonic() - began_s - (len(blocks) - before) * 0.1
    holes = [hole for block in blocks for hole in block.filled]
    return Outcome(
        fault=fault.name,
        reason=down.reason,
        filled=sorted({hole.reason for hole in holes}),
        detected_s=detected_s - began_s,
        recovered_s=recovered_s - curing.result(),
        silent_s=sum(hole.end - hole.start for hole in holes) / 16_000,
        lost_s=lost_s(blocks),
        off_s=off_s,
    )


async def _cured_s(fault: Fault, began_s: float) -> float:
    """End the fault in its time; give when that was."""
    if fault.cure is None:
        return began_s
    await asyncio.sleep(max(0.0, began_s + fault.lasts_s - time.monotonic()))
    await asyncio.to_thread(fault.cure)
    return time.monotonic()


async def _until(stream: CaptureStream, health: Health, blocks: list[AudioBlock]) -> tuple[CaptureHealth, float]:
    """Take blocks up to a change of health; give it and when it came."""
    async for item in stream:
        if isinstance(item, AudioBlock):
            blocks.append(item)
        elif item.health is health:
            return item, time.monotonic()
    raise AssertionError("a device's stream does not end")


MICROPHONES = ("unplugged", "frozen", "killed", "stopped", "overrun", "runaway", "later")
"""The microphones that a rig must have for `faults_of_hardware`."""


def faults_of_hardware(rig: Rig) -> list[Fault]:
    """One fault for each of the rig's microphones: they can happen at the same time."""
    unplugged, frozen, runaway, later = (rig.more[name] for name in ("unplugged", "frozen", "runaway", "later"))
    return [
        Fault("microphone unplugged", "unplugged", unplugged.unplug, unplugged.plug_in, 4.0),
        Fault("device frozen, no callbacks", "frozen", frozen.freeze, frozen.plug_in, 5.0),
        Fault("worker killed", "killed", _signal("killed", signal.SIGKILL)),
        Fault("worker hangs", "stopped", _signal("stopped", signal.SIGSTOP)),
        Fault(
            "overrun, nothing fetched for 2 s",
            "overrun",
            _signal("overrun", signal.SIGSTOP),
            _signal("overrun", signal.SIGCONT),
            2.0,
        ),
        Fault("runaway, twice real time", "runaway", lambda: runaway.run_at(2), lambda: runaway.run_at(1), 4.0),
        Fault("device later than its session", "later", later.unplug, later.plug_in, 3.0, from_the_start=True),
    ]


def faults_of_server(server: SoundServer) -> list[Fault]:
    """These concern everybody at the server, so: one after the other. All begin and end with room A as the default."""

    def lose_room() -> None:
        server.make_default("room_b")  # where the server moves those whose source goes away
        server.take_away("room_a")

    def return_room() -> None:
        server.bring_back("room_a")
        server.make_default("room_a")

    def return_all() -> None:
        server.bring_back("room_b")
        return_room()

    return [
        Fault("moved to another source", "front_mic", lambda: server.move_recordings("room_b")),
        Fault("source gone, another is there", "front_mic", lose_room, return_room, 2.5),
        Fault("last source gone", "front_mic", server.take_all_away, return_all, 2.5),
        Fault("source starved", "front_mic", lambda: server.starve("room_a"), lambda: server.feed("room_a"), 3.3),
        Fault("sound server stopped", "front_mic", server.pause, server.go_on, 3.5),
        Fault("sound server killed", "front_mic", server.stop, server.start, 2.5),
        Fault("default source changed", "default", lambda: server.make_default("room_b")),
    ]


def _signal(device: str, number: signal.Signals) -> Act:
    """Send a signal to the worker of a device."""

    def act() -> None:
        for pid in workers_of(os.getpid()):
            if f'"{device}"'.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, number)

    return act

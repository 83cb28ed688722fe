"""`make bench-devices`: every fault of a microphone done to a real stream, as the table of the README.

Hardware is the rig's ALSA plugin, the sound server a private PulseAudio. Exits 1 if a figure misses its target.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.core.records import Health
from minuted_daemon.ports.capture import CaptureHealth, CaptureStream
from tests.rig.faults import MICROPHONES, Outcome, faults_of_hardware, faults_of_server, suffer
from tests.rig.fixtures import Rig, SoundServer, build_plugin, missing_tools
from tests.rig.hearing import ready_of, responsive_loop, take, workers_of, zombies_of
from tests.rig.ramp import write_ramp

ROUNDS = 3
RECOVERED_S, MOVED_S, BLOCKED_S = 5.0, 3.0, 0.1
RESUMED_S: Mapping[str, float] = {"usb0": 1.0, "front_mic": 3.0}
SHOWS: Mapping[str, str] = {
    "microphone unplugged": "stream stays active, floods stderr, close hangs",
    "device frozen, no callbacks": "stream stays active, no callbacks",
    "worker killed": "the pipe ends",
    "worker hangs": "nothing more on the pipe",
    "overrun, nothing fetched for 2 s": "the ADC clock jumps",
    "runaway, twice real time": "more than 1.5 times real time over 5 s",
    "device later than its session": "not listed",
    "moved to another source": "nothing but the server's own word",
    "source gone, another is there": "nothing but the server's own word",
    "last source gone": "the stream is finished",
    "source starved": "stream stays active, no callbacks",
    "sound server stopped": "stream stays active, abort hangs",
    "sound server killed": "the stream is finished",
    "default source changed": "nothing but the server's own word",
}


async def hardware(rig: Rig) -> tuple[list[Outcome], float]:
    """All faults of microphones at once; the outcomes and the longest time the event loop was held up."""
    capture, opening = MachineCapture(), asyncio.Lock()
    async with responsive_loop() as late, asyncio.TaskGroup() as group:
        tasks = [group.create_task(suffer(capture, fault, opening)) for fault in faults_of_hardware(rig)]
    await capture.close()
    return [task.result() for task in tasks], max(late)


async def servers(server: SoundServer, ramp: Path) -> tuple[list[Outcome], float]:
    """The faults of a sound server, one after the other."""
    capture, outcomes = MachineCapture(), []
    async with responsive_loop() as late:
        for fault in faults_of_server(server):
            server.make_default("room_a")
            with server.playing(ramp, latency_ms=500):
                outcomes.append(await suffer(capture, fault, asyncio.Lock()))
    await capture.close()
    return outcomes, max(late)


async def resumed_s(device: str) -> list[float]:
    """From the end of a pause to the first block heard, some times."""
    capture, times = MachineCapture(), []
    stream = await capture.open(device)
    for _ in range(ROUNDS):
        await take(stream, 5)
        await stream.pause()
        await take(stream, 5)
        began_s = time.monotonic()
        await stream.resume()
        await _up(stream)
        times.append(time.monotonic() - began_s)
    await capture.close()
    return times


async def _up(stream: CaptureStream) -> None:
    async for item in stream:
        if isinstance(item, CaptureHealth) and item.health is Health.UP:
            return


def table(outcomes: Sequence[Outcome]) -> int:
    """Print a line for each fault, at its worst; give how many figures miss their target."""
    missed = 0
    print("| fault | how it shows | told as | noticed after | heard again after | heard audio lost |")
    print("|---|---|---|---|---|---|")
    for name in dict.fromkeys(outcome.fault for outcome in outcomes):
        runs = [outcome for outcome in outcomes if outcome.fault == name]
        noticed_s, again_s = max(run.detected_s for run in runs), max(run.recovered_s for run in runs)
        lost_s = max(run.lost_s for run in runs)
        told = ", ".join(sorted({run.reason for run in runs}))
        figures = f"{noticed_s:.1f} s | {max(0.0, again_s):.1f} s | {1000 * lost_s:.0f} ms"
        print(f"| {name} | {SHOWS[name]} | {told} | {figures} |")
        moved = told in {"DEVICE_MOVED", "DEFAULT_CHANGED"}
        missed += (again_s > RECOVERED_S) + (moved and noticed_s > MOVED_S) + (lost_s > 0)
    return missed


def main() -> int:
    """Print the table and the figures of a pause; give the exit code."""
    if missing := missing_tools():
        print(f"not on this machine: {', '.join(missing)}")
        return 1
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    outcomes: list[Outcome] = []
    late_s = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rig = Rig(build_plugin(folder), folder, MICROPHONES)
        os.environ["ALSA_CONFIG_PATH"] = str(rig.configuration)
        os.environ["PULSE_SERVER"] = f"unix:{folder}/no-server"
        write_ramp(folder / "ramp.wav", 30)
        for _ in range(ROUNDS):
            found, held_s = asyncio.run(hardware(rig))
            outcomes, late_s = outcomes + found, max(late_s, held_s)
        resumed = {"usb0": asyncio.run(resumed_s("usb0"))}
        server = SoundServer(folder / "pulse")
        os.environ["PULSE_SERVER"] = server.address
        try:
            for _ in range(ROUNDS):
                found, held_s = asyncio.run(servers(server, folder / "ramp.wav"))
                outcomes, late_s = outcomes + found, max(late_s, held_s)
            resumed["front_mic"] = asyncio.run(resumed_s("front_mic"))
        finally:
            server.go_on()
            server.stop()
    missed = table(outcomes)
    for device, times in resumed.items():
        print(f"heard again after a pause, {device}: " + ", ".join(f"{took_s:.2f}" for took_s in times) + " s")
        missed += max(times) > RESUMED_S[device]
    left = sum(len(found_of(os.getpid())) for found_of in (workers_of, ready_of, zombies_of))
    print(f"event loop held up at most {1000 * late_s:.0f} ms; processes left behind: {left}")
    print("load of the machine " + ", ".join(f"{load:.2f}" for load in os.getloadavg()))
    missed += (late_s > BLOCKED_S) + left
    print(f"{missed} figures miss their target" if missed else "every figure within its target")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

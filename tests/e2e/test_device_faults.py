"""Every fault of a device, done to real streams: noticed, filled with silence in real time, and mended in time."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from minuted import SessionState
from minuted.v1.sessions_pb2 import LinkHealth
from minuted_daemon.adapters.capture.machine import MachineCapture
from tests.e2e.daemon_process import run_daemon
from tests.rig.faults import MICROPHONES, Outcome, faults_of_hardware, faults_of_server, suffer
from tests.rig.fixtures import Rig, SoundServer
from tests.rig.hearing import ready_of, responsive_loop, workers_of, zombies_of
from tests.rig.ramp import write_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

MOVED_S = 3.0
RECOVERED_S = 5.0
OFF_S = 1.0
REASONS = {
    "microphone unplugged": {"DEVICE_SILENT", "DEVICE_ENDED"},
    "device frozen, no callbacks": {"DEVICE_SILENT"},
    "worker killed": {"WORKER_FAILED"},
    "worker hangs": {"DEVICE_SILENT"},
    "overrun, nothing fetched for 2 s": {"DEVICE_SILENT"},
    "runaway, twice real time": {"DEVICE_RUNAWAY"},
    "device later than its session": {"DEVICE_ABSENT"},
    "moved to another source": {"DEVICE_MOVED"},
    "source gone, another is there": {"DEVICE_MOVED", "DEVICE_ENDED"},
    "last source gone": {"DEVICE_ENDED"},
    "source starved": {"DEVICE_SILENT"},
    "sound server stopped": {"DEVICE_SILENT"},
    "sound server killed": {"DEVICE_ENDED"},
    "default source changed": {"DEFAULT_CHANGED"},
}


@asynccontextmanager
async def clean_capture() -> AsyncIterator[MachineCapture]:
    """Return a capture that must leave nothing behind and never hold up the event loop."""
    capture = MachineCapture()
    try:
        async with responsive_loop():
            yield capture
    finally:
        await capture.close()
    assert workers_of(os.getpid()) == ready_of(os.getpid()) == []
    assert zombies_of(os.getpid()) == []


def check(outcome: Outcome) -> None:
    print(outcome, flush=True)
    assert outcome.reason in REASONS[outcome.fault]
    assert outcome.recovered_s < RECOVERED_S
    if outcome.reason in {"DEVICE_MOVED", "DEFAULT_CHANGED"}:
        assert outcome.detected_s < MOVED_S
        assert outcome.reason in outcome.filled
    assert outcome.lost_s == 0
    if outcome.reason != "DEVICE_RUNAWAY":  # which has put more than real time into the line before it is noticed
        assert abs(outcome.off_s) < OFF_S


@pytest.fixture
def many(rig_plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig with a microphone for each fault."""
    rig = Rig(rig_plugin, tmp_path, MICROPHONES)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(rig.configuration))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/no-server")
    return rig


async def test_every_fault_of_hardware_is_noticed_and_mended(many: Rig) -> None:
    opening = asyncio.Lock()
    async with clean_capture() as capture, asyncio.TaskGroup() as group:
        suffering = [group.create_task(suffer(capture, fault, opening)) for fault in faults_of_hardware(many)]
    for task in suffering:
        check(task.result())
    assert many.more["overrun"].overruns > 0


@pytest.mark.parametrize("name", ["last source gone", "source starved", "sound server stopped", "sound server killed"])
async def test_a_fault_of_a_sound_server_is_noticed_and_mended(
    name: str, sound_server: SoundServer, tmp_path: Path
) -> None:
    """Moves are in tests/adapters/capture/test_moves.py, with an ear to what is heard."""
    ramp = tmp_path / "ramp.wav"
    write_ramp(ramp, 30)
    fault = next(fault for fault in faults_of_server(sound_server) if fault.name == name)
    async with clean_capture() as capture:
        with sound_server.playing(ramp, latency_ms=500):
            check(await suffer(capture, fault, asyncio.Lock()))


def stderr_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/fd/2").readlink())


async def test_a_session_outlives_its_microphone_and_the_log_stays_quiet(rig: Rig, place: Path) -> None:
    async with run_daemon(place) as daemon, daemon.client() as client:
        session = await client.start("boardroom", device="usb0", diarizer="local", transcriber="none")

        async def capture_link(health: int) -> str:
            while True:
                link = (await client.session(session.id)).capture_link
                if link.health == health:
                    return link.reason
                await asyncio.sleep(0.05)

        async with asyncio.timeout(60):
            await capture_link(LinkHealth.LINK_HEALTH_UP)
            logged = len(daemon.log)
            (worker,) = workers_of(daemon.pid)
            assert stderr_of(worker) == os.devnull
            rig.usb0.unplug()
            assert await capture_link(LinkHealth.LINK_HEALTH_DOWN) == "DEVICE_SILENT"
            # Long enough for the worker to be given up and for several more to fail.
            await asyncio.sleep(5)
            assert (await client.session(session.id)).state == SessionState.SESSION_STATE_RUNNING
            assert len(daemon.log) - logged < 2_000
            rig.usb0.plug_in()
            await capture_link(LinkHealth.LINK_HEALTH_UP)
            assert zombies_of(daemon.pid) == []
            assert len(workers_of(daemon.pid)) == 1
        await client.stop(session.id)
        assert workers_of(daemon.pid) == []

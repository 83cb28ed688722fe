"""Real PortAudio on the plugin's microphones: what is heard, what is lost, who shares what, who dies when."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minuted_daemon.adapters.capture.machine import CaptureLimits, MachineCapture
from minuted_daemon.core.records import Health
from minuted_daemon.errors import DeviceError, NotFound
from minuted_daemon.ports.capture import Filled
from tests.rig.fixtures import Rig
from tests.rig.hearing import assert_ramp, responsive_loop, take, take_until, workers_of


async def test_inputs_are_listed_under_their_names(rig: Rig, capture: MachineCapture) -> None:
    devices = {device.name: device for device in await capture.devices()}
    assert devices["usb0"].rate_hz == 48_000
    assert devices["usb1"].channels == 2
    assert sum(device.is_default for device in devices.values()) == 1


async def test_an_unknown_device_is_refused_with_the_names_there_are(rig: Rig, capture: MachineCapture) -> None:
    with pytest.raises(NotFound) as caught:
        await capture.open("nobody")
    assert caught.value.reason == "DEVICE_NOT_FOUND"
    assert "usb0" in caught.value.message


@pytest.mark.parametrize(
    ("name", "listed", "label"),
    [
        ("会議用スピーカーフォン".encode()[:31], "input", "会議用スピーカーフォ\ufffd"),  # as ALSA cuts a card's name
        (b"Gr\xf6\xdfe", "Gr-e", "Gr\ufffd\ufffde"),  # Latin-1
    ],
)
async def test_a_name_that_is_not_utf8_stops_no_device_and_is_opened_itself(
    name: bytes, listed: str, label: str, rig: Rig, capture: MachineCapture
) -> None:
    with rig.configuration.open("ab") as configuration:
        configuration.write(b'pcm."%b" { type rtmic ctl "%b" rate 48000 channels 1 }\n' % (name, b"/dev/null"))
    devices = {device.name: device for device in await capture.devices()}
    assert {"usb0", listed} <= devices.keys()
    assert devices[listed].description == label
    for wanted in ("usb0", label):
        stream = await capture.open(wanted)
        assert len(await take(stream, 3)) == 3
        await stream.close()


async def test_every_sample_is_heard_at_both_rates(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    async with responsive_loop():
        blocks = await take(stream, 40)
    assert_ramp([block.pcm for block in blocks], step=3)
    assert_ramp([block.wide for block in blocks], step=2)
    heard, wide = blocks[5].pcm.astype(int), blocks[5].wide.astype(int)
    assert np.median(np.abs(heard[::2] - wide[::3])) <= 2
    assert not any(block.filled for block in blocks)
    assert rig.usb0.overruns == 0


async def test_wall_times_are_those_of_the_first_samples(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    await take(stream, 10)
    blocks = await take(stream, 20)
    steps = np.diff([block.wall_s for block in blocks])
    assert np.abs(steps - 0.1).max() < 0.03
    assert 0 <= time.time() - blocks[-1].wall_s < 1.0


async def test_another_rate_and_two_channels(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb1")
    begun = time.monotonic()
    blocks = await take(stream, 25)
    assert time.monotonic() - begun == pytest.approx(2.5, abs=0.6)
    assert all(block.pcm.shape == (1600,) and block.wide.shape == (2400,) for block in blocks)
    heard = np.concatenate([block.pcm for block in blocks]).astype(float)
    assert np.median(np.diff(heard)) == pytest.approx(44_100 / 16_000, abs=0.5)


@pytest.mark.e2e
async def test_an_unplugged_device_is_replaced_by_silence_in_real_time_and_comes_back(
    rig: Rig, capture: MachineCapture
) -> None:
    stream = await capture.open("usb0")
    await take(stream, 5)
    async with responsive_loop():
        rig.usb0.unplug()
        _, lost = await take_until(stream, Health.DOWN)
        assert lost.reason == "DEVICE_SILENT"
        begun = time.monotonic()
        silent = await take(stream, 35)  # the worker is given up after 3 s and started again
        assert time.monotonic() - begun == pytest.approx(3.5, abs=0.3)
        assert all(block.filled == (Filled(0, 1600, "DEVICE_LOST"),) and not block.pcm.any() for block in silent)
        assert "usb0" not in {device.name for device in await capture.devices()}
        with pytest.raises(DeviceError) as caught:
            await capture.open("usb0")
        assert caught.value.reason == "DEVICE_FAILED"
        rig.usb0.plug_in()
        more, _ = await take_until(stream, Health.UP)
        heard = await take(stream, 20)
    assert not any(block.filled for block in heard)
    assert_ramp([block.pcm for block in heard], step=3)
    walls = [block.wall_s for block in (*silent, *more, *heard)]
    assert np.diff(walls).min() > 0
    assert walls[-1] - walls[0] == pytest.approx(0.1 * (len(walls) - 1), abs=0.5)


@pytest.mark.e2e
async def test_a_short_freeze_is_a_gap_of_its_own_length(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    await take(stream, 30)
    rig.usb0.freeze()
    frozen_s = time.monotonic()
    before, _ = await take_until(stream, Health.DOWN)
    await asyncio.sleep(0.5)
    rig.usb0.plug_in()
    thawed_s = time.monotonic()
    during, _ = await take_until(stream, Health.UP)
    after = await take(stream, 25)
    filled = sum(part.end - part.start for block in (*before, *during, *after) for part in block.filled)
    assert filled / 16_000 == pytest.approx(thawed_s - frozen_s, abs=0.25)
    assert not any(block.filled for block in after[-10:])
    assert len(workers_of(os.getpid())) == 1


async def test_sessions_share_one_stream_and_the_last_one_releases_it(rig: Rig, capture: MachineCapture) -> None:
    first = await capture.open("usb0")
    opens = rig.usb0.opens
    second = await capture.open("usb0")
    assert rig.usb0.opens == opens
    (worker,) = workers_of(os.getpid())
    ours, theirs = await take(first, 10), await take(second, 10)
    assert {block.wall_s for block in ours} & {block.wall_s for block in theirs}
    await first.close()
    await take(second, 5)
    exited = os.pidfd_open(worker)
    await second.close()
    assert select.select([exited], [], [], 0)[0]
    os.close(exited)
    again = await capture.open("usb0")
    assert await take(again, 1)


async def test_a_killed_worker_is_replaced(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    await take(stream, 5)
    (worker,) = workers_of(os.getpid())
    async with responsive_loop():
        os.kill(worker, signal.SIGKILL)
        _, lost = await take_until(stream, Health.DOWN)
        assert lost.reason == "WORKER_FAILED"
        missing, _ = await take_until(stream, Health.UP)
        heard = await take(stream, 10)
    assert not any(block.filled for block in heard)
    assert 0 < len([block for block in missing if block.filled]) < 50
    assert workers_of(os.getpid()) != [worker]


async def test_a_slow_reader_loses_the_oldest_and_nothing_else(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    await take(stream, 10)
    await asyncio.sleep(3.2)
    blocks = await take(stream, 40)
    overrun = [block for block in blocks if block.filled == (Filled(0, 1600, "OVERRUN"),)]
    assert 8 <= len(overrun) <= 16
    assert blocks[: len(overrun)] == overrun
    assert np.diff([block.wall_s for block in blocks]).max() < 0.2


async def test_closing_capture_ends_streams_and_workers(rig: Rig) -> None:
    capture = MachineCapture()
    stream = await capture.open("usb0")
    begun = time.monotonic()
    await capture.close()
    assert time.monotonic() - begun < 2.0
    async with asyncio.timeout(1):
        assert [item async for item in stream] == []
    assert workers_of(os.getpid()) == []
    await stream.close()
    await capture.close()


async def test_an_abandoned_open_leaves_no_worker(rig: Rig, capture: MachineCapture) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.35):
            await capture.open("usb0")
    stream = await capture.open("usb0")
    assert await take(stream, 1)
    await stream.close()
    assert workers_of(os.getpid()) == []


DAEMON = """
import asyncio, sys
from minuted_daemon.adapters.capture.machine import CaptureLimits, MachineCapture

async def main():
    stream = await MachineCapture().open("usb0")
    print("open", flush=True)
    async for _ in stream:
        pass

asyncio.run(main())
"""


def test_a_worker_does_not_outlive_the_daemon(rig: Rig) -> None:
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE)
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"open\n"
        (worker,) = workers_of(daemon.pid)
        exited = os.pidfd_open(worker)
    finally:
        daemon.kill()
        daemon.communicate()
    assert select.select([exited], [], [], 2.0)[0]
    os.close(exited)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("raise OSError('PortAudio library not found')", "libportaudio2"),
        ("import os; os._exit(3)", "crashed"),
    ],
)
async def test_without_an_audio_system_listing_says_what_to_do(
    module: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capture: MachineCapture
) -> None:
    (tmp_path / "sounddevice.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DeviceError) as caught:
        await capture.devices()
    assert caught.value.reason == "AUDIO_UNAVAILABLE"
    assert said in caught.value.message


@pytest.mark.parametrize("limits", [CaptureLimits(listing_s=0.3)])
async def test_a_hanging_audio_system_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capture: MachineCapture
) -> None:
    (tmp_path / "sounddevice.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DeviceError) as caught:
        await capture.devices()
    assert caught.value.reason == "AUDIO_UNAVAILABLE"


async def test_keys_do_not_reach_the_audio_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capture: MachineCapture
) -> None:
    seen = tmp_path / "environment"
    (tmp_path / "sounddevice.py").write_text(
        f"import os; open({str(seen)!r}, 'w').write(' '.join(os.environ)); raise OSError"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("MINUTED_OPENAI__API_KEY", "x")
    with pytest.raises(DeviceError):
        await capture.devices()
    assert "PYTHONPATH" in seen.read_text()
    assert "API_KEY" not in seen.read_text()

"""A device that appears later than the session: refused to a person who asks, awaited for a session that goes on."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from minuted_daemon.adapters.capture.machine import CaptureLimits, MachineCapture
from minuted_daemon.core.records import Health
from minuted_daemon.errors import DeviceError, NotFound
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth
from tests.rig.fixtures import Rig, SoundServer
from tests.rig.hearing import assert_ramp, responsive_loop, take, take_until, whole, workers_of

BACK_S = 5.0


async def test_a_session_that_waits_runs_on_silence_until_its_device_is_there(
    rig: Rig, capture: MachineCapture
) -> None:
    rig.usb0.unplug()
    with pytest.raises(NotFound):
        await capture.open("usb0")
    async with responsive_loop():
        stream = await capture.open("usb0", wait=True)
        began_s, began_wall_s = time.monotonic(), time.time()
        first = await anext(aiter(stream))
        assert isinstance(first, CaptureHealth)
        assert (first.health, first.reason) == (Health.DOWN, "DEVICE_ABSENT")
        silent = await take(stream, 20)
        assert time.monotonic() - began_s == pytest.approx(3.0, abs=0.5)  # each comes when it is a second late
        assert [block.filled for block in silent] == [whole("DEVICE_ABSENT")] * 20
        assert silent[0].wall_s == pytest.approx(began_wall_s, abs=0.5)
        with pytest.raises(DeviceError):
            await capture.open("usb0")
        rig.usb0.plug_in()
        plugged_s = time.monotonic()
        await take_until(stream, Health.UP)
        assert time.monotonic() - plugged_s < BACK_S
        heard = await take(stream, 15)
    assert not any(block.filled for block in heard)
    assert_ramp([block.pcm for block in heard], step=3)
    assert "usb0" in {device.name for device in await capture.devices()}
    second = await capture.open("usb0")
    assert await take(second, 3)
    assert len(workers_of(os.getpid())) == 1


async def test_waiting_ends_with_the_session(rig: Rig, capture: MachineCapture) -> None:
    rig.usb0.unplug()
    stream, other = await capture.open("usb0", wait=True), await capture.open("usb0", wait=True)
    first, second = await anext(aiter(stream)), await anext(aiter(other))
    assert isinstance(first, CaptureHealth)
    assert first == second
    await stream.close()
    await other.close()
    assert workers_of(os.getpid()) == []
    with pytest.raises(NotFound):
        await capture.open("usb0")


async def test_a_device_that_is_there_need_not_be_waited_for(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0", wait=True)
    items = [await anext(aiter(stream)) for _ in range(5)]
    assert not any(isinstance(item, CaptureHealth) or item.filled for item in items)


async def test_default_is_awaited_where_there_is_no_sound_server_yet(
    rig: Rig, sound_server: SoundServer, capture: MachineCapture
) -> None:
    sound_server.stop()
    rig.usb0.unplug()
    rig.usb1.unplug()
    stream = await capture.open("default", wait=True)
    first = await anext(aiter(stream))
    assert isinstance(first, CaptureHealth)
    sound_server.start()
    began_s = time.monotonic()
    await take_until(stream, Health.UP)
    assert time.monotonic() - began_s < BACK_S
    assert list(sound_server.recorders().values()) == ["room_a.monitor"]


async def test_a_paused_session_can_wait_too(rig: Rig, capture: MachineCapture) -> None:
    rig.usb0.unplug()
    stream = await capture.open("usb0", wait=True)
    await stream.pause()
    async with asyncio.timeout(3):
        muted = [item for item in [await anext(aiter(stream)) for _ in range(12)] if isinstance(item, AudioBlock)]
    assert muted[-1].filled == whole("MUTED")
    rig.usb0.plug_in()
    await stream.resume()
    await take_until(stream, Health.UP)


async def test_who_waits_is_not_refused_with_one_who_does_not(
    sound_server: SoundServer, capture: MachineCapture
) -> None:
    async with asyncio.TaskGroup() as group:
        opening = group.create_task(_refusal(capture, "gone_mic"))
        while True:
            if capture.shared:
                break
            await asyncio.sleep(0.01)
        (shared,) = capture.shared
        while not shared.was_refused:
            time.sleep(0.01)  # noqa: ASYNC251 - so that it is refused before the event loop knows
        stream = await capture.open("gone_mic", wait=True)
    assert opening.result() == "DEVICE_FAILED"
    first = await anext(aiter(stream))
    assert isinstance(first, CaptureHealth)
    assert (first.health, first.reason) == (Health.DOWN, "DEVICE_ABSENT")


async def _refusal(capture: MachineCapture, device: str) -> str:
    with pytest.raises(DeviceError) as caught:
        await capture.open(device)
    return caught.value.reason


async def test_even_the_audio_system_is_awaited(
    rig: Rig, capture: MachineCapture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    stream = await capture.open("usb0", wait=True)
    first = await anext(aiter(stream))
    assert isinstance(first, CaptureHealth)
    assert (first.health, first.reason, first.detail) == (Health.DOWN, "DEVICE_ABSENT", "PortAudio is not installed")
    (tmp_path / "sounddevice.py").unlink()
    began_s = time.monotonic()
    await take_until(stream, Health.UP)
    assert time.monotonic() - began_s < BACK_S


@pytest.mark.parametrize("limits", [CaptureLimits(attach_s=0.0)])
async def test_who_waits_waits_for_a_slow_machine_too(rig: Rig, capture: MachineCapture) -> None:
    with pytest.raises(DeviceError):
        await capture.open("usb0")
    stream = await capture.open("usb0", wait=True)
    assert not any(block.filled for block in await take(stream, 3))

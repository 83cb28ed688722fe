"""A pause releases the device, gives nothing that was heard, and keeps the line of blocks whole."""

import asyncio
import os
import signal
import time

import numpy as np
import pytest

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.core.records import Health
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports.capture import AudioBlock
from tests.rig.fixtures import Rig, SoundServer
from tests.rig.hearing import assert_ramp, ready_of, responsive_loop, take, take_until, whole, workers_of, zombies_of

HARDWARE_S, SERVER_S = 1.0, 3.0
SLACK_S = 1.0
"""The machine may be busy with other things; what it takes on a quiet one is for the bench to say."""


def pauses_of(blocks: list[AudioBlock]) -> list[bool]:
    return [block.filled == whole("MUTED") for block in blocks]


async def test_a_pause_releases_the_microphone_and_resuming_takes_a_second(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    before = await take(stream, 10)
    async with responsive_loop():
        began_s = time.monotonic()
        await stream.pause()
        assert time.monotonic() - began_s < 1.0
        assert workers_of(os.getpid()) == []
        opens = rig.usb0.opens
        muted = await take(stream, 30)
        assert time.monotonic() - began_s == pytest.approx(3.0, abs=0.6)
        assert len(ready_of(os.getpid())) == 1
        assert rig.usb0.opens == opens
        resumed_s, resumed_wall_s = time.monotonic(), time.time()
        await stream.resume()
        rest, _ = await take_until(stream, Health.UP)
        assert time.monotonic() - resumed_s < HARDWARE_S + SLACK_S
        after = await take(stream, 15)
    assert len(workers_of(os.getpid())) == 1
    assert ready_of(os.getpid()) == []
    assert all(pauses_of(muted)[5:])
    assert not any(block.pcm.any() or block.wide.any() for block in (*muted[5:], *rest))
    assert {block.filled for block in rest} <= {whole("MUTED"), whole("DEVICE_OPENING")}
    assert not any(block.filled for block in after)
    assert after[0].wall_s >= resumed_wall_s
    assert_ramp([block.pcm for block in after], step=3)
    walls = [block.wall_s for block in (*before, *muted, *rest, *after)]
    assert np.diff(walls) == pytest.approx(0.1, abs=0.09)


async def test_a_sound_server_sees_the_recording_end_and_begin(
    sound_server: SoundServer, capture: MachineCapture
) -> None:
    stream = await capture.open("front_mic")
    await take(stream, 3)
    assert list(sound_server.recorders().values()) == ["room_a.monitor"]
    await stream.pause()
    assert sound_server.recorders() == {}
    await take(stream, 5)
    began_s = time.monotonic()
    await stream.resume()
    await take_until(stream, Health.UP)
    assert time.monotonic() - began_s < SERVER_S
    assert list(sound_server.recorders().values()) == ["room_a.monitor"]


async def test_who_shares_the_device_goes_on_hearing(rig: Rig, capture: MachineCapture) -> None:
    first, second = await capture.open("usb0"), await capture.open("usb0")
    await take(first, 3)
    await first.pause()
    opens = rig.usb0.opens
    async with asyncio.TaskGroup() as group:
        muted = group.create_task(take(first, 15))
        heard = group.create_task(take(second, 15))
    assert pauses_of(muted.result())[5:] == [True] * 10
    assert not any(block.filled for block in heard.result())
    resumed_wall_s = time.time()
    await first.resume()
    _, _ = await take_until(first, Health.UP)
    (block,) = await take(first, 1)
    assert not block.filled
    assert block.wall_s >= resumed_wall_s
    assert rig.usb0.opens == opens


async def test_a_device_that_is_gone_after_a_pause_is_told_and_awaited(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    await take(stream, 3)
    await stream.pause()
    rig.usb0.unplug()
    await take(stream, 3)
    await stream.resume()
    _, lost = await take_until(stream, Health.DOWN)
    assert lost.reason == "DEVICE_NOT_FOUND"
    with pytest.raises(DeviceError):
        await capture.open("usb0")
    rig.usb0.plug_in()
    began_s = time.monotonic()
    await take_until(stream, Health.UP)
    assert time.monotonic() - began_s < 5.0


async def test_a_new_session_wakes_a_paused_device_and_leaves_the_paused_one_muted(
    rig: Rig, capture: MachineCapture
) -> None:
    paused = await capture.open("usb0")
    await take(paused, 3)
    await paused.pause()
    second = await capture.open("usb0")
    assert not any(block.filled for block in (await take(second, 10))[-5:])
    async with asyncio.timeout(5):
        silent = (await take(paused, 25))[3:]
    assert not any(block.pcm.any() for block in silent)
    assert pauses_of(silent)[-1]
    await second.close()
    await paused.pause()
    assert workers_of(os.getpid()) == []
    await capture.close()
    assert ready_of(os.getpid()) == []


async def test_a_paused_stream_can_be_closed(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    await stream.pause()
    await stream.close()
    again = await capture.open("usb0")
    assert await take(again, 1)


async def test_the_worker_that_waits_for_the_end_of_a_pause_may_be_killed(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    await take(stream, 3)
    await stream.pause()
    (ready,) = await _ready()
    os.kill(ready, signal.SIGKILL)
    await take(stream, 5)
    assert ready_of(os.getpid()) == zombies_of(os.getpid()) == []
    began_s = time.monotonic()
    await stream.resume()
    await take_until(stream, Health.UP)
    assert time.monotonic() - began_s < HARDWARE_S + SLACK_S
    assert_ramp([block.pcm for block in await take(stream, 10)], step=3)


async def test_a_pause_may_end_as_soon_as_it_begins(rig: Rig, capture: MachineCapture) -> None:
    stream = await capture.open("usb0")
    await take(stream, 3)
    for _ in range(5):
        await stream.pause()
        await stream.resume()
    await take_until(stream, Health.UP)
    assert_ramp([block.pcm for block in await take(stream, 10)], step=3)
    await stream.close()
    assert workers_of(os.getpid()) == ready_of(os.getpid()) == zombies_of(os.getpid()) == []


async def _ready() -> list[int]:
    while True:
        if found := ready_of(os.getpid()):
            return found
        await asyncio.sleep(0.01)

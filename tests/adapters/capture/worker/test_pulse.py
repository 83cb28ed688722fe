"""Capture through PulseAudio."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.core.records import Health
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth
from tests.rig.fixtures import SoundServer


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Ten seconds at 1 kHz, 6 dB below full scale."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 1000 * np.arange(480_000) / 48_000), 48_000)
    return path


async def test_what_is_played_is_heard(sound_server: SoundServer, capture: MachineCapture, tone: Path) -> None:
    stream = await capture.open("front_mic")
    loud: list[AudioBlock] = []
    with sound_server.playing(tone):
        async for item in stream:
            assert isinstance(item, AudioBlock)
            if np.abs(item.pcm).max() > 10_000:
                loud.append(item)
            if len(loud) == 20:
                break
    heard = np.concatenate([block.pcm for block in loud[2:]]) / 32_768
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert np.argmax(spectrum) * 16_000 / len(heard) == pytest.approx(1000, abs=2)
    levels = np.sqrt(np.mean(heard.reshape(-1, 1600) ** 2, axis=1))
    assert np.median(levels) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)  # the player may stumble


async def test_a_short_stall_of_the_server_loses_nothing(
    sound_server: SoundServer, capture: MachineCapture, tone: Path
) -> None:
    stream = await capture.open("front_mic")
    blocks: list[AudioBlock] = []
    async for item in stream:
        assert isinstance(item, AudioBlock)
        blocks.append(item)
        if len(blocks) == 25:
            sound_server.pause()
            await asyncio.sleep(0.5)
            sound_server.go_on()
        if len(blocks) == 45:
            break
    assert not any(block.filled for block in blocks)
    assert np.diff([block.wall_s for block in blocks]).max() < 0.25


async def test_a_source_that_is_gone_is_listed_but_does_not_open(
    sound_server: SoundServer, capture: MachineCapture
) -> None:
    assert "gone_mic" in {device.name for device in await capture.devices()}
    with pytest.raises(DeviceError) as caught:
        await capture.open("gone_mic")
    assert caught.value.reason == "DEVICE_FAILED"


async def test_the_default_input_is_the_systems(sound_server: SoundServer, capture: MachineCapture) -> None:
    stream = await capture.open("default")
    assert isinstance(await anext(aiter(stream)), AudioBlock)


async def test_a_killed_server_is_noticed_at_once_and_reconnected(
    sound_server: SoundServer, capture: MachineCapture
) -> None:
    stream = await capture.open("front_mic")
    await anext(stream)
    sound_server.stop()
    changes: list[CaptureHealth] = []
    blocks_before_loss = 0
    async for item in stream:
        if isinstance(item, AudioBlock):
            blocks_before_loss += not changes
            continue
        changes.append(item)
        if item.health is Health.UP:
            break
        sound_server.start()
    assert [(change.health, change.reason) for change in changes] == [
        (Health.DOWN, "DEVICE_ENDED"),
        (Health.UP, ""),
    ]
    assert blocks_before_loss < 10

"""Microphones of two channels on real PortAudio: what is wired wrongly is heard all the same."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.core.channels.choice import ChannelChoice
from minuted_daemon.core.records import Health
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth
from tests.rig.fixtures import Microphone, Rig, SoundServer
from tests.rig.hearing import pitch_hz, take

RATE = 16_000
LEFT_HZ = 500


def tone(pitch_hz: int, rate_hz: int, seconds: float = 2.0) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * pitch_hz * np.arange(round(rate_hz * seconds)) / rate_hz)


def stereo(rig: Rig, folder: Path, left: np.ndarray, right: np.ndarray) -> None:
    """Add a microphone `stereo` to the rig."""
    recording = folder / "stereo.raw"
    recording.write_bytes((np.stack([left, right], axis=1) * 32_767).astype("<i2").tobytes())
    microphone = Microphone("stereo", folder, RATE, 2, recording)
    rig.configuration.write_text(rig.configuration.read_text() + microphone.definition)


def level(blocks: list[AudioBlock]) -> float:
    return float(np.concatenate([block.pcm for block in blocks]).std() / 32_768)


async def test_a_microphone_against_itself_is_heard_and_told_of(
    rig: Rig, capture: MachineCapture, tmp_path: Path
) -> None:
    stereo(rig, tmp_path, tone(LEFT_HZ, RATE), -tone(LEFT_HZ, RATE))
    stream = await capture.open("stereo")
    blocks = await take(stream, 10)
    assert level(blocks) == pytest.approx(0.4 / 2**0.5, rel=0.05)
    told = [item async for item in _until_health(stream)]
    assert isinstance(told[-1], CaptureHealth)
    assert (told[-1].health, told[-1].reason) == (Health.UP, "CHANNELS_CANCEL")
    second = await capture.open("stereo")
    assert second.remark == told[-1], "who comes later is told as well"
    with pytest.raises(DeviceError, match="other channels or another mix"):
        await capture.open("stereo", choice=ChannelChoice((1,)))


async def _until_health(stream: object) -> Iterator[object]:
    async for item in stream:  # type: ignore[attr-defined]
        yield item
        if isinstance(item, CaptureHealth):
            return


async def test_channels_are_chosen(rig: Rig, capture: MachineCapture, tmp_path: Path) -> None:
    stereo(rig, tmp_path, tone(LEFT_HZ, RATE), tone(1_500, RATE))
    stream = await capture.open("stereo", choice=ChannelChoice((2,)))
    blocks = await take(stream, 5)
    assert pitch_hz(blocks[-1]) == 1_500
    await stream.close()
    with pytest.raises(DeviceError, match="no channel 3"):
        await capture.open("stereo", choice=ChannelChoice((3,)))


async def test_a_sound_server_does_not_mix_channels_away(
    sound_server: SoundServer, rig: Rig, capture: MachineCapture, tmp_path: Path
) -> None:
    settings = ("sink_name=hall", "rate=48000", "channels=2", "norewinds=1")
    sound_server.control("load-module", "module-null-sink", *settings)
    rig.configuration.write_text(rig.configuration.read_text() + 'pcm.hall_mic { type pulse device "hall.monitor" }\n')
    left = tone(LEFT_HZ, 48_000, 20.0)
    soundfile.write(tmp_path / "hall.wav", np.stack([left, -left], axis=1), 48_000)
    with sound_server.playing(tmp_path / "hall.wav", "hall"):
        stream = await capture.open("hall_mic")
        blocks = await take(stream, 25)
        assert level(blocks[-5:]) > 0.2

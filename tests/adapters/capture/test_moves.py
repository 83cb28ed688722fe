"""A sound server that moves streams: nothing of another microphone is ever heard, unless the session asked for it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.core.records import Health
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, CaptureStream
from tests.rig.fixtures import SoundServer
from tests.rig.hearing import pitch_hz, responsive_loop, take, take_until, whole

A_HZ, B_HZ = 1_000, 3_000
MOVED_S = 3.0
BACK_S = 5.0


@pytest.fixture
def rooms(sound_server: SoundServer, tmp_path: Path) -> Iterator[SoundServer]:
    """Room A sounds at 1 kHz, room B at 3 kHz."""
    with ExitStack() as stack:
        for room, pitch in (("room_a", A_HZ), ("room_b", B_HZ)):
            path = tmp_path / f"{room}.wav"
            soundfile.write(path, 0.5 * np.sin(2 * np.pi * pitch * np.arange(960_000) / 48_000), 48_000)
            stack.enter_context(sound_server.playing(path, room))
        yield sound_server


async def heard(stream: CaptureStream, pitch: int) -> list[AudioBlock]:
    """Take blocks until the room of that pitch is heard, and a little longer."""
    blocks: list[AudioBlock] = []
    while not blocks or pitch_hz(blocks[-1]) != pitch:
        blocks += await take(stream, 1)
    return blocks + await take(stream, 3)


async def items(stream: CaptureStream, count: int) -> list[AudioBlock | CaptureHealth]:
    """Take that many items, health included."""
    return [await anext(aiter(stream)) for _ in range(count)]


async def test_a_stream_that_was_moved_ends_at_once_and_comes_back_to_its_own_source(
    rooms: SoundServer, capture: MachineCapture
) -> None:
    stream = await capture.open("front_mic")
    await heard(stream, A_HZ)
    async with responsive_loop():
        began_s = time.monotonic()
        await asyncio.to_thread(rooms.move_recordings, "room_b")
        before, lost = await take_until(stream, Health.DOWN)
        assert time.monotonic() - began_s < MOVED_S
        missing, _ = await take_until(stream, Health.UP)
        assert time.monotonic() - began_s < BACK_S
        after = await take(stream, 10)
    assert lost.reason == "DEVICE_MOVED"
    assert "room_b.monitor" in lost.detail
    assert [block.filled for block in missing] == [whole("DEVICE_MOVED")] * len(missing)
    assert {pitch_hz(block) for block in (*before, *after)} <= {0, A_HZ}
    assert pitch_hz(after[-1]) == A_HZ


@pytest.mark.e2e
async def test_a_source_that_is_gone_is_not_replaced_by_another(rooms: SoundServer, capture: MachineCapture) -> None:
    stream = await capture.open("front_mic")
    await heard(stream, A_HZ)
    rooms.make_default("room_b")  # where the server moves those whose source goes away
    rooms.take_away("room_a")
    before, lost = await take_until(stream, Health.DOWN)
    assert lost.reason in {"DEVICE_MOVED", "DEVICE_ENDED"}
    silent = await take(stream, 25)
    assert not rooms.recorders()
    rooms.bring_back("room_a")
    began_s = time.monotonic()
    more, _ = await take_until(stream, Health.UP)
    assert time.monotonic() - began_s < BACK_S
    assert {pitch_hz(block) for block in (*before, *silent, *more, *await take(stream, 5))} <= {0, A_HZ}
    assert list(rooms.recorders().values()) == ["room_a.monitor"]


async def test_default_follows_the_default_source_and_a_name_does_not(
    rooms: SoundServer, capture: MachineCapture
) -> None:
    following, named = await capture.open("default"), await capture.open("front_mic")
    await heard(following, A_HZ)
    began_s = time.monotonic()
    rooms.make_default("room_b")
    _, lost = await take_until(following, Health.DOWN)
    missing, _ = await take_until(following, Health.UP)
    blocks = await heard(following, B_HZ)
    assert time.monotonic() - began_s < MOVED_S
    assert lost.reason == "DEFAULT_CHANGED"
    assert missing
    assert [block.filled for block in missing] == [whole("DEFAULT_CHANGED")] * len(missing)
    assert {pitch_hz(block) for block in blocks} <= {0, B_HZ}
    # PulseAudio moves those along who asked for the source that was the default: that is a fault like any other.
    others = [item for item in await items(named, 30) if isinstance(item, AudioBlock)]
    assert {pitch_hz(block) for block in others} <= {0, A_HZ}
    assert pitch_hz(others[-1]) == A_HZ
    assert sorted(rooms.recorders().values()) == ["room_a.monitor", "room_b.monitor"]


async def test_a_door_to_a_sound_server_stays_at_the_source_it_led_to(
    rooms: SoundServer, capture: MachineCapture
) -> None:
    """`pulse` is a name as well: only the word `default` follows."""
    stream = await capture.open("pulse")
    await heard(stream, A_HZ)
    rooms.make_default("room_b")
    _, lost = await take_until(stream, Health.DOWN)
    await take_until(stream, Health.UP)
    assert lost.reason == "DEVICE_MOVED"
    assert {pitch_hz(block) for block in await take(stream, 10)} <= {0, A_HZ}
    assert list(rooms.recorders().values()) == ["room_a.monitor"]

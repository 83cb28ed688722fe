"""Recordings as sources: every format, in real time, and every way a file can be bad."""

import asyncio
import io
import os
import resource
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.core.channels.choice import ChannelChoice
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import DeviceError, Invalid
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, CaptureStream, Missing

RATE = 16_000


def tone(rate_hz: int, seconds: float, channels: int = 1) -> np.ndarray:
    mono = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate_hz * seconds)) / rate_hz)
    return np.repeat(mono[:, None], channels, axis=1)


async def take_all(stream: CaptureStream) -> list[AudioBlock]:
    return [item async for item in stream if isinstance(item, AudioBlock)]


async def take_into(blocks: list[AudioBlock], stream: CaptureStream) -> None:
    async for item in stream:
        assert isinstance(item, AudioBlock)
        blocks.append(item)


async def play(capture: MachineCapture, path: Path) -> list[AudioBlock]:
    return await take_all(await capture.open(f"file:{path}"))


def chunk(name: bytes, body: bytes, length: int | None = None, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(body) if length is None else length) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes, name: bytes = b"RIFF", length: int | None = None) -> bytes:
    return chunk(name, b"WAVE" + b"".join(chunks), length)


def pcm_format(bits: int = 16, rate_hz: int = RATE, channels: int = 1) -> bytes:
    frame = bits // 8 * channels
    return chunk(b"fmt ", struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * frame, frame, bits))


def tone_bytes(seconds: float = 0.3) -> bytes:
    return (tone(RATE, seconds) * 32_767).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("kind", "coding"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAVEX", "PCM_16"),
        ("WAVEX", "PCM_24"),
        ("WAVEX", "FLOAT"),
        ("RF64", "PCM_16"),
        ("FLAC", "PCM_S8"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
    ],
)
async def test_every_coding_is_heard(kind: str, coding: str, tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording"
    soundfile.write(path, tone(RATE, 0.25), RATE, format=kind, subtype=coding)
    blocks = await play(capture, path)
    heard = np.concatenate([block.pcm for block in blocks]) / 32_768
    assert len(heard) == 3 * 1_600
    assert np.abs(heard[:4_000] - tone(RATE, 0.25)[:, 0]).max() < 0.02
    assert not heard[4_000:].any()
    assert not any(block.filled for block in blocks)


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (11_025, 2), (44_100, 2), (48_000, 8), (192_000, 1)])
async def test_any_rate_and_channel_count(rate_hz: int, channels: int, tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(rate_hz, 0.4, channels), rate_hz)
    blocks = await play(capture, path)
    assert len(blocks) == 4
    for rate, heard in (
        (16_000, np.concatenate([block.pcm for block in blocks])),
        (24_000, np.concatenate([block.wide for block in blocks])),
    ):
        edge = rate // 50
        assert np.abs(heard / 32_768 - tone(rate, 0.4)[:, 0])[edge:-edge].max() < 2e-3


@pytest.mark.parametrize(
    "recording",
    [
        riff(pcm_format(), chunk(b"LIST", b"INFOodd"), chunk(b"data", tone_bytes()), chunk(b"id3 ", b"x" * 9)),
        riff(pcm_format(), chunk(b"data", tone_bytes(), 0xFFFFFFFF), length=0xFFFFFFFF),
        riff(pcm_format(), chunk(b"data", tone_bytes(), 0x7FFFF000), length=0x7FFFF024),
        riff(pcm_format(), chunk(b"data", tone_bytes(), 0x80000000), length=0x80000024),
        riff(pcm_format(), chunk(b"data", tone_bytes(), 0), length=0),
        riff(pcm_format(), chunk(b"data", tone_bytes(), 4_000), length=4_036),
        riff(chunk(b"JUNK", b"\0" * 28), pcm_format(), chunk(b"fact", b"\0\0\0\0"), chunk(b"data", tone_bytes())),
    ],
    ids=["extra chunks", "written to a pipe", "by sox", "by arecord", "crashed", "crashed later", "junk first"],
)
async def test_odd_headers_are_read(recording: bytes, tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    path.write_bytes(recording)
    blocks = await play(capture, path)
    heard = np.concatenate([block.pcm for block in blocks]) / 32_768
    assert np.abs(heard[:4_800] - tone(RATE, 0.3)[:, 0]).max() < 1e-3


async def test_loud_and_broken_floats_are_clipped(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "loud.wav"
    samples = np.array([2.0, -2.0, np.nan, np.inf, -np.inf, 0.25] * 400, np.float32)
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    blocks = await play(capture, path)
    assert blocks[0].pcm[:6].tolist() == [32_767, -32_768, 0, 32_767, -32_768, 8_192]


async def test_blocks_come_in_real_time_without_drift(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(RATE, 2.0), RATE)
    stream = await capture.open(f"file:{path}")
    begun, begun_wall = time.monotonic(), time.time()
    arrivals, walls = [], []
    async for item in stream:
        assert isinstance(item, AudioBlock)
        arrivals.append(time.monotonic() - begun)
        walls.append(item.wall_s - begun_wall)
        await asyncio.sleep(0.03)  # a reader's own work must not add up
    ideal = np.arange(1, 21) * 0.1
    assert np.all(np.array(arrivals) >= ideal - 0.001)
    assert np.median(np.array(arrivals) - ideal) < 0.05
    assert np.abs(np.array(walls) - (ideal - 0.1)).max() < 0.02


async def test_a_late_reader_catches_up_but_never_gets_ahead(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(RATE, 2.0), RATE)
    stream = await capture.open(f"file:{path}")
    begun = time.monotonic()
    await anext(stream)
    await asyncio.sleep(0.9)
    blocks = [await anext(stream) for _ in range(9)]
    assert time.monotonic() - begun == pytest.approx(1.0, abs=0.08)
    rest = await take_all(stream)
    assert time.monotonic() - begun == pytest.approx(2.0, abs=0.08)
    assert len(blocks) + len(rest) == 19


async def test_a_reader_that_pauses_finds_the_file_where_it_left_it(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    ramp = np.arange(RATE * 4, dtype=np.int16)
    soundfile.write(path, ramp, RATE)
    stream = await capture.open(f"file:{path}")
    first = await anext(stream)
    await asyncio.sleep(2.7)
    begun = time.monotonic()
    blocks = [first, *[await anext(stream) for _ in range(25)]]
    assert time.monotonic() - begun == pytest.approx(0.5, abs=0.15)
    assert np.array_equal(np.concatenate([block.pcm for block in blocks]), ramp[: 26 * 1_600])


async def test_a_cancelled_read_loses_nothing(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, np.arange(8_000, dtype=np.int16), RATE)
    stream = await capture.open(f"file:{path}")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await anext(stream)
    heard = np.concatenate([block.pcm for block in await take_all(stream)])
    assert np.array_equal(heard, np.arange(8_000))


async def test_a_file_can_be_begun_in_the_middle(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.flac"
    soundfile.write(path, np.arange(8_000, dtype=np.int16), RATE)
    blocks = await take_all(await capture.open(f"file:{path}", skip_blocks=3))
    assert np.array_equal(np.concatenate([block.pcm for block in blocks]), np.arange(4_800, 8_000))
    assert await take_all(await capture.open(f"file:{path}", skip_blocks=9)) == []


async def test_closing_ends_a_waiting_reader_at_once(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(RATE, 2.0), RATE)
    stream = await capture.open(f"file:{path}")
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(take_all(stream))
        await asyncio.sleep(0.25)
        begun = time.monotonic()
        await stream.close()
        await stream.close()
    assert time.monotonic() - begun < 0.05
    assert len(reading.result()) == 2


async def test_memory_does_not_grow_with_the_file(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 48_000, 8) as file:
        for _ in range(60):
            file.write(np.zeros((48_000 * 5, 8), np.int16))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stream = await capture.open(f"file:{path}")
    for _ in range(5):
        await anext(stream)
    await stream.close()
    assert path.stat().st_size > 200_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 60_000


async def refusal(capture: MachineCapture, path: Path | str) -> str:
    async with asyncio.timeout(8):  # other processes may have to look at it
        with pytest.raises(Invalid) as caught:
            await capture.open(f"file:{path}")
    assert str(path) in caught.value.message
    return caught.value.reason


async def test_a_missing_file(tmp_path: Path, capture: MachineCapture) -> None:
    assert await refusal(capture, tmp_path / "nobody.wav") == "FILE_NOT_FOUND"
    (tmp_path / "file").write_bytes(b"x")
    assert await refusal(capture, tmp_path / "file" / "nobody.wav") == "FILE_NOT_FOUND"


async def test_what_is_no_regular_file(tmp_path: Path, capture: MachineCapture) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", "/dev/zero", "relative.wav", "", "/a\0b", "/" + "x" * 5_000):
        assert await refusal(capture, path) == "FILE_UNREADABLE"


@pytest.fixture
def forbidden(tmp_path: Path) -> Iterator[Path]:
    """A file that this process may not read; root may read everything, so be somebody else for a while."""
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(RATE, 0.1), RATE)
    path.chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    yield path
    os.seteuid(before)


async def test_a_file_without_permission(forbidden: Path, capture: MachineCapture) -> None:
    assert await refusal(capture, forbidden) == "FILE_UNREADABLE"


def encoded_samples(seconds: float, rate_hz: int = RATE) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, round(rate_hz * seconds))


def encoded(kind: str, seconds: float = 1.0, rate_hz: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(
        buffer, encoded_samples(seconds, rate_hz), rate_hz, format=kind, subtype="VORBIS" if kind == "OGG" else "PCM_16"
    )
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"", "FILE_EMPTY"),
        (lambda: riff(pcm_format(), chunk(b"data", b"")), "FILE_EMPTY"),
        (lambda: encoded("FLAC", 0.0), "FILE_EMPTY"),
        (lambda: b"Agenda\n1. Welcome\n", "FILE_NOT_AUDIO"),
        (lambda: b"R", "FILE_NOT_AUDIO"),
        (lambda: b"ID3" + b"\0" * 100, "FILE_NOT_AUDIO"),
        (lambda: bytes(range(256)) * 100, "FILE_NOT_AUDIO"),
        (lambda: riff(b""), "FILE_NOT_AUDIO"),
        (lambda: riff(pcm_format(rate_hz=5), chunk(b"data", tone_bytes())), "FILE_NOT_AUDIO"),
        (lambda: encoded("WAV")[:44], "FILE_TRUNCATED"),
        (lambda: encoded("WAV")[:36], "FILE_TRUNCATED"),
        (lambda: encoded("WAV")[:16], "FILE_TRUNCATED"),
        (lambda: encoded("AIFF")[:40], "FILE_TRUNCATED"),
        (lambda: encoded("CAF")[:60], "FILE_TRUNCATED"),
        (lambda: encoded("FLAC", 5.0)[:60], "FILE_NOT_AUDIO"),
    ],
)
async def test_bad_files_are_refused_with_the_reason(
    content: Callable[[], bytes], reason: str, tmp_path: Path, capture: MachineCapture
) -> None:
    path = tmp_path / "recording"
    path.write_bytes(content())
    assert await refusal(capture, path) == reason


async def test_damage_in_the_middle_comes_behind_the_last_good_block(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    path.write_bytes(encoded("WAV", 3.0))
    stream = await capture.open(f"file:{path}")
    os.truncate(path, 44 + 2 * 2_400 * 10)
    blocks: list[AudioBlock] = []
    with pytest.raises(DeviceError) as caught:
        await take_into(blocks, stream)
    assert caught.value.reason == "FILE_DAMAGED"
    assert len(blocks) == 15
    await stream.close()


async def test_a_damaged_flac_goes_on_behind_the_damage_and_tells_of_it(
    tmp_path: Path, capture: MachineCapture
) -> None:
    path = tmp_path / "recording.flac"
    content = bytearray(encoded("FLAC", 2.0))
    content[len(content) // 3 : len(content) // 3 + 12_000] = bytes(12_000)
    path.write_bytes(content)
    blocks = await play(capture, path)
    assert len(blocks) == 20
    holes = [(n * 1_600 + hole.start, n * 1_600 + hole.end) for n, block in enumerate(blocks) for hole in block.filled]
    assert {hole.reason for block in blocks for hole in block.filled} == {"FILE_DAMAGED"}
    assert sum(end - start for start, end in holes) < 1.2 * RATE
    whole = (encoded_samples(2.0) * 32_768).round()
    heard = np.concatenate([block.pcm for block in blocks]).astype(float)
    assert np.abs(heard - whole)[: holes[0][0]].max() <= 1
    assert np.abs(heard - whole)[holes[-1][1] :].max() <= 1


async def test_what_was_promised_and_is_missing_comes_last(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    path.write_bytes(encoded("WAV", 2.0)[: 44 + 2 * 4_900])
    stream = await capture.open(f"file:{path}")
    assert stream.remark is not None
    assert stream.remark.reason == "FILE_TRUNCATED"
    items = [item async for item in stream]
    assert items[0] == stream.remark
    assert items[-1] == Missing(Sample(4_900), Sample(32_000), "FILE_TRUNCATED")
    assert [type(item) for item in items[1:-1]] == [AudioBlock] * 4
    again = [item async for item in await capture.open(f"file:{path}", skip_blocks=20)]
    assert [type(item) for item in again] == [CaptureHealth], "what was told is not told again"


async def test_channels_that_are_not_there_are_named(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(RATE, 0.1, 2), RATE)
    with pytest.raises(Invalid) as caught:
        await capture.open(f"file:{path}", choice=ChannelChoice((1, 3)))
    assert caught.value.reason == "CHANNEL_NOT_THERE"
    assert "no channel 3" in caught.value.message
    assert "1 to 2" in caught.value.message


async def test_channels_against_each_other_are_heard(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(RATE, 4.0, 2) * [1, -1], RATE)
    stream = await capture.open(f"file:{path}", skip_blocks=5)
    items = [item async for item in stream]
    heard = np.concatenate([item.pcm for item in items if isinstance(item, AudioBlock)]) / 32_768
    assert np.abs(np.abs(heard) - np.abs(tone(RATE, 4.0)[8_000:, 0])).max() < 1e-3
    (remark,) = [item for item in items if isinstance(item, CaptureHealth)]
    assert (remark.health, remark.reason) == (Health.UP, "CHANNELS_CANCEL")


async def test_a_paused_file_stands_still_and_loses_nothing(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(RATE, 0.8), RATE)
    stream = await capture.open(f"file:{path}")
    before = [await anext(aiter(stream)) for _ in range(3)]
    await stream.pause()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.35):
            await anext(aiter(stream))
    resumed_s = time.monotonic()
    await stream.resume()
    after = await take_all(stream)
    assert time.monotonic() - resumed_s == pytest.approx(0.5, abs=0.2)
    heard = np.concatenate([block.pcm for block in (*before, *after) if isinstance(block, AudioBlock)]) / 32_768
    assert np.abs(heard - tone(RATE, 0.8)[:, 0]).max() < 0.02


async def test_a_paused_file_can_be_closed(tmp_path: Path, capture: MachineCapture) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, tone(RATE, 0.8), RATE)
    stream = await capture.open(f"file:{path}")
    await stream.pause()
    async with asyncio.TaskGroup() as group:
        rest = group.create_task(take_all(stream))
        await asyncio.sleep(0)
        await stream.close()
    assert rest.result() == []

"""What damage leaves of a FLAC file is found, each sample in its place, and nothing else is."""

import errno
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.files.flac import packed
from minuted_daemon.adapters.spool.files.flac_salvage import HEAD, RUN, Stream, described, stretches
from minuted_daemon.adapters.spool.files.kept_file import CHUNK, UNREADABLE, chunks
from minuted_daemon.core.samples import WIDE_RATE_HZ
from tests.adapters.spool.rooms import SECOND, wide_noise

BLOCK = 4096
TAIL = 1234
SILENCE = slice(20 * WIDE_RATE_HZ, 50 * WIDE_RATE_HZ)


def meeting() -> NDArray[np.int16]:
    """A minute of noise with half a minute of silence in it, more than 256 frames, and a last one that is short."""
    pcm = wide_noise(0, 60 * SECOND)[: 351 * BLOCK + TAIL].copy()
    pcm[SILENCE] = 0
    return pcm


PCM = meeting()
DATA = packed(PCM)
RANDOM = np.random.default_rng(7).bytes(len(DATA))
THIRD = len(DATA) // 3


def parts(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def found(data: bytes, size: int = CHUNK) -> tuple[NDArray[np.int16], int]:
    """The audio with silence where nothing was found, and how many samples were; all must be where they were."""
    stream = described(data, len(data))
    assert stream == Stream(BLOCK, len(PCM))
    out, at, count = np.zeros(len(PCM), np.int16), 0, 0
    for place, pcm in stretches(stream, parts(data, size)):
        assert place >= at
        assert len(pcm) <= RUN * BLOCK, "a step has a bound"
        out[place : place + len(pcm)] = pcm
        at, count = place + len(pcm), count + len(pcm)
    assert np.array_equal(out, PCM * (out != 0)), "what is not silent is what was there"
    return out, count


@pytest.mark.parametrize("size", [97, 1000, 8191, CHUNK])
def test_a_whole_file_is_found_whole_however_it_comes(size: int) -> None:
    out, count = found(DATA, size)
    assert count == len(PCM)
    assert np.array_equal(out, PCM)


def holed(at: int, by: bytes) -> bytes:
    return DATA[:at] + by + DATA[at + len(by) :]


@pytest.mark.parametrize(
    ("damaged", "lost"),
    [
        (holed(THIRD, bytes([DATA[THIRD] ^ 4])), 1),
        (holed(THIRD, bytes(2000)), 2),
        (holed(THIRD, RANDOM[:2000]), 2),
        (holed(THIRD // 2, bytes(65536)), 12),
        (holed(THIRD // 2, RANDOM[:65536]), 12),
        (DATA[:THIRD] + DATA[THIRD + 30_000 :], 7),
        (DATA[:-1], 1),
        (DATA + DATA[: 2 * THIRD], 0),
        (DATA[: THIRD // 2] + DATA, 0),
    ],
)
def test_no_more_is_lost_than_was_hit(damaged: bytes, lost: int) -> None:
    _, count = found(damaged)
    assert len(PCM) - lost * BLOCK <= count
    assert (count == len(PCM)) == (lost == 0)


@pytest.mark.parametrize(
    "damaged",
    [
        holed(THIRD, RANDOM[:THIRD]),
        holed(THIRD, bytes(THIRD)),
        DATA[:THIRD] + RANDOM[: 2 * THIRD],
        DATA[:THIRD] + bytes(2 * THIRD),
        DATA[:THIRD],
        DATA[:THIRD] + DATA[:THIRD],
    ],
)
def test_what_is_before_great_damage_and_behind_it_is_found(damaged: bytes) -> None:
    out, count = found(damaged)
    third_s = int(np.flatnonzero(out != PCM)[0]) / WIDE_RATE_HZ
    assert 9 < third_s < 30
    assert count > 9 * WIDE_RATE_HZ
    if damaged.endswith(DATA[-1000:]):
        assert np.array_equal(out[-8 * WIDE_RATE_HZ :], PCM[-8 * WIDE_RATE_HZ :])


def bare(change: Callable[[bytearray], None]) -> bytes:
    head = bytearray(DATA[:HEAD])
    change(head)
    return bytes(head)


def test_what_is_not_such_a_file_is_told() -> None:
    size = len(DATA)
    assert described(DATA[: HEAD - 1], size) is None
    assert described(bytes(HEAD), size) is None
    for at, value in ((0, 0x67), (7, 0x23), (8, 0x20), (18, 0x06), (20, 0xF2), (21, 0x70)):
        assert described(bare(lambda head, at=at, value=value: head.__setitem__(at, value)), size) is None, at
    assert described(packed(np.zeros(0, np.int16)), size) is None, "there is nothing in it"


def test_a_length_that_the_file_cannot_have_is_not_believed() -> None:
    stream = described(bare(lambda head: head.__setitem__(slice(22, 26), b"\xff" * 4)), 50_000)
    assert stream is not None
    assert stream.length < 50_000 * BLOCK / 10


def test_what_the_disk_has_lost_is_zeros_and_what_is_behind_it_is_read() -> None:
    data = RANDOM[: 3 * UNREADABLE]

    def read(size: int, at: int) -> bytes:
        if UNREADABLE <= at < 2 * UNREADABLE:
            raise OSError(errno.EIO, "as a failing disk says it")
        return data[at : min(at + size, UNREADABLE if at < UNREADABLE else len(data))]

    assert b"".join(chunks(read)) == data[:UNREADABLE] + bytes(UNREADABLE) + data[2 * UNREADABLE :]

    def refuse(_size: int, _at: int) -> bytes:
        raise OSError(errno.EACCES, "as any other trouble")

    with pytest.raises(PermissionError):
        list(chunks(refuse))

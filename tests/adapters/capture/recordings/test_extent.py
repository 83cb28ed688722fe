"""Heads that lie: where the audio ends, and what of it is missing. Each case is a kind of recorder or of crash."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.adapters.capture.recordings.extent import (
    FILE_TRUNCATED,
    HEADER_UNFINISHED,
    HEADER_WRONG,
    Extent,
    extent,
)
from minuted_daemon.adapters.capture.recordings.headers import layout

SAMPLES = np.random.default_rng(3).integers(-9_000, 9_000, 16_000).astype("<i2").tobytes()
FORM = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
NOTE = b"LIST" + struct.pack("<I", 12) + b"INFOICMT\0\0\0\0"


def wav(riff: int, data: int, body: bytes = SAMPLES, behind: bytes = b"", name: bytes = b"RIFF") -> bytes:
    form = b"fmt " + struct.pack("<I", len(FORM)) + FORM
    return name + struct.pack("<I", riff) + b"WAVE" + form + b"data" + struct.pack("<I", data) + body + behind


def found_in(content: bytes) -> Extent:
    known = layout(lambda at, count: content[at : at + count], len(content))
    assert known is not None
    return extent(known, lambda at, count: content[at : at + count], len(content))


ALL = len(SAMPLES)
END = 44 + ALL


def test_an_honest_head_is_believed() -> None:
    assert found_in(wav(36 + ALL, ALL)) == Extent(44, END)
    assert found_in(wav(36 + ALL + len(NOTE), ALL, behind=NOTE)) == Extent(44, END)
    assert found_in(wav(36 + ALL, ALL, behind=NOTE)) == Extent(44, END), "a recorder that forgot its last chunk"
    odd = SAMPLES[:-1]
    assert found_in(wav(36 + ALL, ALL - 1, odd, b"\0" + NOTE)) == Extent(44, END - 1)
    assert found_in(wav(36 + ALL - 1, ALL - 1, odd)) == Extent(44, END - 1)


def test_recordings_that_were_put_one_behind_the_other_are_all_played() -> None:
    one = wav(36 + ALL, ALL)
    assert found_in(one + one) == Extent(44, 2 * len(one), remark=HEADER_WRONG)


def test_a_chunk_that_should_have_been_padded() -> None:
    content = wav(36 + ALL + 13, ALL)
    odd = content[:12] + b"LIST" + struct.pack("<I", 5) + b"INFOx" + content[12:]
    assert found_in(odd) == Extent(57, END + 13)


@pytest.mark.parametrize("behind", [b"TAG" + b"x" * 125, b"ID3\x04" + b"y" * 50, b"\0" * 4_052, NOTE[:15]])
def test_what_is_no_audio_is_not_played(behind: bytes) -> None:
    assert found_in(wav(36 + ALL, ALL, behind=behind)) == Extent(44, END)


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF])
def test_a_length_that_was_never_written(riff: int) -> None:
    assert found_in(wav(riff, 0)) == Extent(44, END, remark=HEADER_UNFINISHED)
    assert found_in(wav(riff, 0, behind=NOTE)) == Extent(44, END, remark=HEADER_UNFINISHED)


def test_nothing_is_nothing() -> None:
    assert found_in(wav(36, 0, b"")) == Extent(44, 44)
    assert found_in(wav(36 + len(NOTE), 0, b"", NOTE)) == Extent(44, 44)


@pytest.mark.parametrize(
    "data",
    [
        0xFFFFFFFF,
        0xFFFFFFFE,
        0xFFFFFFFF - 36,
        0xFFFFF000,
        0x7FFFFFFF,
        0x7FFFF000,
        0x7FFFEFFF,
        0x80000000,
        0x7FFFFFFF - 44,
    ],
)
def test_a_placeholder_is_no_promise(data: int) -> None:
    assert found_in(wav(min(data + 36, 0xFFFFFFFF), data)) == Extent(44, END)
    assert found_in(wav(min(data + 36, 0xFFFFFFFF), data, behind=NOTE)) == Extent(44, END)


def test_what_was_promised_and_is_not_there_is_missing() -> None:
    assert found_in(wav(36 + 2 * ALL, 2 * ALL)) == Extent(44, END, ALL, FILE_TRUNCATED)
    assert found_in(wav(80 + ALL, ALL + 44)) == Extent(44, END, 44, FILE_TRUNCATED)
    assert found_in(wav(36 + ALL, ALL)[:-1]) == Extent(44, END - 1, 1, FILE_TRUNCATED)
    assert found_in(wav(36 + ALL, ALL + 44)) == Extent(44, END), "the file is whole, says its first chunk"


@pytest.mark.parametrize("data", [ALL // 4, ALL - 1_600])
def test_a_head_of_some_seconds_before_the_crash(data: int) -> None:
    assert found_in(wav(36 + data, data)) == Extent(44, END, remark=HEADER_WRONG)
    assert found_in(wav(36 + data, data, behind=NOTE)) == Extent(44, END, remark=HEADER_WRONG)


def test_a_length_that_wrapped_at_4_gib() -> None:
    size = 44 + (1 << 32) + ALL
    head = wav(36 + ALL, ALL, b"")

    def read(at: int, count: int) -> bytes:
        return head[at : at + count].ljust(max(0, min(count, size - at)), b"\0")

    known = layout(read, size)
    assert known is not None
    assert extent(known, read, size) == Extent(44, size, remark=HEADER_WRONG)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.frombuffer(SAMPLES, np.int16), 16_000, format=kind, subtype="PCM_16")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "W64"])
def test_every_container_can_be_right_unfinished_and_wrong(kind: str) -> None:
    content = bytearray(encoded(kind))
    right = found_in(bytes(content))
    assert (right.end - right.start, right.missing, right.remark) == (ALL, 0, "")
    known = layout(lambda at, count: bytes(content[at : at + count]), len(content))
    assert known is not None
    for length, remark, missing in (
        (0, HEADER_UNFINISHED, 0),
        (ALL // 2, HEADER_WRONG, 0),
        (ALL + 3_200, FILE_TRUNCATED, 3_200),
    ):
        for at, field, more in known.lengths:
            field.pack_into(content, at, length + more)
        if kind == "RF64":
            struct.pack_into("<QQ", content, 20, length + 80, length)
        if kind in ("WAV", "WAVEX", "AIFF"):
            struct.pack_into("<I" if kind != "AIFF" else ">I", content, 4, length + right.start - 8)
        assert found_in(bytes(content)) == Extent(right.start, right.end, missing, remark), length


@given(st.binary(max_size=300), st.sampled_from(["WAV", "RF64", "AIFF", "AU", "CAF", "W64"]), st.data())
def test_no_head_is_too_odd(noise: bytes, kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(kind)[:2_000])
    at = data.draw(st.integers(0, len(content)))
    content[at : at + len(noise)] = noise
    known = layout(lambda at, count: bytes(content[at : at + count]), len(content))
    if known is not None:
        found = extent(known, lambda at, count: bytes(content[at : at + count]), len(content))
        assert found.start >= 0
        assert found.end <= max(len(content), found.start)
        assert found.missing >= 0

"""What a scan makes of a file, whatever happened to the file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.files.flac import narrowed, window
from minuted_daemon.adapters.spool.files.record import HEADER, MAGIC, AudioRecord, Damage, Flaw, recorded, scan
from minuted_daemon.core.samples import BLOCK, Sample, wide
from tests.adapters.spool.rooms import WALL_S, wide_noise

RECORDS = [
    recorded(Sample(at), WALL_S + at / 16_000, wide_noise(at, at + 2 * BLOCK)) for at in range(0, 10 * BLOCK, 2 * BLOCK)
]
WHOLE = b"".join(record.encode() for record in RECORDS)
EDGES = [sum(record.size for record in RECORDS[:count]) for count in range(len(RECORDS) + 1)]


def split(data: bytes) -> tuple[list[AudioRecord], list[Flaw]]:
    found = list(scan(data))
    assert sum(item.size for item in found) == len(data), "each byte is told of once"
    return [item for item in found if isinstance(item, AudioRecord)], [item for item in found if isinstance(item, Flaw)]


def starts(records: list[AudioRecord]) -> list[int]:
    return [record.start for record in records]


def test_a_whole_file_comes_back_as_it_was() -> None:
    records, flaws = split(WHOLE)
    assert not flaws
    assert [(r.start, r.end, r.wall_s, r.payload) for r in records] == [
        (r.start, r.end, r.wall_s, r.payload) for r in RECORDS
    ]
    assert [record.offset for record in records] == EDGES[:-1]
    assert all(np.array_equal(r.audio(), wide_noise(r.start, r.end)) for r in records)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE)))
def test_a_truncated_file_gives_all_records_before_its_end(size: int) -> None:
    records, flaws = split(WHOLE[:size])
    whole = sum(edge <= size for edge in EDGES[1:])
    assert starts(records) == starts(RECORDS[:whole])
    assert len(flaws) == (size not in EDGES)
    if flaws and size - EDGES[whole] >= HEADER:
        assert (flaws[0].damage, flaws[0].start, flaws[0].end) == (
            Damage.TORN, RECORDS[whole].start, RECORDS[whole].end,
        )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(WHOLE) * 8 - 1))
def test_a_flipped_bit_costs_the_record_it_is_in_and_no_other(bit: int) -> None:
    data = bytearray(WHOLE)
    data[bit // 8] ^= 1 << bit % 8
    records, flaws = split(bytes(data))
    hit = sum(edge <= bit // 8 for edge in EDGES) - 1
    assert starts(records) == starts(RECORDS[:hit] + RECORDS[hit + 1 :])
    assert [(flaw.offset, flaw.size) for flaw in flaws] == [(EDGES[hit], RECORDS[hit].size)]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(WHOLE)), st.binary(min_size=1, max_size=200), st.booleans())
def test_what_got_in_between_or_was_cut_out_costs_at_most_the_records_it_touches(
    at: int, other: bytes, cut_out: bool
) -> None:
    data = WHOLE[:at] + (b"" if cut_out else other) + WHOLE[at + (len(other) if cut_out else 0) :]
    last = at + (len(other) if cut_out else 0)
    untouched = [r for r, edge in zip(RECORDS, EDGES, strict=False) if edge + r.size <= at or edge >= last]
    records, _ = split(data)
    assert set(starts(untouched)) <= set(starts(records))
    assert all(record.payload == RECORDS[record.start // (2 * BLOCK)].payload for record in records)


def test_zeros_at_the_end_are_told_from_garbage() -> None:
    assert [flaw.damage for flaw in split(WHOLE + bytes(5000))[1]] == [Damage.ZEROS]
    assert [flaw.damage for flaw in split(WHOLE + b"\xff" * 50)[1]] == [Damage.GARBAGE]


def test_a_record_whose_audio_is_another_is_told_of() -> None:
    data = bytearray(WHOLE)
    data[EDGES[2] + HEADER + 60] ^= 0xFF
    (flaw,) = split(bytes(data))[1]
    assert (flaw.damage, flaw.start, flaw.end) == (Damage.CHECKSUM, RECORDS[2].start, RECORDS[2].end)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.just(MAGIC), st.just(WHOLE[:HEADER])), max_size=12))
def test_any_bytes_are_read_without_a_fault(pieces: list[bytes]) -> None:
    split(b"".join(pieces))


def test_what_is_no_flac_is_a_value_error() -> None:
    for payload in (b"\x00", b"fLaC" + bytes(40), RECORDS[0].payload[:200]):
        with pytest.raises(ValueError, match="FLAC"):
            AudioRecord(Sample(0), Sample(3200), WALL_S, payload).audio()


@pytest.mark.parametrize(("start", "count"), [(1, 2400), (-2, 2400), (0, 0), (0, 2401), (0, 300_000)])
def test_a_record_that_could_not_be_read_is_not_made(start: int, count: int) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        recorded(Sample(start), WALL_S, np.ones(count, np.int16))


def test_neighbouring_stretches_at_16_khz_join_without_a_seam() -> None:
    sound = np.cumsum(wide_noise(0, 40 * BLOCK).astype(np.int64) - 1500).astype(np.float64)
    pcm = (sound / np.abs(sound).max() * 30_000).astype(np.int16)

    def narrow(start: int, end: int) -> NDArray[np.int64]:
        low, high = window(start, end)
        seen = np.zeros(wide(high) - wide(low), np.int16)
        held = pcm[wide(low) : min(wide(high), len(pcm))]
        seen[: len(held)] = held
        return narrowed(seen, (low, high), start, end).astype(np.int64)

    whole = narrow(0, 40 * BLOCK)
    pieces = np.concatenate([narrow(at, min(40 * BLOCK, at + 3199)) for at in range(0, 40 * BLOCK, 3199)])
    assert np.abs(whole - pieces).max() <= 1

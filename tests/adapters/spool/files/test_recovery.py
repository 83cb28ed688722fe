"""What is found again of a session's files, whatever happened to them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minuted_daemon.adapters.spool.files.record import Damage, recorded
from minuted_daemon.adapters.spool.files.recovery import ERASED, recover
from minuted_daemon.adapters.spool.files.segment import SegmentFile, path_of
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.errors import StoreError
from tests.adapters.spool.rooms import ONE, SECOND, WALL_S, House, all_of, hear, silent, wide_noise


def write(directory: Path, serial: int, *starts: int) -> Path:
    """A segment with one record of 0.2 s at each position."""
    file = SegmentFile(directory, serial, lambda _: None)
    file.append([recorded(Sample(at), WALL_S + at / SECOND, wide_noise(at, at + 2 * BLOCK)) for at in starts])
    file.close()
    return path_of(directory, serial)


STEP = 2 * BLOCK


def test_what_was_written_is_found(tmp_path: Path) -> None:
    write(tmp_path, 0, 0, STEP)
    write(tmp_path, 1, 2 * STEP)
    found = recover(tmp_path)
    assert found.good == ((0, 3 * STEP),)
    assert [(s.serial, s.spans) for s in found.segments] == [(0, ((0, 2 * STEP),)), (1, ((2 * STEP, 3 * STEP),))]
    assert (found.holes, found.damaged, found.useless, found.next_serial) == ((), (), (), 2)
    assert sum(s.size for s in found.segments) == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_no_directory_is_an_empty_spool(tmp_path: Path) -> None:
    found = recover(tmp_path / "none")
    assert (found.good, found.segments, found.next_serial, found.end) == ((), (), 0, 0)


def test_a_missing_segment_is_a_hole(tmp_path: Path) -> None:
    write(tmp_path, 0, 0)
    write(tmp_path, 1, STEP).unlink()
    write(tmp_path, 2, 2 * STEP)
    assert recover(tmp_path).holes == ((STEP, 2 * STEP),)


def test_a_copy_of_a_segment_is_no_second_one(tmp_path: Path) -> None:
    first = write(tmp_path, 0, 0, STEP)
    shutil.copy(first, path_of(tmp_path, 7))
    found = recover(tmp_path)
    assert found.good == ((0, 2 * STEP),)
    assert [flaw.flaw.damage for flaw in found.damaged] == [Damage.DUPLICATE, Damage.DUPLICATE]
    assert (found.useless, found.next_serial) == ((path_of(tmp_path, 7),), 8)


def test_a_record_that_was_written_again_with_more_behind_it_gives_what_is_new(tmp_path: Path) -> None:
    """A write that failed half way, in a file that could not be shortened, and the next try."""
    write(tmp_path, 0, 0, STEP)
    file = SegmentFile(tmp_path, 1, lambda _: None)
    file.append([recorded(Sample(STEP), WALL_S, wide_noise(STEP, 4 * STEP))])
    file.close()
    found = recover(tmp_path)
    assert found.good == ((0, 4 * STEP),)
    assert found.segments[1].spans == ((2 * STEP, 4 * STEP),)


def test_torn_and_strange_files_are_useless_and_told_of(tmp_path: Path) -> None:
    write(tmp_path, 0, 0)
    torn = write(tmp_path, 1, STEP)
    os.truncate(torn, 300)
    (tmp_path / "00000002.seg").write_bytes(b"")
    (tmp_path / "00000003.part").write_bytes(b"left behind")
    (tmp_path / "strange.seg").write_bytes(b"?")
    (tmp_path / "README").write_text("not ours")
    found = recover(tmp_path)
    assert found.good == ((0, STEP),)
    assert [(d.file, d.flaw.damage) for d in found.damaged] == [(torn.name, Damage.TORN)]
    assert {path.name for path in found.useless} == {torn.name, "00000002.seg", "00000003.part", "strange.seg"}
    assert found.next_serial == 4


def test_a_file_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    write(tmp_path, 0, 0)
    path_of(tmp_path, 1).mkdir()
    found = recover(tmp_path)
    assert found.good == ((0, STEP),)
    assert [(d.file, d.flaw.damage) for d in found.damaged] == [("00000001.seg", Damage.UNREADABLE)]


def test_a_directory_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(StoreError) as raised:
        recover(tmp_path / "spool")
    assert raised.value.reason == "SPOOL_FAILED"


@pytest.mark.parametrize(
    ("listed", "left"),
    [
        (b"\n0 3200\n", ((3200, 9600),)),
        (b"\n0 32\n\n3200 6400\n", ((32, 3200), (6400, 9600))),
        (b"\n0 3200\n\n3200 64", ((3200, 9600),)),
        (b"\n\xff\n\n1" + b"0" * 9000 + b" 1\n\0\0\0", ((0, 9600),)),
    ],
)
def test_what_was_erased_is_no_longer_good_and_no_hole(
    tmp_path: Path, listed: bytes, left: tuple[tuple[int, int], ...]
) -> None:
    write(tmp_path, 0, 0, STEP, 2 * STEP)
    (tmp_path / ERASED).write_bytes(listed)
    found = recover(tmp_path)
    assert (found.good, found.holes) == (left, ())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_of_any_kind_costs_only_what_it_hits(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("damage")
    for serial in range(3):
        write(directory, serial, *range(serial * 3 * STEP, (serial + 1) * 3 * STEP, STEP))
    hit: set[int] = set()
    for serial in data.draw(st.sets(st.integers(0, 2))):
        path = path_of(directory, serial)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["cut", "zeros", "flip", "gone"]))
        if kind == "gone":
            path.unlink()
            hit |= set(range(serial * 3 * STEP, (serial + 1) * 3 * STEP, STEP))
            continue
        size = len(content) // 3  # three records that are alike: noise does not pack
        first, last = at // size, at // size
        if kind == "cut":
            del content[at:]
            last = 2
        elif kind == "zeros":
            content[at:] = bytes(len(content) - at)
            last = 2
        else:
            content[at] ^= 0x10
        path.write_bytes(content)
        # Records differ by some bytes: where `at` is near an edge, either neighbour may be the one that is hit.
        for index in range(max(0, first - (at % size < 200)), min(2, last + (size - at % size < 200)) + 1):
            hit.add((serial * 3 + index) * STEP)
    found = recover(directory)
    good = {at for start, end in found.good for at in range(start, end, STEP)}
    assert set(range(0, 9 * STEP, STEP)) - hit <= good
    assert all(start % STEP == 0 and end % STEP == 0 for start, end in found.good), "a record is good or it is not"


async def test_a_session_goes_on_where_its_files_end(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE), 25)
    first, second = house.segments()
    os.truncate(second, second.stat().st_size - 1)
    async with house.spools() as spools:
        spool = spools.open(ONE)
        assert spool is spools.spools[ONE]
        lost = 25 * SECOND - spool.end
        assert 0 < lost <= SECOND
        assert (spool.begin, len(spool.recovered.damaged)) == (0, 1)
        resumed = Sample(40 * SECOND)
        end = spool.end
        spool.skip(resumed)
        await hear(spool, 3)
        assert house.segments()[:2] == [first, second], "what a crash left is never written to"
        pcm, holes = await all_of(spool, 0, 43 * SECOND)
        assert holes
        assert (holes[0][0], holes[-1][1]) == (end, resumed)
        expected = silent(wide_noise(0, 43 * SECOND), end, resumed)
        assert np.array_equal(pcm, expected)
    async with house.spools() as spools:
        assert spools.spools[ONE].recovered.holes == ((end, resumed),)


async def test_one_unreadable_spool_does_not_hide_the_others(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE), 1)
    (house.state_dir / "spool" / "stray-file").write_text("not ours")
    (house.state_dir / "spool" / "01JGONE.gone").mkdir()
    (house.audio / "half.part").write_bytes(b"unfinished")
    async with house.spools() as spools:
        assert list(spools.spools) == [ONE]
    assert not (house.state_dir / "spool" / "01JGONE.gone").exists()
    assert not list(house.audio.iterdir())

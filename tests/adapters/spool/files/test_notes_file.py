"""Notes beside the audio: found again whatever became of the file, erased with the audio they are about, bounded."""

import os
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.adapters.spool.files import notes_file as file
from minuted_daemon.adapters.spool.files.notes_file import HEADER, NAME, REWRITE, NotesFile, encoded, needed, read, scan
from minuted_daemon.adapters.spool.files.recovery import recover
from minuted_daemon.adapters.spool.session_spool import SessionSpool
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.spool import Note
from tests.adapters.spool.rooms import ONE, SECOND, House, all_of, files_under, hear


def note(at: int, data: bytes = b"", whole: bool = False, until: int | None = None) -> Note:
    return Note(Sample(at), Sample(at if until is None else until), data or f"at {at}".encode(), whole)


async def written(spool: SessionSpool, count: int) -> list[Note]:
    """Wait until so many notes are on the disk."""
    while len(found := list(await spool.notes())) < count:
        pass
    return found


some_notes = st.lists(
    st.builds(
        lambda at, data, whole, length: note(at, data, whole, at + length),
        st.integers(0, 1 << 40),
        st.binary(max_size=60),
        st.booleans(),
        st.integers(0, 1 << 20),
    ),
    max_size=8,
)


@given(some_notes, st.binary(max_size=30))
def test_notes_round_trip_and_what_is_behind_a_torn_one_is_found(notes: list[Note], junk: bytes) -> None:
    whole = b"".join(map(encoded, notes))
    torn = encoded(note(5, b"never finished"))[:-3]
    assert list(scan(whole)) == notes
    assert list(scan(junk.replace(file.MAGIC, b"") + whole + torn + whole)) == notes * 2


@given(some_notes, st.data())
def test_damage_costs_what_it_hits_and_invents_nothing(notes: list[Note], data: st.DataObject) -> None:
    whole = bytearray(b"".join(map(encoded, notes)))
    if not whole:
        return
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    found = list(scan(bytes(whole)))
    assert len(found) >= len(notes) - 1
    rest = iter(notes)
    assert all(any(one == other for other in rest) for one in found), "in order, and nothing that was not noted"


async def test_what_is_noted_is_there_after_a_restart_in_order(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        spool.note(note(0))  # before any audio
        await hear(spool, 2)
        spool.note(note(SECOND))
    async with house.spools() as spools:
        spool = spools.open(ONE)
        assert await spool.notes() == [note(0), note(SECOND)]
        spool.note(note(2 * SECOND))
        assert not spools.spools[ONE].recovered.damaged
        await hear(spool, 1)
    assert read(house.directory()) == [note(0), note(SECOND), note(2 * SECOND)]
    assert recover(house.directory()).held == 3 * SECOND, "notes are no audio"


async def test_a_torn_tail_is_passed_over_and_written_behind(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        spool.note(note(1))
        await hear(spool, 1)
    with (house.directory() / NAME).open("ab") as tail:
        tail.write(encoded(note(2))[: HEADER + 2])
    async with house.spools() as spools:
        spool = spools.open(ONE)
        assert await spool.notes() == [note(1)]
        spool.note(note(3))
    assert read(house.directory()) == [note(1), note(3)]


async def test_they_go_with_the_spool(house: House) -> None:
    async with house.spools() as spools:
        for keep in (False, True):
            spool = spools.open(ONE, keep)
            spool.note(note(1))
            await hear(spool, 1)
            await written(spool, 1)
            await spools.finish(ONE)
            spool.note(note(2))  # too late, and no reason to begin another spool
        spools.open(ONE).note(note(3))
        await spools.delete(ONE)
    assert not house.directory().exists()
    assert not list(files_under(house.state_dir))


@pytest.mark.parametrize("with_audio", [True, False])
async def test_erased_notes_leave_no_byte_behind(house: House, with_audio: bool) -> None:
    about = [note(at * SECOND, f"secret {at:02}".encode()) for at in range(30)]
    reaching = note(9 * SECOND, b"reaches in", whole=True, until=11 * SECOND)
    async with house.spools() as spools:
        spool = spools.open(ONE)
        for one in (*about, reaching):
            spool.note(one)
        if with_audio:
            await hear(spool, 30)
        else:
            spool.skip(Sample(30 * SECOND))
        await written(spool, 31)
        old = os.open(house.directory() / NAME, os.O_RDONLY)
        size = os.fstat(old).st_size
        await spools.erase(ONE, Sample(10 * SECOND), Sample(20 * SECOND))
        assert not any(os.pread(old, size, 0)), "the bytes of the old file, which has no name any more"
        os.close(old)
        left = await spool.notes()
        assert left == [*about[:10], *about[20:]]
        spool.note(note(31 * SECOND))
    assert read(house.directory()) == [*left, note(31 * SECOND)]
    data = b"".join(path.read_bytes() for path in files_under(house.directory()))
    assert b"secret 09" in data
    assert not any(f"secret {at}".encode() in data for at in range(10, 20))
    assert b"reaches in" not in data


@dataclass
class Disk:
    """Has the disk keep things, or not."""

    broken: bool = False

    def sync(self, _: int) -> None:
        if self.broken:
            raise OSError(28, "as a full disk says it")


async def test_without_space_for_another_file_erasing_takes_all_notes(house: House) -> None:
    disk = Disk()
    async with house.spools(sync=disk.sync) as spools:
        spool = spools.open(ONE)
        for at in range(5):
            spool.note(note(at * SECOND))
        spool.skip(Sample(5 * SECOND))
        await written(spool, 5)
        disk.broken = True
        with pytest.raises(StoreError):
            await spools.erase(ONE, Sample(0), Sample(SECOND))
        assert not any(path.read_bytes().strip(b"\0") for path in files_under(house.directory()))
        disk.broken = False
        await spools.erase(ONE, Sample(0), Sample(SECOND))
        assert await spool.notes() == []


async def test_notes_that_the_disk_does_not_take_wait_and_cost_no_audio(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        house.directory().mkdir(parents=True)
        (house.directory() / NAME).mkdir()  # nothing can be written there
        for at in range(3):
            spool.note(note(at))
        await hear(spool, 2)
        assert spool.health.health is Health.UP
        with pytest.raises(StoreError):
            await spool.notes()
        (house.directory() / NAME).rmdir()
        spool.note(note(3))
        await hear(spool, 1)
        assert await spool.notes() == [note(at) for at in range(4)]
        assert not (await all_of(spool, 0, 3 * SECOND))[1]


async def test_a_note_that_cannot_be_written_holds_no_other_up(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        spool.note(note(0, bytes(file.LARGEST + 1)))
        await hear(spool, 1)
        spool.note(note(1))
        assert await written(spool, 1) == [note(1)]


def test_what_is_needed_begins_with_the_newest_whole_one_before() -> None:
    notes = [note(0), note(10, whole=True), note(12), note(20, whole=True), note(21), note(30, whole=True)]
    data = b"".join(encoded(one) for one in notes)

    def kept(since: int, most: int = 10_000) -> list[Note]:
        return list(scan(needed(data, since, most)))

    assert kept(25) == notes[3:]
    assert kept(20) == notes[3:]
    assert kept(19) == notes[1:]
    assert kept(5) == notes
    assert needed(data, 25, most=len(data) // 3 + 1) == b"".join(encoded(one) for one in notes[4:])
    assert needed(data, 25, most=3) == b""
    assert needed(b"", 5, 10_000) == b""


def test_the_file_is_made_anew_when_it_has_grown_with_what_is_still_needed(house: House) -> None:
    directory = house.directory()
    directory.mkdir(parents=True)
    notes = NotesFile(directory, lambda _: None)
    most = 0
    for second in range(3_000):
        whole = second % 60 == 0
        notes.append([note(second * SECOND, random.Random(second).randbytes(60), whole)], max(0, second - 200) * SECOND)
        most = max(most, (directory / NAME).stat().st_size)
    found = read(directory)
    assert REWRITE - 1_000 < most <= REWRITE
    assert found[-1].end == 2_999 * SECOND
    assert found[0].whole
    assert found[0].end <= 2_800 * SECOND
    seconds = [one.end // SECOND for one in found]
    assert seconds == list(range(seconds[0], 3_000)), "nothing is missing behind it"
    assert not list(directory.glob("*.part"))


def test_it_is_bounded_even_if_all_of_it_is_needed(house: House) -> None:
    directory = house.directory()
    directory.mkdir(parents=True)
    notes = NotesFile(directory, lambda _: None, rewrite=10_000, most=40_000)
    for second in range(500):
        notes.append([note(second * SECOND, bytes(300))], 0)
        assert (directory / NAME).stat().st_size < 41_000
    found = [one.end // SECOND for one in read(directory)]
    assert found == list(range(found[0], 500)), "the oldest went"
    assert len(found) > 30

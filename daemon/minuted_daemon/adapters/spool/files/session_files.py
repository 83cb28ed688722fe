"""A session's files as their writer sees them. Blocks on the disk: everything here runs in the writing thread.

It keeps nothing that the disk does not hold; what was not written stays with the caller.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.disk import sync_directory
from minuted_daemon.adapters.spool.faults import is_full
from minuted_daemon.adapters.spool.files.notes_file import NotesFile
from minuted_daemon.adapters.spool.files.record import recorded
from minuted_daemon.adapters.spool.files.recovery import ERASED
from minuted_daemon.adapters.spool.files.segment import (
    Segment,
    SegmentFile,
    Sync,
    described,
    erase_from,
    path_of,
    write_all,
)
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.ports.spool import Note

RECORD_BLOCKS = 10
"""Blocks in one record at most."""
GONE = ".gone"
"""Ends the name of a directory that is being removed."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A block as the spool keeps it in memory: 100 ms at both rates, from `start` on."""

    start: Sample
    wall_s: float
    pcm: NDArray[np.int16]
    wide: NDArray[np.int16]

    @property
    def end(self) -> Sample:
        """One past its last sample."""
        return Sample(self.start + BLOCK)


class SessionFiles:
    """Writes, erases and removes one session's segments and notes. One thread only."""

    def __init__(self, directory: Path, next_serial: int, sync: Sync) -> None:
        self._directory = directory
        self._next_serial = next_serial
        self._sync = sync
        self._made = False
        self._open: SegmentFile | None = None
        self._notes = NotesFile(directory, sync)

    def write(self, blocks: Sequence[Heard]) -> Segment:
        """Write blocks, in order, into the newest segment; return what was added once it is on the disk.

        Raises OSError; then none of them counts as written.
        """
        records = [
            recorded(run[0].start, run[0].wall_s, np.concatenate([block.wide for block in run]))
            for run in _runs(blocks)
        ]
        file = self._file()
        try:
            file.append(records)
        except OSError:
            self._open = None
            raise
        if file.full:
            self.seal()
        added = described(file.serial, records)
        assert added is not None
        return added

    def seal(self) -> None:
        """Let the next write begin a new segment."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def remove(self, serials: Sequence[int]) -> None:
        """Remove segments; those that are gone already do not matter. Raises OSError once it has tried all."""
        faults: list[OSError] = []
        for serial in serials:
            if self._open is not None and self._open.serial == serial:
                self.seal()
            try:
                path_of(self._directory, serial).unlink(missing_ok=True)
            except OSError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    def note_erased(self, start: int, end: int) -> None:
        """Write down what must not come back, should the daemon end before it is erased. Seals.

        Without space for it, erasing must do without. Raises OSError for any other fault.
        """
        self.seal()
        try:
            self._make_directory()
            file = os.open(self._directory / ERASED, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                # A line that an earlier attempt left unfinished ends here.
                write_all(file, f"\n{start} {end}\n".encode())
                self._sync(file)
            finally:
                os.close(file)
        except OSError as fault:
            if not is_full(fault):
                raise

    def erase(self, serial: int, start: int, end: int) -> Segment | None:
        """Erase [start, end) from a sealed segment and return what remains of it. Raises OSError."""
        return erase_from(self._directory, serial, start, end, self._sync)

    def note(self, notes: Sequence[Note], needed_from: int) -> None:
        """Write notes; nothing need be known of what lies before `needed_from`.

        Raises OSError; then none of them counts as written.
        """
        self._make_directory()
        self._notes.append(notes, needed_from)

    def erase_notes(self, start: int, end: int) -> None:
        """Erase the notes about [start, end). Raises OSError."""
        self._notes.erase(start, end)

    def discard(self) -> None:
        """Remove the session's directory: either all of it, as the next start sees it, or nothing. Raises OSError."""
        self.seal()
        self._notes.close()
        gone = self._directory.with_name(self._directory.name + GONE)
        try:
            self._directory.rename(gone)
        except FileNotFoundError:
            return
        sync_directory(gone.parent)
        self._made = False
        with contextlib.suppress(OSError):  # the next start removes what is left
            shutil.rmtree(gone)

    def _file(self) -> SegmentFile:
        if self._open is None:
            self._make_directory()
            serial, self._next_serial = self._next_serial, self._next_serial + 1
            self._open = SegmentFile(self._directory, serial, self._sync)
        return self._open

    def _make_directory(self) -> None:
        if not self._made:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._directory.parent)
            self._made = True


def _runs(blocks: Sequence[Heard]) -> list[list[Heard]]:
    """Group what one record can hold: neighbours, not too many."""
    runs: list[list[Heard]] = []
    for block in blocks:
        if runs and runs[-1][-1].end == block.start and len(runs[-1]) < RECORD_BLOCKS:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs

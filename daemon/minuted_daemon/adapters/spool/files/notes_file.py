"""The notes beside a session's audio: one file of small records, each complete in itself. Blocks on the disk.

A record is a header and what was noted. The header: magic (4 bytes), flags (u8: 1 if whole), length of what was noted
in bytes (u32), the stretch it is about (2 x i64, samples at 16 kHz), CRC-32 of what was noted (u32), CRC-32 of the
header up to here (u32); little-endian. As with the audio (record.py), no length is trusted before its checksum fits,
and what is no record is passed over. To change the format, change the magic.

What is written here is not waited for: a power cut takes the last seconds of it, the daemon's death takes nothing.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from minuted_daemon.adapters.spool.files.segment import PART, Sync, destroy, put_in_place_of, write_all
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.spool import Note

NAME = "notes"
MAGIC = b"\xabmN1"
LARGEST = 262_144
"""Bytes in one note at most."""
REWRITE = 65_536
"""Bytes after which the file is rewritten with what is still needed; and again when that has doubled."""
MOST = 8_388_608
"""Bytes kept at most, however old the oldest audio is that is still needed: the oldest notes go."""

_FIELDS = struct.Struct("<4sBIqqI")
_CHECK = struct.Struct("<I")
HEADER = _FIELDS.size + _CHECK.size
_WHOLE = 1


def encoded(note: Note) -> bytes:
    """Return a note as it stands in the file. Raises ValueError if it is too large."""
    if len(note.data) > LARGEST:
        raise ValueError(f"a note cannot hold {len(note.data)} bytes")
    flags = _WHOLE if note.whole else 0
    fields = _FIELDS.pack(MAGIC, flags, len(note.data), note.start, note.end, zlib.crc32(note.data))
    return fields + _CHECK.pack(zlib.crc32(fields)) + note.data


def scan(data: bytes) -> Iterator[Note]:
    """Return all notes that a file holds, in the order they were written in. Never raises, whatever the bytes are."""
    return (note for _, note in _placed(data))


def _placed(data: bytes) -> Iterator[tuple[int, Note]]:
    """Return all notes and where each begins."""
    offset = data.find(MAGIC)
    while offset >= 0:
        note = _note_at(data, offset)
        if note is not None:
            yield offset, note
        offset = data.find(MAGIC, offset + (1 if note is None else HEADER + len(note.data)))


def _note_at(data: bytes, offset: int) -> Note | None:
    header = data[offset : offset + HEADER]
    if len(header) < HEADER or _CHECK.unpack_from(header, _FIELDS.size)[0] != zlib.crc32(header[: _FIELDS.size]):
        return None
    _, flags, size, start, end, check = _FIELDS.unpack_from(header)
    noted = data[offset + HEADER : offset + HEADER + size]
    if len(noted) < size or zlib.crc32(noted) != check:
        return None
    return Note(Sample(start), Sample(end), noted, bool(flags & _WHOLE))


def needed(data: bytes, since: int, most: int) -> bytes:
    """Return the notes needed for what comes after `since`: from the newest whole note before it.

    Of more than `most` bytes the oldest notes go.
    """
    first = max((at for at, note in _placed(data) if note.whole and note.end <= since), default=0)
    if len(data) - first > most:
        first = next((at for at, _ in _placed(data) if len(data) - at <= most), len(data))
    return data[first:]


class NotesFile:
    """Appended to, and rewritten when it has grown. One thread only. Everything here raises OSError as it comes."""

    def __init__(self, directory: Path, sync: Sync, rewrite: int = REWRITE, most: int = MOST) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._sync = sync
        self._file = -1
        self._rewrite_from = rewrite
        self._most = most
        self._size = 0
        self._rewrite_at = rewrite

    def append(self, notes: Sequence[Note], needed_from: int) -> None:
        """Write notes; of what lies before `needed_from` nothing need be known. The directory must be there.

        After an OSError the file holds what it held before.
        """
        data = b"".join(encoded(note) for note in notes)
        self._open()
        try:
            write_all(self._file, data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            self.close()
            raise
        self._size += len(data)
        if self._size >= self._rewrite_at:
            # Without space for another file this one just goes on growing.
            with contextlib.suppress(OSError):
                self._rewrite(needed_from)

    def erase(self, start: int, end: int) -> None:
        """Have no note left that is about some of [start, end), nor bytes that are no note; overwrite where they were.

        Without space for a new file all notes go.
        """
        self.close()
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        notes = list(scan(data))
        kept = [note for note in notes if not note.touches(start, end)]
        if len(kept) == len(notes) and sum(HEADER + len(note.data) for note in kept) == len(data):
            return
        try:
            self._replace(b"".join(encoded(note) for note in kept))
        except OSError:
            with contextlib.suppress(OSError):
                self._path.with_suffix(PART).unlink()
            destroy(self._path, self._sync)

    def close(self) -> None:
        """Let go of the file. May be called again."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o600)
            self._size = os.fstat(self._file).st_size

    def _rewrite(self, needed_from: int) -> None:
        most = self._most // 2 if self._size >= self._most else self._most
        kept = needed(self._path.read_bytes(), needed_from, most)
        self._rewrite_at = min(max(self._rewrite_from, 2 * self._size), self._most)
        self.close()
        self._replace(kept)
        self._rewrite_at = min(max(self._rewrite_from, 2 * len(kept)), self._most)

    def _replace(self, data: bytes) -> None:
        fresh = self._path.with_suffix(PART)
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(file, data)
            self._sync(file)
        finally:
            os.close(file)
        put_in_place_of(self._path, fresh, self._sync)


def read(directory: Path) -> list[Note]:
    """Return the notes that a session's directory holds, in the order in which they were written. Raises OSError."""
    try:
        return list(scan((directory / NAME).read_bytes()))
    except FileNotFoundError:
        return []

"""What a directory left behind by a crash, a power cut or a failing disk still holds. Blocks on the disk."""

from dataclasses import dataclass, field
from pathlib import Path

from minuted_daemon.adapters.spool.faults import as_store_error
from minuted_daemon.adapters.spool.files.record import Damage, Flaw, scan
from minuted_daemon.adapters.spool.files.segment import PART, SUFFIX, Segment
from minuted_daemon.core.ranges import Span, joined, length, outside, without
from minuted_daemon.core.samples import Sample

ERASED = "erased"
"""The file that lists what must not come back: two positions a line. A line counts once its newline is there."""
LONGEST_LINE = 40


@dataclass(frozen=True, slots=True)
class Damaged:
    """A flaw and the name of the file it is in."""

    file: str
    flaw: Flaw


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found. `good` is the audio that can be read, in order; each stretch is whole.

    A file may hold more than its segment says: audio that an earlier file gives already. `useless` are files
    without a single good record, and unfinished ones. `next_serial` is above the number of every file there is.
    `erased` was asked to be erased; where `segments` still hold some of it, that is to be done again.
    """

    segments: tuple[Segment, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    erased: tuple[Span, ...] = ()
    useless: tuple[Path, ...] = ()
    next_serial: int = 0
    good: tuple[Span, ...] = field(default=())

    @property
    def holes(self) -> tuple[Span, ...]:
        """What is missing between the first good sample and the last, and was not erased on purpose."""
        if not self.good:
            return ()
        return without([(self.good[0][0], self.good[-1][1])], self.good + self.erased)

    @property
    def end(self) -> Sample:
        """One past the last good sample."""
        return Sample(self.good[-1][1] if self.good else 0)

    @property
    def held(self) -> int:
        """Good samples."""
        return length(self.good)


def recover(directory: Path) -> Recovered:
    """Read all of a session's files, trusting nothing but checksums. Changes nothing on the disk.

    Never raises for what the files hold, nor for a file that cannot be read; what is wrong is in `damaged`.
    Raises StoreError if the directory itself cannot be read. A directory that is not there holds nothing.
    """
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix in (SUFFIX, PART))
    except FileNotFoundError:
        return Recovered()
    except OSError as error:
        raise as_store_error(error, str(directory)) from error
    segments: list[Segment] = []
    damaged: list[Damaged] = []
    useless: list[Path] = []
    good: tuple[Span, ...] = ()
    for path in files:
        serial = _serial(path)
        if path.suffix == PART or serial is None:
            useless.append(path)
            continue
        try:
            data = path.read_bytes()
        except OSError:
            damaged.append(Damaged(path.name, Flaw(Damage.UNREADABLE, 0, 0)))
            continue
        spans: list[Span] = []
        wall_s = 0.0
        for found in scan(data):
            if isinstance(found, Flaw):
                damaged.append(Damaged(path.name, found))
                continue
            fresh = outside(found.start, found.end, (*good, *spans))
            if fresh:
                spans += fresh
                wall_s = found.wall_s
            else:
                flaw = Flaw(Damage.DUPLICATE, found.offset, found.size, found.start, found.end)
                damaged.append(Damaged(path.name, flaw))
        if spans:
            segments.append(Segment(serial, joined(spans), len(data), wall_s))
            good = joined((*good, *spans))
        else:
            useless.append(path)
    erased = _erased(directory)
    return Recovered(
        tuple(sorted(segments, key=lambda segment: segment.start)),
        tuple(damaged),
        erased,
        tuple(useless),
        max((serial + 1 for path in files if (serial := _serial(path)) is not None), default=0),
        without(good, erased),
    )


def _serial(path: Path) -> int | None:
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else None


def _erased(directory: Path) -> tuple[Span, ...]:
    try:
        lines = (directory / ERASED).read_bytes().split(b"\n")[:-1]
    except OSError:
        return ()
    spans = []
    for line in lines:
        low, _, high = line.partition(b" ")
        if low.isdigit() and high.isdigit() and len(line) <= LONGEST_LINE:
            spans.append((int(low), int(high)))
    return joined(spans)

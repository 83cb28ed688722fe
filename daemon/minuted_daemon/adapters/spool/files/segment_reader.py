"""Audio back from a session's segments. Blocks on the disk: everything here runs in the reading thread."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.files.flac import narrowed, window
from minuted_daemon.adapters.spool.files.record import AudioRecord, scan
from minuted_daemon.adapters.spool.files.segment import Segment, path_of
from minuted_daemon.core.ranges import Span, joined, within
from minuted_daemon.core.samples import RATE_HZ, wide

TRIES = 2
AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the disk gave of a stretch: audio, silent where there is none, and the spans that are audio.

    `fault` is what the system said about a file that is there and cannot be read.
    """

    pcm: NDArray[np.int16]
    found: tuple[Span, ...]
    fault: OSError | None = None


class SegmentReader:
    """Reads one session's segments, keeping the last one unpacked (1 MB): neighbouring reads unpack it once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key: tuple[int, int] | None = None
        self._pieces: list[tuple[Span, NDArray[np.int16]]] = []

    def forget(self) -> None:
        """Hold nothing in memory any longer."""
        self._key, self._pieces = None, []

    def load(self, segments: Sequence[Segment], start: int, end: int, rate_hz: int) -> Loaded:
        """Return [start, end) at 16 or 24 kHz, as far as these segments hold it.

        Never raises for what the disk does.
        """
        low, high = window(start, end) if rate_hz == RATE_HZ else (start, end)
        pcm = np.zeros(wide(high) - wide(low), np.int16)
        found: list[Span] = []
        fault: OSError | None = None
        for segment in segments:
            if segment.end <= low or segment.start >= high:
                continue
            try:
                pieces = self._unpacked(segment)
            except FileNotFoundError:
                continue  # removed since it was asked for
            except OSError as error:
                fault = error
                continue
            for (begin, stop), piece in pieces:
                for a, b in within(max(begin, low), min(stop, high), segment.spans):
                    pcm[wide(a) - wide(low) : wide(b) - wide(low)] = piece[
                        wide(a) - wide(begin) : wide(b) - wide(begin)
                    ]
                    found.append((a, b))
        if rate_hz == RATE_HZ:
            pcm = narrowed(pcm, (low, high), start, end)
        return Loaded(pcm, within(start, end, joined(found)), fault)

    def _unpacked(self, segment: Segment) -> list[tuple[Span, NDArray[np.int16]]]:
        key = (segment.serial, segment.size)
        if key != self._key:
            self.forget()
            self._pieces = [piece for item in self._records(segment) if (piece := _piece(item)) is not None]
            self._key = key
        return self._pieces

    def _records(self, segment: Segment) -> list[AudioRecord]:
        path = path_of(self._directory, segment.serial)
        for left in reversed(range(TRIES)):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                raise
            except OSError:
                if not left:
                    raise
                time.sleep(AGAIN_S)
            else:
                break
        return [item for item in scan(data) if isinstance(item, AudioRecord)]


def _piece(record: AudioRecord) -> tuple[Span, NDArray[np.int16]] | None:
    try:
        return (record.start, record.end), record.audio()
    except ValueError:
        return None

"""Recordings that libsndfile decodes in this process: whole numbers, floats, simple codecs, and FLAC."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile

from minuted_daemon.adapters.capture.recordings.decoding.decoder import Frames, Interrupted
from minuted_daemon.adapters.capture.recordings.extent import Extent
from minuted_daemon.adapters.capture.recordings.headers import Layout
from minuted_daemon.adapters.capture.recordings.mended_header import MendedFile, mended_head

_UNKNOWN_FRAMES = 1 << 62
_EXACT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Codings in which each frame has its own bytes; of the others the last block may be shorter than it is said to be."""
_SLACK_S = 0.2
_FAULTS = (soundfile.SoundFileError, TypeError, ValueError, OSError, RuntimeError)


class UnreadableError(Exception):
    """The library cannot make sense of a file."""


class _Sound(soundfile.SoundFile):  # type: ignore[misc]
    """Never seeks by itself: the library's binding would after each read, and at the end of some streams it cannot."""

    def seekable(self) -> bool:
        return False


class PlainDecoder:
    """See decoder.Decoder. The descriptor stays the caller's; the decoder has one of its own."""

    def __init__(self, descriptor: int, known: Layout | None, found: Extent | None) -> None:
        """`known` and `found`: how the file is built and where its audio is; None for FLAC, which tells by itself.

        Raises UnreadableError.
        """
        self._descriptor = os.dup(descriptor)
        self._open = _opening(self._descriptor, known, found)
        self._reopens = known is None
        try:
            self._sound, self._file = self._open()
        except _FAULTS as error:
            os.close(self._descriptor)
            raise UnreadableError(type(error).__name__) from error
        self.rate_hz: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.remark = "" if found is None else found.remark
        frames: int = self._sound.frames
        self.promised = frames if 0 <= frames < _UNKNOWN_FRAMES else None
        is_exact = found is not None and self._sound.subtype.startswith(_EXACT)
        self.held = self.promised if is_exact else None
        if found is not None and self.promised is not None:
            held = found.end - found.start
            self.promised = (2 * frames * (held + found.missing) + held) // (2 * held)
        self.slack = 0 if is_exact or found is None else round(_SLACK_S * self.rate_hz)
        self._at = 0

    def is_empty(self) -> bool:
        """Return whether there is nothing at all to be heard; only before anything else is asked."""
        if self._sound.frames < _UNKNOWN_FRAMES:
            return bool(self._sound.frames <= 0)
        try:
            empty = not len(self.read(1))
        except Interrupted:
            return False
        self._sound.close()
        self._sound, self._file = self._open()
        self._at = 0
        return empty

    def read(self, count: int) -> Frames:
        """See decoder.Decoder."""
        frames = np.full((count, self.channels), np.nan, np.float32)
        try:
            given = self._sound.buffer_read_into(frames, "float32")
        except _FAULTS as error:
            # What was decoded before the fault stands in the buffer, uncounted.
            wrong = np.isnan(frames).any(axis=1)
            given = int(wrong.argmax()) if wrong.any() else count
            self._at += given
            raise Interrupted(type(error).__name__, frames[:given]) from error
        self._at += given
        if not given and self._file.error is not None:
            raise Interrupted(self._file.error.strerror or "read error", frames[:0])
        return frames[:given]

    def skip(self, count: int) -> int:
        """See decoder.Decoder: some of these codecs cannot seek."""
        try:
            there = self._sound.seek(self._at + count)
        except _FAULTS:
            with contextlib.suppress(*_FAULTS):
                self._sound.close()
            self._sound, self._file = self._open()
            self._at = 0
            return 0
        self._at += count
        return count if there == self._at else 0

    def at_end(self) -> bool:
        """See decoder.Decoder."""
        return self._file.error is None and self._file.tell() >= self._file.size

    def resume(self, lost: int) -> bool:
        """See decoder.Decoder. A stream that lost its way is read again from after the damage."""
        if not self._reopens:
            return False
        try:
            sound, file = self._open()
        except _FAULTS:
            return False
        try:
            sound.seek(self._at + lost)
        except _FAULTS:
            sound.close()
            return False
        self._sound.close()
        self._sound, self._file = sound, file
        self._at += lost
        return True

    def abort(self) -> None:
        """See decoder.Decoder: it waits for nothing but the disk."""

    def close(self) -> None:
        """See decoder.Decoder."""
        with contextlib.suppress(*_FAULTS):
            self._sound.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _opening(descriptor: int, known: Layout | None, found: Extent | None) -> Callable[[], tuple[Any, MendedFile]]:
    def opened() -> tuple[Any, MendedFile]:
        if known is None or found is None:
            file = MendedFile(descriptor, b"", 0, os.fstat(descriptor).st_size)
        else:
            file = MendedFile(descriptor, mended_head(known, found, descriptor), found.start, found.end)
        return _Sound(file), file

    return opened

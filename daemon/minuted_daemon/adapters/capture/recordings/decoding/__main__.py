"""The process that decodes one recording.

Started as `python -m minuted_daemon.adapters.capture.recordings.decoding PARENT CPU_S COMMAND...`.

The recording is its standard input, opened by the daemon. With the COMMAND `libsndfile` it decodes by itself; any other
is another program that it becomes. Either way 32-bit floats go to stdout in the form of an AU file of unknown length,
and the exit status tells whether the end was reached. Decoders print, hang and crash over damaged files; here they do
no harm, with little memory, a limit on processor time, and no file that could be written.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

LIBSNDFILE = "libsndfile"
AU_HEADER = struct.Struct(">4sIIIII")
"""Magic, where the audio begins, its length, its coding, rate, channels. Between head and audio stands the promise."""
AU_FLOAT = 6
UNKNOWN_LENGTH = 0xFFFFFFFF
ENDED_EARLY = 3
NOT_READABLE = 4

_PR_SET_PDEATHSIG = 1
_MEMORY = 1 << 30
_FRAMES = 4_800
_FORMATS = frozenset(
    {"WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "W64", "OGG", "MP3", "FLAC", "VOC", "NIST", "SVX", "IRCAM"}
)
_SIZE_READ = 1 << 16


def main() -> None:
    """Decode, or become what decodes."""
    parent, cpu_s, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    for kind, limit in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(kind, (limit, limit))
    if command[0] != LIBSNDFILE:
        os.execve(command[0], command, {"LANG": "C.UTF-8"})  # noqa: S606
    output = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints, the pipe carries audio only
    os._exit(_decode(output))


def _decode(output: int) -> int:
    import soundfile

    try:
        parts = _parts(soundfile)
        first = next(parts)
        if first.sound.format not in _FORMATS or first.sound.samplerate <= 0:
            return NOT_READABLE
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, StopIteration):
        return NOT_READABLE
    promise = b"" if first.promised is None else b"%d" % first.promised
    form = first.sound.samplerate, first.sound.channels
    _write(output, AU_HEADER.pack(b".snd", AU_HEADER.size + len(promise), UNKNOWN_LENGTH, AU_FLOAT, *form) + promise)
    part: _Part | None = first
    while part is not None:
        if (part.sound.samplerate, part.sound.channels) != form or not _pass_on(part, output):
            return ENDED_EARLY
        part = next(parts, None)
    return 0


class _Part:
    """A stream of the recording. promised: how many frames it promises; skip: how many of the first are none of it."""

    def __init__(self, sound: Any, promised: int | None, skip: int = 0, fed: threading.Event | None = None) -> None:
        self.sound, self.promised, self.skip, self.fed = sound, promised, skip, fed


def _parts(soundfile: Any) -> Iterator[_Part]:
    from minuted_daemon.adapters.capture.recordings.decoding.mpeg import Info, info_of
    from minuted_daemon.adapters.capture.recordings.decoding.ogg import links
    from minuted_daemon.adapters.capture.recordings.mended_header import MendedFile

    class Sound(soundfile.SoundFile):  # type: ignore[misc]
        """Does not seek after each read, as the binding would."""

        def seekable(self) -> bool:
            return False

    size = os.fstat(0).st_size
    if os.pread(0, 4, 0) == b"OggS":
        for begin, end in links(lambda at, count: os.pread(0, count, at), size):
            sound = Sound(MendedFile(0, b"", begin, end))
            yield _Part(sound, sound.frames if (begin, end) == (0, size) else None)
        return
    whole = Sound(MendedFile(0, b"", 0, size))
    if whole.format != "MP3":
        yield _Part(whole, whole.frames if whole.subtype != "MPEG_LAYER_III" and whole.frames < 1 << 62 else None)
        return
    # Where it could seek, the library guesses a length from the first frames, and ends there.
    info = info_of(lambda at, count: os.pread(0, count, at)) or Info(0, 0, None, 0)
    reading, writing = os.pipe()
    fed = threading.Event()
    threading.Thread(target=_feed, args=(writing, info.at, info.length, fed), daemon=True).start()
    yield _Part(Sound(reading), info.frames, info.skip, fed)


def _feed(pipe: int, blank_at: int, blank: int, fed: threading.Event) -> None:
    at = 0
    with contextlib.suppress(OSError):
        while data := bytearray(os.pread(0, _SIZE_READ, at)):
            for place in range(max(at, blank_at), min(at + len(data), blank_at + blank)):
                data[place - at] = 0
            _write(pipe, data)
            at += len(data)
        fed.set()
        os.close(pipe)


def _pass_on(part: _Part, output: int) -> bool:
    """Write all frames; false if the library gave up before the end."""
    import numpy as np

    frames = np.empty((_FRAMES, part.sound.channels), np.float32)
    skip, going_on = part.skip, True
    while going_on:
        frames.fill(np.nan)
        try:
            given = part.sound.buffer_read_into(frames, "float32")
            going_on = given > 0
        except (RuntimeError, OSError):
            # What was decoded before the fault stands in the buffer, uncounted.
            wrong = np.isnan(frames).any(axis=1)
            given, going_on = int(wrong.argmax()) if wrong.any() else _FRAMES, False
            if part.fed is None or not part.fed.is_set():
                _write(output, frames[skip:given].astype(">f4").tobytes())
                return False
        _write(output, frames[min(skip, given) : given].astype(">f4").tobytes())
        skip -= min(skip, given)
    return True


def _write(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main()

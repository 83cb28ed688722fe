"""Recordings as sources: WAV and FLAC files, in real time. Reading, decoding and resampling stay off the event loop."""

import asyncio
import contextlib
import errno
import os
import stat
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from minuted_daemon.adapters.capture.headers import is_audio, is_wav, missing_bytes
from minuted_daemon.adapters.capture.render import BLOCK_S, Rendered, Renderer, to_mono
from minuted_daemon.adapters.capture.sandbox import why_hidden
from minuted_daemon.errors import DeviceError, Invalid
from minuted_daemon.ports import AudioBlock

_BATCH = 10
"""Blocks read at once, one batch ahead of the one being played: memory for 2 s, whatever the file's length."""
_LATEST_S = 2.0
"""A reader later than this finds the file waiting for it; up to here it catches up."""
_READING_S = 10.0
_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC"})
_RATES_HZ = range(1_000, 768_001)
_MOST_CHANNELS = 64
_UNKNOWN_FRAMES = 1 << 62


async def open_file(path: str, skip_blocks: int = 0) -> "FileStream":
    """Open a WAV or FLAC file by its absolute path, at block number `skip_blocks`.

    Raises Invalid (FILE_NOT_FOUND, FILE_UNREADABLE, FILE_EMPTY, FILE_NOT_AUDIO, FILE_TRUNCATED).
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="recording")
    opening = executor.submit(_open, path, skip_blocks)
    try:
        async with asyncio.timeout(_READING_S):
            reader = await asyncio.wrap_future(opening)
    except TimeoutError as error:
        opening.add_done_callback(_close_unwanted)
        executor.shutdown(wait=False)
        raise _refusal("FILE_UNREADABLE", path, "does not answer; is its disk away?") from error
    except BaseException:
        opening.add_done_callback(_close_unwanted)
        executor.shutdown(wait=False)
        raise
    return FileStream(reader, executor)


class FileStream:
    """A ports.CaptureStream over one recording. Block n comes n + 1 block lengths after the first was asked for.

    A reader that is late gets what is due at once. One that is more than 2 s late does not lose anything, unlike with
    a device: the recording waits, and goes on in real time from there.
    """

    def __init__(self, reader: "_Reader", executor: ThreadPoolExecutor) -> None:
        self._reader = reader
        self._executor = executor
        self._ready: deque[Rendered] = deque()
        self._batch: asyncio.Future[list[Rendered]] | None = None
        self._due_s: float | None = None
        self._closed = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        await self._running.wait()
        if self._closed.is_set():
            raise StopAsyncIteration
        now = time.monotonic()
        if self._due_s is None:
            self._due_s = now
        due_s = max(self._due_s + BLOCK_S, now - _LATEST_S)
        if not await self._read_some():
            raise StopAsyncIteration
        delay_s = due_s - time.monotonic()
        if delay_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._closed.wait()
        if self._closed.is_set():
            raise StopAsyncIteration
        if not self._running.is_set():
            return await self.__anext__()
        self._due_s, block = due_s, self._ready.popleft()
        wall_s = time.time() - time.monotonic() + due_s - BLOCK_S
        return AudioBlock(block.pcm, block.wide, wall_s)

    async def pause(self) -> None:
        """Stand still: a file's clock does not run on through a pause."""
        self._running.clear()
        self._due_s = None

    async def resume(self) -> None:
        """Go on with the next block, in real time."""
        self._running.set()

    async def close(self) -> None:
        """Let go of the file."""
        if not self._closed.is_set():
            self._closed.set()
            self._running.set()
            self._executor.submit(self._reader.close)
            self._executor.shutdown(wait=False)

    async def _read_some(self) -> bool:
        """Have a block ready; false at the end of the file."""
        if not self._ready:
            batch = self._batch or self._read_ahead()
            await asyncio.wait((batch,), timeout=_READING_S)
            if not batch.done():
                raise DeviceError("FILE_DAMAGED", f"{self._reader.path} cannot be read any more: its disk is away")
            self._batch = None
            self._ready.extend(batch.result())
            if self._ready and not self._closed.is_set():
                self._batch = self._read_ahead()
        return bool(self._ready)

    def _read_ahead(self) -> asyncio.Future[list[Rendered]]:
        future = asyncio.wrap_future(self._executor.submit(self._reader.read))
        future.add_done_callback(_retrieve)
        return future


class _Reader:
    """The blocking side: one thread uses it at a time."""

    def __init__(self, path: str, sound: Any) -> None:
        self.path = path
        self._sound = sound
        self._chunk = max(1, round(sound.samplerate * BLOCK_S))
        self._left = sound.frames - sound.tell()
        self._blocks = self._decode(Renderer(sound.samplerate))
        self._error: DeviceError | None = None

    def read(self) -> list[Rendered]:
        """Give the next batch, an empty one at the end. Raises DeviceError (FILE_DAMAGED), behind the last good one."""
        if self._error is not None:
            raise self._error
        blocks: list[Rendered] = []
        try:
            while len(blocks) < _BATCH:
                block = next(self._blocks, None)
                if block is None:
                    break
                blocks.append(block)
        except DeviceError as error:
            if not blocks:
                raise
            self._error = error
        return blocks

    def close(self) -> None:
        self._sound.close()

    def _decode(self, renderer: Renderer) -> Iterator[Rendered]:
        damage: Exception | None = None
        while self._left > 0:
            try:
                frames = self._sound.read(min(self._chunk, self._left), dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError) as error:
                damage = error
                break
            if not len(frames):
                break
            self._left -= len(frames)
            mono = to_mono(np.nan_to_num(frames, nan=0.0, posinf=1.0, neginf=-1.0))
            yield from renderer.feed(np.clip(mono, -1.0, 1.0))
        yield from renderer.finish()
        if damage is not None or 0 < self._left < _UNKNOWN_FRAMES // 2:
            raise DeviceError(
                "FILE_DAMAGED", f"{self.path} is damaged: it could not be read to its end", path=self.path
            ) from damage


def _open(path: str, skip_blocks: int) -> _Reader:
    sound = _sound(path, _descriptor(path))
    try:
        if sound.format not in _FORMATS:
            raise _not_audio(path)
        if sound.frames <= 0:
            raise _refusal("FILE_EMPTY", path, "holds no audio")
        if sound.samplerate not in _RATES_HZ or sound.channels > _MOST_CHANNELS:
            raise _refusal(
                "FILE_NOT_AUDIO", path, f"has {sound.channels} channels at {sound.samplerate} Hz, which cannot be right"
            )
        if sound.frames < _UNKNOWN_FRAMES and sound.format == "FLAC":
            _check_last_frame(path, sound)
        sound.seek(min(sound.frames, round(skip_blocks * sound.samplerate * BLOCK_S)))
    except BaseException:
        sound.close()
        raise
    return _Reader(path, sound)


def _descriptor(path: str) -> int:
    """Open the file for reading, if it is one. Never waits for a writer, as opening a FIFO would."""
    if not Path(path).is_absolute():
        raise _refusal("FILE_UNREADABLE", path, "is not an absolute path; write it out from /")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _refusal("FILE_NOT_FOUND", path, why_hidden(path) or "does not exist") from error
    except PermissionError as error:
        may_not = why_hidden(path, denied=True) or "may not be read by the daemon's user; change its permissions"
        raise _refusal("FILE_UNREADABLE", path, may_not) from error
    except (OSError, ValueError) as error:
        what = os.strerror(error.errno or errno.EINVAL) if isinstance(error, OSError) else "not a path"
        raise _refusal("FILE_UNREADABLE", path, f"cannot be opened: {what}") from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise _refusal("FILE_UNREADABLE", path, "is a directory; name a recording in it")
        if not stat.S_ISREG(status.st_mode):
            raise _refusal("FILE_UNREADABLE", path, "is not a regular file; give a WAV or FLAC file")
        if status.st_size == 0:
            raise _refusal("FILE_EMPTY", path, "is empty")
        head = os.pread(descriptor, 12, 0)
        if not is_audio(head):
            raise _not_audio(path)
        if is_wav(head) and missing_bytes(descriptor, status.st_size):
            raise _truncated(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sound(path: str, descriptor: int) -> Any:
    try:
        return soundfile.SoundFile(descriptor, closefd=True)
    except (soundfile.SoundFileError, TypeError, ValueError, OSError) as error:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise _not_audio(path) from error


def _check_last_frame(path: str, sound: Any) -> None:
    try:
        sound.seek(sound.frames - 1)
        if len(sound.read(1, dtype="int16")) != 1:
            raise _truncated(path)
        sound.seek(0)
    except soundfile.SoundFileError as error:
        raise _truncated(path) from error


def _refusal(reason: str, path: str, what: str) -> Invalid:
    return Invalid(reason, f"{path} {what}", path=path)


def _not_audio(path: str) -> Invalid:
    return _refusal("FILE_NOT_AUDIO", path, "is not a WAV or FLAC file that can be read; convert it, or copy it again")


def _truncated(path: str) -> Invalid:
    return _refusal("FILE_TRUNCATED", path, "is cut short: its header promises more audio than there is; copy it again")


def _close_unwanted(opening: Any) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _retrieve(future: asyncio.Future[list[Rendered]]) -> None:
    """Nobody may be left to hear of a failed read; asyncio would complain about that."""
    if not future.cancelled():
        future.exception()

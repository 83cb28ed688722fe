"""Recordings as sources, in real time. Reading, decoding and resampling stay off the event loop."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from minuted_daemon.adapters.capture.recordings.opener import Decoders, open_recording, refusal
from minuted_daemon.adapters.capture.recordings.reader import FILE_DAMAGED, Reader
from minuted_daemon.adapters.capture.resampling import BLOCK_S, Rendered
from minuted_daemon.core.channels.choice import ChannelChoice
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, Filled, Missing

_LATEST_S = 2.0
"""A reader later than this finds the file waiting for it; up to here it catches up."""
_READING_S = 10.0


async def open_file(path: str, skip_blocks: int, choice: ChannelChoice, decoders: Decoders) -> "FileStream":
    """Open a recording by its absolute path, at block number `skip_blocks`.

    Raises Invalid (FILE_NOT_FOUND, FILE_UNREADABLE, FILE_EMPTY, FILE_NOT_AUDIO, FILE_TRUNCATED, CHANNEL_NOT_THERE).
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="recording")
    opening = executor.submit(_open, path, skip_blocks, choice, decoders)
    try:
        async with asyncio.timeout(_READING_S):
            reader = await asyncio.wrap_future(opening)
    except TimeoutError as error:
        opening.add_done_callback(_close_unwanted)
        executor.shutdown(wait=False)
        raise refusal("FILE_UNREADABLE", path, "does not answer; is its disk away?") from error
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

    def __init__(self, reader: Reader, executor: ThreadPoolExecutor) -> None:
        self._reader = reader
        self._executor = executor
        self._ready: deque[Rendered | CaptureHealth] = deque()
        self.remark = reader.remark if reader.remark.reason else None
        if self.remark is not None:
            self._ready.append(self.remark)
        self._batch: asyncio.Future[list[Rendered | CaptureHealth]] | None = None
        self._told = False
        self._due_s: float | None = None
        self._closed = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()

    def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth | Missing]:
        return self

    async def __anext__(self) -> AudioBlock | CaptureHealth | Missing:
        await self._running.wait()
        if self._closed.is_set():
            raise StopAsyncIteration
        now = time.monotonic()
        if self._due_s is None:
            self._due_s = now
        due_s = max(self._due_s + BLOCK_S, now - _LATEST_S)
        if not await self._read_some():
            if self._told or self._reader.missing is None:
                raise StopAsyncIteration
            self._told = True
            return self._reader.missing
        first = self._ready[0]
        if isinstance(first, CaptureHealth):
            self._ready.popleft()
            self.remark = first if first.reason else None
            return first
        delay_s = due_s - time.monotonic()
        if delay_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._closed.wait()
        if self._closed.is_set():
            raise StopAsyncIteration
        if not self._running.is_set():
            return await self.__anext__()
        block = self._ready.popleft()
        if isinstance(block, CaptureHealth):  # put there by `resume` meanwhile
            return block
        self._due_s = due_s
        wall_s = time.time() - time.monotonic() + due_s - BLOCK_S
        filled = tuple(Filled(hole.start, hole.end, FILE_DAMAGED) for hole in block.silences)
        return AudioBlock(block.pcm, block.wide, wall_s, filled)

    async def pause(self) -> None:
        """Stand still: a file's clock does not run on through a pause."""
        self._running.clear()
        self._due_s = None

    async def resume(self) -> None:
        """Go on with the next block, in real time."""
        if self.remark is not None and not self._running.is_set():
            self._ready.appendleft(self.remark)
        self._running.set()

    async def close(self) -> None:
        """Let go of the file."""
        if not self._closed.is_set():
            self._closed.set()
            self._running.set()
            self._reader.abort()
            self._executor.submit(self._reader.close)
            self._executor.shutdown(wait=False)

    async def _read_some(self) -> bool:
        """Have a block ready; false at the end of the file."""
        if not self._ready:
            batch = self._batch = self._batch or self._read_ahead()
            progress = -1
            while not batch.done() and progress != self._reader.progress:
                progress = self._reader.progress
                await asyncio.wait((batch,), timeout=_READING_S)
            if not batch.done():
                raise DeviceError(FILE_DAMAGED, f"{self._reader.path} cannot be read any more: its disk is away")
            self._batch = None
            self._ready.extend(batch.result())
            if self._ready and not self._closed.is_set():
                self._batch = self._read_ahead()
        return bool(self._ready)

    def _read_ahead(self) -> asyncio.Future[list[Rendered | CaptureHealth]]:
        future = asyncio.wrap_future(self._executor.submit(self._reader.read))
        future.add_done_callback(_retrieve)
        return future


def _open(path: str, skip_blocks: int, choice: ChannelChoice, decoders: Decoders) -> Reader:
    decoder = open_recording(path, decoders)
    if lacking := choice.lacking(decoder.channels):
        decoder.close()
        listed = ", ".join(str(channel) for channel in lacking)
        what = f"has no channel {listed}: its channels are 1 to {decoder.channels}; choose among these"
        raise refusal("CHANNEL_NOT_THERE", path, what)
    return Reader(path, decoder, choice, skip_blocks)


def _close_unwanted(opening: Any) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _retrieve(future: asyncio.Future[list[Rendered | CaptureHealth]]) -> None:
    """Retrieve a failed read's exception: its reader may be gone, and asyncio would complain."""
    if not future.cancelled():
        future.exception()

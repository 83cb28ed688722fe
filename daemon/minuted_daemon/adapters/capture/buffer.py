"""One session's queue of a shared device: filled by the device's thread, emptied by the session's task."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from minuted_daemon.adapters.capture.continuity import Item, silent_block
from minuted_daemon.adapters.capture.render import BLOCK_S
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports import AudioBlock, CaptureHealth

_CAPACITY = 20
"""Blocks that wait: 2 s. When full, the oldest block is lost and comes as silence; the blocks stay contiguous."""
OVERRUN = "OVERRUN"


class BufferedStream:
    """A ports.CaptureStream. One task iterates; `put` may be called from any thread."""

    def __init__(self, release: Callable[["BufferedStream"], Awaitable[None]]) -> None:
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._items: deque[Item] = deque()
        self._blocks = 0
        self._lost = 0
        self._lost_wall_s = 0.0
        self._lost_health: CaptureHealth | None = None
        self._filled = asyncio.Event()
        self._waking = False
        self._closed = False
        self._released = False
        self._error: DeviceError | None = None

    def put(self, item: Item) -> None:
        """Append an item and wake the reader."""
        with self._lock:
            self._items.append(item)
            if isinstance(item, AudioBlock):
                self._blocks += 1
                if self._blocks > _CAPACITY:
                    self._lose_oldest()
            wake, self._waking = not self._waking, True
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be woken
                self._loop.call_soon_threadsafe(self._filled.set)

    def end(self, error: DeviceError | None = None) -> None:
        """End the iteration, with an error if there is one. Only for the event loop's thread."""
        self._closed = True
        self._error = error
        self._filled.set()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        while not self._closed:
            item = self._take()
            if item is not None:
                return item
            await self._filled.wait()
            self._filled.clear()
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def close(self) -> None:
        """Release the device."""
        self.end()
        if not self._released:
            self._released = True
            await self._release(self)

    def _take(self) -> Item | None:
        with self._lock:
            if self._lost_health is not None:
                health, self._lost_health = self._lost_health, None
                return health
            if self._lost:
                block = silent_block(self._lost_wall_s, OVERRUN)
                self._lost -= 1
                self._lost_wall_s += BLOCK_S
                return block
            if self._items:
                item = self._items.popleft()
                self._blocks -= isinstance(item, AudioBlock)
                return item
            self._waking = False
            return None

    def _lose_oldest(self) -> None:
        while True:
            item = self._items.popleft()
            if isinstance(item, CaptureHealth):
                self._lost_health = item
                continue
            if not self._lost:
                self._lost_wall_s = item.wall_s
            self._lost += 1
            self._blocks -= 1
            return

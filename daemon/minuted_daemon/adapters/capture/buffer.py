"""One session's queue of a shared device: filled by the device's thread, emptied by the session's task."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from minuted_daemon.adapters.capture.continuity import Item, silent_block
from minuted_daemon.adapters.capture.resampling import BLOCK_S
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import BLOCK
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth

_CAPACITY = 20
"""Blocks that wait: 2 s. When full, the oldest block is lost and comes as silence; the blocks stay contiguous."""
OVERRUN = "OVERRUN"
MUTED = "MUTED"
_OLDEST_S = 5.0
"""No block is older than this when it comes: one that seems to be shows that the clock was set."""


class Owner(Protocol):
    """The device behind a stream."""

    async def detach(self, stream: "BufferedStream") -> None:
        """The stream is closed."""
        ...

    async def pause(self) -> None:
        """The stream is paused now: release the device if no other stream hears it, and wait for that."""
        ...

    def resume(self, stream: "BufferedStream") -> None:
        """The stream goes on: put DOWN into it if the device is lost."""
        ...


class BufferedStream:
    """A ports.CaptureStream. One task iterates; `put` may be called from any thread."""

    def __init__(self, owner: Owner, remark: CaptureHealth | None = None) -> None:
        """`remark`: see ports.CaptureStream."""
        self.remark = remark
        self._owner = owner
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
        self._detached = False
        self._error: DeviceError | None = None
        self._paused = False
        self._resumed_s = 0.0
        self._owes_up = False

    @property
    def is_paused(self) -> bool:
        """Whether nothing heard is passed on."""
        return self._paused

    def put(self, item: Item) -> None:
        """Append an item and wake the reader. What was captured in a pause is silenced here."""
        with self._lock:
            if isinstance(item, AudioBlock):
                self._put_block(item)
            elif self._paused:
                return
            else:
                self._owes_up = False
                self._items.append(item)
            wake, self._waking = not self._waking, True
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop is closed: no reader is left to wake
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

    async def pause(self) -> None:
        """See ports.CaptureStream."""
        with self._lock:
            self._paused = True
        await self._owner.pause()

    async def resume(self) -> None:
        """See ports.CaptureStream."""
        with self._lock:
            if not self._paused:
                return
            self._paused = False
            self._resumed_s = time.time()
            self._owes_up = True
        self._owner.resume(self)

    async def close(self) -> None:
        """Release the device."""
        self.end()
        if not self._detached:
            self._detached = True
            await self._owner.detach(self)

    def _put_block(self, block: AudioBlock) -> None:
        if self._paused or 0 < self._resumed_s - block.wall_s < _OLDEST_S:
            block = silent_block(block.wall_s, MUTED)
        elif self._owes_up and not any(hole.end - hole.start == BLOCK for hole in block.filled):
            self._owes_up = False
            self._items.append(CaptureHealth(Health.UP))
        self._items.append(block)
        self._blocks += 1
        if self._blocks > _CAPACITY:
            self._lose_oldest()

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

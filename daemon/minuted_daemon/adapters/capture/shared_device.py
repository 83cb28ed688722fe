"""One device for all its sessions: who hears it, whether anybody wants to, and how it fares.

The event loop's side; what happens in the device's own thread is supervisor.py's.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable

from minuted_daemon.adapters.capture.buffer import BufferedStream
from minuted_daemon.adapters.capture.continuity import Item
from minuted_daemon.adapters.capture.listing.naming import DEFAULT, NamedInput, find_input
from minuted_daemon.adapters.capture.protocol.faults import Fault
from minuted_daemon.adapters.capture.protocol.messages import Assignment, Opened
from minuted_daemon.adapters.capture.supervisor import FIRST_AUDIO_S, Reports, Supervisor
from minuted_daemon.adapters.capture.worker_process import ENDING_S
from minuted_daemon.core.records import Health
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports.capture import CaptureHealth

_RELEASE_S = 2 * ENDING_S
ATTACH_S = FIRST_AUDIO_S + ENDING_S
"""A worker is given up by then if it has given no audio."""


class SharedDevice:
    """Runs from `start` until the last stream is closed. All methods belong to the event loop's thread.

    `device` is None until the input that is waited for has been seen.
    """

    def __init__(
        self,
        assignment: Assignment,
        device: NamedInput | None,
        waits: bool,
        on_end: Callable[["SharedDevice"], None],
        attach_s: float = ATTACH_S,
    ) -> None:
        """`attach_s`: how long `attach` waits to know whether there is audio."""
        self._attach_s = attach_s
        self.name = assignment.name
        self.follows = assignment.follows
        self.choice = assignment.choice
        self.device = device
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._supervisor = Supervisor(
            assignment,
            waits,
            Reports(self._give, self._opened, self._heard, self._refused, self._lost, self._rested, self._ended),
        )
        self._lock = threading.Lock()
        self._streams: tuple[BufferedStream, ...] = ()
        self._down: CaptureHealth | None = None
        self._remark: CaptureHealth | None = None
        self._attaching = 0
        self._resting = False
        self._stopping = False
        self._refusal: DeviceError | None = None
        self._known = asyncio.Event()  # since it was last asked for: whether it gives audio
        self._released = asyncio.Event()
        self._over = asyncio.Event()

    def start(self) -> None:
        """Start capturing."""
        self._supervisor.start()

    @property
    def is_stopping(self) -> bool:
        """Whether no more streams can be attached; `ended` tells when the device is free again."""
        return self._stopping or self.was_refused

    @property
    def in_use(self) -> bool:
        """Whether the device is held open at the moment."""
        return self._down is None and not self._resting

    def means(self, wanted: str) -> bool:
        """Return whether this is the device that goes by a name."""
        if self.name == wanted or wanted == DEFAULT or self.follows or self.device is None:
            return self.name == wanted
        return find_input([self.device], wanted) is not None

    @property
    def was_refused(self) -> bool:
        """Whether it could not be opened at first, when no session waited for it."""
        return self._refusal is not None

    async def attach(self, wait: bool) -> BufferedStream:
        """Add a session, once there is audio; with `wait`, also once it is known that there is none, or after 5 s.

        Raises DeviceError (DEVICE_FAILED), with the worker's reason as the fact `cause`.
        """
        self._attaching += 1
        self._supervisor.waits |= wait
        self._adjust()
        stream: BufferedStream | None = None
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._attach_s):
                    await self._known.wait()
            if self._refusal is not None:
                raise self._refusal
            if self._stopping or not (wait or self._known.is_set()):
                raise self._failure("did not open", "DEVICE_SILENT")
            with self._lock:
                stream = BufferedStream(self, self._remark)
                if self._remark is not None:
                    stream.put(self._remark)
                if self._down is not None:
                    if not wait:
                        raise self._failure(f"is not there: {self._down.detail}", self._down.reason)
                    stream.put(self._down)
                self._streams = (*self._streams, stream)
        finally:
            self._attaching -= 1
            self._adjust()
        return stream

    async def stop(self) -> None:
        """End the worker and wait for it, at most 2 s."""
        self._stop()
        await self.ended()

    async def ended(self) -> None:
        """Wait until the worker is gone, at most 2 s."""
        await _within(_RELEASE_S, self._over)

    # --- what a stream asks -------------------------------------------------------------------------------------------

    async def detach(self, stream: BufferedStream) -> None:
        """See buffer.Owner."""
        with self._lock:
            self._streams = tuple(other for other in self._streams if other is not stream)
        self._adjust()
        if self._stopping:
            await self.ended()

    async def pause(self) -> None:
        """See buffer.Owner."""
        self._adjust()
        if self._resting:
            await _within(_RELEASE_S, self._released)

    def resume(self, stream: BufferedStream) -> None:
        """See buffer.Owner."""
        with self._lock:
            news = self._down or self._remark
            if news is not None:
                stream.put(news)
        self._adjust()

    def _adjust(self) -> None:
        """Hold the device as long as a session wants to hear it."""
        if self._stopping:
            return
        if not self._attaching and not self._streams:
            self._stop()
            return
        resting = not self._attaching and all(stream.is_paused for stream in self._streams)
        if resting != self._resting:
            self._resting = resting
            (self._released if resting else self._known).clear()
            self._supervisor.rest(resting)

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._supervisor.stop()

    def _failure(self, what: str, cause: str) -> DeviceError:
        return DeviceError("DEVICE_FAILED", f"{self.name} {what}", device=self.name, cause=cause)

    # --- what the thread reports -------------------------------------------------------------------------------------

    def _give(self, items: list[Item]) -> None:
        if not items:
            return
        with self._lock:
            for item in items:
                if isinstance(item, CaptureHealth):
                    self._down = item if item.health is Health.DOWN else None
                    self._remark = item if item.health is Health.UP and item.reason else None
                for stream in self._streams:
                    stream.put(item)

    def _opened(self, opened: Opened) -> None:
        self.device = opened.device

    def _heard(self) -> None:
        if not self._known.is_set():
            self._tell(self._known.set)

    def _rested(self) -> None:
        self._down = self._remark = None
        self._tell(self._released.set)

    def _refused(self, fault: Fault) -> None:
        self._refusal = self._failure(f"cannot be opened: {fault.detail}", fault.reason)

    def _lost(self) -> None:
        self._tell(self._known.set)

    def _ended(self, error: Exception | None) -> None:
        self._tell(self._end, error)

    def _end(self, bug: Exception | None) -> None:
        error = None
        if bug is not None:
            error = self._failure("cannot be captured because of an internal fault", "INTERNAL_FAULT")
            error.__cause__ = bug
        self._stopping = True
        self._refusal = self._refusal or error
        self._known.set()
        self._released.set()
        self._over.set()
        for stream in self._streams:
            stream.end(error)
        self._on_end(self)

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon has ended
            self._loop.call_soon_threadsafe(function, *arguments)


async def _within(limit_s: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()

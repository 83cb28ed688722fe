"""One device for all its sessions: a thread that keeps a worker alive, for ever, and hands its blocks to each session.

The thread waits on the worker's pipe, on requests and on the clock, so that neither a hanging worker nor a busy event
loop delays the other. All decisions about continuity are in continuity.py; this file decides only when to kill a
worker and when to start the next one.
"""

import asyncio
import contextlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable

import structlog

from minuted_daemon.adapters.capture.buffer import BufferedStream
from minuted_daemon.adapters.capture.continuity import Continuity, Item
from minuted_daemon.adapters.capture.faults import Fault
from minuted_daemon.adapters.capture.inventory import child_command, child_environment
from minuted_daemon.adapters.capture.naming import NamedInput
from minuted_daemon.adapters.capture.wire import Captured, Unpacker
from minuted_daemon.core.records import Health
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports import CaptureHealth

_FIRST_AUDIO_S = 4.0
"""3 s for the device's first audio, and one for the worker to start."""
_SILENT_S = 3.0
_BACK_OFF_S = (0.5, 1.0, 2.0)
_STEADY_S = 5.0
"""A worker that lived this long starts the back-off anew."""
_ENDING_S = 1.0
_READ = 65_536

log = structlog.get_logger()


class SharedDevice:
    """Runs from `start` until the last stream is closed. All methods belong to the event loop's thread."""

    def __init__(self, device: NamedInput, on_end: Callable[["SharedDevice"], None]) -> None:
        self.device = device
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._lock = threading.Lock()
        self._streams: tuple[BufferedStream, ...] = ()
        self._users = 0
        self._stopping = False
        self._is_down = False
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"capture {device.name}", daemon=True)

    def start(self) -> None:
        """Start capturing."""
        self._thread.start()

    @property
    def is_stopping(self) -> bool:
        """Whether no more streams can be attached; `ended` tells when the device is free again."""
        return self._stopping

    @property
    def is_down(self) -> bool:
        """Whether the device is lost at the moment."""
        return self._is_down

    async def attach(self) -> BufferedStream:
        """Add a session, once there is audio.

        Raises DeviceError (DEVICE_FAILED).
        """
        self._users += 1
        stream: BufferedStream | None = None
        try:
            await asyncio.wait((self._opened,), timeout=_FIRST_AUDIO_S + _ENDING_S)
            if self._opened.done() and not self._opened.cancelled():
                self._opened.result()
            if self._stopping or not self._opened.done():
                raise DeviceError("DEVICE_FAILED", f"{self.device.name} did not open", device=self.device.name)
            if self._is_down:
                raise DeviceError(
                    "DEVICE_FAILED", f"{self.device.name} was lost and has not come back", device=self.device.name
                )
            stream = BufferedStream(self._detach)
            with self._lock:
                self._streams = (*self._streams, stream)
        finally:
            if stream is None:
                self._leave()
        return stream

    async def stop(self) -> None:
        """End the worker and wait for it, at most 2 s."""
        self._stop()
        await self.ended()

    async def ended(self) -> None:
        """Wait until the worker is gone, at most 2 s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * _ENDING_S):
                await self._ended.wait()

    async def _detach(self, stream: BufferedStream) -> None:
        with self._lock:
            self._streams = tuple(other for other in self._streams if other is not stream)
        self._leave()
        if self._stopping:
            await self.ended()

    def _leave(self) -> None:
        self._users -= 1
        if self._users == 0:
            self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            if not self._ended.is_set():
                os.write(self._wake_write, b"x")

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        error: DeviceError | None = None
        try:
            self._supervise()
        except Exception as bug:  # the sessions must hear of it, or they would wait for ever
            log.exception("capture_failed", device=self.device.name)
            error = DeviceError("DEVICE_FAILED", f"capturing {self.device.name} failed", device=self.device.name)
            error.__cause__ = bug
        self._tell(self._end, error)

    def _end(self, error: DeviceError | None) -> None:
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._ended.set()
        self._stopping = True
        self._opened.cancel()
        for stream in self._streams:
            stream.end(error)
        self._on_end(self)

    def _supervise(self) -> None:
        line = Continuity()
        attempt = 0
        for number in range(1 << 62):
            started_s = time.monotonic()
            fault = self._capture(number, line)
            if fault is None:
                return
            if line.next_deadline() is None:
                self._tell(self._refuse, fault)
                return
            if not line.is_down:
                log.warning("device_lost", device=self.device.name, reason=fault.reason)
            self._give(line.lose(fault.reason, fault.detail))
            if time.monotonic() - started_s > _STEADY_S:
                attempt = 0
            pause_s = _BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]
            attempt += 1
            if self._wait(line, None, time.monotonic() + pause_s) is _STOP:
                return

    def _capture(self, number: int, line: Continuity) -> Fault | None:
        try:
            worker = _Worker(self.device)
        except OSError as error:
            return Fault("WORKER_FAILED", f"no capture worker can be started: {error.strerror}")
        fault: Fault | None = Fault("WORKER_FAILED", "")
        try:
            fault = self._follow(worker, number, line)
        finally:
            worker.end(politely=fault is None)
        return fault

    def _follow(self, worker: "_Worker", number: int, line: Continuity) -> Fault | None:
        """Pass on a worker's blocks until it fails (the fault) or is no longer wanted (None)."""
        deadline_s = time.monotonic() + _FIRST_AUDIO_S
        while True:
            data = self._wait(line, worker, deadline_s)
            if data is _STOP:
                return None
            if data is None:
                return Fault("DEVICE_SILENT", f"no audio for {_SILENT_S:.0f} s")
            if not data:
                return Fault("WORKER_FAILED", "the capture worker ended")
            try:
                for message in worker.unpacker.feed(data):
                    if isinstance(message, Fault):
                        return message
                    self._take(line, number, message)
                    deadline_s = line.heard_s + _SILENT_S
            except ValueError:
                return Fault("WORKER_FAILED", "the capture worker spoke nonsense")

    def _take(self, line: Continuity, number: int, captured: Captured) -> None:
        was_down, is_first = line.is_down, line.next_deadline() is None
        items = line.feed(number, captured, time.monotonic())
        if is_first:
            self._tell(self._open)
        if was_down and not line.is_down:
            log.info("device_back", device=self.device.name)
        self._give(items)

    def _wait(self, line: Continuity, worker: "_Worker | None", deadline_s: float) -> bytes | None:
        """Wait for the worker's next bytes, giving silence where it is due; None at the deadline, _STOP on a stop."""
        sources = select.poll()
        sources.register(self._wake_read, select.POLLIN)
        if worker is not None:
            sources.register(worker.output, select.POLLIN)
        while True:
            now = time.monotonic()
            was_down = line.is_down
            self._give(line.advance(now))
            if line.is_down and not was_down:
                log.warning("device_lost", device=self.device.name, reason="DEVICE_SILENT")
            if now >= deadline_s:
                return None
            until_s = min(deadline_s, line.next_deadline() or deadline_s)
            ready = [descriptor for descriptor, _ in sources.poll(max(0.0, until_s - now) * 1000)]
            if self._wake_read in ready:
                return _STOP
            if worker is not None and ready:
                return os.read(worker.output, _READ)

    def _give(self, items: list[Item]) -> None:
        with self._lock:
            streams = self._streams
        for item in items:
            if isinstance(item, CaptureHealth):
                self._is_down = item.health is Health.DOWN
            for stream in streams:
                stream.put(item)

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon has ended
            self._loop.call_soon_threadsafe(function, *arguments)

    def _open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _refuse(self, fault: Fault) -> None:
        if not self._opened.done():
            self._opened.set_exception(
                DeviceError(
                    "DEVICE_FAILED",
                    f"{self.device.name} cannot be opened: {fault.detail}",
                    device=self.device.name,
                    cause=fault.reason,
                )
            )
            self._opened.exception()  # nobody may be left to retrieve it


_STOP = b"\0stop"


class _Worker:
    """One worker process."""

    def __init__(self, device: NamedInput) -> None:
        self._process = subprocess.Popen(
            child_command("worker", str(os.getpid()), device.name, device.port),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
        )
        self.unpacker = Unpacker()

    @property
    def output(self) -> int:
        """The descriptor its frames come from."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def end(self, politely: bool) -> None:
        """End the process: by closing its input if it works, by force if it does not."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        if politely:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ENDING_S)
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: reaped by a later Popen
            process.wait(_ENDING_S)
        process.stdout.close()

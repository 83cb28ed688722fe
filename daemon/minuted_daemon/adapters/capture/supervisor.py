"""The thread of one device: it keeps a worker alive, for ever, and turns what workers say into one line of blocks.

It waits on the worker's pipe, on requests and on the clock, so that neither a hanging worker nor a busy event loop
delays the other. All decisions about continuity are in continuity.py; this file decides only when to kill a worker
and when to start the next one.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from minuted_daemon.adapters.capture.continuity import DEVICE_ABSENT, Continuity, Item
from minuted_daemon.adapters.capture.protocol.faults import DEFAULT_CHANGED, Fault, Remark
from minuted_daemon.adapters.capture.protocol.frames import Captured
from minuted_daemon.adapters.capture.protocol.messages import Assignment, Opened
from minuted_daemon.adapters.capture.worker_process import WorkerProcess
from minuted_daemon.core.records import Health
from minuted_daemon.ports.capture import CaptureHealth

FIRST_AUDIO_S = 4.0
"""3 s for the device's first audio, and one for the worker to start."""
_SILENT_S = 3.0
_BACK_OFF_S = (0.5, 1.0, 2.0)
"""From one worker's start to the next one's, and the first of them at least from its end."""
_STEADY_S = 5.0
"""A worker that lived this long starts the back-off again."""
_READ = 65_536
_WOKEN = b"\0woken"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reports:
    """What the thread reports to, called on the thread itself.

    give: the next items of the line. opened: a worker opened the device. heard: a block of its is there. refused: the
    device could not be opened at first, and the thread ends. lost: a worker could not open it, or failed. rested: the
    device is released. ended: the thread is over, with the bug that ended it.
    """

    give: Callable[[list[Item]], None]
    opened: Callable[[Opened], None]
    heard: Callable[[], None]
    refused: Callable[[Fault], None]
    lost: Callable[[], None]
    rested: Callable[[], None]
    ended: Callable[[Exception | None], None]


class Supervisor:
    """Runs from `start` until `stop`, or until a device that no session waits for fails at first.

    `waits`: without the device the line begins all the same, with silence.
    """

    def __init__(self, assignment: Assignment, waits: bool, reports: Reports) -> None:
        self.waits = waits
        self._assignment = assignment
        self._reports = reports
        self._line = Continuity()
        self._ready: WorkerProcess | None = None  # started in a pause, so that the device is soon heard after it
        self._workers = 0
        self._stopping = False
        self._resting = False
        self._wake_read, self._wake_write = os.pipe()
        self._waking = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._run, name=f"capture {assignment.name}", daemon=True)

    def start(self) -> None:
        """Start capturing."""
        self._thread.start()

    def stop(self) -> None:
        """End, soon."""
        self._stopping = True
        self._wake()

    def rest(self, resting: bool) -> None:
        """Release the device while the line goes on as silence, or open it again; soon."""
        self._resting = resting
        self._wake()

    def _wake(self) -> None:
        with self._waking:
            if not self._over:
                os.write(self._wake_write, b"x")

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        error: Exception | None = None
        try:
            self._supervise()
        except Exception as bug:  # the sessions must hear of it, or they would wait for ever
            log.exception("capture_failed", device=self._assignment.name)
            error = bug
        self._give_up_ready()
        with self._waking:
            self._over = True
            os.close(self._wake_read)
            os.close(self._wake_write)
        self._reports.ended(error)

    def _supervise(self) -> None:
        attempt = 0
        while not self._stopping:
            if self._resting:
                self._rest()
                attempt = 0
                continue
            started_s = time.monotonic()
            fault = self._capture()
            if fault is None:
                continue
            if not self._line.has_begun:
                if not self.waits:
                    self._reports.refused(fault)
                    return
                self._line.begin(time.monotonic(), time.time())
                fault = Fault(DEVICE_ABSENT, fault.detail)
            self._lose(fault)
            if fault.reason == DEFAULT_CHANGED:
                continue  # nothing is wrong with the new one
            if time.monotonic() - started_s > _STEADY_S:
                attempt = 0
            again_s = started_s + _BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]
            attempt += 1
            self._wait(None, max(again_s, time.monotonic() + _BACK_OFF_S[0]))

    def _rest(self) -> None:
        self._line.rest()
        self._reports.rested()
        log.info("device_released", device=self._assignment.name)
        if self._ready is None:
            with contextlib.suppress(OSError):
                self._ready = WorkerProcess(self._assignment, later=True)
        while self._resting and not self._stopping:
            if self._wait(self._ready, None) is not _WOKEN:
                self._give_up_ready()  # it ended by itself; the next one is started when it is needed
        self._line.wake(time.monotonic(), FIRST_AUDIO_S)

    def _give_up_ready(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.end(politely=False)

    def _worker(self) -> WorkerProcess:
        if self._ready is not None:
            try:
                self._ready.go()
            except OSError:
                self._give_up_ready()
            else:
                ready, self._ready = self._ready, None
                return ready
        return WorkerProcess(self._assignment)

    def _capture(self) -> Fault | None:
        try:
            worker = self._worker()
        except OSError as error:
            return Fault("WORKER_FAILED", f"no capture worker can be started: {error.strerror}")
        self._workers += 1
        fault: Fault | None = Fault("WORKER_FAILED", "")
        try:
            fault = self._follow(worker)
        finally:
            worker.end(politely=fault is None)
        return fault

    def _follow(self, worker: WorkerProcess) -> Fault | None:
        """Pass on a worker's blocks until it fails (the fault) or is no longer wanted (None)."""
        deadline_s = time.monotonic() + FIRST_AUDIO_S
        while True:
            data = self._wait(worker, deadline_s)
            if data is _WOKEN:
                if self._stopping or self._resting:
                    return None
                continue
            if data is None:
                return Fault("DEVICE_SILENT", f"no audio for {_SILENT_S:.0f} s")
            if not data:
                return Fault("WORKER_FAILED", "the capture worker ended")
            try:
                for message in worker.unpacker.feed(data):
                    if isinstance(message, Fault):
                        return message
                    if isinstance(message, Opened):
                        self._note(message)
                    elif isinstance(message, Remark):
                        self._reports.give([CaptureHealth(Health.UP, message.reason, message.detail)])
                    else:
                        self._take(message)
                        deadline_s = self._line.heard_s + _SILENT_S
            except ValueError:
                return Fault("WORKER_FAILED", "the capture worker spoke nonsense")

    def _note(self, opened: Opened) -> None:
        if not self._assignment.follows and opened.home:
            self._assignment = replace(self._assignment, home=opened.home)
        if opened.device.is_server and not opened.home:
            log.warning("source_not_watched", device=self._assignment.name)  # whatever it gives is believed
        self._reports.opened(opened)

    def _take(self, captured: Captured) -> None:
        was_down = self._line.is_down
        self._reports.give(self._line.feed(self._workers, captured, time.monotonic()))
        if was_down and not self._line.is_down:
            log.info("device_returned", device=self._assignment.name)
        self._reports.heard()

    def _lose(self, fault: Fault) -> None:
        if not self._line.is_down:
            log.warning("device_lost", device=self._assignment.name, reason=fault.reason)
        self._reports.give(self._line.lose(fault.reason, fault.detail))
        self._reports.lost()

    def _wait(self, worker: WorkerProcess | None, deadline_s: float | None) -> bytes | None:
        """Wait for the worker's next bytes, giving silence where it is due; None at the deadline, _WOKEN on request."""
        sources = select.poll()
        sources.register(self._wake_read, select.POLLIN)
        if worker is not None:
            sources.register(worker.output, select.POLLIN)
        while True:
            now = time.monotonic()
            was_down = self._line.is_down
            self._reports.give(self._line.advance(now))
            if self._line.is_down and not was_down:
                log.warning("device_lost", device=self._assignment.name, reason="DEVICE_SILENT")
            if deadline_s is not None and now >= deadline_s:
                return None
            ends_s = [end_s for end_s in (deadline_s, self._line.next_deadline()) if end_s is not None]
            limit_ms = max(0.0, min(ends_s) - now) * 1000 if ends_s else None
            ready = [descriptor for descriptor, _ in sources.poll(limit_ms)]
            if self._wake_read in ready:
                os.read(self._wake_read, _READ)
                return _WOKEN
            if worker is not None and ready:
                return os.read(worker.output, _READ)

"""The process that holds one device's stream: `python -m minuted_daemon.adapters.capture.worker PARENT ASSIGNMENT`.

With `later` after that it gets ready, and touches nothing that has to do with sound until a byte comes on its stdin.

PortAudio hangs, spins and crashes when devices go away; here it can be killed. Blocks go to stdout (see frames.py);
the end of stdin, or of the parent process, means stop. It never retries: whatever goes wrong, it says so and leaves.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from minuted_daemon.adapters.capture.listing.__main__ import scan
from minuted_daemon.adapters.capture.listing.naming import NamedInput, find_input, name_inputs
from minuted_daemon.adapters.capture.portaudio import load_portaudio
from minuted_daemon.adapters.capture.protocol.faults import Fault, pack_fault
from minuted_daemon.adapters.capture.protocol.messages import LATER, Assignment, Opened, pack_opened, unpack_assignment
from minuted_daemon.adapters.capture.worker.device_clock import Callback
from minuted_daemon.adapters.capture.worker.pulse import ServerAwayError, SoundServer
from minuted_daemon.adapters.capture.worker.source_watch import Origin

_BLOCK_S = 0.1
_LATENCY_S = 0.5
_RING = 100
"""Callbacks that wait, 10 s of audio. When more come, the oldest go, which shows as a gap."""
_CHECK_S = 0.5
"""A source that gives no audio may still not be the right one."""
_CLOSING_S = 2.0
_SERVER_CHANNELS = 2
_PR_SET_PDEATHSIG = 1


class _WorkerFault(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


def main() -> None:
    """Capture until told to stop."""
    parent, assignment = int(sys.argv[1]), unpack_assignment(sys.argv[2])
    _die_with(parent)
    pipe = os.dup(1)
    os.dup2(2, 1)  # whatever a sound library prints, the pipe carries frames only
    stopped = threading.Event()
    try:
        if sys.argv[3:] == [LATER]:
            _get_ready()
        _capture(assignment, pipe, stopped)
    except _WorkerFault as error:
        _leave(pipe, error.fault)
    except BrokenPipeError:
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - a process boundary: the daemon must hear of it and stderr is nowhere
        _leave(pipe, Fault("WORKER_FAILED", f"{type(error).__name__}: {error}"))


def _get_ready() -> None:
    import minuted_daemon.adapters.capture.worker.pump  # noqa: F401 - it takes longest

    if not os.read(0, 1):
        os._exit(0)


def _die_with(parent: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _leave(pipe: int, fault: Fault) -> NoReturn:
    with contextlib.suppress(OSError):
        _write(pipe, pack_fault(fault))
    os._exit(1)


def _write(pipe: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]


def _watch_stdin(stop: Callable[[], None]) -> None:
    while os.read(0, 1):
        pass
    stop()


def _capture(assignment: Assignment, pipe: int, stopped: threading.Event) -> None:
    try:
        sounddevice = load_portaudio()
    except OSError as error:
        raise _WorkerFault(Fault("AUDIO_UNAVAILABLE", "PortAudio is not installed")) from error
    try:
        device = find_input(name_inputs(scan(sounddevice)), assignment.name, assignment.port)
    except sounddevice.PortAudioError as error:
        raise _WorkerFault(Fault("AUDIO_UNAVAILABLE", str(error))) from error
    if device is None:
        raise _WorkerFault(Fault("DEVICE_NOT_FOUND", f"there is no input {assignment.name!r}"))
    # numpy and soxr come last: a worker whose device is absent is started every 2 s, for ever, and should cost little.
    # They come before the stream: while they are loaded, its callback could not run, and audio would be lost.
    from minuted_daemon.adapters.capture.worker.pump import Pump

    ring = _Ring(stopped)
    stream, channels, rate_hz = _open(sounddevice, device, ring, max(assignment.choice.channels, default=1))
    threading.Thread(target=_watch_stdin, args=(ring.stop,), daemon=True).start()
    pump = Pump(rate_hz, channels, not device.is_server, assignment.choice)
    origin = _origin(assignment, device)
    told_home: str | None = None
    while not stopped.is_set():
        callbacks = ring.wait()
        if origin is not None:
            _pass(origin.check())  # asked when the audio is there, so the answer holds for all of it
        home = "" if origin is None else origin.home
        if callbacks and home != told_home:
            _write(pipe, pack_opened(Opened(device, home)))
            told_home = home
        for callback in callbacks:
            for frame in pump.feed(callback):
                _write(pipe, frame)
        _pass(pump.fault)
        if ring.finished:
            raise _WorkerFault(Fault("DEVICE_ENDED", "the audio system ended the stream"))
    _close(stream)


def _origin(assignment: Assignment, device: NamedInput) -> Origin | None:
    """Return what watches over the stream's source; hardware has no other."""
    if not device.is_server:
        return None
    try:
        return Origin(SoundServer(os.getpid()), assignment.home, assignment.follows)
    except ServerAwayError:
        return None


def _pass(fault: Fault | None) -> None:
    if fault is not None:
        raise _WorkerFault(fault)


class _Ring:
    """Between PortAudio's thread and this one."""

    def __init__(self, stopped: threading.Event) -> None:
        self._items: deque[Callback] = deque(maxlen=_RING)
        self._filled = threading.Event()
        self._stopped = stopped
        self.finished = False

    def on_audio(self, data: Any, frames: int, times: Any, _status: Any) -> None:
        self._items.append(Callback(bytes(data), frames, times.inputBufferAdcTime, times.currentTime, time.monotonic()))
        self._filled.set()

    def on_finished(self) -> None:
        self.finished = True
        self._filled.set()

    def stop(self) -> None:
        self._stopped.set()
        self._filled.set()

    def wait(self) -> list[Callback]:
        self._filled.wait(_CHECK_S)
        self._filled.clear()
        items = []
        while self._items:
            items.append(self._items.popleft())
        return items


def _open(sounddevice: Any, device: NamedInput, ring: _Ring, least: int) -> tuple[Any, int, int]:
    """Open with the device's own settings, then with what PortAudio claims, then as mono; `least`: channels needed.

    A sound server is asked for two at least: it would mix them by itself, and two that are wired against each other
    would be silent.
    """
    listed = device.listed
    both = ((max(_SERVER_CHANNELS, least), device.rate_hz),) if device.is_server else ()
    settings = dict.fromkeys(
        (*both, (device.channels, device.rate_hz), (listed.channels, listed.rate_hz), (1, listed.rate_hz))
    )
    if max(channels for channels, _ in settings) < least:
        what = f"it has no channel {least}: its channels are 1 to {device.channels}"
        raise _WorkerFault(Fault("CHANNEL_NOT_THERE", what))
    problem: Exception | None = None
    for channels, rate_hz in settings:
        if channels < least:
            continue
        stream = None
        try:
            stream = sounddevice.RawInputStream(
                device=listed.index,
                samplerate=rate_hz,
                channels=channels,
                dtype="int16",
                blocksize=round(rate_hz * _BLOCK_S),
                latency=_LATENCY_S,
                callback=ring.on_audio,
                finished_callback=ring.on_finished,
            )
            stream.start()
        except sounddevice.PortAudioError as error:
            problem = error
            if stream is not None:
                stream.close()
        else:
            return stream, channels, rate_hz
    raise _WorkerFault(Fault("DEVICE_FAILED", str(problem))) from problem


def _close(stream: Any) -> NoReturn:
    # stop() hangs on a device that is gone, and so may these two: the timer then ends the process.
    watchdog = threading.Timer(_CLOSING_S, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()
    stream.abort()
    stream.close()
    os._exit(0)


if __name__ == "__main__":
    main()

"""The worker process: runs the models for all streams of one daemon, and dies with it.

Started as `python -m minuted_daemon.adapters.local.worker FD PARENT`. One thread reads, one diarizes, one recognizes;
the models release the interpreter lock while they run. Nothing here decides anything about speakers or texts.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minuted_daemon.adapters.local.protocol import Frame, FrameReader, Kind, encode_events
from minuted_daemon.adapters.local.worker import onnx_models
from minuted_daemon.adapters.local.worker.beam_search import BEAM, SpeechDecoder
from minuted_daemon.adapters.local.worker.decode_queue import DecodeQueue, Job, pieces, readable
from minuted_daemon.adapters.local.worker.diarization.pipeline import (
    SegmentationNetwork,
    StreamDiarization,
    VoiceNetwork,
)

_PR_SET_PDEATHSIG = 1
_NICENESS = 5
_READ_BYTES = 1 << 16

Send = Callable[[Frame], None]


@dataclass(slots=True)
class _DiarizerState:
    diarization: StreamDiarization
    finishing: bool = False

    @property
    def has_work(self) -> bool:
        return self.finishing or self.diarization.ready


class DiarizerThread:
    """Steps all diarizer streams in turn, one hop each."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._streams: OrderedDict[int, _DiarizerState | None] = OrderedDict()
        self._changed = threading.Condition()
        self._networks: tuple[SegmentationNetwork, VoiceNetwork] | None = None

    def take(self, frame: Frame) -> None:
        """Take in what the daemon says about a diarizer stream."""
        with self._changed:
            state = self._streams.get(frame.stream)
            match frame.kind:
                case Kind.OPEN_DIARIZER:
                    self._streams[frame.stream] = None
                case Kind.AUDIO if state is not None:
                    state.diarization.push(np.frombuffer(frame.payload, dtype=np.int16))
                case Kind.FINISH if state is not None:
                    state.finishing = True
                case Kind.CLOSE:
                    self._streams.pop(frame.stream, None)
            self._changed.notify()

    def owns(self, stream: int) -> bool:
        """Whether a stream is one of these."""
        return stream in self._streams

    def run(self) -> None:
        """Work for ever."""
        while True:
            with self._changed:
                while (chosen := self._choose()) is None:
                    self._changed.wait()
                stream, state = chosen
                self._streams.move_to_end(stream)
            if state is None:
                self._open(stream)
            else:
                self._step(stream, state)

    def _choose(self) -> tuple[int, _DiarizerState | None] | None:
        return next(((n, s) for n, s in self._streams.items() if s is None or s.has_work), None)

    def _open(self, stream: int) -> None:
        if self._networks is None:
            self._networks = (onnx_models.open_segmentation(), onnx_models.open_voice())
        with self._changed:
            if stream in self._streams:
                self._streams[stream] = _DiarizerState(StreamDiarization(*self._networks))
        self._send(Frame(Kind.OPENED, stream))

    def _step(self, stream: int, state: _DiarizerState) -> None:
        with self._changed:
            ready = state.diarization.ready
            state.diarization.take_hop()
        events = state.diarization.look() if ready else state.diarization.finish()
        if events:
            self._send(Frame(Kind.EVENTS, stream, payload=encode_events(events)))
        self._send(Frame(Kind.PROGRESS, stream, state.diarization.done))
        if not ready:
            self._send(Frame(Kind.FINISHED, stream))
            with self._changed:
                self._streams.pop(stream, None)


class RecognizerThread:
    """Recognizes utterances of all transcriber streams in turn."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue = DecodeQueue()
        self._streams: set[int] = set()
        self._opening: list[int] = []
        self._changed = threading.Condition()
        self._recognize: SpeechDecoder | None = None

    def take(self, frame: Frame) -> None:
        """Take in what the daemon says about a transcriber stream."""
        with self._changed:
            match frame.kind:
                case Kind.OPEN_TRANSCRIBER:
                    self._streams.add(frame.stream)
                    self._opening.append(frame.stream)
                    self._queue.open(frame.stream)
                case Kind.AUDIO:
                    self._queue.append(frame.stream, frame.number, np.frombuffer(frame.payload, dtype=np.int16))
                case Kind.COMMIT:
                    self._queue.commit(frame.stream, frame.number)
                case Kind.CLEAR:
                    self._queue.clear(frame.stream, frame.number)
                case Kind.CLOSE:
                    self._streams.discard(frame.stream)
                    self._queue.close(frame.stream)
            self._changed.notify()

    def owns(self, stream: int) -> bool:
        """Whether a stream is one of these."""
        return stream in self._streams

    def run(self) -> None:
        """Work for ever."""
        while True:
            job: Job | None = None
            with self._changed:
                while not self._opening and (job := self._queue.next_job()) is None:
                    self._changed.wait()
                opening, self._opening = self._opening, []
            if opening:
                self._recognize = self._recognize or onnx_models.open_recognizer()
                for stream in opening:
                    self._send(Frame(Kind.OPENED, stream))
            if job is not None:
                self._work(job)

    def _work(self, job: Job) -> None:
        assert self._recognize is not None
        try:
            beam = BEAM if job.final else 1
            found = [text for piece in pieces(job.pcm) if (text := self._recognize(piece, beam))]
        except Exception:  # noqa: BLE001 - the library raises what it likes; one utterance must not end the others
            if job.final:
                self._send(Frame(Kind.FAILED, job.stream, job.utterance, b"ENGINE_FAILED"))
            return
        payload = readable(" ".join(found)).encode()
        if job.final or payload:
            self._send(Frame(Kind.COMPLETED if job.final else Kind.GREW, job.stream, job.utterance, payload))


class Connection:
    """The socket to the daemon. Frames of several threads do not mix."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._lock = threading.Lock()

    def send(self, frame: Frame) -> None:
        """Send a frame; end the process if the daemon does not read any more."""
        try:
            with self._lock:
                self._socket.sendall(frame.encode())
        except OSError:
            os._exit(0)

    def read(self) -> bytes:
        """Return the next bytes, none once the daemon is gone."""
        try:
            return self._socket.recv(_READ_BYTES)
        except OSError:
            return b""


def main(descriptor: int, parent: int) -> None:
    """Serve one daemon until it is gone."""
    _die_with(parent)
    connection = Connection(socket.socket(fileno=descriptor))
    diarizer, recognizer = DiarizerThread(connection.send), RecognizerThread(connection.send)
    for work in (diarizer.run, recognizer.run):
        threading.Thread(target=_or_die, args=(work,), daemon=True).start()
    reader = FrameReader()
    while data := connection.read():
        for frame in reader.feed(data):
            if frame.kind is Kind.OPEN_DIARIZER or diarizer.owns(frame.stream):
                diarizer.take(frame)
            elif frame.kind is Kind.OPEN_TRANSCRIBER or recognizer.owns(frame.stream):
                recognizer.take(frame)
    os._exit(0)  # the threads may be in the middle of a model


def _or_die(work: Callable[[], None]) -> None:
    """A worker that lost one of its threads is of no use: the daemon starts another."""
    try:
        work()
    finally:
        os._exit(1)


def _die_with(parent: int) -> None:
    """Let the kernel end this process with its daemon, and nothing else: signals to the group are the daemon's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

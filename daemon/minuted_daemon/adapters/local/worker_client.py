"""The daemon's side of the worker process: starts it, shares it among all streams, and notices its death.

Nothing heavy is imported here. The worker is started by the first stream that needs it and stopped when none has for
a while; one that dies takes its streams with it, and the next stream starts another.
"""

import asyncio
import contextlib
import os
import subprocess
from collections import deque
from dataclasses import dataclass, field

import structlog

from minuted_daemon.adapters.local.availability import local_engine_missing
from minuted_daemon.adapters.local.protocol import Frame, FrameReader, Kind
from minuted_daemon.adapters.local.spawn import spawn
from minuted_daemon.errors import Rejected, Unavailable, VendorError

log = structlog.get_logger()

OPEN_S = 18.0
"""A worker that has not loaded its models by then counts as failed."""
IDLE_S = 60.0
"""A worker without streams is kept this long: the next session begins at once, the months between cost no memory."""
STUCK_S = 20.0
"""A worker that says nothing for this long, though it has work, is killed."""
MOST_FRAMES = 20_000
"""Frames that may wait for a stream's reader; beyond that the stream is broken."""
MOST_UNSENT = 16_000_000
"""Bytes that may wait to be written to the worker; beyond that it is overloaded."""
_REAP_S = 0.05


@dataclass(slots=True)
class Channel:
    """One stream's frames to and from the worker."""

    number: int
    worker: "WorkerProcess"
    progress: int = 0
    failure: VendorError | None = None
    ended: bool = False
    _frames: deque[Frame] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, kind: Kind, number: int = 0, payload: bytes = b"") -> None:
        """Send a frame without waiting.

        Raises Unavailable (WORKER_DIED, OVERLOADED) once the stream is of no more use.
        """
        if self.failure is not None:
            raise self.failure
        self.worker.write(Frame(kind, self.number, number, payload))

    async def next(self) -> Frame | None:
        """Return the next frame, None once the stream has ended. Raises what broke the stream, after its last frame."""
        while not self._frames:
            if self.failure is not None:
                raise self.failure
            if self.ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._frames.popleft()

    def take(self, frame: Frame) -> None:
        """Take in a frame of the worker."""
        if frame.kind is Kind.PROGRESS:
            self.progress = frame.number
        elif len(self._frames) >= MOST_FRAMES:
            self.fail(Unavailable("OVERLOADED", "The offline engine's results are not being read."))
        else:
            self._frames.append(frame)
            self._news.set()

    def fail(self, failure: VendorError) -> None:
        """Break the stream."""
        if self.failure is None and not self.ended:
            self.failure = failure
            self._news.set()

    def end(self) -> None:
        """Let `next` come to its end."""
        self.ended = True
        self._news.set()

    def close(self) -> None:
        """Let the worker forget the stream."""
        self.end()
        self.worker.forget(self)


class WorkerProcess(asyncio.Protocol):
    """One running worker and the channels to it."""

    def __init__(self, process: "subprocess.Popen[bytes]", idle_s: float) -> None:
        self.process = process
        self._idle_s = idle_s
        self.channels: dict[int, Channel] = {}
        self.alive = True
        self.idle: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._reader = FrameReader()
        self._transport: asyncio.WriteTransport | None = None
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand frames to their channels."""
        self._heard = self._loop.time()
        try:
            for frame in self._reader.feed(data):
                channel = self.channels.get(frame.stream)
                if channel is not None:
                    channel.take(frame)
        except ValueError:
            self.kill()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it so
        """Break all streams: the worker is gone or of no more use."""
        self.alive = False
        if self.channels:
            log.warning("local_worker_died", pid=self.process.pid, streams=len(self.channels))
        for channel in self.channels.values():
            channel.fail(Unavailable("WORKER_DIED", "The offline engine's worker process died.", retry_after_s=0.5))
        self.channels.clear()
        if self.idle is not None:
            self.idle.cancel()
        self.process.kill()
        self._reap()

    def write(self, frame: Frame) -> None:
        """Send a frame. Raises Unavailable (WORKER_DIED, OVERLOADED)."""
        if not self.alive or self._transport is None:
            raise Unavailable("WORKER_DIED", "The offline engine's worker process died.", retry_after_s=0.5)
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            self.kill()
            raise Unavailable("OVERLOADED", "The offline engine's worker process does not take audio any more.")
        self._transport.write(frame.encode())

    def forget(self, channel: Channel) -> None:
        """Drop a channel; stop the worker some time after the last one."""
        if self.channels.pop(channel.number, None) is None or not self.alive:
            return
        with contextlib.suppress(VendorError):
            self.write(Frame(Kind.CLOSE, channel.number))
        if not self.channels and self.alive:
            self.idle = self._loop.call_later(self._idle_s, self.kill)

    def kill_if_stuck(self) -> None:
        """End a worker that has work and has said nothing for a long time."""
        if self._loop.time() - self._heard > STUCK_S:
            log.warning("local_worker_stuck", pid=self.process.pid)
            self.kill()

    def kill(self) -> None:
        """End the process at once. Its streams break."""
        self.alive = False
        self.process.kill()
        if self._transport is not None:
            self._transport.abort()

    async def wait_gone(self) -> None:
        """Wait until the process has ended and was reaped."""
        await self._gone.wait()

    def _reap(self) -> None:
        if self.process.poll() is None:
            self._loop.call_later(_REAP_S, self._reap)
        else:
            self._gone.set()


class LocalEngine:
    """The offline engine of this daemon. Share one between the diarizer and the transcriber."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._worker: WorkerProcess | None = None
        self._next_stream = 1
        self._starting = asyncio.Lock()

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id, None where none runs."""
        return self._worker.process.pid if self._worker is not None and self._worker.alive else None

    async def open(self, kind: Kind) -> Channel:
        """Open a stream of a kind (OPEN_DIARIZER, OPEN_TRANSCRIBER) and wait until its models are loaded.

        Raises Rejected (ENGINE_MISSING) or Unavailable (WORKER_DIED, WORKER_SLOW).
        """
        missing = local_engine_missing()
        if missing is not None:
            raise Rejected("ENGINE_MISSING", f"The offline engine lacks {missing}.")
        async with self._starting:
            if self._worker is None or not self._worker.alive:
                self._worker = await _start(self._idle_s)
        worker = self._worker
        if worker.idle is not None:
            worker.idle.cancel()
        channel = Channel(self._next_stream, worker)
        self._next_stream += 1
        worker.channels[channel.number] = channel
        opened = False
        try:
            channel.send(kind)
            async with asyncio.timeout(OPEN_S):
                opened = await channel.next() is not None
        except TimeoutError as error:
            worker.kill_if_stuck()
            raise Unavailable("WORKER_SLOW", "The offline engine's models did not load in time.") from error
        finally:
            if not opened:
                channel.close()
        return channel

    async def close(self) -> None:
        """End the worker. Takes at most 2 s."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.channels.clear()
        worker.kill()
        try:
            async with asyncio.timeout(2.0):
                await worker.wait_gone()
        except TimeoutError:
            log.warning("local_worker_not_ended", pid=worker.process.pid)


async def _start(idle_s: float) -> WorkerProcess:
    """Start a worker. It sees no keys: its environment holds only what a process needs to run.

    Raises Unavailable (WORKER_DIED).
    """
    try:
        # Started from the loop's own thread, which takes milliseconds: the kernel ends the worker with that thread.
        process, ours = spawn(
            "worker",
            str(os.getpid()),
            MALLOC_ARENA_MAX="2",
            MALLOC_TRIM_THRESHOLD_="4000000",
            MALLOC_MMAP_THRESHOLD_="1000000",
            OMP_NUM_THREADS="1",
        )
    except OSError as error:
        raise Unavailable("WORKER_DIED", "The offline engine's worker process cannot be started.") from error
    ours.setblocking(False)
    _, worker = await asyncio.get_running_loop().create_connection(lambda: WorkerProcess(process, idle_s), sock=ours)
    log.info("local_worker_started", pid=process.pid)
    return worker

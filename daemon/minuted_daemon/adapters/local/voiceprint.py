"""Voice prints by the offline engine's embedding network (CAM++), made in a process of their own.

A process and not a thread: making the network's input holds the interpreter lock for tens of milliseconds, and what
is loaded once is never given back. Prints are wanted for seconds after a reconnect, then not for hours: the process
is started by the first and ended when none was wanted for a while.
"""

import asyncio
import contextlib
import subprocess
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.adapters.local.availability import local_engine_missing
from minuted_daemon.adapters.local.protocol import LENGTH
from minuted_daemon.adapters.local.spawn import spawn
from minuted_daemon.core.samples import samples
from minuted_daemon.errors import Rejected, Unavailable

log = structlog.get_logger()

IDLE_S = 60.0
"""The process is kept this long without work."""
PRINT_LIMIT_S = 20.0
"""Loading the network and one print, on a busy machine."""
SHORTEST = samples(0.5)
LONGEST = samples(20.0)

_REAP_S = 0.02


@dataclass(slots=True)
class _Worker:
    process: "subprocess.Popen[bytes]"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, pcm: NDArray[np.int16]) -> NDArray[np.float32] | None:
        payload = pcm.tobytes()
        self.writer.write(LENGTH.pack(len(payload)) + payload)
        await self.writer.drain()
        (length,) = LENGTH.unpack(await self.reader.readexactly(LENGTH.size))
        return np.frombuffer(await self.reader.readexactly(length), dtype=np.float32) if length else None


class LocalVoicePrinter:
    """See ports.VoicePrinter. One for the daemon; prints are made one after another."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._worker: _Worker | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self._ending: set[subprocess.Popen[bytes]] = set()
        self._gone = asyncio.Event()

    @property
    def worker_pid(self) -> int | None:
        """The process id, None where none runs."""
        return self._worker.process.pid if self._worker is not None else None

    async def print(self, pcm: NDArray[np.int16]) -> NDArray[np.float32] | None:
        """Return the print of one voice's speech, None if it is none. Takes 0.02 s a second of it, the first 1 s more.

        Raises Rejected (ENGINE_MISSING) or Unavailable (WORKER_DIED, WORKER_SLOW).
        """
        missing = local_engine_missing()
        if missing is not None:
            raise Rejected("ENGINE_MISSING", f"The offline engine lacks {missing}.")
        if not SHORTEST <= len(pcm) <= LONGEST:
            raise AssertionError("a print is made of 0.5 s to 20 s of speech")
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            answered = False
            try:
                async with asyncio.timeout(PRINT_LIMIT_S):
                    self._worker = self._worker or await _start()
                    vector = await self._worker.ask(pcm)
                answered = True
            except TimeoutError as error:
                raise Unavailable("WORKER_SLOW", "The process that looks at voices does not answer.") from error
            except (OSError, EOFError) as error:
                raise Unavailable("WORKER_DIED", "The process that looks at voices died.") from error
            finally:
                if not answered:
                    self._end()  # its answer would be taken for the next request's
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._end)
            return vector

    async def close(self) -> None:
        """End the process. Takes at most 2 s."""
        self._end()
        try:
            async with asyncio.timeout(2.0):
                if self._ending:
                    await self._gone.wait()
        except TimeoutError:
            log.warning("voice_worker_not_ended", count=len(self._ending))

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if self._idle is not None:
            self._idle.cancel()
        if worker is not None:
            worker.writer.close()
            worker.process.kill()
            self._ending.add(worker.process)
            self._gone.clear()
            self._reap()

    def _reap(self) -> None:
        self._ending = {process for process in self._ending if process.poll() is None}
        if self._ending:
            asyncio.get_running_loop().call_later(_REAP_S, self._reap)
        else:
            self._gone.set()


async def _start() -> _Worker:
    """Start a process. It sees no keys: its environment holds only what a process needs to run."""
    process, ours = spawn("worker.voiceprint_main", OMP_NUM_THREADS="1")  # takes milliseconds
    with contextlib.ExitStack() as stack:
        stack.callback(ours.close)
        reader, writer = await asyncio.open_connection(sock=ours)
        stack.pop_all()
    log.info("voice_worker_started", pid=process.pid)
    return _Worker(process, reader, writer)

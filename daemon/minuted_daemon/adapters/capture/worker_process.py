"""The daemon's side of one capture worker: started, read from, and ended, by force if need be."""

import contextlib
import os
import subprocess

from minuted_daemon.adapters.capture.assignment import Assignment, pack_assignment
from minuted_daemon.adapters.capture.inventory import child_command, child_environment
from minuted_daemon.adapters.capture.wire import Unpacker

ENDING_S = 1.0


class WorkerProcess:
    """One worker. All methods block, for 2 s at most."""

    def __init__(self, assignment: Assignment) -> None:
        """Start it. Raises OSError if no process can be started."""
        environment = dict(child_environment())
        if assignment.home:
            # A door to a sound server that names no source would otherwise lead to another one each time.
            environment["PULSE_SOURCE"] = assignment.home
        self._process = subprocess.Popen(
            child_command("worker", str(os.getpid()), pack_assignment(assignment)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
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
                process.wait(ENDING_S)
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: reaped by a later Popen
            process.wait(ENDING_S)
        process.stdout.close()

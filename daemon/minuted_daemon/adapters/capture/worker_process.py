"""The daemon's side of one capture worker: started, read from, and ended, by force if need be."""

import os

from minuted_daemon.adapters.capture.child_process import ChildProcess
from minuted_daemon.adapters.capture.listing.device_list import child_command, child_environment
from minuted_daemon.adapters.capture.protocol.frames import Unpacker
from minuted_daemon.adapters.capture.protocol.messages import LATER, Assignment, pack_assignment

ENDING_S = 1.0


class WorkerProcess:
    """One worker. All methods block, for 2 s at most."""

    def __init__(self, assignment: Assignment, later: bool = False) -> None:
        """Start it; `later`: it opens the device only when it is told to `go`.

        Raises OSError if no process can be started.
        """
        environment = dict(child_environment())
        if assignment.home:
            # A door to a sound server that names no source would otherwise lead to another one each time.
            environment["PULSE_SOURCE"] = assignment.home
        arguments = [str(os.getpid()), pack_assignment(assignment), *([LATER] if later else [])]
        self._process = ChildProcess(child_command("worker", *arguments), environment)
        self.unpacker = Unpacker()

    def go(self) -> None:
        """Have one that was started for later open the device. Raises OSError if it is gone."""
        self._process.write(b"g")

    @property
    def output(self) -> int:
        """The descriptor its frames come from."""
        return self._process.output

    def end(self, politely: bool) -> None:
        """End the process: by closing its input if it works, by force if it does not."""
        self._process.close_input()
        if politely:
            self._process.wait(ENDING_S)
        self._process.reap()

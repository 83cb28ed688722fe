"""Starting a process without holding up anybody but the thread that starts it.

The standard library keeps Python's lock from the vfork until the child has loaded its program, which on a busy machine
is when the child's turn comes: the event loop stood still for 150 ms and more, even if a thread did the starting.
A foreign call lets go of the lock, so the C library's posix_spawn is called itself. posix_spawn(3).
"""

import contextlib
import ctypes
import os
import select
import signal
import threading
from collections.abc import Iterable, Mapping, Sequence

_ACTIONS_SIZE = 512
"""More than posix_spawn_file_actions_t takes in any C library (80 bytes in glibc)."""
_KILLED_S = 1.0


class ChildProcess:
    """A child with a pipe to its input and one from its output; its stderr goes nowhere.

    Starting, `wait` and `reap` block and are for threads; `kill` is for everybody.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], source: int | None = None) -> None:
        """Start it; `command` begins with the path of a program. Raises OSError.

        `source`: a descriptor that is the child's input in place of a pipe; it stays the caller's.
        """
        with contextlib.ExitStack() as pipes:
            child_input, our_input = _pipe(pipes)
            our_output, child_output = _pipe(pipes)
            self._pid = _spawn(command, environment, child_input if source is None else source, child_output)
            self._handle = _handle(self._pid)
            pipes.pop_all()
        os.close(child_input)
        os.close(child_output)
        self._input, self.output = our_input, our_output
        self._ending = threading.Lock()
        self._over = False

    def close_input(self) -> None:
        """Tell the child that nothing more is wanted of it. May be called again."""
        descriptor, self._input = self._input, -1
        if descriptor >= 0:
            os.close(descriptor)

    def write(self, data: bytes) -> None:
        """Return the child a few bytes on its input. Raises OSError once it is gone."""
        os.write(self._input, data)

    def wait(self, limit_s: float) -> bool:
        """Wait for the child's end; return whether it came."""
        ended = select.poll()
        ended.register(self._handle, select.POLLIN)
        return bool(ended.poll(limit_s * 1000))

    def kill(self) -> None:
        """End it by force, soon; nothing happens once it was reaped."""
        with self._ending:
            if not self._over:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def reap(self) -> int | None:
        """End it by force if it has not ended, and leave nothing of it behind. Once, at the end; at most 1 s.

        Returns its exit status, that of a signal below zero, and None where it did not end.
        """
        self.kill()
        self.close_input()
        status: int | None = None
        if self.wait(_KILLED_S):
            status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        else:  # stuck in the kernel, perhaps for hours
            threading.Thread(target=os.waitpid, args=(self._pid, 0), daemon=True).start()
        with self._ending:
            self._over = True
            os.close(self._handle)
        os.close(self.output)
        return status


def _handle(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _pipe(closing: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        closing.callback(os.close, end)
    return ends


def _spawn(command: Sequence[str], environment: Mapping[str, str], child_input: int, child_output: int) -> int:
    library = ctypes.CDLL(None)
    actions = ctypes.create_string_buffer(_ACTIONS_SIZE)
    _must(library.posix_spawn_file_actions_init(actions))
    try:
        _must(library.posix_spawn_file_actions_adddup2(actions, child_input, 0))
        _must(library.posix_spawn_file_actions_adddup2(actions, child_output, 1))
        _must(library.posix_spawn_file_actions_addopen(actions, 2, os.devnull.encode(), os.O_WRONLY, 0))
        with contextlib.suppress(AttributeError):  # an older C library; what Python opens is closed anyway
            _must(library.posix_spawn_file_actions_addclosefrom_np(actions, 3))
        pid = ctypes.c_int()
        arguments = _strings(command)
        variables = _strings(f"{name}={value}" for name, value in environment.items())
        _must(library.posix_spawn(ctypes.byref(pid), arguments[0], actions, None, arguments, variables))
    finally:
        library.posix_spawn_file_actions_destroy(actions)
    return pid.value


def _strings(texts: Iterable[str]) -> "ctypes.Array[ctypes.c_char_p]":
    encoded = [os.fsencode(text) for text in texts]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)


def _must(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))

"""Starts the offline engine's processes, each with one socket to the daemon and none of its keys."""

import os
import socket
import subprocess
import sys

_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "TMPDIR")


def spawn(module: str, *arguments: str, **variables: str) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """Run a module of this package with the number of its socket and `arguments`; return it and the daemon's end.

    Its environment holds `variables` and what any process needs to run. Takes milliseconds. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | variables
    with theirs:
        descriptor = theirs.fileno()
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"minuted_daemon.adapters.local.{module}", str(descriptor), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(descriptor,),
                env=environment,
            )
        except OSError:
            ours.close()
            raise
    return process, ours

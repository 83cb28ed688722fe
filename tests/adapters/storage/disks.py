"""Disks without space, and programs that hold locks."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_RIVAL = """
import sqlite3, sys
rival = sqlite3.connect(sys.argv[1], isolation_level=None)
rival.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def fill_up(folder: Path, but: int = 0) -> Path:
    """Fill a file system to its last byte, or leave `but` bytes; give the file that takes the room."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << power for power in range(20, -1, -1)):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
        if but:
            file.truncate(file.tell() - but)
    return ballast


@contextlib.contextmanager
def locked(database: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have another program hold the lock of a database until it ends."""
    command = [sys.executable, "-c", _RIVAL, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as rival:
        assert rival.stdout is not None
        assert rival.stdout.readline() == b"locked\n"
        try:
            yield rival
        finally:
            rival.kill()

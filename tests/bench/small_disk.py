"""A small file system in memory, and filling it. Needs root on Linux."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIMIT_S = 20.0


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """Mount a tmpfs of this size (as mount takes it) for the length of the block. Raises CalledProcessError."""
    at.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(at)], check=True, timeout=_LIMIT_S
    )
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True, timeout=_LIMIT_S)


def fill(disk: Path) -> Path:
    """Leave no byte free; removing the file that is given makes room again."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return ballast

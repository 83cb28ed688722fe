"""Small disks of their own, for root on Linux; elsewhere the tests that want one are skipped."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _done(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk to be had here: {error}")


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """A file system in memory that is soon full."""
    at.mkdir()
    _done("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at))
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True, timeout=20)


@contextmanager
def mounted_image(under: Path, size: str) -> Iterator[tuple[Path, Path]]:
    """A file that is a disk, to be searched byte by byte, and where its file system is mounted."""
    device, mount = under / "image", under / "mount"
    mount.mkdir()
    _done("truncate", "-s", size, str(device))
    _done("mkfs.ext4", "-q", str(device))
    _done("mount", "-o", "loop", str(device), str(mount))
    try:
        yield device, mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True, timeout=20)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True, timeout=10)


def fill(disk: Path) -> Path:
    """Leave no byte on the disk; removing the file that is given makes room again."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return ballast

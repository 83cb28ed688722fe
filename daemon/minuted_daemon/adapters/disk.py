"""What all adapters that keep files know of the disk: what its errors mean, and how names are kept."""

import errno
import os
from pathlib import Path

DISK_FULL = "DISK_FULL"
DISK_READ_ONLY = "DISK_READ_ONLY"
DISK_FAILED = "DISK_FAILED"

_REASONS = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.EFBIG: DISK_FULL,
    errno.EROFS: DISK_READ_ONLY,
    errno.EIO: DISK_FAILED,
}


def reason_of(fault: OSError) -> str | None:
    """Return one of the reasons above, None if the disk is not at fault."""
    return _REASONS.get(fault.errno or 0)


def sync_directory(directory: Path) -> None:
    """Have the disk keep the names in a directory. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

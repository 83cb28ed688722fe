"""What the operating system's errors mean for the spool."""

import errno

from minuted_daemon.adapters.disk import DISK_FAILED, DISK_FULL, DISK_READ_ONLY, reason_of
from minuted_daemon.errors import StoreError

SPOOL_FAILED = "SPOOL_FAILED"
SPOOL_STALLED = "SPOOL_STALLED"
SPOOL_CLOSED = "SPOOL_CLOSED"

_SENTENCES = {
    DISK_FULL: "there is no space left for audio under {path}: free some",
    DISK_READ_ONLY: "audio cannot be written under {path}, which is read-only: mount it writable",
    DISK_FAILED: "the disk fails to take or give back audio under {path}: look at the system's log",
    SPOOL_FAILED: "audio under {path} cannot be read or written ({code})",
}


def is_full(fault: OSError) -> bool:
    """Whether it is space that is missing."""
    return reason_of(fault) == DISK_FULL


def as_store_error(fault: OSError, path: str) -> StoreError:
    """Return the StoreError for what the system said about a file or directory. Chain it."""
    reason = reason_of(fault) or SPOOL_FAILED
    code = errno.errorcode.get(fault.errno or 0, type(fault).__name__)
    return StoreError(reason, _SENTENCES[reason].format(path=path, code=code), path=path, code=code)


def stalled(limit_s: float) -> StoreError:
    """Make the error for a disk that does not answer."""
    return StoreError(SPOOL_STALLED, f"the disk that holds the audio did not answer within {limit_s:.0f} s")


def closed() -> StoreError:
    """Make the error for a request that comes too late."""
    return StoreError(SPOOL_CLOSED, "the spool is closed: nothing more can be read or written")

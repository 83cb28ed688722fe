"""What is to be erased and is not known to be gone, as one small file beside the database: ports.ErasureRequests.

The file holds ids and positions, and nothing that was said. It is replaced as a whole and never half written.
"""

import asyncio
import errno
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from minuted_daemon.core.records import IntervalId, IntervalKind, IntervalRecord, SessionId
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports import REDACTED, ErasureRequest

T = TypeVar("T")

DISK_LIMIT_S = 10.0
FILE = "erasures.json"
_REASONS = {
    errno.ENOSPC: "DISK_FULL",
    errno.EDQUOT: "DISK_FULL",
    errno.EROFS: "DISK_READ_ONLY",
    errno.EIO: "DISK_FAILED",
}


class PendingErasures:
    """A ports.ErasureRequests in a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE
        self._lock = asyncio.Lock()

    async def pending(self) -> Sequence[ErasureRequest]:
        """See ports.ErasureRequests."""
        async with self._lock:
            return await self._on_disk(self._read)

    async def put(self, request: ErasureRequest) -> None:
        """See ports.ErasureRequests."""
        await self._change(lambda requests: [*requests, request])

    async def done(self, request: ErasureRequest) -> None:
        """See ports.ErasureRequests."""
        await self._change(lambda requests: [other for other in requests if other != request])

    async def _change(self, change: Callable[[Sequence[ErasureRequest]], Sequence[ErasureRequest]]) -> None:
        async with self._lock:
            await self._on_disk(lambda: self._write(change(self._read())))

    async def _on_disk(self, act: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(DISK_LIMIT_S):
                return await asyncio.to_thread(act)
        except TimeoutError as error:
            raise self._failure("DISK_FAILED", f"did not answer within {DISK_LIMIT_S:.0f} s") from error
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, "STORE_FAILED")
            raise self._failure(reason, f"cannot be read or written ({error.strerror})") from error
        except (ValueError, KeyError, TypeError) as error:
            message = "is damaged: what is listed in it may not be erased yet; look at it, then remove it"
            raise self._failure("STORE_FAILED", message) from error

    def _read(self) -> list[ErasureRequest]:
        try:
            return [_request(entry) for entry in json.loads(self._path.read_bytes())]
        except FileNotFoundError:
            return []

    def _write(self, requests: Sequence[ErasureRequest]) -> None:
        fresh = self._path.with_suffix(".part")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps([_entry(request) for request in requests]).encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _failure(self, reason: str, what: str) -> StoreError:
        return StoreError(reason, f"{self._path} {what}", path=str(self._path))


def _entry(request: ErasureRequest) -> dict[str, Any]:
    entry: dict[str, Any] = {"session_id": request.session_id, "session_name": request.session_name}
    if request.interval is not None:
        interval = request.interval
        entry |= {
            "interval_id": interval.id,
            "start": interval.start,
            "end": interval.end,
            "start_wall_s": interval.start_wall_s,
        }
    return entry


def _request(entry: dict[str, Any]) -> ErasureRequest:
    session_id = SessionId(entry["session_id"])
    make = partial(ErasureRequest, session_id, entry["session_name"])
    if "interval_id" not in entry:
        return make()
    start, end = Sample(entry["start"]), Sample(entry["end"])
    interval_id = IntervalId(entry["interval_id"])
    return make(
        IntervalRecord(interval_id, session_id, IntervalKind.MUTED, start, end, entry["start_wall_s"], reason=REDACTED)
    )

"""What is to be erased and is not known to be gone, as one small file beside the database: ports.ErasureRequests.

The file holds ids and positions, and nothing that was said.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from minuted_daemon.adapters.state_file import StateFile
from minuted_daemon.core.records import IntervalId, IntervalKind, IntervalRecord, SessionId
from minuted_daemon.core.samples import ENDLESS, Sample
from minuted_daemon.ports import REDACTED, ErasureRequest

FILE = "erasures.json"
YEAR_10000_S = 253_402_300_800
"""Seconds since 1970 at which a time can no longer be told to a client."""


class PendingErasures:
    """A ports.ErasureRequests in a state directory."""

    def __init__(self, state_dir: Path) -> None:
        damaged = "what is listed in it may not be erased yet; look at it, then remove it"
        self._file = StateFile(state_dir / FILE, damaged)
        self._lock = asyncio.Lock()

    async def pending(self) -> Sequence[ErasureRequest]:
        """See ports.ErasureRequests."""
        async with self._lock:
            return await self._file.on_disk(self._read)

    async def put(self, request: ErasureRequest) -> None:
        """See ports.ErasureRequests."""
        await self._change(lambda requests: [*requests, request])

    async def done(self, request: ErasureRequest) -> None:
        """See ports.ErasureRequests."""
        await self._change(lambda requests: [other for other in requests if other != request])

    async def _change(self, change: Callable[[Sequence[ErasureRequest]], Sequence[ErasureRequest]]) -> None:
        async with self._lock:
            await self._file.on_disk(lambda: self._write(change(self._read())))

    def _read(self) -> list[ErasureRequest]:
        return [_request(entry) for entry in self._file.read() or ()]

    def _write(self, requests: Sequence[ErasureRequest]) -> None:
        self._file.write([_entry(request) for request in requests])


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
    """Raises ValueError, KeyError and TypeError for what `_entry` cannot have made."""
    session_id = SessionId(_text(entry["session_id"]))
    if not session_id.isalnum():  # it becomes a file's name
        raise ValueError("not an id")
    make = partial(ErasureRequest, session_id, _text(entry["session_name"]))
    if "interval_id" not in entry:
        return make()
    interval_id = IntervalId(_text(entry["interval_id"]))
    start, end, start_wall_s = entry["start"], entry["end"], entry["start_wall_s"]
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= ENDLESS:
        raise ValueError("not a stretch")
    if type(start_wall_s) not in (int, float) or not 0 <= start_wall_s < YEAR_10000_S:
        raise ValueError("not a time")
    stretch = Sample(start), Sample(end)
    return make(IntervalRecord(interval_id, session_id, IntervalKind.MUTED, *stretch, start_wall_s, reason=REDACTED))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value

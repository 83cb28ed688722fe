"""Takes in what older versions kept in two files of JSON beside the database. New ones are never written.

Both are read at the start and taken in by the transaction that brings the tables up to date; they are removed after
its commit. Taking them in again, after a crash between the two, changes nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection

from minuted_daemon.adapters.disk import reason_of, sync_directory
from minuted_daemon.adapters.storage.changes.erasures import keep_request
from minuted_daemon.adapters.storage.changes.interruptions import mark
from minuted_daemon.core.records import IntervalId, IntervalKind, IntervalRecord, SessionId
from minuted_daemon.core.samples import ENDLESS, Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.store import REDACTED, ErasureRequest, Interruption

INTERRUPTED = "interrupted.json"
ERASURES = "erasures.json"
YEAR_10000_S = 253_402_300_800
"""Seconds since 1970 at which a time can no longer be told to a client."""
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StateFiles:
    """What was read, and the files that are to be removed once it is in the database."""

    interruptions: Mapping[SessionId, Interruption]
    erasures: Sequence[ErasureRequest]
    files: Sequence[Path]

    def take_in(self, connection: Connection) -> None:
        """Put into the database what was read."""
        mark(connection, self.interruptions)
        for request in self.erasures:
            keep_request(connection, request)

    def remove(self) -> None:
        """Remove the files. Raises StoreError: a file that stays would revive what is ended from now on."""
        for path in self.files:
            try:
                path.unlink(missing_ok=True)
                sync_directory(path.parent)
            except OSError as error:
                text = f"{path} of an older version cannot be removed ({error.strerror}): remove it"
                raise StoreError(reason_of(error) or "STORE_FAILED", text, path=str(path)) from error


def read_state_files(state_dir: Path) -> StateFiles:
    """Read what is there. What cannot be read is logged, and is never a reason not to start.

    Sessions that a damaged file names stay ended, and the file goes. What is listed in a damaged file of erasures may
    not be erased yet: it stays, for a person to look at.
    """
    interruptions: Mapping[SessionId, Interruption] = {}
    erasures: Sequence[ErasureRequest] = ()
    files = []
    path = state_dir / INTERRUPTED
    if path.exists():
        files.append(path)
        try:
            interruptions = _interruptions(json.loads(path.read_bytes()))
        except (OSError, *_DAMAGE) as error:
            remedy = "is damaged: the sessions that it names stay ended"
            log.warning("state_file_not_read", detail=f"{path} {remedy}", error=type(error).__name__)
    path = state_dir / ERASURES
    if path.exists():
        try:
            erasures = [_request(entry) for entry in json.loads(path.read_bytes())]
            files.append(path)
        except (OSError, *_DAMAGE) as error:
            remedy = "is damaged: what is listed in it may not be erased yet; look at it, then remove it"
            log.error("state_file_not_read", detail=f"{path} {remedy}", error=type(error).__name__)
    return StateFiles(interruptions, erasures, files)


def _interruptions(content: Any) -> Mapping[SessionId, Interruption]:
    at_s = _time(content["at_s"])
    return {SessionId(_text(name)): Interruption(at_s, bool(paused)) for name, paused in content["paused"].items()}


def _request(entry: Any) -> ErasureRequest:
    session_id, session_name = SessionId(_text(entry["session_id"])), _text(entry["session_name"])
    if not session_id.isalnum():  # it becomes a file's name
        raise ValueError("not an id")
    if "interval_id" not in entry:
        return ErasureRequest(session_id, session_name)
    start, end = entry["start"], entry["end"]
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= ENDLESS:
        raise ValueError("not a stretch")
    stretch = Sample(start), Sample(end)
    start_wall_s = _time(entry["start_wall_s"])
    interval_id = IntervalId(_text(entry["interval_id"]))
    interval = IntervalRecord(interval_id, session_id, IntervalKind.MUTED, *stretch, start_wall_s, reason=REDACTED)
    return ErasureRequest(session_id, session_name, interval)


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < YEAR_10000_S:
        raise ValueError("not a time")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value

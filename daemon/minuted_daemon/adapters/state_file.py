"""A small file of JSON in the daemon's directory. It is replaced as a whole and never half written."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from minuted_daemon.adapters.disk import DISK_FAILED, reason_of, sync_directory
from minuted_daemon.errors import StoreError

T = TypeVar("T")

DISK_LIMIT_S = 10.0


class StateFile:
    """`read` and `write` block: call them through `on_disk`."""

    def __init__(self, path: Path, if_damaged: str) -> None:
        """`if_damaged`: what that means and what is to be done then, behind the file's name."""
        self._path = path
        self._if_damaged = if_damaged

    async def on_disk(self, act: Callable[[], T]) -> T:
        """Do something with the file in a thread. Raises StoreError for whatever reading and writing raise there."""
        try:
            async with asyncio.timeout(DISK_LIMIT_S):
                return await asyncio.to_thread(act)
        except TimeoutError as error:
            raise self._failure(DISK_FAILED, f"did not answer within {DISK_LIMIT_S:.0f} s") from error
        except OSError as error:
            reason = reason_of(error) or "STORE_FAILED"
            raise self._failure(reason, f"cannot be read or written ({error.strerror})") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._failure("STORE_FAILED", f"is damaged: {self._if_damaged}") from error

    def read(self) -> Any:
        """Give what was written last, None if there is no file."""
        try:
            return json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None

    def write(self, content: Any) -> None:
        """Have this in the file once it returns, also after a power cut."""
        fresh = self._path.with_suffix(".part")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(content).encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        sync_directory(self._path.parent)

    def remove(self) -> None:
        """Have no file."""
        self._path.unlink(missing_ok=True)
        sync_directory(self._path.parent)

    def _failure(self, reason: str, what: str) -> StoreError:
        return StoreError(reason, f"{self._path} {what}", path=str(self._path))

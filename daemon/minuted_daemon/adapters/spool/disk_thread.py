"""A thread that may wait for the disk, and the way from the event loop to it and back.

It knows nothing of what it is asked to do.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from minuted_daemon.adapters.spool.faults import closed, stalled

T = TypeVar("T")

_Request = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class DiskThread:
    """Runs one call after another, in the order they were submitted. Its callers bound how many may wait."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._closing = False
        self._ended = asyncio.Event()
        # A disk that hangs must not keep the process from ending, hence daemon.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, act: Callable[[], T]) -> "asyncio.Future[T]":
        """Run a call in the thread; never waits. Cancelling the future does not undo it.

        The future fails with what `act` raises, or with StoreError (SPOOL_CLOSED) after `close`.
        """
        answer: asyncio.Future[T] = self._loop.create_future()
        if self._closing:
            answer.set_exception(closed())
            answer.exception()  # not every caller looks at the result
        else:
            self._queue.put((act, answer))
        return answer

    async def call(self, act: Callable[[], T], limit_s: float) -> T:
        """Run a call in the thread and return its result.

        Raises what `act` raises, and StoreError (SPOOL_STALLED, SPOOL_CLOSED).
        """
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                return await self.submit(act)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise stalled(limit_s) from error

    async def close(self, limit_s: float) -> None:
        """Finish what was submitted so far, then end the thread; stop waiting after `limit_s`."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        try:
            async with asyncio.timeout(limit_s):
                await self._ended.wait()
        except TimeoutError:
            return  # as a daemon thread it ends with the process at the latest

    def _run(self) -> None:
        while self._do(self._queue.get()):
            pass  # a request and its result are not held until the next request comes
        self._post(self._ended.set)

    def _do(self, request: _Request | None) -> bool:
        if request is None:
            return False
        act, answer = request
        try:
            outcome = act()
        except Exception as fault:  # noqa: BLE001 - it belongs to the caller, and the thread must go on
            self._post(partial(_fail, answer, fault))
        else:
            self._post(partial(_settle, answer, outcome))
        return True

    def _post(self, act: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            return  # the loop is closed, and its callers are gone


def _settle(answer: "asyncio.Future[T]", outcome: T) -> None:
    if not answer.done():
        answer.set_result(outcome)


def _fail(answer: "asyncio.Future[Any]", fault: Exception) -> None:
    if not answer.done():
        answer.set_exception(fault)

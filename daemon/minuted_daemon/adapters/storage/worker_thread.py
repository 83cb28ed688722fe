"""A thread that owns one database connection, and the way from the event loop to it and back.

SQLite blocks: on the disk, on locks. So it never runs on the event loop. It knows nothing of what
the requests mean.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from minuted_daemon.errors import StoreError

Request = TypeVar("Request")
Result = TypeVar("Result")
Taken = TypeVar("Taken", contravariant=True)
Given = TypeVar("Given", covariant=True)


class Handler(Protocol[Taken, Given]):
    """What the thread does. Both are called in it."""

    def handle(self, requests: Sequence[Taken], /) -> Sequence[Given | Exception]:
        """Return one result or exception for each request of a batch, in order."""
        ...

    def finish(self) -> None:
        """Release what the thread holds; called once, at the end."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Call(Generic[Request, Result]):
    request: Request
    answer: asyncio.Future[Result]


class Worker(Generic[Request, Result]):
    """Requests go to one thread in the order of the calls; those that queue up meanwhile go to it together.

    A batch has at most `batch` requests. At most `waiting` calls are under way; further ones wait for their turn.
    """

    def __init__(self, name: str, handler: Handler[Request, Result], batch: int = 64, waiting: int = 1024) -> None:
        self._handler = handler
        self._batch = batch
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(waiting)
        self._queue: queue.SimpleQueue[_Call[Request, Result] | None] = queue.SimpleQueue()
        self._under_way: set[asyncio.Future[Result]] = set()
        self._closing = False
        self._ended = asyncio.Event()
        # A disk that hangs must not keep the process from ending, hence daemon.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """True once the thread has finished."""
        return self._ended.is_set()

    async def call(self, request: Request) -> Result:
        """Return the result of one request. Cancelling the call does not undo it.

        Raises the exception that `handle` returned for it, and StoreError (STORE_FAILED) once closed.
        """
        async with self._slots:
            if self._closing:
                raise _closed()
            answer: asyncio.Future[Result] = self._loop.create_future()
            self._under_way.add(answer)
            answer.add_done_callback(self._under_way.discard)
            self._queue.put(_Call(request, answer))
            return await answer

    async def close(self, limit_s: float) -> None:
        """Finish the calls made so far, then end the thread. Calls that are not done after `limit_s` fail."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        try:
            async with asyncio.timeout(limit_s):
                await self._ended.wait()
        except TimeoutError:
            for answer in list(self._under_way):
                if not answer.done():
                    answer.set_exception(_closed())

    def _run(self) -> None:
        more = True
        while more:
            calls, more = self._take()
            if not calls:
                continue
            outcomes: Sequence[Result | Exception]
            try:
                outcomes = self._handler.handle([call.request for call in calls])
            except Exception as bug:  # noqa: BLE001 - it belongs to the callers, and the thread must go on
                outcomes = [bug] * len(calls)
            self._post(partial(_settle, calls, outcomes))
        try:
            self._handler.finish()
        finally:
            self._post(self._ended.set)

    def _take(self) -> tuple[list[_Call[Request, Result]], bool]:
        """Wait for a call, and take those that have queued up after it. The second value is False at the end."""
        calls: list[_Call[Request, Result]] = []
        while len(calls) < self._batch:
            try:
                call = self._queue.get(block=not calls)
            except queue.Empty:
                break
            if call is None:
                return calls, False
            calls.append(call)
        return calls, True

    def _post(self, act: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            return  # the loop is closed, and its callers are gone


def _settle(calls: Sequence[_Call[Request, Result]], outcomes: Sequence[Result | Exception]) -> None:
    for call, outcome in zip(calls, outcomes, strict=True):
        if call.answer.done():
            continue
        if isinstance(outcome, Exception):
            call.answer.set_exception(outcome)
        else:
            call.answer.set_result(outcome)


def _closed() -> StoreError:
    return StoreError("STORE_FAILED", "the store is closed: nothing more can be read or written")

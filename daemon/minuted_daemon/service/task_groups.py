"""Waiting for several tasks: one failure instead of a group, deadlines, cancelling and waiting."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from minuted_daemon.errors import Rejected, Unavailable, leaves


@asynccontextmanager
async def single_error_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup that raises the one failure that matters instead of a group: a refusal if any, else the first.

    Once that is handled, it goes, and with it all that the frames of its traceback hold: connections, mostly.
    """
    fault: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as faults:
        fault = _most_relevant(leaves(faults))
        faults.__traceback__ = None  # it leads to a frame of the TaskGroup's, and that back to it
    if fault is not None:
        try:
            raise fault from None  # not where the group is handled: that would be its context, and holds it
        finally:
            del fault  # or its own traceback would lead back to it through this frame


def _most_relevant(leaves: Sequence[BaseException]) -> BaseException:
    return next((leaf for leaf in leaves if isinstance(leaf, Rejected)), leaves[0])


@asynccontextmanager
async def deadline(limit_s: float, reason: str, message: str) -> AsyncIterator[None]:
    """Raise Unavailable if what is inside takes longer than `limit_s`."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise Unavailable(reason, message) from error


async def cancel_and_wait(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel, and wait until they are gone; what they raise is their TaskGroup's to see."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)

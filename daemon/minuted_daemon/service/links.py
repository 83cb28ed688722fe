"""Keeps a session's link to an engine connected: attempts, waits and what is told about them.

What goes over a connection is in diarizer_link.py and transcriber_link.py; how long to wait is decided in retry.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog

from minuted_daemon.core.records import Health, Link
from minuted_daemon.errors import Garbled, MinutedError, Rejected, Unavailable
from minuted_daemon.service.gate import Door
from minuted_daemon.service.retry import RetryPolicy

OFF = Link(Health.OFF)
UP = Link(Health.UP)
CONNECTING = Link(Health.CONNECTING)


async def keep_connected(
    role: str,
    connection: Callable[[], Awaitable[None]],
    policy: RetryPolicy,
    report: Callable[[Link], None],
    log: structlog.stdlib.BoundLogger,
    door: Door,
) -> None:
    """Run `connection` again and again until it returns; it raises when it could not open, or broke.

    What it raises beyond MinutedError is a bug of an adapter; that must not end the session, so it is logged with its
    traceback and tried again like any failure. Where the engine refuses, what changes at the `door` ends the wait.
    """
    loop = asyncio.get_running_loop()
    since_s, refused_for = door.wall_s, ""
    report(CONNECTING)
    while True:
        try:
            await connection()
        except MinutedError as error:
            failure = error
        except Exception as bug:
            log.exception("link_fault", role=role)
            failure = Unavailable("INTERNAL_FAULT", f"the {role} met an internal fault ({type(bug).__name__})")
        else:
            return
        if policy.connected:
            since_s, refused_for = door.wall_s, ""
        delay_s = policy.failed(loop.time(), failure)
        facts = {"role": role, "reason": failure.reason, "failures": policy.failures}
        refused = isinstance(failure, Rejected)
        if refused and refused_for != failure.reason:  # once: it is asked about again and again, for all by one
            log.error("link_refused", retry_in_s=round(delay_s, 2), **facts)
            refused_for = failure.reason
        elif not refused:
            log.warning("link_lost", retry_in_s=round(delay_s, 2), garbled=isinstance(failure, Garbled), **facts)
        health = Health.REFUSED if refused else Health.DOWN
        report(Link(health, failure.reason, failure.message, since_s, door.wall_s + delay_s))
        del failure  # its traceback holds the connection that broke
        await door.pause(delay_s)


@asynccontextmanager
async def one_fault() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup that raises the one failure that matters instead of a group: a refusal if any, else the first.

    Once that is handled, it goes, and with it all that the frames of its traceback hold: connections, mostly.
    """
    fault: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as faults:
        fault = _that_matters(_leaves(faults))
        faults.__traceback__ = None  # it leads to a frame of the TaskGroup's, and that back to it
    if fault is not None:
        try:
            raise fault from None  # not where the group is handled: that would be its context, and holds it
        finally:
            del fault  # or its own traceback would lead back to it through this frame


def _that_matters(leaves: Sequence[BaseException]) -> BaseException:
    return next((leaf for leaf in leaves if isinstance(leaf, Rejected)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for fault in group.exceptions:
        found += _leaves(fault) if isinstance(fault, BaseExceptionGroup) else [fault]
    return found


@asynccontextmanager
async def deadline(limit_s: float, reason: str, message: str) -> AsyncIterator[None]:
    """Raise Unavailable if what is inside takes longer than `limit_s`."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise Unavailable(reason, message) from error


async def cancelled(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel, and wait until they are gone; what they raise is their TaskGroup's to see."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)

"""Keeps a session's link to an engine connected: attempts, waits and what is told about them.

What goes over a connection is in diarizer_link.py and transcriber_link.py; how long to wait in retries.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from minuted_daemon.core.records import Health, Link
from minuted_daemon.errors import Garbled, MinutedError, Rejected, Unavailable
from minuted_daemon.service.retries.gate import Door
from minuted_daemon.service.retries.policy import RetryPolicy

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

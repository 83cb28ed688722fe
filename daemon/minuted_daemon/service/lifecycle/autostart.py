"""Starts the sessions that are configured to start with the daemon, and tries again where that may help."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import MinutedError
from minuted_daemon.service.lifecycle.live_sessions import LiveSessions
from minuted_daemon.service.lifecycle.session_start import STILL_STOPPING, SessionStart
from minuted_daemon.service.retries.policy import RetryPolicy, may_pass
from minuted_daemon.service.views import StartRequest

log = structlog.get_logger()


class Autostart:
    """One for the daemon."""

    def __init__(
        self,
        configured: Mapping[str, SessionConfig],
        starting: SessionStart,
        live: LiveSessions,
        random: Callable[[], float],
    ) -> None:
        """`random` gives numbers in [0, 1)."""
        self._configured = configured
        self._starting = starting
        self._live = live
        self._random = random
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Start the configured sessions in the background; a device that is not there yet is awaited."""
        for name, configured in self._configured.items():
            if configured.autostart:
                self._tasks.append(self._live.spawn(self._start_until_done(name)))

    def stop(self) -> None:
        """Start no more."""
        for task in self._tasks:
            task.cancel()

    async def _start_until_done(self, name: str) -> None:
        policy = RetryPolicy(self._random)
        told = ""
        while True:
            try:
                await self._starting.start_deferred(StartRequest(name))
            except MinutedError as error:
                again = may_pass(error) or error.reason == STILL_STOPPING
                delay_s = policy.failed(asyncio.get_running_loop().time(), error) if again else None
                if error.reason != told:
                    log.error("autostart_failed", session=name, reason=error.reason, detail=error.message, again=again)
                    told = error.reason
                if delay_s is None:
                    return
                await asyncio.sleep(delay_s)
            else:
                return

"""A session's link to its transcriber: the merger's commands out, texts in, over as many connections as it takes.

What is said now has a connection for the session's whole life. What makes up for an outage goes over another one beside
it, made when it is needed, so that neither the past nor what may go wrong with it holds up the present. How connections
follow each other belongs in transcriber_renewal.py.
"""

import asyncio
from collections.abc import Callable

import structlog

from minuted_daemon.core.events import (
    Append,
    Command,
    TranscriberFaltered,
    TranscriberLost,
    TranscriberRecovered,
    TranscriberRefused,
    UtteranceId,
)
from minuted_daemon.core.records import Health, Link
from minuted_daemon.service.connections.reconnect import UP, keep_connected
from minuted_daemon.service.connections.transcriber_connection import TranscriberOpener
from minuted_daemon.service.connections.transcriber_renewal import RenewingTranscriber, TranscriptionSink
from minuted_daemon.service.retries.gate import Retries
from minuted_daemon.service.retries.policy import RetryPolicy
from minuted_daemon.service.task_groups import single_error_group

CATCH_UP_IDLE_S = 30.0
"""The connection that catches up after outages is closed after so long without work."""
LASTS_FROM_S = 30.0
"""A refusal that is asked about later than this is one that lasts."""


class TranscriberLink:
    """Keeps one transcriber connected for one session, and renews each connection before the vendor ends it."""

    def __init__(
        self,
        opener: TranscriberOpener,
        retries: Retries,
        sink: TranscriptionSink,
        report: Callable[[Link], None],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`report` hears of every change of the live connection."""
        self._live = RenewingTranscriber(opener, sink, log)
        self._catch_up = RenewingTranscriber(opener, sink, log, CATCH_UP_IDLE_S)
        self._retries = retries
        self._sink = sink
        self._report = _Reported(report)
        self._log = log
        self._up = False
        self._caught_up: UtteranceId | None = None  # the last one that was begun on the catch-up connection

    def submit(self, command: Command | TranscriberFaltered | TranscriberRecovered) -> None:
        """Hand over the next command; never waits. Without a connection it is void, as the merger is told.

        That the transcriber fails at everything is no command: it is told and logged, once.
        """
        if isinstance(command, TranscriberFaltered):
            self._log.warning("transcriber_failing", reason=command.reason, failures=command.failures)
            self._report.falters(command)
            return
        if isinstance(command, TranscriberRecovered):
            self._log.info("transcriber_recovered", failures=command.failures, waiting=command.waiting)
            self._report.recovered()
            return
        if isinstance(command, Append) and command.makes_up:
            self._caught_up = command.utterance
        (self._catch_up if command.utterance == self._caught_up else self._live).submit(command)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        policy = self._retries.policy()

        def opened() -> None:
            policy.opened(asyncio.get_running_loop().time())
            self._up = True
            self._report.link(UP)

        def report(link: Link) -> None:
            self._up = False
            if self._lasts(link):
                self._sink.transcribed(TranscriberRefused())
            self._report.link(link)

        async with single_error_group() as group:
            catching_up = group.create_task(self._catch_up_when_wanted())
            await keep_connected(
                "transcriber", lambda: self._live.connect(opened), policy, report, self._log, self._retries.door
            )
            catching_up.cancel()

    async def _catch_up_when_wanted(self) -> None:
        """Connect to catch up whenever there is something to catch up on."""
        while True:
            await self._catch_up.wanted.wait()
            # What was asked for so far went nowhere.
            self._sink.transcribed(TranscriberLost(makes_up=True))
            policy = self._retries.policy()

            def opened(policy: RetryPolicy = policy) -> None:
                policy.opened(asyncio.get_running_loop().time())

            await keep_connected(
                "transcriber_beside",
                lambda: self._catch_up.connect(opened),
                policy,
                self._tell_catch_up_refused,
                self._log,
                self._retries.door,
            )

    def _tell_catch_up_refused(self, link: Link) -> None:
        """Where only the catch-up connection is refused, and not just for now, the live one serves for both."""
        if self._up and self._lasts(link):
            self._sink.transcribed(TranscriberRefused(makes_up=True))

    def _lasts(self, link: Link) -> bool:
        wait_s = 0.0 if link.next_s is None else link.next_s - self._retries.door.wall_s
        return link.health is Health.REFUSED and wait_s > LASTS_FROM_S


class _Reported:
    """The health of the connection; while it is up, whether the transcriber answers anything over it."""

    def __init__(self, report: Callable[[Link], None]) -> None:
        self._report = report
        self._link: Link | None = None
        self._faltering: Link | None = None

    def link(self, link: Link) -> None:
        """The connection is so from now on."""
        self._link = link
        self._report(self._faltering if self._faltering is not None and link == UP else link)

    def falters(self, told: TranscriberFaltered) -> None:
        """Nothing it is sent brings a text."""
        detail = "The transcriber fails at every utterance; what is said is kept, and sent when it answers again."
        self._faltering = Link(Health.DOWN, told.reason or "FAILED", detail)
        self._again()

    def recovered(self) -> None:
        """It answers."""
        self._faltering = None
        self._again()

    def _again(self) -> None:
        if self._link is not None:
            self.link(self._link)

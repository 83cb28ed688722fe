"""A session's link to its transcriber: the merger's commands out, texts in, over as many connections as it takes.

What is said now has a connection for the session's whole life. What makes up for an outage goes over another one beside
it, made when it is needed, so that neither the past nor what may go wrong with it holds up the present. How connections
follow each other is transcriber_track.py's.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from minuted_daemon.core.events import Append, TranscriberLost, TranscriberRefused, UtteranceId
from minuted_daemon.core.records import Link
from minuted_daemon.ports import Spool, Transcriber
from minuted_daemon.service.links import UP, keep_connected, one_fault
from minuted_daemon.service.retry import RetryPolicy
from minuted_daemon.service.transcriber_line import Command
from minuted_daemon.service.transcriber_track import TranscriberTrack, TranscriptionSink

REST_S = 30.0
"""The connection that makes up for outages is closed after so long without work."""


class TranscriberLink:
    """Keeps one transcriber connected for one session, and renews each connection before the vendor ends it."""

    def __init__(
        self,
        transcriber: Transcriber,
        languages: Sequence[str],
        spool: Spool,
        policy: Callable[[], RetryPolicy],
        sink: TranscriptionSink,
        report: Callable[[Link], None],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`policy` makes a fresh one for each connection that is kept; `report` hears of every change of the first."""
        self._first = TranscriberTrack(transcriber, languages, spool, sink, log)
        self._beside = TranscriberTrack(transcriber, languages, spool, sink, log, makes_up=True, rest_s=REST_S)
        self._policy = policy
        self._sink = sink
        self._report = report
        self._log = log
        self._made_up: UtteranceId | None = None  # the last one that was begun beside

    def submit(self, command: Command) -> None:
        """Hand over the next command; never waits. Without a connection it is void, as the merger is told."""
        if isinstance(command, Append) and command.makes_up:
            self._made_up = command.utterance
        (self._beside if command.utterance == self._made_up else self._first).submit(command)

    async def run(self) -> None:
        """Stay connected until cancelled, or until the transcriber refuses for good."""
        policy = self._policy()

        def opened() -> None:
            policy.opened(asyncio.get_running_loop().time())
            self._report(UP)

        async with one_fault() as group:
            making_up = group.create_task(self._make_up())
            await keep_connected("transcriber", lambda: self._first.connect(opened), policy, self._report, self._log)
            making_up.cancel()
        self._sink.transcribed(TranscriberRefused())

    async def _make_up(self) -> None:
        """Have a connection beside the first one whenever there is something to make up for."""
        while True:
            await self._beside.wanted.wait()
            # What was asked for so far went nowhere.
            self._sink.transcribed(TranscriberLost(makes_up=True))
            policy = self._policy()

            def opened(policy: RetryPolicy = policy) -> None:
                policy.opened(asyncio.get_running_loop().time())

            if not await keep_connected(
                "transcriber_beside", lambda: self._beside.connect(opened), policy, lambda _: None, self._log
            ):
                self._sink.transcribed(TranscriberRefused(makes_up=True))
                return

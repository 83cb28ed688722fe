"""A session's status: its record with the states it may go through, the health of its links, and its end."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from minuted_daemon.core.records import LIVE_STATES, Health, Link, Record, SessionRecord, SessionState
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.service.connections.reconnect import OFF, UP
from minuted_daemon.service.connections.retry_request import RefusedLink
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.retries.gate import Door
from minuted_daemon.service.retries.policy import FELL_BACK
from minuted_daemon.service.session.settings import log_of
from minuted_daemon.service.views import Links, SessionView

DRAIN_LIMIT_S = 20.0
INTERNAL_FAULT = ("INTERNAL_FAULT", "the session met an internal fault; see the daemon's log")

# The states a session may go to from each. To edit: every state has a row; the states outside LIVE_STATES are ends and
# have empty rows; from every live state a way leads to FAILED and, through STOPPING, to STOPPED. How well a session
# works is never a state: that is link health. proto/minuted/v1/sessions.proto names the same states.
NEXT_STATES: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.STARTING: frozenset(
        {SessionState.RUNNING, SessionState.PAUSED, SessionState.STOPPING, SessionState.FAILED}
    ),
    SessionState.RUNNING: frozenset({SessionState.PAUSED, SessionState.STOPPING, SessionState.FAILED}),
    SessionState.PAUSED: frozenset({SessionState.RUNNING, SessionState.STOPPING, SessionState.FAILED}),
    SessionState.STOPPING: frozenset({SessionState.STOPPED, SessionState.FAILED}),
    SessionState.STOPPED: frozenset(),
    SessionState.FAILED: frozenset(),
    SessionState.DELETED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine of a session: what it was sent and what is said of it, and where its refusals are waited for."""

    usage: EngineUsage
    door: Door


class SessionStatus:
    """One session's. What is to be stored of a change is returned."""

    def __init__(
        self,
        record: SessionRecord,
        heard: Sample,
        links: Links,
        diarizer: EngineStatus,
        transcriber: EngineStatus,
        hub: Hub,
    ) -> None:
        """`heard`: how far the sample clock has run. `hub` is told when something is shown that is not stored."""
        self._record = record
        self._heard = heard
        self._links = links
        self._diarizer, self._transcriber = diarizer, transcriber
        self._hub = hub
        self._log = log_of(record)
        self._ended = asyncio.Event()

    @property
    def heard(self) -> Sample:
        """How far the sample clock has run."""
        return self._heard

    def hear(self, to: Sample) -> None:
        """The sample clock has run on."""
        self._heard = to

    @property
    def ended(self) -> bool:
        """True once the session's end is stored, or storing it was given up."""
        return self._ended.is_set()

    async def wait_ended(self) -> None:
        """Wait until `ended`."""
        await self._ended.wait()

    def finish(self) -> None:
        """Nothing more becomes of the session."""
        self._ended.set()
        self._hub.touch(self._record.id)

    @property
    def record(self) -> SessionRecord:
        """The session as it was stored last, or is about to be."""
        return self._record

    @property
    def state(self) -> SessionState:
        """Where it is in its life."""
        return self._record.state

    @property
    def links(self) -> Links:
        """How its links are, without what became of their engines."""
        return self._links

    @property
    def diarizer(self) -> EngineStatus:
        """Its diarizer; for a session without one, the diarizer was sent nothing."""
        return self._diarizer

    @property
    def transcriber(self) -> EngineStatus:
        """Its transcriber."""
        return self._transcriber

    def view(self) -> SessionView:
        """Return the session as it is now. It has ended once its end is stored, not before."""
        record, links = self._counted(), self._links
        if self.ended:
            return SessionView(record, None, self._heard)
        if record.state not in LIVE_STATES:
            record = replace(record, state=SessionState.STOPPING, ended_s=None, reason="", detail="")
        links = replace(
            links,
            diarizer=self._diarizer.usage.annotate(links.diarizer),
            transcriber=self._transcriber.usage.annotate(links.transcriber),
        )
        return SessionView(record, links, self._heard)

    def stored(self, record: SessionRecord) -> None:
        """The record is stored as it was put."""
        self._record = replace(self._record, seq=record.seq)
        if record.state not in LIVE_STATES:
            self._ended.set()  # now, before a subscriber who was told of this change comes and asks

    def store_health(self, error: StoreError | None) -> None:
        """The store fails, or works again."""
        if self._record.state in LIVE_STATES:
            reason, detail = (error.reason, error.message) if error is not None else ("", "")
            self._record = replace(self._record, reason=reason, detail=detail)
            self._hub.touch(self._record.id)

    def go_to(self, state: SessionState) -> Sequence[Record]:
        """Go to another state; return what is to be stored. Raises AssertionError if there is no way to it."""
        if state not in NEXT_STATES[self._record.state]:
            raise AssertionError(f"a session cannot go from {self._record.state} to {state}")
        self._record = replace(self._counted(), state=state, heard=self._heard)
        self._log.info("session_state", state=state.value)
        return [self._record]

    def end(self, ended_s: float, failure: tuple[str, str] | None) -> Sequence[Record]:
        """Go to STOPPED, or to FAILED with a reason and a sentence; return what is to be stored."""
        reason, detail = failure or ("", "")
        self._record = replace(self._record, ended_s=ended_s, reason=reason, detail=detail)
        return self.go_to(SessionState.STOPPED if failure is None else SessionState.FAILED)

    def refused_links(self) -> list[RefusedLink]:
        """Return the links that are refused, or replaced by the local engine because of that."""

        def link_now(role: str) -> Link:
            links = self.view().links
            return OFF if links is None else getattr(links, role)

        record = self._record
        return [
            RefusedLink(record.id, record.name, role, name, engine.door, partial(link_now, role))
            for role, name, engine in (
                ("diarizer", record.settings.diarizer, self._diarizer),
                ("transcriber", record.settings.transcriber, self._transcriber),
            )
            if link_now(role).health is Health.REFUSED or (link_now(role).reason == FELL_BACK and engine.door.shut)
        ]

    def link(
        self,
        capture: Link | None = None,
        diarizer: Link | None = None,
        transcriber: Link | None = None,
        spool: Link | None = None,
    ) -> None:
        """Update the health of links; None keeps the current value."""
        now = self._links
        links = Links(
            capture or now.capture, diarizer or now.diarizer, transcriber or now.transcriber, spool or now.spool
        )
        if links != now or _times(links) != _times(now):
            self._links = links
            self._hub.touch(self._record.id)

    def audio_started(self) -> None:
        """The first audio is there: the source is up, unless it said otherwise."""
        if self._links.capture.health is Health.CONNECTING:
            self.link(capture=UP)

    def _counted(self) -> SessionRecord:
        """Return the record with what the engines were sent so far."""
        return replace(
            self._record, diarizer_sent=self._diarizer.usage.sent, transcriber_sent=self._transcriber.usage.sent
        )


def _times(links: Links) -> list[tuple[float | None, float | None]]:
    return [(link.since_s, link.next_s) for link in (links.diarizer, links.transcriber)]


class Ending:
    """When one session has to end, and why."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._asked = asyncio.Event()
        self._deadline_s: float | None = None
        self._failure: tuple[str, str] | None = None

    @property
    def asked(self) -> bool:
        """True once the session is to end."""
        return self._asked.is_set()

    @property
    def failure(self) -> tuple[str, str] | None:
        """The reason and a sentence about the first fault; None without any."""
        return self._failure

    @property
    def left_s(self) -> float:
        """How long the end may still take."""
        return max(0.0, (self._deadline_s or 0.0) - asyncio.get_running_loop().time())

    def stop(self, limit_s: float) -> None:
        """Have the session end within `limit_s`. Asking again can only shorten the limit."""
        deadline_s = asyncio.get_running_loop().time() + limit_s
        self._deadline_s = deadline_s if self._deadline_s is None else min(self._deadline_s, deadline_s)
        self._asked.set()

    def begin(self) -> None:
        """The end begins: within DRAIN_LIMIT_S, unless a limit was given."""
        if self._deadline_s is None:
            self._deadline_s = asyncio.get_running_loop().time() + DRAIN_LIMIT_S

    def fail(self, reason: str, detail: str) -> None:
        """Have the session end as FAILED. The first reason counts."""
        self._failure = self._failure or (reason, detail)
        self._asked.set()

    def fault(self, event: str) -> None:
        """Have the session end because of a bug; call it while its exception is handled."""
        self._log.exception(event)
        self.fail(*INTERNAL_FAULT)

    async def wait_asked(self) -> None:
        """Wait until the session is to end."""
        await self._asked.wait()

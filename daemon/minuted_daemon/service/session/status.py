"""What a session shows of itself: its record with the states it may go through, and how its links are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from minuted_daemon.core.records import LIVE_STATES, Health, Link, Record, SessionRecord, SessionState
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.service.connections.reconnect import UP
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.views import Links, SessionView

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


class SessionStatus:
    """One session's. `heard`: how far its sample clock has run, kept by the owner."""

    def __init__(
        self,
        record: SessionRecord,
        heard: Sample,
        links: Links,
        diarizer: EngineUsage,
        transcriber: EngineUsage,
        touch: Callable[[], None],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`diarizer` and `transcriber`: what became of the engines. `touch` is called when something else is shown."""
        self.heard = heard
        self.put: Callable[[Sequence[Record]], None] = _nowhere
        """Where changed records go to be stored."""
        self._record = record
        self._links = links
        self._diarizer, self._transcriber = diarizer, transcriber
        self._touch = touch
        self._log = log

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

    def view(self, ended: bool) -> SessionView:
        """Return the session as it is now; `ended`: its end is stored."""
        record, links = self._counted(), self._links
        if ended:
            return SessionView(record, None, self.heard)
        if record.state not in LIVE_STATES:
            record = replace(record, state=SessionState.STOPPING, ended_s=None, reason="", detail="")
        links = replace(
            links,
            diarizer=self._diarizer.told(links.diarizer),
            transcriber=self._transcriber.told(links.transcriber),
        )
        return SessionView(record, links, self.heard)

    def stored(self, record: SessionRecord) -> None:
        """The record is stored as it was put."""
        self._record = replace(self._record, seq=record.seq)

    def store_health(self, error: StoreError | None) -> None:
        """The store fails, or works again."""
        if self._record.state in LIVE_STATES:
            reason, detail = (error.reason, error.message) if error is not None else ("", "")
            self._record = replace(self._record, reason=reason, detail=detail)
            self._touch()

    def go_to(self, state: SessionState) -> None:
        """Go to another state. Raises AssertionError if there is no way to it."""
        if state not in NEXT_STATES[self._record.state]:
            raise AssertionError(f"a session cannot go from {self._record.state} to {state}")
        self._record = replace(self._counted(), state=state, heard=self.heard)
        self._log.info("session_state", state=state.value)
        self.put([self._record])

    def end(self, ended_s: float, failure: tuple[str, str] | None) -> None:
        """Go to STOPPED, or to FAILED with a reason and a sentence."""
        reason, detail = failure or ("", "")
        self._record = replace(self._record, ended_s=ended_s, reason=reason, detail=detail)
        self.go_to(SessionState.STOPPED if failure is None else SessionState.FAILED)

    def link(
        self,
        capture: Link | None = None,
        diarizer: Link | None = None,
        transcriber: Link | None = None,
        spool: Link | None = None,
    ) -> None:
        """Links are as told from now on; None leaves one as it is."""
        now = self._links
        links = Links(
            capture or now.capture, diarizer or now.diarizer, transcriber or now.transcriber, spool or now.spool
        )
        if links != now or _times(links) != _times(now):
            self._links = links
            self._touch()

    def hears(self) -> None:
        """There is the first audio: the source is up, unless more was told of it."""
        if self._links.capture.health is Health.CONNECTING:
            self.link(capture=UP)

    def _counted(self) -> SessionRecord:
        """Return the record with what the engines were sent so far."""
        return replace(self._record, diarizer_sent=self._diarizer.sent, transcriber_sent=self._transcriber.sent)


def _times(links: Links) -> list[tuple[float | None, float | None]]:
    return [(link.since_s, link.next_s) for link in (links.diarizer, links.transcriber)]


def _nowhere(records: Sequence[Record]) -> None:
    """Nothing is stored before there is a writer."""

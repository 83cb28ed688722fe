"""A session's pause: the source is released and nothing is heard, while the diarizer stays connected for a while.

What the transcript says of it comes with the blocks: they go on as silence, and say that they are muted. A file stands
still instead.
"""

import asyncio

from minuted_daemon.core.records import LIVE_STATES, SessionState
from minuted_daemon.core.session_rules import is_file
from minuted_daemon.errors import WrongState
from minuted_daemon.ports.capture import CaptureStream
from minuted_daemon.service.connections.diarizer_link import DiarizerLink
from minuted_daemon.service.connections.reconnect import CONNECTING, OFF, UP
from minuted_daemon.service.persistence.write_behind import WriteBehindQueue
from minuted_daemon.service.session.settings import log_of
from minuted_daemon.service.session.status import Ending, SessionStatus

KEEP_S = 900.0
"""Digital silence keeps the diarizer connected so long, and with it the speakers' names."""
KEEP_STILL_S = 3.0
"""The same for a source that stands still: a diarizer that is sent nothing at all ends the connection soon."""
RELEASE_LIMIT_S = 2.5
TOLD_LIMIT_S = 3.0
"""How long the one who pauses or resumes a session waits until that is stored."""
PAUSED = "PAUSED"
"""The reason of the muted interval that a pause leaves."""


class Pausing:
    """One for each session. Everything here takes effect at once; only the source and the store are waited for."""

    def __init__(
        self,
        capture: CaptureStream,
        diarizing: DiarizerLink | None,
        status: SessionStatus,
        outbox: WriteBehindQueue,
        ending: Ending,
    ) -> None:
        """A session that is PAUSED already goes on so."""
        self._capture = capture
        self._diarizing = diarizing
        self._status = status
        self._outbox = outbox
        self._ending = ending
        self._is_file = is_file(status.record.settings.device)
        self._changing = asyncio.Lock()
        self._log = log_of(status.record)
        self._resting: asyncio.TimerHandle | None = None
        if status.state is SessionState.PAUSED and diarizing is not None:
            diarizing.rest()

    async def pause(self) -> None:
        """Hear nothing from this call on; return once the source is released, and that is stored if the store works.

        Raises WrongState (SESSION_ENDED).
        """
        async with self._changing:
            self._must_go_on()
            if self._status.state is not SessionState.PAUSED:
                # Nothing is awaited before the source is told: PAUSED is never said of a session that hears.
                self._outbox.put(self._status.go_to(SessionState.PAUSED))
                self._status.link(capture=OFF)
                await self._begin()
            await self._outbox.flush(TOLD_LIMIT_S)

    async def resume(self) -> None:
        """Hear again; the capture link is UP once there is audio. A device that is away is waited for.

        Raises WrongState (SESSION_ENDED).
        """
        async with self._changing:
            self._must_go_on()
            if self._status.state is SessionState.PAUSED:
                self._outbox.put(self._status.go_to(SessionState.RUNNING))
                self._status.link(capture=UP if self._is_file else CONNECTING)
                await self._end()
            await self._outbox.flush(TOLD_LIMIT_S)

    def _must_go_on(self) -> None:
        record = self._status.record
        if self._ending.asked or record.state not in LIVE_STATES - {SessionState.STOPPING}:
            message = f"the session {record.name} has ended, or is about to"
            raise WrongState("SESSION_ENDED", message, session=record.name, session_id=record.id)

    async def _begin(self) -> None:
        if self._diarizing is not None:
            keep_s = KEEP_STILL_S if self._is_file else KEEP_S
            self._resting = asyncio.get_running_loop().call_later(keep_s, self._diarizing.rest)
        try:
            async with asyncio.timeout(RELEASE_LIMIT_S):
                await self._capture.pause()
        except TimeoutError:
            # Nothing of it is passed on all the same.
            self._log.warning("capture_release_late", limit_s=RELEASE_LIMIT_S)

    async def _end(self) -> None:
        self.forget_rest()
        if self._diarizing is not None:
            self._diarizing.wake()
        async with asyncio.timeout(RELEASE_LIMIT_S):
            await self._capture.resume()

    def forget_rest(self) -> None:
        """Do not suspend the diarizer any more: the pause or the session ends."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

"""One live session: its life from the accepted start to the last record.

Everything here runs on the event loop and nothing in the path of the audio waits: not for an engine (connections), not
for the store (write_behind.py). What a session is made of is put together in factory.py.
"""

import asyncio
import contextlib
from collections.abc import Callable

from minuted_daemon.core.coverage import Claim
from minuted_daemon.core.records import LIVE_STATES, SessionRecord, SessionState
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.errors import StoreError
from minuted_daemon.service.connections.retry_request import RefusedLink
from minuted_daemon.service.coverage import open_claims
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.merge.outputs import OwedTexts
from minuted_daemon.service.session.context import Return, SessionParts
from minuted_daemon.service.session.settings import facts_of, log_of
from minuted_daemon.service.session.status import DRAIN_LIMIT_S as DRAIN_LIMIT_S
from minuted_daemon.service.session.status import INTERNAL_FAULT as INTERNAL_FAULT
from minuted_daemon.service.session.wall_clock import WallClock
from minuted_daemon.service.task_groups import cancel_and_wait
from minuted_daemon.service.views import SessionView

FINISH_LIMIT_S = 5.0
"""How long a diarizer may take to say what it still has to say."""
VOICES_LIMIT_S = 3.0
"""How long voices may be compared when all was heard."""
FLUSH_SHARE = 0.15
"""The share of the drain limit that is kept for the store."""


class Session:
    """From an accepted start to its last record. Its record has been stored, in state STARTING."""

    def __init__(
        self,
        parts: SessionParts,
        owed: OwedTexts,
        clock: WallClock,
        now_s: Callable[[], float],
        back: Return | None = None,
    ) -> None:
        """`back`: what a session goes on from that was live when the daemon ended."""
        self._status, self._ending = parts.status, parts.ending
        self._sink, self._outbox = parts.sink, parts.outbox
        self._pipeline, self._driver = parts.pipeline, parts.pipeline.driver
        self._intake, self._nonspeech, self._pausing = parts.intake, parts.nonspeech, parts.pausing
        self._owed = owed
        self._clock = clock
        self._now_s = now_s
        self._back = back
        self._replay = None if back is None else back.replay
        self._log = log_of(parts.status.record)

    # --- what the registry asks ---------------------------------------------------------------------------------------

    @property
    def record(self) -> SessionRecord:
        """The session as it was stored last, or is about to be."""
        return self._status.record

    def view(self) -> SessionView:
        """Return the session as it is now. It has ended once its end is stored, not before."""
        return self._status.view()

    def open_claims(self) -> list[Claim]:
        """Return what the store cannot know of what became of the audio up to `view().heard`."""
        pending = self._driver.pending(self._status.heard)
        return open_claims(pending, self._outbox.unstored(), self._nonspeech.growing)

    def is_owed(self, claim: Claim) -> bool:
        """Return whether a stored turn is without its text, and is asked for again once the session has ended."""
        return self._owed.covers(claim)

    @property
    def owed(self) -> tuple[Sample, EngineUsage] | None:
        """Of a session that goes on and lacks texts of before: where that ends, and who counts what is sent for it."""
        before = self._owed.before
        return None if before is None else (before, self._status.transcriber.usage)

    def paid(self) -> None:
        """What it was owed is there, or cannot be had: its audio need not be held any more."""
        self._owed.clear()

    def refused_links(self) -> list[RefusedLink]:
        """Return the links that are refused, or replaced by the local engine because of that."""
        return self._status.refused_links()

    @property
    def ended(self) -> bool:
        """True once the session is STOPPED or FAILED and stored so, or storing was given up."""
        return self._status.ended

    def stop(self, limit_s: float = DRAIN_LIMIT_S) -> None:
        """Begin to end: all turns settle, within `limit_s`. Asking again can only shorten the limit."""
        self._ending.stop(limit_s)

    def wall_s(self, at: Sample) -> float:
        """Return the wall time of a sample, seconds since 1970."""
        return self._clock.wall_s(at)

    def forget(self, start: Sample, end: Sample) -> None:
        """Forget what was said in [start, end): nothing of it is settled or told any more."""
        if self._replay is not None:
            self._replay.redact(start, end)
        else:
            self._intake.forget(start, end)

    async def pause(self) -> SessionView:
        """Hear nothing from this call on; return once the source is released. See Pausing.

        Raises WrongState (SESSION_ENDED).
        """
        await self._pausing.pause()
        return self.view()

    async def resume(self) -> SessionView:
        """Hear again. See Pausing. Raises WrongState (SESSION_ENDED)."""
        await self._pausing.resume()
        return self.view()

    async def wait_ended(self) -> None:
        """Wait until `ended`."""
        await self._status.wait_ended()

    async def run(self) -> None:
        """Live until the source ends, `stop`, or a fault; then drain. Raises nothing but CancelledError."""
        self._log.info("session_started", **facts_of(self._status.record))
        try:
            await self._live()
        except Exception:  # noqa: BLE001 - a session's failure stays in the session
            self._ending.fault("session_fault")
            self._end()
            with contextlib.suppress(StoreError):
                await self._sink.write([self._status.record])
        finally:
            self._status.finish()
            await self._intake.close()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        pipeline, transcriber = self._pipeline, self._driver.transcriber
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._outbox.run())
            recognising = group.create_task(pipeline.reid.run()) if pipeline.reid else None
            diarizing = group.create_task(pipeline.diarizing.run()) if pipeline.diarizing else None
            transcribing = group.create_task(transcriber.run()) if transcriber else None
            stopping = group.create_task(self._ending.wait_asked())
            listening: asyncio.Task[None] | None = None
            try:
                await self._resume()
                listening = group.create_task(self._intake.listen())
                await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
                await cancel_and_wait(stopping, listening)
                await self._intake.close()
                self._begin_stop()
                await self._hear_out(diarizing)
                await cancel_and_wait(recognising)
                if pipeline.reid is not None:
                    await pipeline.reid.finish(min(VOICES_LIMIT_S, self._ending.left_s / 4))
                flush_s = FLUSH_SHARE * self._ending.left_s
                if not await self._driver.settle(lambda: self._ending.left_s - flush_s):
                    self._log.warning("drain_limit")
                self._end()
                await self._outbox.flush(max(self._ending.left_s, flush_s))
            finally:
                await cancel_and_wait(writing, recognising, diarizing, transcribing, listening, stopping)

    async def _resume(self) -> None:
        """Look again at what was heard before, also if the session is to end: nothing else will."""
        back, self._back = self._back, None
        if back is None:
            return
        await self._intake.recall(back.resumed)
        if self._replay is not None:
            await self._replay.run()
            self._replay = None

    # --- the end ------------------------------------------------------------------------------------------------------

    def _begin_stop(self) -> None:
        self._ending.begin()
        self._pausing.forget_rest()
        self._intake.finish()
        if self._status.state is not SessionState.STOPPING:  # it is, if the daemon died while it was
            self._outbox.put(self._status.go_to(SessionState.STOPPING))

    async def _hear_out(self, diarizing: "asyncio.Task[None] | None") -> None:
        """Let the diarizer finish; what is older than the hold-back meanwhile is sent on, as ever."""
        link = self._pipeline.diarizing
        if link is not None and diarizing is not None:
            if link.connected:
                link.finish()
                await self._driver.hear_out(diarizing, min(FINISH_LIMIT_S, self._ending.left_s / 2))
            await cancel_and_wait(diarizing)

    def _end(self) -> None:
        if self._status.state not in LIVE_STATES:
            return
        self._outbox.put(self._status.end(self._now_s(), self._ending.failure))
        heard_s = round(seconds(self._status.heard), 1)
        self._log.info("session_ended", heard_s=heard_s, reason=self._status.record.reason)

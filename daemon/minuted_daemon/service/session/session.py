"""One live session: its life from the accepted start to the last record, and its audio on the way to all who hear it.

Everything here runs on the event loop and nothing in the path of the audio waits: not for an engine (diarizer_link.py,
transcriber_link.py), not for the store (writer.py). What follows from what is heard is merging.py's.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial

import structlog

from minuted_daemon.core.coverage import Claim
from minuted_daemon.core.events import Epoch, Redacted
from minuted_daemon.core.records import (
    LIVE_STATES,
    Health,
    Link,
    Record,
    SessionRecord,
    SessionState,
)
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples, seconds
from minuted_daemon.core.session_rules import is_file
from minuted_daemon.core.suspicion.judge import Suspicion
from minuted_daemon.errors import MinutedError, StoreError, WrongState
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, CaptureStream, Missing
from minuted_daemon.service.connections.diarizer_link import DiarizerLink
from minuted_daemon.service.connections.reconnect import CONNECTING, OFF, UP
from minuted_daemon.service.connections.retry_request import RefusedLink
from minuted_daemon.service.connections.transcriber_link import TranscriberLink
from minuted_daemon.service.coverage import lacks_text, open_claims
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.merge.driver import MergeDriver
from minuted_daemon.service.merge.speaker_reid import SpeakerReid
from minuted_daemon.service.merge.turn_records import FORGET_AFTER, TurnRecords
from minuted_daemon.service.persistence.losses import Losses
from minuted_daemon.service.persistence.write_behind import WriteBehindQueue
from minuted_daemon.service.recovery.recorder import RecoveryRecorder
from minuted_daemon.service.recovery.replay import Replay
from minuted_daemon.service.recovery.state import Resumed
from minuted_daemon.service.retries.policy import FELL_BACK, RetryPolicy
from minuted_daemon.service.session.context import SessionParts, SharedServices
from minuted_daemon.service.session.nonspeech import NonSpeechTracker
from minuted_daemon.service.session.pause import TOLD_LIMIT_S, Pausing
from minuted_daemon.service.session.settings import facts_of
from minuted_daemon.service.session.status import SessionStatus
from minuted_daemon.service.session.wall_clock import WallClock
from minuted_daemon.service.task_groups import cancel_and_wait
from minuted_daemon.service.views import Links, PartialTurn, SessionView

DRAIN_LIMIT_S = 20.0
FINISH_LIMIT_S = 5.0
"""How long a diarizer may take to say what it still has to say."""
VOICES_LIMIT_S = 3.0
"""How long voices may be compared when all was heard."""
FLUSH_SHARE = 0.15
"""The share of the drain limit that is kept for the store."""
INTERNAL_FAULT = ("INTERNAL_FAULT", "the session met an internal fault; see the daemon's log")


class Session:
    """From an accepted start to its last record. `record` has been stored, in state STARTING."""

    def __init__(
        self, record: SessionRecord, parts: SessionParts, around: SharedServices, resumed: Resumed | None = None
    ) -> None:
        """`resumed`: what a session goes on from that was live when the daemon ended."""
        self._resumed, self._parts, self._around = resumed, parts, around
        self._log = structlog.get_logger().bind(session=record.name, session_id=record.id)
        paused = record.state is SessionState.PAUSED
        self._status = SessionStatus(
            record,
            Sample(0) if resumed is None else resumed.heard,
            Links(
                OFF if paused else _link_of(parts.capture),
                OFF if parts.diarizer is None else CONNECTING,
                OFF if parts.transcriber is None else CONNECTING,
            ),
            parts.diarizer_standing,
            parts.transcriber_standing,
            lambda: around.hub.touch(record.id),
            self._log,
        )
        self._clock = WallClock(() if resumed is None else resumed.points)
        suspicion = Suspicion(record.settings.languages, diarized=parts.diarizer is not None)
        self._turn_records = TurnRecords(
            record.id, record.name, around.new_id, self._clock.wall_s, around.now_s, suspicion
        )
        if resumed is not None:
            self._turn_records.recall(resumed.speakers)
        self._writer = WriteBehindQueue(
            self._write,
            lambda points: around.store.write_wall_points(record.id, points),
            self._turn_records.stamped,
            self._stored,
            self._status.store_health,
            Losses(record.id, around.new_id, self._clock.wall_s),
            self._log,
        )
        self._status.put = self._writer.put
        self._nonspeech = NonSpeechTracker(record.id, around.new_id, self._clock.wall_s, self._writer.put, parts.spool)
        self._driver = MergeDriver(
            parts.merger,
            self._turn_records,
            self._writer.put,
            self._tell,
            lambda: self._fail(*INTERNAL_FAULT),
            self._log,
            lambda: 0.0 if parts.diarizer is None else parts.diarizer.capabilities.lag_s,
            Sample(0) if resumed is None else resumed.merge.begin,
        )
        self._driver.owed_from = None if resumed is None else resumed.owed_from
        self._owed_before = None if resumed is None or parts.transcriber is None else resumed.heard
        self._recorder = RecoveryRecorder(self._driver, parts.spool, parts.freeze_s)
        self._voices = self._diarizing = self._transcribing = self._replay = None
        if parts.diarizer is not None:
            if around.voice_printer is not None:
                self._voices = SpeakerReid(around.voice_printer, parts.diarizer, self._recorder, self._log)
            self._diarizing = DiarizerLink(
                parts.diarizer,
                RetryPolicy(around.random),
                self._voices or self._recorder,
                lambda link: self._status.link(diarizer=link),
                self._log,
                Epoch(0) if resumed is None else resumed.recollection.epochs,
            )
            self._diarizing.door = parts.diarizer_door
        if parts.transcriber is not None and parts.spool is not None:
            self._transcribing = TranscriberLink(
                parts.transcriber,
                record.settings.languages,
                parts.spool,
                lambda: RetryPolicy(around.random),
                self._driver,
                lambda link: self._status.link(transcriber=link),
                self._log,
            )
            self._transcribing.door = parts.transcriber_door
            self._driver.submit = self._transcribing.submit
        if resumed is not None and parts.spool is not None:
            around_it = self._driver, self._recorder, self._voices
            self._replay = Replay(resumed, parts.spool, parts.voice, *around_it, self._forget, self._log)
        self._pausing = Pausing(parts.capture, self._diarizing, is_file(record.settings.device), paused, self._log)
        self._stop_asked, self._ended = asyncio.Event(), asyncio.Event()
        self._deadline_s: float | None = None
        self._failure: tuple[str, str] | None = None

    # --- what the registry asks ---------------------------------------------------------------------------------------

    @property
    def record(self) -> SessionRecord:
        """The session as it was stored last, or is about to be."""
        return self._status.record

    def view(self) -> SessionView:
        """Return the session as it is now. It has ended once its end is stored, not before."""
        return self._status.view(self.ended)

    def open_claims(self) -> list[Claim]:
        """Return what the store cannot know of what became of the audio up to `view().heard`."""
        pending = self._driver.pending(self._status.heard)
        return open_claims(pending, self._writer.unstored(), self._nonspeech.growing)

    def is_owed(self, claim: Claim) -> bool:
        """Tell of a stored turn without a text whether it is asked for again once the session has ended."""
        since, spool = self._driver.owed_from, self._parts.spool
        return since is not None and spool is not None and lacks_text(claim) and claim.start >= max(since, spool.begin)

    @property
    def owed(self) -> tuple[Sample, EngineUsage] | None:
        """Of a session that goes on and lacks texts of before: where that ends, and who counts what is sent for it."""
        if self._owed_before is None or self._driver.owed_from is None:
            return None
        return self._owed_before, self._parts.transcriber_standing

    def paid(self) -> None:
        """What it was owed is there, or cannot be had: its audio need not be held any more."""
        self._owed_before = self._driver.owed_from = None

    def refused_links(self) -> list[RefusedLink]:
        """Return the links that are refused, or replaced by the local engine because of that."""

        def link_now(role: str) -> Link:
            links = self.view().links
            return OFF if links is None else getattr(links, role)

        record, parts = self._status.record, self._parts
        return [
            RefusedLink(record.id, record.name, role, engine, door, partial(link_now, role))
            for role, engine, door in (
                ("diarizer", record.settings.diarizer, parts.diarizer_door),
                ("transcriber", record.settings.transcriber, parts.transcriber_door),
            )
            if link_now(role).health is Health.REFUSED or (link_now(role).reason == FELL_BACK and door.shut)
        ]

    @property
    def ended(self) -> bool:
        """True once the session is STOPPED or FAILED and stored so, or storing was given up."""
        return self._ended.is_set()

    def stop(self, limit_s: float = DRAIN_LIMIT_S) -> None:
        """Begin to end: all turns settle, within `limit_s`. Asking again can only shorten the limit."""
        deadline_s = asyncio.get_running_loop().time() + limit_s
        self._deadline_s = deadline_s if self._deadline_s is None else min(self._deadline_s, deadline_s)
        self._stop_asked.set()

    def wall_s(self, at: Sample) -> float:
        """Return the wall time of a sample, seconds since 1970."""
        return self._clock.wall_s(at)

    def forget(self, start: Sample, end: Sample) -> None:
        """Forget what was said in [start, end): nothing of it is settled or told any more."""
        if self._replay is not None:
            self._replay.redact(start, end)
        else:
            self._forget(start, end)

    def _forget(self, start: Sample, end: Sample) -> None:
        self._driver.redacted(Redacted(start, end))
        self._recorder.forget(end)
        self._nonspeech.note_again()
        if self._voices is not None:
            self._voices.forget(start, end)

    async def pause(self) -> SessionView:
        """Hear nothing from this call on; return once the source is released, and that is stored if the store works.

        Raises WrongState (SESSION_ENDED).
        """
        async with self._pausing.changing:
            self._must_go_on()
            if self._status.state is not SessionState.PAUSED:
                # Nothing is awaited before the source is told: PAUSED is never said of a session that hears.
                self._status.go_to(SessionState.PAUSED)
                self._status.link(capture=OFF)
                await self._pausing.begin()
            await self._writer.flush(TOLD_LIMIT_S)
        return self.view()

    async def resume(self) -> SessionView:
        """Hear again; the view's capture link is UP once there is audio. A device that is away is waited for.

        Raises WrongState (SESSION_ENDED).
        """
        async with self._pausing.changing:
            self._must_go_on()
            if self._status.state is SessionState.PAUSED:
                self._status.go_to(SessionState.RUNNING)
                self._status.link(capture=UP if is_file(self._status.record.settings.device) else CONNECTING)
                await self._pausing.end()
            await self._writer.flush(TOLD_LIMIT_S)
        return self.view()

    def _must_go_on(self) -> None:
        if self._stop_asked.is_set() or self._status.state not in LIVE_STATES - {SessionState.STOPPING}:
            name = self._status.record.name
            message = f"the session {name} has ended, or is about to"
            raise WrongState("SESSION_ENDED", message, session=name, session_id=self._status.record.id)

    async def wait_ended(self) -> None:
        """Return once `ended`."""
        await self._ended.wait()

    async def run(self) -> None:
        """Live until the source ends, `stop`, or a fault; then drain. Raises nothing but CancelledError."""
        self._log.info("session_started", **facts_of(self._status.record))
        try:
            await self._live()
        except Exception:  # noqa: BLE001 - a session's failure stays in the session
            self._log.exception("session_fault")
            self._fail(*INTERNAL_FAULT)
            self._end()
            with contextlib.suppress(StoreError):
                await self._write([self._status.record])
        finally:
            self._ended.set()
            self._around.hub.touch(self._status.record.id)
            await self._parts.capture.close()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._writer.run())
            recognising = group.create_task(self._voices.run()) if self._voices else None
            diarizing = group.create_task(self._diarizing.run()) if self._diarizing else None
            transcribing = group.create_task(self._transcribing.run()) if self._transcribing else None
            stopping = group.create_task(self._stop_asked.wait())
            listening: asyncio.Task[None] | None = None
            try:
                await self._resume()
                listening = group.create_task(self._listen())
                await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
                await cancel_and_wait(stopping, listening)
                await self._parts.capture.close()
                self._begin_stop()
                await self._hear_out(diarizing)
                await cancel_and_wait(recognising)
                if self._voices is not None:
                    await self._voices.finish(min(VOICES_LIMIT_S, self._left_s() / 4))
                flush_s = FLUSH_SHARE * self._left_s()
                if not await self._driver.settle(lambda: self._left_s() - flush_s):
                    self._log.warning("drain_limit")
                self._end()
                await self._writer.flush(max(self._left_s(), flush_s))
            finally:
                await cancel_and_wait(writing, recognising, diarizing, transcribing, listening, stopping)

    async def _resume(self) -> None:
        """Look again at what was heard before, also if the session is to end: nobody else will."""
        if self._resumed is not None and self._replay is not None:
            await self._nonspeech.recall(self._resumed, samples(self._parts.freeze_s))
            await self._replay.run()
            self._replay = None

    def _note_absence(self, wall_s: float) -> None:
        """The sample clock of a device ran on while the daemon was away: by wall time, in whole blocks."""
        self._resumed = None
        self._status.hears()
        away = max(0, self._clock.sample_at(wall_s) - self._status.heard) // BLOCK * BLOCK
        if away and not is_file(self._status.record.settings.device):
            since, self._status.heard = self._status.heard, Sample(self._status.heard + away)
            self._nonspeech.away(since, self._status.heard)
            if self._parts.spool is not None:
                self._parts.spool.skip(self._status.heard)
        self._log.info("session_resumed", away_s=round(seconds(away), 1))
        self._driver.missed(self._status.heard)

    def _note_missing(self, missing: Missing) -> None:
        """A recording promised more than it holds: the sample clock runs on over that, and it counts as lost."""
        self._nonspeech.missing(missing)
        self._status.heard = Sample(max(self._status.heard, -(-missing.end // BLOCK) * BLOCK))
        self._log.warning("recording_cut_short", missing_s=round(seconds(missing.end - missing.start), 1))

    async def _listen(self) -> None:
        try:
            async for item in self._parts.capture:
                if isinstance(item, CaptureHealth) and self._pausing.on:
                    continue  # told before the pause; how the source is after it is told anew
                if isinstance(item, CaptureHealth):
                    self._status.link(capture=Link(item.health, item.reason, item.detail))
                    level = self._log.info if item.health is Health.UP else self._log.warning
                    level("capture_changed", health=item.health.value, reason=item.reason)
                elif isinstance(item, Missing):
                    self._note_missing(item)
                else:
                    self._take(item)
        except MinutedError as error:
            self._log.warning("capture_failed", reason=error.reason)
            self._fail(error.reason, error.message)
        except Exception:  # noqa: BLE001 - what was heard so far is settled and stored all the same
            self._log.exception("capture_fault")
            self._fail(*INTERNAL_FAULT)

    def _take(self, block: AudioBlock) -> None:
        """Ten times a second for each session: keep it lean."""
        if self._resumed is not None:
            self._note_absence(block.wall_s)
        start, end = self._status.heard, Sample(self._status.heard + BLOCK)
        self._status.heard = end
        point = self._clock.observe(start, block.wall_s)
        if point is not None:
            self._writer.put_point(point)
        if self._status.state is SessionState.STARTING:
            self._status.hears()
            self._status.go_to(SessionState.RUNNING)
        self._nonspeech.heard(start, end, block.filled)
        self._keep(block)
        if self._diarizing is not None:
            self._diarizing.hear(start, block.pcm)
        observed = self._parts.voice.observe(start, block.pcm)
        if self._diarizing is not None:
            self._diarizing.observed(observed)
        if self._voices is not None:
            self._voices.hear(block.pcm, observed)
        self._driver.listened(end, observed)
        if end % (RATE_HZ * 60) == 0:
            self._turn_records.forget(Sample(end - samples(self._parts.freeze_s) - FORGET_AFTER))
            self._recorder.note_state()
            self._nonspeech.note_again()

    def _keep(self, block: AudioBlock) -> None:
        """Put a block into the spool; note what the spool had to shed before anybody had transcribed it."""
        spool = self._parts.spool
        if spool is None:
            return
        spool.append(block)
        needed_from = self._driver.retain_from
        spool.release(Sample(max(0, min(needed_from, self._status.heard - samples(self._parts.freeze_s)))))
        losses = spool.take_losses()
        if losses:
            self._driver.shed(spool.begin)
        self._nonspeech.lost(losses, needed_from, spool.begin)
        self._status.link(spool=spool.health)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _begin_stop(self) -> None:
        if self._deadline_s is None:
            self._deadline_s = asyncio.get_running_loop().time() + DRAIN_LIMIT_S
        self._pausing.forget_rest()
        self._driver.judged(self._parts.voice.finish())
        self._nonspeech.close()
        if self._status.state is not SessionState.STOPPING:  # it is, if the daemon died while it was
            self._status.go_to(SessionState.STOPPING)

    async def _hear_out(self, diarizing: "asyncio.Task[None] | None") -> None:
        """Let the diarizer finish; what is behind the hold-back meanwhile is sent on, as ever."""
        if self._diarizing is not None and diarizing is not None:
            if self._diarizing.connected:
                self._diarizing.finish()
                await self._driver.hear_out(diarizing, min(FINISH_LIMIT_S, self._left_s() / 2))
            await cancel_and_wait(diarizing)

    def _end(self) -> None:
        if self._status.state not in LIVE_STATES:
            return
        self._status.end(self._around.now_s(), self._failure)
        self._log.info(
            "session_ended", heard_s=round(seconds(self._status.heard), 1), reason=self._status.record.reason
        )

    def _left_s(self) -> float:
        return max(0.0, (self._deadline_s or 0.0) - asyncio.get_running_loop().time())

    def _fail(self, reason: str, detail: str) -> None:
        self._failure = self._failure or (reason, detail)
        self._stop_asked.set()

    # --- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, partial: PartialTurn) -> None:
        if self._turn_records.all_stored(partial):
            # The journal knows what the speakers are called by now.
            self._around.publisher.tell_partial(partial.turn.turn, self._status.record.name)
        else:
            self._around.hub.publish_partial(partial)

    async def _write(self, records: Sequence[Record]) -> Sequence[Record]:
        return await self._around.publisher.write(records, self._status.record.name)

    def _stored(self, records: Sequence[Record]) -> None:
        self._turn_records.stored(records)
        for record in records:
            if isinstance(record, SessionRecord):
                self._status.stored(record)
                if record.state not in LIVE_STATES:
                    # Now, before anybody who was told of this change comes and asks.
                    self._ended.set()


def _link_of(capture: CaptureStream) -> Link:
    remark = capture.remark
    return CONNECTING if remark is None else Link(remark.health, remark.reason, remark.detail)

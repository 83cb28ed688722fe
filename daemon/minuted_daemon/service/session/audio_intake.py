"""A session's audio on the way from its source to all that take it in. Nothing in its path waits."""

from minuted_daemon.core.records import Health, Link, SessionState
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples, seconds
from minuted_daemon.core.session_rules import is_file
from minuted_daemon.errors import MinutedError
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, CaptureStream, Missing
from minuted_daemon.ports.spool import Spool
from minuted_daemon.service.merge.driver import MergeDriver
from minuted_daemon.service.merge.outputs import Outbox
from minuted_daemon.service.merge.pipeline import Pipeline
from minuted_daemon.service.merge.turn_records import FORGET_AFTER
from minuted_daemon.service.persistence.write_behind import WriteBehindQueue
from minuted_daemon.service.recovery.state import Resumed
from minuted_daemon.service.session.nonspeech import NonSpeechTracker
from minuted_daemon.service.session.settings import log_of
from minuted_daemon.service.session.status import Ending, SessionStatus
from minuted_daemon.service.session.wall_clock import WallClock


class AudioKeeping:
    """What is kept of a session's audio: its wall time, what of it is no speech, and the spool."""

    def __init__(
        self,
        clock: WallClock,
        outbox: WriteBehindQueue,
        nonspeech: NonSpeechTracker,
        spool: Spool | None,
        driver: MergeDriver,
        freeze_s: float,
    ) -> None:
        """`freeze_s`: audio is held for so long though all is decided about it."""
        self.nonspeech = nonspeech
        self.freeze = samples(freeze_s)
        self._clock = clock
        self._outbox = outbox
        self._spool = spool
        self._driver = driver

    def timed(self, start: Sample, wall_s: float) -> None:
        """The block that begins at `start` was heard at this wall time."""
        point = self._clock.observe(start, wall_s)
        if point is not None:
            self._outbox.put_point(point)

    def keep(self, start: Sample, end: Sample, block: AudioBlock) -> Link | None:
        """Keep the block [start, end); return the spool's health, None without one."""
        self.nonspeech.heard(start, end, block.filled)
        spool = self._spool
        if spool is None:
            return None
        spool.append(block)
        needed_from = self._driver.retain_from
        spool.release(Sample(max(0, min(needed_from, end - self.freeze))))
        losses = spool.take_losses()
        if losses:
            self._driver.shed(spool.begin)
        self.nonspeech.lost(losses, needed_from, spool.begin)
        return spool.health

    def position(self, since: Sample, wall_s: float) -> Sample:
        """Return where a sample clock stands at a wall time that ran on from `since`, in whole blocks."""
        return Sample(since + max(0, self._clock.sample_at(wall_s) - since) // BLOCK * BLOCK)

    def away(self, since: Sample, until: Sample) -> None:
        """The daemon was not there."""
        self.nonspeech.away(since, until)
        if self._spool is not None:
            self._spool.skip(until)


class AudioIntake:
    """One session's."""

    def __init__(
        self,
        capture: CaptureStream,
        status: SessionStatus,
        outbox: Outbox,
        ending: Ending,
        keeping: AudioKeeping,
        pipeline: Pipeline,
    ) -> None:
        self._capture = capture
        self._status = status
        self._outbox = outbox
        self._ending = ending
        self._keeping = keeping
        self._pipeline = pipeline
        self._log = log_of(status.record)
        self._was_away = False

    async def recall(self, resumed: Resumed) -> None:
        """The daemon was away: store what was lost or no speech until then. The next block comes after its absence."""
        self._was_away = True
        await self._keeping.nonspeech.recall(resumed, self._keeping.freeze)

    async def listen(self) -> None:
        """Take in what the source gives, until it ends. Raises nothing but CancelledError."""
        try:
            async for item in self._capture:
                if isinstance(item, CaptureHealth):
                    self._report(item)
                elif isinstance(item, Missing):
                    self._note_missing(item)
                else:
                    self._take(item)
        except MinutedError as error:
            self._log.warning("capture_failed", reason=error.reason)
            self._ending.fail(error.reason, error.message)
        except Exception:  # noqa: BLE001 - what was heard so far is settled and stored all the same
            self._ending.fault("capture_fault")

    def forget(self, start: Sample, end: Sample) -> None:
        """Forget what was said in [start, end): nothing of it is settled or told any more."""
        self._pipeline.forget(start, end)
        self._keeping.nonspeech.note_again()

    def finish(self) -> None:
        """Nothing more is heard."""
        self._pipeline.finish()
        self._keeping.nonspeech.close()

    async def close(self) -> None:
        """Release the source."""
        await self._capture.close()

    def _report(self, news: CaptureHealth) -> None:
        if self._status.state is SessionState.PAUSED:
            return  # from before the pause; the source tells again how it is after it
        self._status.link(capture=Link(news.health, news.reason, news.detail))
        level = self._log.info if news.health is Health.UP else self._log.warning
        level("capture_changed", health=news.health.value, reason=news.reason)

    def _note_missing(self, missing: Missing) -> None:
        """A recording promised more than it holds: the sample clock runs on over that, and it counts as lost."""
        self._keeping.nonspeech.missing(missing)
        self._status.hear(Sample(max(self._status.heard, -(-missing.end // BLOCK) * BLOCK)))
        self._log.warning("recording_cut_short", missing_s=round(seconds(missing.end - missing.start), 1))

    def _take(self, block: AudioBlock) -> None:
        """Ten times a second for each session: keep it lean."""
        if self._was_away:
            self._note_absence(block.wall_s)
        start, end = self._status.heard, Sample(self._status.heard + BLOCK)
        self._status.hear(end)
        self._keeping.timed(start, block.wall_s)
        if self._status.state is SessionState.STARTING:
            self._status.audio_started()
            self._outbox.put(self._status.go_to(SessionState.RUNNING))
        spool = self._keeping.keep(start, end, block)
        if spool is not None:
            self._status.link(spool=spool)
        self._pipeline.hear(start, block.pcm)
        if end % (RATE_HZ * 60) == 0:
            self._pipeline.driver.forget(Sample(end - self._keeping.freeze - FORGET_AFTER))
            self._pipeline.driver.checkpoint()
            self._keeping.nonspeech.note_again()

    def _note_absence(self, wall_s: float) -> None:
        self._was_away = False
        self._status.audio_started()
        since = self._status.heard
        until = self._keeping.position(since, wall_s)
        if until > since and not is_file(self._status.record.settings.device):
            # The sample clock of a device ran on while the daemon was away.
            self._status.hear(until)
            self._keeping.away(since, until)
        self._log.info("session_resumed", away_s=round(seconds(until - since), 1))
        self._pipeline.driver.missed(self._status.heard)

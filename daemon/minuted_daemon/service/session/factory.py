"""Puts sessions together: what a session is made of is read here."""

from collections.abc import Callable
from dataclasses import dataclass

from minuted_daemon.core.events import Epoch
from minuted_daemon.core.merge.merger import Merger, Resumption
from minuted_daemon.core.records import Link, SessionRecord, SessionSettings, SessionState
from minuted_daemon.core.samples import Sample
from minuted_daemon.core.suspicion.judge import Suspicion
from minuted_daemon.core.voice.activity import VoiceDetector
from minuted_daemon.errors import WrongState
from minuted_daemon.ports.capture import Capture, CaptureStream
from minuted_daemon.ports.engines import Diarizer, SpeechModels, Transcriber
from minuted_daemon.ports.spool import Spool, Spools
from minuted_daemon.service.connections.diarizer_connection import DiarizationSink
from minuted_daemon.service.connections.diarizer_link import DiarizerLink
from minuted_daemon.service.connections.reconnect import CONNECTING, OFF
from minuted_daemon.service.connections.transcriber_connection import TranscriberOpener
from minuted_daemon.service.connections.transcriber_link import TranscriberLink
from minuted_daemon.service.connections.transcriber_renewal import TranscriptionSink
from minuted_daemon.service.engines import unavailable
from minuted_daemon.service.engines.catalog import Diarizers, Transcribers
from minuted_daemon.service.engines.failover import EngineSlot, FailoverDiarizer, FailoverTranscriber
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.merge.driver import MergeDriver
from minuted_daemon.service.merge.intervals import IntervalRecords
from minuted_daemon.service.merge.outputs import MergeOutputs, OwedTexts
from minuted_daemon.service.merge.pipeline import Pipeline
from minuted_daemon.service.merge.record_sink import RecordSink
from minuted_daemon.service.merge.speaker_reid import SpeakerReid
from minuted_daemon.service.merge.turn_records import TurnRecords
from minuted_daemon.service.persistence.losses import Losses
from minuted_daemon.service.persistence.write_behind import WriteBehindQueue
from minuted_daemon.service.recovery.recorder import RecoveryRecorder
from minuted_daemon.service.recovery.replay import Replay
from minuted_daemon.service.recovery.state import Resumed
from minuted_daemon.service.retries.gate import Door, Gates, Retries
from minuted_daemon.service.session.audio_intake import AudioIntake, AudioKeeping
from minuted_daemon.service.session.context import Return, SessionParts, SharedServices
from minuted_daemon.service.session.nonspeech import NonSpeechTracker
from minuted_daemon.service.session.pause import Pausing
from minuted_daemon.service.session.session import Session
from minuted_daemon.service.session.settings import log_of
from minuted_daemon.service.session.status import Ending, EngineStatus, SessionStatus
from minuted_daemon.service.session.wall_clock import WallClock
from minuted_daemon.service.views import Links


@dataclass(frozen=True, slots=True)
class SessionResources:
    """What sessions are made from. `merger` builds a fresh one for each session.

    Without `speech_models` energy alone tells what is speech.
    """

    capture: Capture
    diarizers: Diarizers
    transcribers: Transcribers
    merger: Callable[[Diarizer | None, Transcriber | None, Resumption | None], Merger]
    spools: Spools
    freeze_s: float
    speech_models: SpeechModels | None = None


@dataclass(frozen=True, slots=True)
class Engines:
    """What a session's names stand for, None for `none`."""

    diarizer: Diarizer | None
    transcriber: Transcriber | None


class SessionFactory:
    """One for the daemon."""

    def __init__(self, workshop: SessionResources, around: SharedServices) -> None:
        self.gates = around.gates or Gates(around.random, around.now_s)
        """Where all sessions wait for what is refused."""
        self._workshop = workshop
        self._around = around

    async def engines(self, settings: SessionSettings) -> Engines:
        """Return the engines of resolved settings. Raises WrongState (KEY_MISSING, ENGINE_MISSING)."""
        diarizer = await self._workshop.diarizers.engine(settings.diarizer)
        return Engines(diarizer, await self._workshop.transcribers.engine(settings.transcriber))

    async def engines_again(self, settings: SessionSettings) -> Engines:
        """Return those of a session that goes on: one that cannot be used any more is replaced by one that refuses."""
        workshop = self._workshop
        return Engines(
            await unavailable.diarizer(workshop.diarizers, settings.diarizer),
            await unavailable.transcriber(workshop.transcribers, settings.transcriber),
        )

    def spool(self, record: SessionRecord) -> Spool | None:
        """Open the session's spool; None where its audio is not needed."""
        settings = record.settings
        if settings.transcriber == "none" and not settings.keep_audio:
            return None
        return self._workshop.spools.open(record.id, settings.keep_audio)

    def session(
        self,
        record: SessionRecord,
        capture: CaptureStream,
        engines: Engines,
        spool: Spool | None,
        resumed: Resumed | None = None,
    ) -> Session:
        """Put a session together, with its engines counted and followed by their substitutes."""
        around, settings, log = self._around, record.settings, log_of(record)
        if resumed is not None:
            around.publisher.recall(resumed.speakers)
        diarizer_status = EngineStatus(
            EngineUsage(record.diarizer_sent), self.gates.door("diarizer", settings.diarizer)
        )
        transcriber_status = EngineStatus(EngineUsage(record.transcriber_sent), self._transcriber_door(settings))
        diarizer = self._diarizer(record, engines.diarizer, diarizer_status)
        status = SessionStatus(
            record,
            Sample(0) if resumed is None else resumed.heard,
            Links(
                OFF if record.state is SessionState.PAUSED else _link_of(capture),
                OFF if engines.diarizer is None else CONNECTING,
                OFF if engines.transcriber is None else CONNECTING,
            ),
            diarizer_status,
            transcriber_status,
            around.hub,
        )
        ending = Ending(log)

        # From the merge to the store and the subscribers.
        clock = WallClock(() if resumed is None else resumed.points)
        suspicion = Suspicion(settings.languages, diarized=diarizer is not None)
        turn_records = TurnRecords(record.id, record.name, around.new_id, clock, around.now_s, suspicion)
        if resumed is not None:
            turn_records.recall(resumed.speakers)
        sink = RecordSink(status, turn_records, around.store, around.publisher, around.hub)
        losses = Losses(record.id, around.new_id, clock)
        outbox = WriteBehindQueue(sink, losses, log)
        intervals = IntervalRecords(record.id, around.new_id, clock)
        owed = _owed(resumed, engines, spool)
        outputs = MergeOutputs(turn_records, intervals, outbox, sink, owed)

        # From the source, the diarizer and the transcriber to the merge.
        def connected(to: TranscriptionSink) -> TranscriberLink | None:
            return self._transcriber_link(record, engines.transcriber, spool, status, to)

        merger = self._workshop.merger(
            engines.diarizer, engines.transcriber, None if resumed is None else resumed.merge
        )
        recorder = RecoveryRecorder(spool, self._workshop.freeze_s)
        driver = MergeDriver(merger, recorder, outputs, ending, diarizer, connected)
        reid = None
        if diarizer is not None and around.voice_printer is not None:
            reid = SpeakerReid(around.voice_printer, diarizer, driver, log)
        diarizing = self._diarizer_link(diarizer, reid or driver, status, resumed)
        models = self._workshop.speech_models
        voice = VoiceDetector(None if models is None else models.stream())
        pipeline = Pipeline(voice, driver, reid, diarizing)
        nonspeech = NonSpeechTracker(intervals, outbox, spool)
        keeping = AudioKeeping(clock, outbox, nonspeech, spool, driver, self._workshop.freeze_s)
        intake = AudioIntake(capture, status, outbox, ending, keeping, pipeline)
        pausing = Pausing(capture, diarizing, status, outbox, ending)

        back = None
        if resumed is not None:
            replay = None if spool is None else Replay(resumed, spool, pipeline, intake.forget, log)
            back = Return(resumed, replay)
        parts = SessionParts(status, ending, sink, outbox, pipeline, intake, nonspeech, pausing)
        return Session(parts, owed, clock, around.now_s, back)

    async def transcriber(self, record: SessionRecord, told: EngineUsage) -> Transcriber:
        """Return an ended session's transcriber as it had it. Raises WrongState (KEY_MISSING, ENGINE_MISSING)."""
        engine = await self._workshop.transcribers.engine(record.settings.transcriber)
        if engine is None:
            raise WrongState("ENGINE_MISSING", f"there is no transcriber {record.settings.transcriber}")
        return self._engaged(record, engine, told)

    def _engaged(self, record: SessionRecord, engine: Transcriber, told: EngineUsage) -> FailoverTranscriber:
        settings = record.settings
        substitute = self._workshop.transcribers.substitute(settings.transcriber, settings.fallback)
        door = self._transcriber_door(settings)
        return FailoverTranscriber(
            EngineSlot("transcriber", engine, substitute, told, log_of(record), door), settings.languages
        )

    def _transcriber_door(self, settings: SessionSettings) -> Door:
        return self.gates.door("transcriber", settings.transcriber, settings.languages)

    def _diarizer(
        self, record: SessionRecord, engine: Diarizer | None, status: EngineStatus
    ) -> FailoverDiarizer | None:
        if engine is None:
            return None
        settings = record.settings
        substitute = self._workshop.diarizers.substitute(settings.diarizer, settings.fallback)
        return FailoverDiarizer(EngineSlot("diarizer", engine, substitute, status.usage, log_of(record), status.door))

    def _diarizer_link(
        self, diarizer: FailoverDiarizer | None, sink: DiarizationSink, status: SessionStatus, resumed: Resumed | None
    ) -> DiarizerLink | None:
        if diarizer is None:
            return None
        retries = Retries(self._around.random, status.diarizer.door)
        epochs = Epoch(0) if resumed is None else resumed.recollection.epochs
        return DiarizerLink(
            diarizer, retries, sink, lambda link: status.link(diarizer=link), log_of(status.record), epochs
        )

    def _transcriber_link(
        self,
        record: SessionRecord,
        engine: Transcriber | None,
        spool: Spool | None,
        status: SessionStatus,
        sink: TranscriptionSink,
    ) -> TranscriberLink | None:
        if engine is None or spool is None:
            return None
        transcriber = self._engaged(record, engine, status.transcriber.usage)
        return TranscriberLink(
            TranscriberOpener(transcriber, record.settings.languages, spool),
            Retries(self._around.random, status.transcriber.door),
            sink,
            lambda link: status.link(transcriber=link),
            log_of(record),
        )


def _owed(resumed: Resumed | None, engines: Engines, spool: Spool | None) -> OwedTexts:
    if resumed is None:
        return OwedTexts(None, None, spool)
    return OwedTexts(resumed.owed_from, None if engines.transcriber is None else resumed.heard, spool)


def _link_of(capture: CaptureStream) -> Link:
    remark = capture.remark
    return CONNECTING if remark is None else Link(remark.health, remark.reason, remark.detail)

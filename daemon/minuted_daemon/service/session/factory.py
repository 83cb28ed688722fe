"""Puts sessions together from the workshop's parts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from minuted_daemon.core.merge.merger import Merger, Resumption
from minuted_daemon.core.records import SessionRecord, SessionSettings
from minuted_daemon.core.voice.activity import VoiceDetector
from minuted_daemon.errors import WrongState
from minuted_daemon.ports.capture import Capture, CaptureStream
from minuted_daemon.ports.engines import Diarizer, SpeechModels, Transcriber
from minuted_daemon.ports.spool import Spool, Spools
from minuted_daemon.service.engines import unavailable
from minuted_daemon.service.engines.catalog import Diarizers, Transcribers
from minuted_daemon.service.engines.failover import EngagedDiarizer, EngagedTranscriber, Post
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.recovery.state import Resumed
from minuted_daemon.service.retries.gate import Door, Gates
from minuted_daemon.service.session.context import SessionParts, SharedServices
from minuted_daemon.service.session.session import Session

log = structlog.get_logger()


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
        """The same for a session that goes on: where one cannot be used any more, who refuses in its place."""
        workshop = self._workshop
        return Engines(
            await unavailable.diarizer(workshop.diarizers, settings.diarizer),
            await unavailable.transcriber(workshop.transcribers, settings.transcriber),
        )

    def spool(self, record: SessionRecord) -> Spool | None:
        """Open the session's spool; None where nobody needs its audio."""
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
        workshop, settings = self._workshop, record.settings
        told_to = log.bind(session=record.name, session_id=record.id)
        heard, told = EngineUsage(record.diarizer_sent), EngineUsage(record.transcriber_sent)
        merge = workshop.merger(engines.diarizer, engines.transcriber, None if resumed is None else resumed.merge)
        models = workshop.speech_models
        parts = SessionParts(
            capture,
            merge,
            VoiceDetector(None if models is None else models.stream()),
            workshop.freeze_s,
            spool=spool,
            diarizer_standing=heard,
            transcriber_standing=told,
            diarizer_door=self.gates.door("diarizer", settings.diarizer),
            transcriber_door=self._transcriber_door(settings),
        )
        if engines.diarizer is not None:
            behind = workshop.diarizers.substitute(settings.diarizer, settings.fallback)
            post = Post("diarizer", engines.diarizer, behind, heard, told_to, parts.diarizer_door)
            parts = replace(parts, diarizer=EngagedDiarizer(post))
        if engines.transcriber is not None:
            parts = replace(parts, transcriber=self._engaged(record, engines.transcriber, told))
        if resumed is not None:
            self._around.publisher.recall(resumed.speakers)
        return Session(record, parts, self._around, resumed)

    async def transcriber(self, record: SessionRecord, told: EngineUsage) -> Transcriber:
        """Return an ended session's transcriber as it had it. Raises WrongState (KEY_MISSING, ENGINE_MISSING)."""
        engine = await self._workshop.transcribers.engine(record.settings.transcriber)
        if engine is None:
            raise WrongState("ENGINE_MISSING", f"there is no transcriber {record.settings.transcriber}")
        return self._engaged(record, engine, told)

    def _engaged(self, record: SessionRecord, engine: Transcriber, told: EngineUsage) -> EngagedTranscriber:
        settings = record.settings
        substitute = self._workshop.transcribers.substitute(settings.transcriber, settings.fallback)
        told_to = log.bind(session=record.name, session_id=record.id)
        door = self._transcriber_door(settings)
        return EngagedTranscriber(Post("transcriber", engine, substitute, told, told_to, door), settings.languages)

    def _transcriber_door(self, settings: SessionSettings) -> Door:
        return self.gates.door("transcriber", settings.transcriber, settings.languages)

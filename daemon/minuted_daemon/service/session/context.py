"""What a session is made of, and what it shares with all others. Plain data; nothing is built here."""

from collections.abc import Callable
from dataclasses import dataclass, field

from minuted_daemon.core.merge.merger import Merger
from minuted_daemon.core.voice.activity import VoiceDetector
from minuted_daemon.ports.capture import CaptureStream
from minuted_daemon.ports.engines import Transcriber, VoicePrinter
from minuted_daemon.ports.spool import Spool
from minuted_daemon.ports.store import Store
from minuted_daemon.service.connections.credibility import CheckedDiarizer
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.retries.gate import Door, Gates, own_door


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What a session owns: it closes `capture`, and nobody else touches merger, voice and spool.

    The engines are shared and outlive it. There is a spool where there is a transcriber, or audio is kept.
    """

    capture: CaptureStream
    merger: Merger
    voice: VoiceDetector
    freeze_s: float
    diarizer: CheckedDiarizer | None = None
    transcriber: Transcriber | None = None
    spool: Spool | None = None
    diarizer_standing: EngineUsage = field(default_factory=EngineUsage)
    transcriber_standing: EngineUsage = field(default_factory=EngineUsage)
    diarizer_door: Door = field(default_factory=own_door)
    transcriber_door: Door = field(default_factory=own_door)


@dataclass(frozen=True, slots=True)
class SharedServices:
    """What all sessions share. `now_s` is the wall clock, `random` gives numbers in [0, 1).

    Without a `voice_printer` nobody is recognised by voice when a diarizer's connection breaks. `gates`: where refusals
    are waited for; without them, as usual.
    """

    store: Store
    publisher: ChangePublisher
    hub: Hub
    new_id: Callable[[], str]
    now_s: Callable[[], float]
    random: Callable[[], float]
    voice_printer: VoicePrinter | None = None
    gates: Gates | None = None

"""What a session is made of, and what it shares with all others. Plain data; nothing is built here."""

from collections.abc import Callable
from dataclasses import dataclass

from minuted_daemon.ports.engines import VoicePrinter
from minuted_daemon.ports.store import Store
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.merge.pipeline import Pipeline
from minuted_daemon.service.merge.record_sink import RecordSink
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.persistence.write_behind import WriteBehindQueue
from minuted_daemon.service.recovery.replay import Replay
from minuted_daemon.service.recovery.state import Resumed
from minuted_daemon.service.retries.gate import Gates
from minuted_daemon.service.session.audio_intake import AudioIntake
from minuted_daemon.service.session.nonspeech import NonSpeechTracker
from minuted_daemon.service.session.pause import Pausing
from minuted_daemon.service.session.status import Ending, SessionStatus


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What a session is made of. Each part knows those it was built with, and nothing is added to it later."""

    status: SessionStatus
    ending: Ending
    sink: RecordSink
    outbox: WriteBehindQueue
    pipeline: Pipeline
    intake: AudioIntake
    nonspeech: NonSpeechTracker
    pausing: Pausing


@dataclass(frozen=True, slots=True)
class Return:
    """A session that goes on after the daemon was away. Without a spool there is nothing to replay."""

    resumed: Resumed
    replay: Replay | None


@dataclass(frozen=True, slots=True)
class SharedServices:
    """What all sessions share. `now_s` is the wall clock, `random` gives numbers in [0, 1).

    Without a `voice_printer` no speaker is re-identified by voice when a diarizer's connection breaks. `gates`: where
    refusals are waited for; without them, sessions share new ones.
    """

    store: Store
    publisher: ChangePublisher
    hub: Hub
    new_id: Callable[[], str]
    now_s: Callable[[], float]
    random: Callable[[], float]
    voice_printer: VoicePrinter | None = None
    gates: Gates | None = None

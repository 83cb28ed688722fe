"""A registry over fakes: everything of the service is real, everything outside is not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from minuted_daemon.core.merge.merger import Merger, MergeSettings
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import WrongState
from minuted_daemon.ports.engines import SpeechModels, VoicePrinter
from minuted_daemon.service.engines.catalog import Offer, Offers
from minuted_daemon.service.erasure import Erasure
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.ids import UlidSource
from minuted_daemon.service.lifecycle.registry import Registry
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.session.context import SharedServices
from minuted_daemon.service.session.factory import SessionResources
from minuted_daemon.service.views import Delivery, PartialTurn, StartRequest
from tests.fakes_service.capture import FakeCapture
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.erasures import FakeAudio
from tests.fakes_service.spools import FakeSpools
from tests.fakes_service.store import MemoryStore
from tests.fakes_service.transcriber import FakeTranscriber
from tests.fakes_service.virtual_time import wall_s


class House:
    """`pyannote` and `openai` are the fakes here; `local` is not installed unless said otherwise.

    `local` is served by the same fakes, unless a test puts others into `local_diarizer` and `local_transcriber`.
    """

    def __init__(self) -> None:
        self.capture = FakeCapture()
        self.diarizer = FakeDiarizer()
        self.transcriber = FakeTranscriber()
        self.local_diarizer: FakeDiarizer | None = None
        self.local_transcriber: FakeTranscriber | None = None
        self.voice_printer: VoicePrinter | None = None
        self.speech_models: SpeechModels | None = None
        self.store = MemoryStore()
        self.audio = FakeAudio()
        self.configured: Mapping[str, SessionConfig] = {}
        self.missing: dict[str, WrongState] = {
            "local": WrongState("ENGINE_MISSING", "run pip install 'minuted[local]'")
        }
        self.spools = FakeSpools()
        self.freeze_s = 300.0
        self.partials: list[PartialTurn] = []
        self.settings = MergeSettings()
        self.registry: Registry
        self.hub: Hub

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Registry]:
        self.hub = Hub(self.store)
        publisher = ChangePublisher(self.store, self.hub)
        workshop = SessionResources(
            capture=self.capture,
            diarizers=Offers(
                "diarizer",
                [
                    self._offer("pyannote", self.diarizer),
                    self._offer("local", self.local_diarizer or self.diarizer),
                ],
            ),
            transcribers=Offers(
                "transcriber",
                [
                    self._offer("openai", self.transcriber),
                    self._offer("local", self.local_transcriber or self.transcriber),
                ],
            ),
            merger=lambda _diarizer, _transcriber, resumed: Merger(self.settings, resumed),
            spools=self.spools,
            freeze_s=self.freeze_s,
            speech_models=self.speech_models,
        )
        around = SharedServices(
            self.store, publisher, self.hub, UlidSource(wall_s), wall_s, lambda: 0.5, self.voice_printer
        )
        async with asyncio.TaskGroup() as group:
            erasing = Erasure(self.store, publisher, self.hub, self.audio)
            self.registry = Registry(group, workshop, around, self.configured, erasing)
            listening = group.create_task(self._listen())
            await asyncio.sleep(0)
            try:
                yield self.registry
            finally:
                await self.registry.stop_all(5.0)
                self.hub.close()
                await listening

    def _offer(self, name: str, engine: object) -> "Offer":  # type: ignore[type-arg]
        return Offer(name, lambda: self.missing.get(name), lambda: engine)  # type: ignore[arg-type,return-value]

    async def _listen(self) -> None:
        delivery: Delivery
        async for delivery in self.hub.subscribe(None, None, True):
            if isinstance(delivery, PartialTurn):
                self.partials.append(delivery)

    async def run_file(self, name: str = "standup") -> None:
        """Start a session on the scripted recording and wait until it has ended."""
        view = await self.registry.start(StartRequest(name, device="file:/scripted.wav"))
        await self.ended(view.record.id)

    async def ended(self, key: str) -> None:
        with suppress(KeyError):
            while True:
                task = self.registry._sessions.task(key)  # type: ignore[index]
                await asyncio.wait({task})

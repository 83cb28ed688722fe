"""A diarizer link over a fake diarizer, from the first block to the end."""

import asyncio

import structlog

from minuted_daemon.core.events import DiarizerEvent, Epoch, EpochClosed, EpochOpened, EpochTookOver
from minuted_daemon.core.records import Health, Link
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.ports.engines import DiarizerCapabilities
from minuted_daemon.service.connections.diarizer_link import DiarizerLink
from minuted_daemon.service.retries.gate import Retries
from tests.fakes_service.capture import block
from tests.fakes_service.diarizer import FakeDiarizer

LIFETIME_S = 80.0


Change = EpochOpened | EpochTookOver | EpochClosed


class Sink:
    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.told: list[tuple[Epoch, DiarizerEvent]] = []

    def epoch_changed(self, event: Change) -> None:
        self.changes.append(event)

    def diarized(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        assert sent_to > 0
        self.told.append((epoch, event))


class Meeting:
    """A link that hears a block every 100 ms, and what came of it."""

    def __init__(self, engine: FakeDiarizer, lifetime_s: float | None = LIFETIME_S) -> None:
        engine.capabilities = DiarizerCapabilities("fake", 0.3, lifetime_s)
        self.engine = engine
        self.sink = Sink()
        self.healths: list[Health] = []
        self.blocks = 0
        self.link = DiarizerLink(engine, Retries(lambda: 0.5), self.sink, self._report, structlog.get_logger())

    def _report(self, link: Link) -> None:
        self.healths.append(link.health)

    async def speak_until(self, at_s: float) -> None:
        while self.blocks < round(at_s * 10):
            self.link.hear(Sample(self.blocks * BLOCK), block(True, self.blocks).pcm)
            self.blocks += 1
            await asyncio.sleep(0.1)

    def took_over(self) -> list[EpochTookOver]:
        return [change for change in self.sink.changes if isinstance(change, EpochTookOver)]

    def closed(self) -> list[EpochClosed]:
        return [change for change in self.sink.changes if isinstance(change, EpochClosed)]

"""A desk at which texts are asked for: a real database, a real spool, and a transcriber that says what it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.spools import Bounds, Spools
from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.core.coverage import Coverage
from minuted_daemon.core.events import Attribution, TextCompleted, TextFailed, TextSource, TranscriberEvent, UtteranceId
from minuted_daemon.core.records import (
    SessionRecord,
    SessionSettings,
    SessionState,
    SpeakerId,
    SpeakerRecord,
    TurnId,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.errors import MinutedError, Rejected, Unavailable, WrongState
from minuted_daemon.service.backfill.attempts import BackfillLimits
from minuted_daemon.service.backfill.runner import Backfill
from minuted_daemon.service.backfill.spool_finalizer import SpoolFinalizer
from minuted_daemon.service.coverage import with_coverage
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.ids import UlidSource
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.retries.gate import Gates
from minuted_daemon.service.views import SessionView
from tests.adapters.spool.rooms import ONE, UNBOUND, House, hear
from tests.fakes_service.transcriber import FakeTranscriber, FakeTranscriberStream

HEARD_S = 19.0
ROOM = SessionRecord(
    ONE,
    "boardroom",
    SessionSettings("default", "local", "openai"),
    SessionState.STOPPED,
    1.8e9,
    heard=Sample(samples(HEARD_S)),
)
ADA, BOB = (SpeakerRecord(SpeakerId(f"01SPEAKER{n}"), ONE, f"S{n}") for n in (1, 2))
SOON = (0.05, 0.05, 0.05)
DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")
NO_CREDIT = Rejected("QUOTA_EXHAUSTED", "no credit", 0.05)
GONE = object()
"""An answer that never comes."""


def turn(number: int, start_s: float, end_s: float, text: str = "", source: TextSource = TextSource.NONE) -> TurnRecord:
    return TurnRecord(
        TurnId(f"01TURN{number}"),
        ONE,
        Sample(samples(start_s)),
        Sample(samples(end_s)),
        (ADA if number % 2 else BOB).id,
        Attribution.DIARIZED,
        text,
        source,
        TurnLife.FINAL,
        1.8e9 + start_s,
        generation=number + 10 if text else None,
        latency_s=0.5,
    )


SAID = turn(1, 11.0, 12.0, "Shall we begin?", TextSource.COMPLETED)
OWED = turn(2, 12.0, 12.6)
BEGUN = turn(3, 14.0, 14.5, "I would rath", TextSource.PROVISIONAL)
LAST = turn(4, 16.0, 16.4)


class Stream(FakeTranscriberStream):
    def __init__(self, engine: "Oracle") -> None:
        super().__init__(engine)
        self._oracle = engine

    async def commit(self, utterance: UtteranceId) -> None:
        await super().commit(utterance)
        self._oracle.asked.append(self.heard(utterance))
        self._oracle.was_asked.set()
        answer = await self._oracle.answer(utterance)
        if isinstance(answer, MinutedError):
            self.break_now(answer)
        elif isinstance(answer, TextFailed):
            self.say(answer)
        elif answer is not GONE:
            event: TranscriberEvent = TextCompleted(utterance, answer)
            self.say(event)


class Oracle(FakeTranscriber):
    """Gives the answers it is told, one after the other: texts, errors that break the connection, or none at all."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(24_000)
        self.answers = self.partials = False
        self.script = list(answers)
        self.asked: list[NDArray[np.int16]] = []
        self.was_asked = asyncio.Event()
        self.most_at_once = 0
        self.before_answer: Callable[[], Any] | None = None

    async def answer(self, utterance: UtteranceId) -> Any:
        if self.before_answer is not None:
            await self.before_answer()
        answer = self.script.pop(0) if self.script else f"text {utterance}"
        return TextFailed(utterance, "SERVER_ERROR") if answer is None else answer

    async def open(self, languages: Sequence[str]) -> Stream:
        self.attempts_s.append(asyncio.get_running_loop().time())
        if self.refusals:
            raise self.refusals.pop(0)
        stream = Stream(self)
        self.streams.append(stream)
        self.most_at_once = max(self.most_at_once, sum(not one.closed for one in self.streams))
        return stream


@dataclass
class Desk:
    house: House
    store: SqlStore
    spools: Spools
    hub: Hub
    publisher: ChangePublisher
    oracle: Oracle
    group: asyncio.TaskGroup
    limits: BackfillLimits
    gates: Gates = field(default_factory=lambda: Gates(lambda: 0.5, lambda: 1.8e9, again_s=0.05))
    key_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    owing: Backfill = field(init=False)
    finishing: SpoolFinalizer = field(init=False)

    def __post_init__(self) -> None:
        self.owing = Backfill(self.spools, self.store, self.publisher, self, UlidSource(), self.limits)
        self.finishing = SpoolFinalizer(self.group, self.spools, self.store, self.owing, lambda: 0.5)

    async def transcriber(self, record: SessionRecord, told: EngineUsage) -> Oracle:
        """Return the session's transcriber, as SessionFactory does."""
        if record.settings.transcriber == "missing":
            self.key_wanted.set()
            raise WrongState("KEY_MISSING", "openai needs a key")
        told.sent += 100
        return self.oracle

    async def finished(self) -> None:
        """End the session's spool, as the daemon does when a session has ended."""
        self.finishing.begin(ONE)
        while ONE in self.spools.spools:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    async def turns(self) -> list[TurnRecord]:
        return [one.turn for one in (await self.store.turns(ONE, 100, None)).items]

    async def texts(self) -> list[str]:
        return [one.text for one in await self.turns()]

    async def coverage(self) -> Coverage:
        record = await self.store.session(ONE)
        view = await with_coverage(
            self.store, SessionView(record, None, record.heard), (), self.owing.is_owed(record.id)
        )
        assert view.coverage is not None
        assert view.coverage.total == record.heard
        return view.coverage

    def holds(self, text: str) -> bool:
        return any(text.encode() in path.read_bytes() for path in self.house.state_dir.glob("minuted.db*"))


@asynccontextmanager
async def a_desk(state_dir: Path, *answers: Any, bounds: Bounds = UNBOUND, **limits: Any) -> AsyncIterator[Desk]:
    house = House(state_dir)
    store = await open_store(f"sqlite:///{state_dir}/minuted.db")
    hub = Hub(store)
    try:
        async with house.spools(bounds) as spools, asyncio.TaskGroup() as group:
            chosen = BackfillLimits(**{"again_s": SOON, "page": 2} | limits)
            desk = Desk(house, store, spools, hub, ChangePublisher(store, hub), Oracle(*answers), group, chosen)
            yield desk
            desk.owing.stop()
            await desk.finishing.stop(5.0)
    finally:
        await store.close()


async def fill(desk: Desk, *turns: TurnRecord, heard_s: float = HEARD_S) -> None:
    await desk.store.write([ROOM, ADA, BOB, *turns])
    await hear(desk.spools.open(ONE), heard_s)

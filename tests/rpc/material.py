"""Records to publish, and a fake registry and capture for the server."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import (
    LIVE_STATES,
    Health,
    IntervalId,
    IntervalKind,
    IntervalRecord,
    Link,
    SessionId,
    SessionRecord,
    SessionSettings,
    SessionState,
    SpeakerId,
    SpeakerRecord,
    StoredTurn,
    TurnId,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import AlreadyExists, WrongState
from minuted_daemon.ports.capture import DeviceInfo
from minuted_daemon.ports.minutes import Page
from minuted_daemon.ports.store import Store
from minuted_daemon.service.coverage import with_coverage
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.views import EngineInfo, Links, Redaction, RetriedLink, SessionView, StartRequest, Stretch

_numbers = itertools.count(1)


def fresh(kind: str) -> str:
    return f"01{kind}{next(_numbers):06d}"


def session(name: str = "boardroom", state: SessionState = SessionState.RUNNING) -> SessionRecord:
    number = next(_numbers)
    settings = SessionSettings("default", "local", "local")
    return SessionRecord(SessionId(f"01SESSION{number:06d}"), name, settings, state, 1_700_000_000.0 + number)


def speaker(of: SessionRecord, label: str = "S1", display_name: str = "") -> SpeakerRecord:
    return SpeakerRecord(SpeakerId(fresh("SPEAKER")), of.id, label, display_name)


def turn(
    of: SessionRecord,
    by: SpeakerRecord | None = None,
    text: str = "Shall we begin?",
    life: TurnLife = TurnLife.FINAL,
    turn_id: str | None = None,
    start: int = 0,
) -> TurnRecord:
    return TurnRecord(
        id=TurnId(turn_id or fresh("TURN")),
        session_id=of.id,
        start=Sample(start),
        end=Sample(start + 16_000),
        speaker_id=by.id if by else None,
        attribution=Attribution.DIARIZED if by else Attribution.UNKNOWN,
        text=text,
        text_source=TextSource.COMPLETED,
        life=life,
        start_wall_s=1_700_000_000.34,
        latency_s=0.25,
    )


def interval(of: SessionRecord) -> IntervalRecord:
    return IntervalRecord(
        IntervalId(fresh("INTERVAL")), of.id, IntervalKind.GAP, Sample(0), Sample(1), 1.0, "DEVICE_LOST"
    )


def partial(record: TurnRecord, name: str, *speakers: SpeakerRecord) -> StoredTurn:
    return StoredTurn(replace(record, life=TurnLife.PARTIAL), name, speakers)


UP = Links(Link(Health.UP), Link(Health.UP), Link(Health.UP))


class FakeSessions:
    """Keeps service.sessions.Sessions' promises with nothing behind it but the store."""

    def __init__(self, store: Store, publisher: ChangePublisher) -> None:
        self._store = store
        self._publisher = publisher
        self.links: dict[SessionId, Links] = {}
        self.breaks: Exception | None = None
        self.deleted: list[SessionId] = []
        self.redacted: list[Stretch] = []

    async def start(self, request: StartRequest) -> SessionView:
        if self.breaks:
            raise self.breaks
        device = request.device or "default"
        for key in self.links:
            record = await self._store.session(key)
            if record.name == request.name:
                if record.settings.device != device:
                    raise AlreadyExists(
                        "SESSION_EXISTS", f"{request.name} is live with other settings", session=record.id
                    )
                return await self.view(record.id)
        record = replace(
            session(request.name),
            settings=SessionSettings(
                device,
                "local",
                "local",
                request.languages,
                request.fallback or "none",
                channels=request.channels,
                mix=request.mix or "best",
            ),
        )
        await self._publisher.write([record], record.name)
        self.links[record.id] = UP
        return await self.view(record.id)

    async def stop(self, key: str) -> SessionView:
        record = await self._store.session(key)
        if record.state in LIVE_STATES:
            self.links.pop(record.id, None)
            ended = replace(record, state=SessionState.STOPPED, ended_s=record.created_s + 1)
            await self._publisher.write([ended], record.name)
        return await self.view(record.id)

    async def pause(self, key: str) -> SessionView:
        return await self._put(key, SessionState.PAUSED)

    async def resume(self, key: str) -> SessionView:
        return await self._put(key, SessionState.RUNNING)

    async def _put(self, key: str, state: SessionState) -> SessionView:
        record = await self._store.session(key)
        if record.state not in LIVE_STATES:
            raise WrongState("SESSION_ENDED", "it has ended", session=record.name)
        await self._publisher.write([replace(record, state=state)], record.name)
        return await self.view(record.id)

    async def delete(self, key: str) -> None:
        record = await self._store.session(key)
        if record.state in LIVE_STATES:
            raise WrongState("SESSION_LIVE", "stop it first", session=record.name)
        self.deleted.append(record.id)

    async def retry(self, key: str | None) -> Sequence[RetriedLink]:
        views = [await self.view(key)] if key is not None else [await self.view(one) for one in self.links]
        return [
            RetriedLink(view.record.id, view.record.name, "transcriber", "openai", True, view.links.transcriber)
            for view in views
            if view.links is not None and view.links.transcriber.health is Health.REFUSED
        ]

    async def redact(self, key: str, stretch: Stretch) -> Redaction:
        await self._store.session(key)
        self.redacted.append(stretch)
        return Redaction(Sample(16_000), Sample(48_000), 3)

    async def view(self, key: str) -> SessionView:
        record = await self._store.session(key)
        return SessionView(record, self.links.get(record.id), record.heard)

    async def view_with_coverage(self, key: str) -> SessionView:
        return await with_coverage(self._store, await self.view(key))

    async def list(self, limit: int, token: str | None) -> Page[SessionView]:
        page = await self._store.sessions(limit, token)
        return Page([SessionView(r, self.links.get(r.id), r.heard) for r in page.items], page.next_token)

    def engines(self) -> Sequence[EngineInfo]:
        return (
            EngineInfo("pyannote", "diarizer", False, "KEY_MISSING"),
            EngineInfo("local", "diarizer", True),
            EngineInfo("local", "transcriber", True),
        )

    def auto(self) -> tuple[str, str]:
        return "local", "local"

    def live_count(self) -> int:
        return len(self.links)


class FakeCapture:
    async def devices(self) -> Sequence[DeviceInfo]:
        return [
            DeviceInfo("usb-mic", "A microphone", "ALSA", 2, 48_000, False),
            DeviceInfo("built-in", "Another", "ALSA", 1, 44_100, True),
        ]

    async def open(self, device: str) -> object:
        raise NotImplementedError

    async def close(self) -> None:
        pass

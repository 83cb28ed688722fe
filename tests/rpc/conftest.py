"""A real server on a Unix socket, with fakes behind it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from minuted.aio import AsyncClient
from minuted_daemon.rpc.server import Server, start_server
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from tests.fakes_service.store import MemoryStore
from tests.rpc.material import FakeCapture, FakeSessions


@dataclass
class Room:
    """A daemon's inside, as far as these tests need one."""

    store: MemoryStore
    hub: Hub
    publisher: ChangePublisher
    sessions: FakeSessions
    address: str
    server: Server | None = None

    async def serve(self, *, capacity: int = 1024, heartbeat_s: float = 15.0) -> Server:
        """Start as after a restart: with nothing but the store."""
        self.hub = Hub(self.store, capacity=capacity, heartbeat_s=heartbeat_s)
        self.publisher = ChangePublisher(self.store, self.hub)
        links = self.sessions.links
        self.sessions = FakeSessions(self.store, self.publisher)
        self.sessions.links = links
        self.server = await start_server(
            [self.address], sessions=self.sessions, store=self.store, hub=self.hub, capture=FakeCapture()
        )
        return self.server

    async def stop(self) -> None:
        if self.server:
            await self.server.stop(1.0)
            self.server = None


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    made = Room(store, hub, publisher, FakeSessions(store, publisher), f"unix:{tmp_path}/minuted.sock")
    await made.serve()
    yield made
    await made.stop()


@pytest.fixture
async def client(room: Room) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(room.address) as connected:
        yield connected

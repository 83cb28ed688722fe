"""How long a change takes to reach each of 100 subscribers: `python -m tests.rpc.crowd`. Prints; asserts nothing.

Server and clients share one process and its event loop, so the figures are an upper bound.
"""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory

from minuted.aio import AsyncClient
from minuted_daemon.rpc.server import start_server
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from tests.fakes_service.store import MemoryStore
from tests.rpc.material import FakeCapture, FakeSessions, session, speaker, turn

SUBSCRIBERS = 100
CHANGES = 50
PAUSE_S = 0.1


async def measure(directory: Path) -> None:
    """Publish ten changes a second and time each at each subscriber."""
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    sessions = FakeSessions(store, publisher)
    listen = [f"unix:{directory}/minuted.sock"]
    server = await start_server(listen, sessions=sessions, store=store, hub=hub, capture=FakeCapture())
    room = session()
    ada = speaker(room)
    await publisher.write([room, ada], room.name)
    sent: dict[int, float] = {}
    took: list[float] = []
    ready = asyncio.Semaphore(0)

    async def follow() -> None:
        async with AsyncClient(listen[0]) as client, aclosing(client.watch()) as stream:
            await anext(stream)
            ready.release()
            for _ in range(CHANGES):
                event = await anext(stream)
                took.append(time.perf_counter() - sent[event.turn.seq])

    async with asyncio.TaskGroup() as group:
        for _ in range(SUBSCRIBERS):
            group.create_task(follow())
        for _ in range(SUBSCRIBERS):
            await ready.acquire()
        publishing = []
        for _ in range(CHANGES):
            sent[await store.highest_seq() + 1] = began = time.perf_counter()
            await publisher.write([turn(room, ada)], room.name)
            publishing.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_S)
    await server.stop(1)
    took.sort()
    median, high = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"{SUBSCRIBERS} subscribers, {CHANGES} changes: publishing {max(publishing) * 1000:.2f} ms at most, ")
    print(
        f"received after {median * 1000:.1f} ms (median), {high * 1000:.1f} ms (99 %), {took[-1] * 1000:.1f} ms (most)"
    )


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        asyncio.run(measure(Path(made)))

"""The same promises with the daemon's own store behind the server."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import minuted
from minuted.aio import AsyncClient
from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.rpc.server import start_server
from minuted_daemon.service.hub import Hub
from minuted_daemon.service.journal import Journal
from tests.rpc.material import FakeCapture, FakeSessions, interval, session, speaker, turn


async def test_early_late_and_listed_agree(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/minuted.sock"
    seen: dict[str, list[int]] = {"early": [], "late": []}
    rooms = [session("boardroom"), session("lab")]
    turns_each, lives = 40, 2
    last = 2 * len(rooms) + lives * len(rooms) * turns_each * 2

    async def follow(name: str) -> set[str]:
        finals = set()
        async with AsyncClient(address) as client, aclosing(client.watch(after=0)) as stream:
            async for event in stream:
                if isinstance(event, minuted.Interrupted):
                    continue
                kind = event.WhichOneof("event")
                if kind in ("caught_up", "heartbeat"):
                    continue
                seen[name].append(getattr(event, kind).seq)
                if kind == "turn":
                    finals.add(event.turn.id)
                    assert event.turn.speaker.label == "S1"
                if seen[name][-1] == last:
                    return finals
        raise AssertionError

    async with asyncio.TaskGroup() as group:
        early = late = None
        for life in range(lives):
            store = await open_store(f"sqlite:///{tmp_path}/minuted.db")
            hub = Hub(store)
            journal = Journal(store, hub)
            server = await start_server(
                [address], sessions=FakeSessions(store, journal), store=store, hub=hub, capture=FakeCapture()
            )
            if life == 0:
                early = group.create_task(follow("early"))
                speakers = [speaker(room) for room in rooms]
                for room, one in zip(rooms, speakers, strict=True):
                    await journal.write([room, one], room.name)
            else:
                late = group.create_task(follow("late"))
            async with asyncio.TaskGroup() as writers:
                for room, one in zip(rooms, speakers, strict=True):
                    for n in range(turns_each):
                        records = [turn(room, one, start=n), interval(room)]
                        writers.create_task(journal.write(records, room.name))
            if life == lives - 1:
                assert early
                assert late
                finals = [await early, await late]
                async with AsyncClient(address) as client:
                    listed = {one.id for room in rooms async for one in client.turns(room.id, page_size=7)}
            await server.stop(1)
            await store.close()
    assert finals == [listed, listed]
    assert seen["early"] == list(range(1, last + 1))
    assert seen["late"] == list(range(1, last + 1))

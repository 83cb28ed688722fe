"""The same promises with the daemon's own store behind the server."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest

import minuted
from minuted import StreamTurnsResponse
from minuted.aio import AsyncClient
from minuted.v1 import turns_pb2, turns_pb2_grpc
from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.core.events import SuspectReason
from minuted_daemon.core.records import TurnLife
from minuted_daemon.rpc.server import start_server
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from tests.rpc.material import FakeCapture, FakeSessions, interval, session, speaker, turn


async def test_turns_are_listed_as_they_are_and_as_they_were_delivered(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/minuted.sock"
    store = await open_store(f"sqlite:///{tmp_path}/minuted.db")
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    server = await start_server(
        [address], sessions=FakeSessions(store, publisher), store=store, hub=hub, capture=FakeCapture()
    )
    room = session("boardroom")
    ada, ben = speaker(room, "S1"), speaker(room, "S2")
    said = [turn(room, ada, text=f"First said {n}.", start=n) for n in range(5)]
    await publisher.write([room, ada, ben, *said], room.name)
    await publisher.write([replace(said[0], text="Corrected.", speaker_id=ben.id)], room.name)
    await publisher.write([replace(said[3], life=TurnLife.RETRACTED, text="")], room.name)
    async with AsyncClient(address) as client:
        now = [one async for one in client.turns("boardroom", page_size=2)]
        then = [one async for one in client.turns("boardroom", as_delivered=True, page_size=2)]
    async with grpc.aio.insecure_channel(address) as channel:
        turns = turns_pb2_grpc.TurnServiceStub(channel)
        request = turns_pb2.ListTurnsRequest(session="boardroom", as_delivered=True, page_size=2)
        token = (await turns.ListTurns(request)).next_page_token
        request = turns_pb2.ListTurnsRequest(session="boardroom", page_size=2, page_token=token)
        with pytest.raises(grpc.aio.AioRpcError, match="page_token") as caught:
            await turns.ListTurns(request)
    await server.stop(1)
    await store.close()
    assert [(one.text, one.speaker.label, one.revision) for one in now] == [
        ("Corrected.", "S2", 1),
        *((f"First said {n}.", "S1", 0) for n in (1, 2, 4)),
    ]
    assert [(one.text, one.speaker.label, one.revision) for one in then] == [
        (f"First said {n}.", "S1", 0) for n in range(5)
    ]
    assert {one.state for one in then} == {minuted.TurnState.TURN_STATE_FINAL}
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, "a page of one list does not continue in the other"


async def test_suspect_turns_are_told_with_their_mark_or_left_out(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/minuted.sock"
    store = await open_store(f"sqlite:///{tmp_path}/minuted.db")
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    server = await start_server(
        [address], sessions=FakeSessions(store, publisher), store=store, hub=hub, capture=FakeCapture()
    )
    room = session("boardroom")
    reasons = [None, *SuspectReason]
    said = [replace(turn(room, start=n), suspect=reason) for n, reason in enumerate(reasons)]
    await publisher.write([room, *said], room.name)
    await publisher.write([replace(said[0], suspect=SuspectReason.TOO_FAST), replace(said[1], suspect=None)], room.name)
    async with AsyncClient(address) as client:
        everything = [one async for one in client.turns("boardroom", page_size=2)]
        good = [one async for one in client.turns("boardroom", page_size=1, exclude_suspect=True)]
        then = [one async for one in client.turns("boardroom", as_delivered=True, exclude_suspect=True)]
        async with aclosing(client.watch("boardroom", after=0, partials=False, exclude_suspect=True)) as stream:
            watched = [await anext(stream) for _ in range(4)]
    await server.stop(1)
    await store.close()
    names = [minuted.SuspectReason.Name(one.suspect.reason) for one in everything]
    assert names == [
        "SUSPECT_REASON_TOO_FAST",
        "SUSPECT_REASON_UNSPECIFIED",
        *(f"SUSPECT_REASON_{reason.name}" for reason in list(SuspectReason)[1:]),
    ]
    assert [one.HasField("suspect") for one in everything] == [n != 1 for n in range(len(said))]
    assert [one.id for one in good] == [said[1].id]
    assert [one.id for one in then] == [said[0].id]
    assert [one.WhichOneof("event") for one in watched] == ["session", "turn", "turn", "caught_up"]
    assert isinstance(watched[1], StreamTurnsResponse)
    assert (watched[1].turn.state, watched[1].turn.text) == (minuted.TurnState.TURN_STATE_RETRACTED, "")
    assert isinstance(watched[3], StreamTurnsResponse)
    assert watched[3].caught_up.seq == len(said) + 3


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
            publisher = ChangePublisher(store, hub)
            server = await start_server(
                [address], sessions=FakeSessions(store, publisher), store=store, hub=hub, capture=FakeCapture()
            )
            if life == 0:
                early = group.create_task(follow("early"))
                speakers = [speaker(room) for room in rooms]
                for room, one in zip(rooms, speakers, strict=True):
                    await publisher.write([room, one], room.name)
            else:
                late = group.create_task(follow("late"))
            async with asyncio.TaskGroup() as writers:
                for room, one in zip(rooms, speakers, strict=True):
                    for n in range(turns_each):
                        records = [turn(room, one, start=n), interval(room)]
                        writers.create_task(publisher.write(records, room.name))
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

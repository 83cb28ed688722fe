"""The hub under random schedules: writers, revisions, cancellations, leaving subscribers, restarts."""

import asyncio
import random
from contextlib import aclosing
from dataclasses import replace

import pytest

from minuted_daemon.core.records import Seq, SpeakerRecord, StoredTurn, TurnLife, TurnRecord
from minuted_daemon.errors import Exhausted
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.views import CaughtUp, Delivery, PartialTurn, StoredChange
from tests.fakes_service.store import MemoryStore
from tests.rpc.material import interval, session, speaker, turn

ALL = Seq(0)


async def everything_told(hub: Hub, store: MemoryStore) -> None:
    async with aclosing(hub.subscribe(None, None, False)) as stream:
        while hub.highest < await store.highest_seq():
            await anext(stream)


class Client:
    """Follows the hub like a client does: keeps a cursor, is thrown out now and then, and comes back."""

    def __init__(self, after: Seq, seed: int, key: str | None) -> None:
        self.cursor = after
        self.random = random.Random(seed)
        self.key = key
        self.seqs: list[int] = []
        self.turns: dict[str, StoredTurn] = {}
        self.partial_behind_final = 0

    async def follow(self, hub: Hub) -> None:
        """Until the hub is closed and everything was given."""
        while True:
            leave_after = self.random.randint(1, 40)
            try:
                async with aclosing(hub.subscribe(self.key, self.cursor, True)) as stream:
                    async for given in stream:
                        self.take(given)
                        if self.random.random() < 0.2:
                            for _ in range(self.random.randint(0, 30)):
                                await asyncio.sleep(0)
                        leave_after -= 1
                        if not leave_after and not hub.closed:
                            break
                    else:
                        return
            except Exhausted:
                continue

    def take(self, given: Delivery) -> None:
        if isinstance(given, StoredChange):
            self.seqs.append(given.seq)
            self.cursor = given.seq
            if isinstance(given.item, StoredTurn):
                self.turns[given.item.turn.id] = given.item
        elif isinstance(given, PartialTurn):
            self.partial_behind_final += given.turn.turn.id in self.turns
        else:
            assert given.seq >= self.cursor
            self.cursor = given.seq


@pytest.mark.parametrize("seed", range(25))
async def test_everybody_agrees_under_any_schedule(seed: int) -> None:
    rng = random.Random(seed)
    store = MemoryStore(seed, patience=rng.choice([0, 2, 10]))
    rooms = [session("boardroom"), session("lab")]
    speakers: list[SpeakerRecord] = []
    setup = ChangePublisher(store, Hub(store))
    for room in rooms:
        by = speaker(room)
        speakers.append(by)
        await setup.write([room, by], room.name)
    early = [Client(ALL, seed * 7 + n, None) for n in range(3)]
    one_room = Client(ALL, seed + 99, rooms[0].id)

    async def converse(hub: Hub, publisher: ChangePublisher, number: int) -> None:
        room, by = rooms[number], speakers[number]
        known: list[TurnRecord] = []
        for _ in range(rng.randint(20, 60)):
            if known and rng.random() < 0.2:
                changed = replace(rng.choice(known), text="revised")
                if rng.random() < 0.3:
                    changed = replace(changed, life=TurnLife.RETRACTED)
                records: list = [changed]
            else:
                fresh = turn(room, by, start=rng.randint(0, 10_000))
                publisher.tell_partial(replace(fresh, life=TurnLife.PARTIAL), room.name)
                if rng.random() < 0.5:
                    await asyncio.sleep(0)
                known.append(fresh)
                records = [fresh]
            if rng.random() < 0.1:
                records.append(interval(room))
            if rng.random() < 0.05:
                async with asyncio.TaskGroup() as group:
                    writing = group.create_task(publisher.write(records, room.name))
                    for _ in range(rng.randint(0, 8)):
                        await asyncio.sleep(0)
                    writing.cancel()
                known = [one for one in known if one not in records]  # it may be there or not
            else:
                await publisher.write(records, room.name)

    for _run in range(2):  # two lives of the daemon
        hub = Hub(store, overdue_s=0.005, capacity=rng.choice([4, 16, 1024]))
        publisher = ChangePublisher(store, hub)
        async with asyncio.TaskGroup() as followers:
            for client in (*early, one_room):
                followers.create_task(client.follow(hub))
            async with asyncio.TaskGroup() as writers:
                for number in range(len(rooms)):
                    writers.create_task(converse(hub, publisher, number))
                    writers.create_task(converse(hub, publisher, number))
            await everything_told(hub, store)
            hub.close()

    late = Client(ALL, seed, None)
    hub = Hub(store)
    async with aclosing(hub.subscribe(None, ALL, False)) as stream:
        while not isinstance(given := await anext(stream), CaughtUp):
            late.take(given)
    listed = {}
    for room in rooms:
        listed |= {one.turn.id: one for one in (await store.turns(room.id, 10_000, None)).items}
    for client in (*early, late):
        finals = {key: one for key, one in client.turns.items() if one.turn.life is TurnLife.FINAL}
        assert finals == listed
        assert client.seqs == sorted(set(client.seqs)), "a change out of order or twice"
        assert client.partial_behind_final == 0
    in_room = {key: one for key, one in listed.items() if one.turn.session_id == rooms[0].id}
    assert {key: one for key, one in one_room.turns.items() if one.turn.life is TurnLife.FINAL} == in_room

"""Writes made at once, each with its own outcome."""

import asyncio
from collections.abc import Sequence

from minuted_daemon.adapters.storage.store import SqlStore
from minuted_daemon.core.records import Record
from minuted_daemon.errors import StoreError


async def write_together(store: SqlStore, writes: Sequence[Sequence[Record]]) -> list[list[int] | StoreError]:
    """Call `write` for each of them in order, without waiting in between. Give the seqs or the failure of each."""
    outcomes: list[list[int] | StoreError] = [[] for _ in writes]

    async def attempt(place: int) -> None:
        try:
            outcomes[place] = [record.seq for record in await store.write(writes[place])]
        except StoreError as error:
            outcomes[place] = error

    async with asyncio.TaskGroup() as tasks:
        for place in range(len(writes)):
            tasks.create_task(attempt(place))
    return outcomes

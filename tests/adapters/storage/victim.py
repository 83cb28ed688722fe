"""Writes for ever, and says what was acknowledged: `ID SEQ` a line. To be killed."""

import asyncio
import itertools
import sys

from minuted_daemon.adapters.storage.store import open_store
from tests.adapters.storage.examples import session, turn


async def main() -> None:
    store = await open_store(sys.argv[1])
    await store.write([session()])
    numbers = itertools.count()

    async def write() -> None:
        for number in numbers:
            (stored,) = await store.write([turn(number)])
            sys.stdout.write(f"{stored.id} {stored.seq}\n")
            sys.stdout.flush()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(write())


asyncio.run(main())

"""A client that is closed while it is used, or before: every method says so, and a cancellation stays one."""

import asyncio
from collections.abc import Awaitable

import minuted
from minuted.aio import AsyncClient
from tests.rpc.conftest import Room

CLOSED = (minuted.Error, "CLIENT_CLOSED")


def essence(error: BaseException | None) -> tuple[type | None, str]:
    return type(error) if error else None, getattr(error, "reason", "")


async def outcome(work: Awaitable[object]) -> BaseException | None:
    try:
        await work
    except BaseException as error:  # noqa: BLE001 - also a cancellation that nobody asked for
        return error
    return None


async def in_thread(ask: object, *given: object) -> BaseException | None:
    return await outcome(asyncio.to_thread(ask, *given))  # type: ignore[arg-type]


async def test_the_client_for_threads(room: Room) -> None:
    client = minuted.connect(room.address)
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def follow() -> None:
        for _ in client.watch(after=0):
            loop.call_soon_threadsafe(begun.set)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        following = group.create_task(in_thread(follow))
        await begun.wait()
        await asyncio.to_thread(client.close)
        told = [await following]
    asks = client.info, lambda: next(client.watch()), lambda: next(client.sessions())
    told += [await in_thread(ask) for ask in asks]
    assert [essence(error) for error in told] == [CLOSED] * 4


async def test_the_client_for_asyncio(room: Room) -> None:
    client = AsyncClient(room.address)
    begun = asyncio.Event()

    async def follow() -> None:
        async for _ in client.watch(after=0):
            begun.set()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        following = group.create_task(outcome(follow()))
        await begun.wait()
        await client.close()
        told = [await following]
    told += [await outcome(ask) for ask in (client.info(), anext(client.watch()), anext(client.sessions()))]
    assert [essence(error) for error in told] == [CLOSED] * 4


async def test_who_waits_to_reconnect_waits_no_longer(room: Room) -> None:
    for_threads, for_asyncio = minuted.connect(room.address), AsyncClient(room.address)
    watches = for_threads.watch(after=0), for_asyncio.watch(after=0)
    await asyncio.to_thread(next, watches[0])
    await anext(watches[1])
    await room.stop()
    while not isinstance(await asyncio.to_thread(next, watches[0]), minuted.Interrupted):
        pass
    while not isinstance(await anext(watches[1]), minuted.Interrupted):
        pass
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = group.create_task(in_thread(next, watches[0])), group.create_task(outcome(anext(watches[1])))
        await asyncio.sleep(0)
        await asyncio.to_thread(for_threads.close)
        await for_asyncio.close()
    assert [essence(task.result()) for task in waiting] == [CLOSED] * 2


async def test_a_cancelled_task_is_cancelled_whether_its_client_is_closed_or_not(room: Room) -> None:
    for also_closed in (False, True):
        client = AsyncClient(room.address)
        begun = asyncio.Event()

        async def follow(client: AsyncClient = client, begun: asyncio.Event = begun) -> None:
            async for _ in client.watch(after=0):
                begun.set()

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            following = group.create_task(follow())
            await begun.wait()
            following.cancel()
            if also_closed:
                await client.close()
            assert essence(await outcome(following)) == (asyncio.CancelledError, "")
        await client.close()


async def test_a_deadline_of_the_callers_own_stays_one(room: Room) -> None:
    async with AsyncClient(room.address) as client:

        async def follow() -> None:
            async with asyncio.timeout(0.2):
                async for _ in client.watch(after=0):
                    pass

        assert essence(await outcome(follow())) == (TimeoutError, "")

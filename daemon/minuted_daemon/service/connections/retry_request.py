"""Asks the engines that refused links again at once, because a client wants it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minuted_daemon.core.records import Health, Link, SessionId
from minuted_daemon.service.retries.gate import Door
from minuted_daemon.service.views import RetriedLink

DECIDED_LIMIT_S = 8.0
"""The client is told after so long how the links are, also if an engine has not answered by then."""
LOOK_S, LOOKS = 0.1, 10
"""Once the engine accepts, links that waited are looked at so often until all are connected."""


@dataclass(frozen=True, slots=True)
class RefusedLink:
    """A link that is refused, or replaced by the local engine because of that. `link` tells how it is now."""

    session_id: SessionId
    session_name: str
    role: str
    engine: str
    door: Door
    link: Callable[[], Link]


async def ask_again(refused: Sequence[RefusedLink]) -> Sequence[RetriedLink]:
    """Ask once for all that wait for the same; return how each is once that is decided."""
    asked: dict[int, bool] = {}
    for one in refused:
        hurried = one.door.hurry()
        asked[id(one)] = hurried or one.door.probing
    doors = [one.door for one in refused if asked[id(one)]]
    async with asyncio.TaskGroup() as group:
        for door in doors:
            group.create_task(door.decided(DECIDED_LIMIT_S))
    for _ in range(LOOKS):
        if not any(one.link().health is Health.REFUSED and not one.door.shut for one in refused):
            break
        await asyncio.sleep(LOOK_S)
    return [
        RetriedLink(one.session_id, one.session_name, one.role, one.engine, asked[id(one)], one.link())
        for one in refused
    ]

"""The engines a session may name: whether each can be used now, and what `auto` means. Built when first used."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from minuted_daemon.errors import WrongState
from minuted_daemon.ports.engines import Diarizer, Transcriber
from minuted_daemon.service.views import EngineInfo


class Engine(Protocol):
    """What every engine has in common."""

    async def close(self) -> None:
        """Release what its streams share."""
        ...


E = TypeVar("E", bound=Engine)

AUTO = "auto"
NONE = "none"
LOCAL = "local"
FALLBACKS = (NONE, LOCAL)
"""What a session may fall back to while an engine refuses."""


@dataclass(eq=False)
class Offer(Generic[E]):
    """One engine in one role. `missing` returns the reason why it cannot be used now, None if it can."""

    name: str
    missing: Callable[[], WrongState | None]
    build: Callable[[], E]
    _engine: E | None = field(default=None, init=False, repr=False)
    _building: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    async def engine(self) -> E:
        """Return the engine, the same to all sessions. Raises WrongState (KEY_MISSING, ENGINE_MISSING)."""
        async with self._building:
            if self._engine is None:
                reason = self.missing()
                if reason is not None:
                    raise reason
                # In a thread, because what it imports may take a second.
                self._engine = await asyncio.to_thread(self.build)
            return self._engine

    async def close(self) -> None:
        """Close the engine if it was ever built."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()


class Offers(Generic[E]):
    """All engines of one role, the one that `auto` prefers first."""

    def __init__(self, role: str, offers: Sequence[Offer[E]]) -> None:
        self.role = role
        self._offers = tuple(offers)

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may name."""
        return (AUTO, *(offer.name for offer in self._offers), NONE)

    def auto(self) -> str:
        """Return the name that `auto` stands for now; empty if no engine can be used."""
        return next((offer.name for offer in self._offers if offer.missing() is None), "")

    def resolved(self, name: str) -> str:
        """Return the engine's name or `none`, never `auto`.

        Raises WrongState (KEY_MISSING, ENGINE_MISSING), naming the remedy.
        """
        if name == NONE:
            return NONE
        if name == AUTO and (found := self.auto()):
            return found
        wanted = [offer for offer in self._offers if name in (AUTO, offer.name)]
        reasons = [reason for offer in wanted if (reason := offer.missing()) is not None]
        if not reasons:
            return name
        remedies = "; or ".join(reason.message for reason in reasons)
        raise WrongState(reasons[0].reason, remedies, role=self.role, engine=name)

    async def engine(self, name: str) -> E | None:
        """Return the engine of a resolved name, None for `none`. Raises WrongState."""
        for offer in self._offers:
            if offer.name == name:
                return await offer.engine()
        return None

    def substitute(self, name: str, fallback: str) -> Offer[E] | None:
        """Return what takes over from an engine while it refuses; None for `none` and for itself."""
        return next((offer for offer in self._offers if offer.name == fallback != name), None)

    def infos(self) -> list[EngineInfo]:
        """Return of each engine whether it can be used now."""
        found = []
        for offer in self._offers:
            missing = offer.missing()
            found.append(EngineInfo(offer.name, self.role, missing is None, missing.reason if missing else ""))
        return found

    async def close(self) -> None:
        """Close what was built."""
        for offer in self._offers:
            await offer.close()


Diarizers = Offers[Diarizer]
Transcribers = Offers[Transcriber]

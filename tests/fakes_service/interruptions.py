"""What a daemon notes of its own end, kept in memory."""

import asyncio

from minuted_daemon.errors import StoreError
from minuted_daemon.ports import Interruption


class FakeInterruptions:
    """A ports.Interruptions. `fails`: the disk takes and gives nothing; `full`: it takes nothing new."""

    def __init__(self) -> None:
        self.kept: Interruption | None = None
        self.fails = self.full = False
        self.takes_s = 0.0

    async def last(self) -> Interruption | None:
        self._check()
        return self.kept

    async def keep(self, interruption: Interruption) -> None:
        await asyncio.sleep(self.takes_s)
        self._check()
        if self.full:
            raise StoreError("DISK_FULL", "no space")
        self.kept = interruption

    async def forget(self) -> None:
        self._check()
        self.kept = None

    def _check(self) -> None:
        if self.fails:
            raise StoreError("DISK_FULL", "no space")

"""What a daemon notes of its own end, kept in memory."""

from minuted_daemon.errors import StoreError
from minuted_daemon.ports import Interruption


class FakeInterruptions:
    """A ports.Interruptions. `fails`: the disk takes and gives nothing."""

    def __init__(self) -> None:
        self.kept: Interruption | None = None
        self.fails = False

    async def last(self) -> Interruption | None:
        self._check()
        return self.kept

    async def keep(self, interruption: Interruption) -> None:
        self._check()
        self.kept = interruption

    async def forget(self) -> None:
        self._check()
        self.kept = None

    def _check(self) -> None:
        if self.fails:
            raise StoreError("DISK_FULL", "no space")

"""Which sessions the daemon's own end interrupted, as one small file beside the database: ports.Interruptions."""

import threading
from collections.abc import Callable
from pathlib import Path

from minuted_daemon.adapters.state_file import StateFile
from minuted_daemon.core.records import SessionId
from minuted_daemon.ports import Interruption

FILE = "interrupted.json"


class KeptInterruption:
    """A ports.Interruptions in a state directory.

    A disk that hangs may carry out what was asked for long after it was given up. Only what was asked for last counts.
    """

    def __init__(self, state_dir: Path) -> None:
        self._file = StateFile(state_dir / FILE, "the sessions that it names stay ended")
        self._asked = 0
        self._one_at_a_time = threading.Lock()

    async def last(self) -> Interruption | None:
        """See ports.Interruptions."""
        return await self._file.on_disk(self._read)

    async def keep(self, interruption: Interruption) -> None:
        """See ports.Interruptions."""
        content = {"at_s": interruption.at_s, "paused": dict(interruption.paused)}
        await self._change(lambda: self._file.write(content))

    async def forget(self) -> None:
        """See ports.Interruptions."""
        await self._change(self._file.remove)

    async def _change(self, act: Callable[[], None]) -> None:
        self._asked += 1
        mine = self._asked

        def change() -> None:
            with self._one_at_a_time:
                if mine == self._asked:
                    act()

        await self._file.on_disk(change)

    def _read(self) -> Interruption | None:
        kept = self._file.read()
        if kept is None:
            return None
        paused = {SessionId(session_id): bool(is_paused) for session_id, is_paused in kept["paused"].items()}
        return Interruption(float(kept["at_s"]), paused)

"""All sessions' spools on one disk: found again at the start, bounded together, made and removed.

The bounds: `max_gb` over all spools, and `max_age_h` where audio is not kept; past them the oldest goes. Audio that is
only there to be kept goes before audio that is needed. What is kept already, as FLAC, counts towards no bound; it goes,
oldest first, when the disk itself is full.
"""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from minuted_daemon.adapters.disk import DISK_FULL
from minuted_daemon.adapters.spool.disk_thread import DiskThread
from minuted_daemon.adapters.spool.faults import as_store_error
from minuted_daemon.adapters.spool.files.kept_file import kept_path
from minuted_daemon.adapters.spool.files.recovery import Recovered, recover
from minuted_daemon.adapters.spool.files.segment import PART, Sync
from minuted_daemon.adapters.spool.files.session_files import GONE
from minuted_daemon.adapters.spool.kept_audio import KeptAudio
from minuted_daemon.adapters.spool.segment_index import Held
from minuted_daemon.adapters.spool.session_spool import DISK_LIMIT_S, Place, SessionSpool
from minuted_daemon.adapters.spool.write_queue import UP
from minuted_daemon.core.ranges import length
from minuted_daemon.core.records import Health, Link, SessionId
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.errors import StoreError

SPOOL_FULL = "SPOOL_FULL"
SPOOL_AGED = "SPOOL_AGED"
TEND_EVERY_S = 60.0
ROOM = 16_000_000
"""Bytes to gain at a time from kept audio when the disk is full: ten minutes of audio."""
OPEN_LIMIT_S = 120.0
"""Reading everything again at the start may take so long: a day of audio takes some ten seconds."""
LEAST_FREE = 2_000_000
"""Bytes without which no session begins: a minute of its audio, and its minutes."""
EARLIEST_WALL_S = 1.6e9
"""A wall time before 2020 comes from a clock that had not been set."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the spools may hold."""

    max_bytes: int
    max_age_s: float


class Spools:
    """One for the daemon. `run` must run for the bounds to hold while nothing is heard."""

    def __init__(
        self, state_dir: Path, bounds: Bounds, now_s: Callable[[], float], wall_s: Callable[[], float], sync: Sync
    ) -> None:
        self._root = state_dir / "spool"
        self._kept = state_dir / "audio"
        self._bounds = bounds
        self._now_s = now_s
        self._wall_s = wall_s
        self._sync = sync
        self._writing = DiskThread("spool-writing")
        self.reading = DiskThread("spool-reading")
        self.kept_audio = KeptAudio(self._kept, self.reading, sync)
        self._spools: dict[SessionId, SessionSpool] = {}

    # --- sessions -----------------------------------------------------------------------------------------------------

    @property
    def spools(self) -> Mapping[SessionId, SessionSpool]:
        """Every spool there is: opened since the start, or found at the start and not finished yet."""
        return self._spools

    def open(self, session_id: SessionId, keep_audio: bool = False) -> SessionSpool:
        """Return the session's spool: the one found at the start, or an empty one. Never waits for the disk."""
        spool = self._spools.get(session_id)
        if spool is None:
            spool = self._spools[session_id] = self._spool(session_id, Recovered())
        spool.keep_audio = keep_audio
        return spool

    async def finish(self, session_id: SessionId) -> None:
        """All turns of the session are frozen: keep its audio where that is wanted, and remove its spool.

        Raises StoreError; then the spool is still there.
        """
        spool = self._spools.get(session_id)
        if spool is None:
            return
        async with self.kept_audio.exclusive(session_id):
            lacks = await spool.finish()
        self._spools.pop(session_id, None)
        if lacks is not None:
            _log.info("audio_kept", session_id=session_id, heard_s=_s(spool.end), lacks_s=_s(length(lacks)))

    async def erase(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        """Have no sample of [start, end) left, in the spool or in the kept file.

        Raises StoreError; then ask again. The kept file is written again, which needs space for it (DISK_FULL).
        """
        spool = self._spools.get(session_id)
        if spool is not None:
            await spool.erase(start, end)
        await self.kept_audio.erase(session_id, start, end)

    async def delete(self, session_id: SessionId) -> None:
        """Remove all audio of the session: the spool and what was kept. Raises StoreError."""
        spool = self._spools.get(session_id)
        if spool is not None:
            await spool.discard()
            self._spools.pop(session_id, None)
        await self.kept_audio.remove(session_id)

    # --- all of them --------------------------------------------------------------------------------------------------

    @property
    def health(self) -> Link:
        """UP, or what the disk said to the first spool that has trouble with it."""
        return next((spool.health for spool in self._spools.values() if spool.health.health is Health.DOWN), UP)

    async def ensure_room(self) -> None:
        """Make sure that another session's audio finds room, if need be by giving up the oldest that is only kept.

        Raises StoreError (DISK_FULL, SPOOL_STALLED).
        """
        if await self._lacks() <= 0:
            return
        if (removal := self._make_room()) is not None:
            await asyncio.wait([removal], timeout=DISK_LIMIT_S)
        # Segments are removed in the writing thread, in order: a call after that sees the room it made.
        if (lacks := await self._lacks()) > 0:
            where = str(self._root.parent)
            message = f"there is no room for a session's audio under {where}: free {lacks + ROOM:,} bytes or more"
            raise StoreError(DISK_FULL, message, path=where)

    @property
    def size(self) -> int:
        """Bytes in all spools."""
        return sum(spool.size for spool in self._spools.values())

    async def run(self) -> None:
        """Hold the bounds until cancelled."""
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            self.tend()

    def tend(self) -> None:
        """Hold the bounds now, and go on with what waits for the disk."""
        for spool in self._spools.values():
            spool.tend()
        self._hold_bounds()

    async def close(self, limit_s: float) -> None:
        """Write out what was heard, and leave everything to the next start. Never raises."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s / 2):
                for session_id, spool in self._spools.items():
                    try:
                        await spool.flush(limit_s / 2)
                    except StoreError as error:
                        _log.warning("spool_not_written", session_id=session_id, reason=error.reason)
        await self._writing.close(limit_s / 4)
        await self.reading.close(limit_s / 4)

    async def find(self) -> None:
        """Find again what an earlier life of the daemon left. Raises StoreError.

        No bound is held yet: `open` says whose audio is to be kept.
        """
        try:
            found = await self._writing.call(self._find, OPEN_LIMIT_S)
        except OSError as error:
            raise as_store_error(error, str(self._root.parent)) from error
        for session_id, recovered in found.items():
            spool = self._spools[session_id] = self._spool(session_id, recovered)
            _log.info(
                "spool_found",
                session_id=session_id,
                held_s=_s(recovered.held),
                holes_s=_s(length(recovered.holes)),
                damaged=len(recovered.damaged),
            )
            try:
                await spool.go_on_erasing()
            except StoreError as error:  # nothing of it is read; the next start tries again
                _log.warning("spool_not_erased", session_id=session_id, reason=error.reason)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _lacks(self) -> int:
        """Bytes that are missing from the least that must be free."""
        try:
            return LEAST_FREE - await self._writing.call(partial(_free_bytes, self._root), DISK_LIMIT_S)
        except OSError as error:
            raise as_store_error(error, str(self._root.parent)) from error

    def _find(self) -> dict[SessionId, Recovered]:
        for directory in (self._root, self._kept):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._kept.glob(f"*{PART}"):
            with contextlib.suppress(OSError):
                left.unlink()
        found: dict[SessionId, Recovered] = {}
        for directory in sorted(self._root.iterdir()):
            if directory.name.endswith(GONE):
                shutil.rmtree(directory, ignore_errors=True)
            elif directory.is_dir():
                try:
                    recovered = recover(directory)
                except StoreError as error:
                    _log.warning("spool_unreadable", session_id=directory.name, reason=error.reason)
                    continue
                found[SessionId(directory.name)] = recovered
                for useless in recovered.useless:
                    with contextlib.suppress(OSError):
                        useless.unlink()
        return found

    def _spool(self, session_id: SessionId, recovered: Recovered) -> SessionSpool:
        place = Place(
            self._root / session_id,
            kept_path(self._kept, session_id),
            self._writing,
            self.reading,
            self._now_s,
            self._sync,
        )
        now_s, wall_s = self._now_s(), self._wall_s()
        held = [
            Held(segment, now_s - max(0.0, wall_s - segment.wall_s if segment.wall_s > EARLIEST_WALL_S else 0.0))
            for segment in recovered.segments
        ]
        return SessionSpool(place, recovered, held, self._changed, _log.bind(session_id=session_id))

    def _changed(self, spool: SessionSpool) -> None:
        self._hold_bounds()
        if spool.health.reason == DISK_FULL:
            self._make_room()

    def _hold_bounds(self) -> None:
        too_old_s = self._now_s() - self._bounds.max_age_s
        for spool in self._spools.values():
            if spool.keep_audio:
                continue
            while spool.held and spool.held[0].born_s < too_old_s:
                if not self._shed(spool, spool.held[0], SPOOL_AGED):
                    break
        excess = self.size - self._bounds.max_bytes
        while excess > 0:
            oldest = self._oldest()
            if oldest is None or not self._shed(*oldest, SPOOL_FULL):
                return
            excess -= oldest[1].segment.size

    def _oldest(self, kept_only: bool = False) -> tuple[SessionSpool, Held] | None:
        """The segment to go first: the oldest that is only kept, else the oldest of all."""
        firsts = [(spool, spool.held[0]) for spool in self._spools.values() if spool.held]
        kept = [first for first in firsts if not first[0].is_needed(first[1])]
        return min(kept or ([] if kept_only else firsts), key=lambda first: first[1].born_s, default=None)

    def _shed(self, spool: SessionSpool, held: Held, reason: str) -> bool:
        needed = spool.is_needed(held)
        if not spool.shed(held, reason):
            return False
        _log.warning(
            "spool_shed", reason=reason, needed=needed, bytes=held.segment.size, audio_s=_s(length(held.segment.spans))
        )
        return True

    def _make_room(self) -> "asyncio.Future[int] | None":
        """Make room; never waits. Return a future where kept files are being removed."""
        gained = 0
        while gained < ROOM and (oldest := self._oldest(kept_only=True)) is not None:
            if not self._shed(*oldest, DISK_FULL):
                break
            gained += oldest[1].segment.size
        return self.kept_audio.make_room(ROOM - gained) if gained < ROOM else None


async def open_spools(
    state_dir: Path,
    bounds: Bounds,
    now_s: Callable[[], float] = time.monotonic,
    wall_s: Callable[[], float] = time.time,
    sync: Sync = os.fdatasync,
) -> Spools:
    """Open the spools under a state directory and find what is in them; the caller closes.

    Raises StoreError if the directory cannot be read or made.
    """
    spools = Spools(state_dir, bounds, now_s, wall_s, sync)
    try:
        await spools.find()
    except BaseException:
        await spools.close(DISK_LIMIT_S)
        raise
    return spools


def _free_bytes(directory: Path) -> int:
    stat = os.statvfs(directory)
    return stat.f_bavail * stat.f_frsize


def _s(count: int) -> float:
    return round(seconds(Sample(count)), 1)

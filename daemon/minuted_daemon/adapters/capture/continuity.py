"""One device's unbroken line of blocks, whatever its workers do. Pure: the monotonic time comes in as a number.

While a device works, its own samples count, block by block, and its clock's drift moves nothing. Once no block has
come for a second, the device is DOWN, and each block is replaced by silence when it is a second late: late enough
that a short stall of the sound server loses nothing. A block that arrives after its place was filled is dropped.

While no session listens (`rest`) the line goes on as silence in real time and nothing is amiss.
"""

import numpy as np

from minuted_daemon.adapters.capture.protocol.faults import DEFAULT_CHANGED, DEVICE_MOVED
from minuted_daemon.adapters.capture.protocol.frames import Captured
from minuted_daemon.adapters.capture.resampling import BLOCK_S, Rendered
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import BLOCK, WIDE_BLOCK
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, Filled

SUSPECT_S = 1.0
_WOBBLE_S = 0.5
DEVICE_LOST = "DEVICE_LOST"
DEVICE_ABSENT = "DEVICE_ABSENT"
DEVICE_OPENING = "DEVICE_OPENING"
DEVICE_GAP = "DEVICE_GAP"

_TOLD_AS_THEY_ARE = frozenset({DEVICE_ABSENT, DEVICE_MOVED, DEFAULT_CHANGED})
"""Losses whose silence has a reason of its own; that of all others is DEVICE_LOST."""

_SILENT_PCM = np.zeros(BLOCK, np.int16)
_SILENT_PCM.flags.writeable = False
_SILENT_WIDE = np.zeros(WIDE_BLOCK, np.int16)
_SILENT_WIDE.flags.writeable = False

Item = AudioBlock | CaptureHealth


def silent_block(wall_s: float, reason: str) -> AudioBlock:
    """Make a block of which nothing was heard."""
    return AudioBlock(_SILENT_PCM, _SILENT_WIDE, wall_s, (Filled(0, BLOCK, reason),))


class Continuity:
    """Puts each worker's blocks in their place and silence everywhere else."""

    def __init__(self) -> None:
        self._given = 0
        self._origin_s: float | None = None  # monotonic time of block 0, as the device's clock has it now
        self._base = 0
        self._worker: int | None = None
        self._heard_s = 0.0
        self._wall_s = 0.0
        self._down = False
        self._resting = False
        self._patient_until_s = 0.0
        self._reason = DEVICE_LOST

    @property
    def has_begun(self) -> bool:
        """Whether the line runs: since the first block, or `begin`."""
        return self._origin_s is not None

    @property
    def is_down(self) -> bool:
        """Whether the device is lost at the moment."""
        return self._down

    @property
    def heard_s(self) -> float:
        """When the last block of a worker arrived."""
        return self._heard_s

    def begin(self, now: float, wall_s: float) -> None:
        """Run from now on, though nothing has been heard yet."""
        self._origin_s = self._heard_s = now
        self._wall_s = wall_s

    def rest(self) -> None:
        """No session listens: silence comes in real time, and the device cannot be lost."""
        self._resting = True
        self._down = False

    def wake(self, now: float, patience_s: float) -> None:
        """A session listens again; for `patience_s` the device is not missed."""
        self._resting = False
        self._patient_until_s = now + patience_s
        self._reason = DEVICE_OPENING

    def feed(self, worker: int, captured: Captured, now: float) -> list[Item]:
        """Take a block of a worker (numbered, rising) and return what may be passed on."""
        self._heard_s = now
        if self._origin_s is None:
            self._origin_s = captured.monotonic_s
        if worker != self._worker:
            self._worker = worker
            place = max(self._given, round((captured.monotonic_s - self._origin_s) / BLOCK_S))
            self._base = place - captured.block.index
        place = self._base + captured.block.index
        if place < self._given:
            return []
        items: list[Item] = [self._silence() for _ in range(place - self._given)]
        if self._down:
            self._down = False
            items.append(CaptureHealth(Health.UP))
        self._reason = DEVICE_LOST
        self._origin_s = captured.monotonic_s - place * BLOCK_S
        items.append(self._next(_audio(captured.block, self._monotone(captured.wall_s))))
        return items

    def lose(self, reason: str, detail: str) -> list[Item]:
        """The device's worker gave up or was given up."""
        if self._down:
            return []
        self._down = True
        self._reason = reason if reason in _TOLD_AS_THEY_ARE else DEVICE_LOST
        return [CaptureHealth(Health.DOWN, reason, detail)]

    def advance(self, now: float) -> list[Item]:
        """Return the silence that is due by now, and DOWN before the first of it."""
        if self._origin_s is None:
            return []
        items: list[Item] = []
        while now >= self._due_s():
            if not self._down and not self._resting and now >= self._patient_until_s:
                items += self.lose("DEVICE_SILENT", f"no audio for {SUSPECT_S:.0f} s")
            items.append(self._silence())
        return items

    def next_deadline(self) -> float | None:
        """When to call `advance` again, None before the first block."""
        return None if self._origin_s is None else self._due_s()

    def _due_s(self) -> float:
        ends_s = (self._origin_s or 0.0) + (self._given + 1) * BLOCK_S
        return ends_s if self._resting else max(ends_s, self._heard_s) + SUSPECT_S

    def _monotone(self, wall_s: float) -> float:
        """Wall time as estimated, but a wobble of the estimate never turns it back; setting the clock does."""
        before_s = self._wall_s - BLOCK_S
        return before_s + 0.001 if 0 <= before_s - wall_s < _WOBBLE_S else wall_s

    def _silence(self) -> AudioBlock:
        return self._next(silent_block(self._wall_s, self._reason))

    def _next(self, block: AudioBlock) -> AudioBlock:
        self._given += 1
        self._wall_s = block.wall_s + BLOCK_S
        return block


def _audio(block: Rendered, wall_s: float) -> AudioBlock:
    filled = tuple(Filled(silence.start, silence.end, DEVICE_GAP) for silence in block.silences)
    return AudioBlock(block.pcm, block.wide, wall_s, filled)

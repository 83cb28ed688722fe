"""Where audio comes from. No implementation belongs here."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.channels.choice import EVERY_CHANNEL, ChannelChoice
from minuted_daemon.core.records import (
    Health,
)
from minuted_daemon.core.samples import Sample


@dataclass(frozen=True, slots=True)
class Filled:
    """Samples [start, end) of a block that were not heard and are digital silence. `reason` is UPPER_SNAKE."""

    start: int
    end: int
    reason: str


MUTED = "MUTED"
"""The reason of what was not heard because the session is paused."""


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """100 ms of one source. Blocks are contiguous: what was not heard is filled with silence and listed in `filled`.

    pcm: int16, shape (1600,), 16 kHz mono. wide: int16, shape (2400,), 24 kHz mono, derived from the source itself.
    wall_s: wall time of the block's first sample, seconds since 1970.
    """

    pcm: NDArray[np.int16]
    wide: NDArray[np.int16]
    wall_s: float
    filled: tuple[Filled, ...] = ()


@dataclass(frozen=True, slots=True)
class CaptureHealth:
    """The source was lost (`DOWN`) or came back (`UP`). While it is away, silent blocks go on arriving in real time.

    Reasons of DOWN: DEVICE_ABSENT (not there yet), DEVICE_SILENT, DEVICE_ENDED, DEVICE_STALLED, DEVICE_RUNAWAY,
    DEVICE_MOVED (the sound server gave another source; nothing of that is ever passed on), DEFAULT_CHANGED,
    WORKER_FAILED. `filled` says DEVICE_ABSENT, DEVICE_MOVED, DEFAULT_CHANGED, DEVICE_LOST for all others, and
    DEVICE_GAP for samples a working device lost. UP with a reason: it works, but a person should know something
    (CHANNELS_CANCEL, CHANNEL_SILENT, CLIPPING; of a recording also HEADER_UNFINISHED, HEADER_WRONG, FILE_TRUNCATED).
    """

    health: Health
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A recording promised [start, end) beside what it holds, on its own sample clock. `reason` is UPPER_SNAKE.

    The last thing a stream gives. What lies before the end of the last block was padded with silence.
    """

    start: Sample
    end: Sample
    reason: str


class CaptureStream(Protocol):
    """One session's view of one source.

    Iteration ends when a file has been read to its end; it never ends for a device. A file that turns out damaged in
    the middle goes on behind the damage, which comes as `filled` with reason FILE_DAMAGED; where it cannot, it raises
    DeviceError behind its last good block. At most 2 s of blocks wait for a slow reader; a reader slower than that
    loses the oldest, which come as `filled` with reason OVERRUN.

    remark: how it is from the start where that is odd, as a CaptureHealth that is UP; told in the stream as well.
    """

    remark: CaptureHealth | None

    def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth | Missing]:
        """Return blocks in order, each once."""
        ...

    async def pause(self) -> None:
        """Hear nothing from now on; return once the device is released (at most 2 s), unless another session hears it.

        Blocks go on in real time, as silence with `filled` reason MUTED over all of them, and no health is told. A
        file stands still instead: no blocks come until `resume`.
        """
        ...

    async def resume(self) -> None:
        """Hear again, soon: UP comes in front of the first block that was heard, or DOWN if the device is lost.

        Until then blocks are silence with reason DEVICE_OPENING. Nothing captured before this call is ever given.
        """
        ...

    async def close(self) -> None:
        """Release the source."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """An input as the administrator names it. `name` is stable over reboots and replugging."""

    name: str
    description: str
    host_api: str
    channels: int
    rate_hz: int
    is_default: bool


class Capture(Protocol):
    """All sources of this machine."""

    async def devices(self) -> Sequence[DeviceInfo]:
        """List the inputs there are now.

        Raises DeviceError (AUDIO_UNAVAILABLE) if the audio system cannot be asked.
        """
        ...

    async def open(
        self, device: str, *, wait: bool = False, skip_blocks: int = 0, choice: ChannelChoice = EVERY_CHANNEL
    ) -> CaptureStream:
        """Open a stable name, `default`, or `file:PATH`; `choice`: which of its channels are heard, and how.

        `wait`: where the device is not there, wait for it. The stream then begins with DOWN (DEVICE_ABSENT), and gives
        silence with `filled` reason DEVICE_ABSENT in real time from the start. `skip_blocks`: where in a file to
        begin; devices know no past. `default` is followed wherever the sound server's default source goes; a name is
        always the same source.

        Raises NotFound (DEVICE_NOT_FOUND, naming the devices there are), Invalid (FILE_NOT_FOUND, FILE_EMPTY,
        FILE_NOT_AUDIO, FILE_TRUNCATED, FILE_UNREADABLE, CHANNEL_NOT_THERE), DeviceError (DEVICE_FAILED).
        """
        ...

    async def close(self) -> None:
        """End every worker."""
        ...

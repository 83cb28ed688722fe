"""Decoders of recordings as the reader sees them: frames in order, and what the file promised of them."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]
"""Shape (n, channels); full scale is 1.0."""


class Interrupted(Exception):
    """The decoder cannot go on here. `frames` is what came before that in the same call."""

    def __init__(self, what: str, frames: Frames) -> None:
        super().__init__(what)
        self.frames = frames


class Decoder(Protocol):
    """One recording, used by one thread at a time.

    promised: how many frames the file promises, None where it does not say; known from the start. slack: how many of
    them may be missing without being missed. held: how many it surely holds unless it is changed, None where only
    decoding it can tell. remark: UPPER_SNAKE reason of what is odd about the file and harmless, or empty.
    """

    rate_hz: int
    channels: int
    promised: int | None
    slack: int
    held: int | None
    remark: str

    def read(self, count: int) -> Frames:
        """Return at most so many of the next frames, none at the end. Raises Interrupted."""
        ...

    def skip(self, count: int) -> int:
        """Skip so many of the next frames if that can be done quickly and exactly; return how many."""
        ...

    def at_end(self) -> bool:
        """After Interrupted: return whether no more of the file is left to be decoded."""
        ...

    def resume(self, lost: int) -> bool:
        """After Interrupted: go on `lost` frames after the last one returned; false if there is nothing."""
        ...

    def abort(self) -> None:
        """From another thread: have a `read` that waits come back soon; nothing more is wanted."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...

"""A session's pause: the source is released and nothing is heard, while the diarizer stays connected for a while.

What the transcript says of it comes with the blocks: they go on as silence, and say that they are muted. A file stands
still instead.
"""

import asyncio

import structlog

from minuted_daemon.ports.capture import CaptureStream
from minuted_daemon.service.connections.diarizer_link import DiarizerLink

KEEP_S = 900.0
"""Digital silence keeps the diarizer connected so long, and with it who is who."""
KEEP_STILL_S = 3.0
"""The same for a source that stands still: a diarizer that is sent nothing at all ends the connection soon."""
RELEASE_LIMIT_S = 2.5
TOLD_LIMIT_S = 3.0
"""How long whoever pauses or resumes a session waits until that is stored."""
PAUSED = "PAUSED"
"""The reason of the muted interval that a pause leaves."""


class Pausing:
    """One for each session. Everything here takes effect at once; what is awaited is only the source."""

    def __init__(
        self,
        capture: CaptureStream,
        diarizing: DiarizerLink | None,
        stands_still: bool,
        on: bool,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`stands_still`: the source gives no blocks in a pause. `on`: the session goes on in a pause; so does it."""
        self.on = on
        """True from the very moment of `begin` to that of `end`."""
        self.changing = asyncio.Lock()
        """To be held by whoever begins or ends the pause."""
        self._capture = capture
        self._diarizing = diarizing
        self._keep_s = KEEP_STILL_S if stands_still else KEEP_S
        self._log = log
        self._resting: asyncio.TimerHandle | None = None
        if on and diarizing is not None:
            diarizing.rest()

    async def begin(self) -> None:
        """Hear nothing from this call on; return once the source is released."""
        self.on = True
        if self._diarizing is not None:
            self._resting = asyncio.get_running_loop().call_later(self._keep_s, self._diarizing.rest)
        try:
            async with asyncio.timeout(RELEASE_LIMIT_S):
                await self._capture.pause()
        except TimeoutError:
            # Nothing of it is passed on all the same.
            self._log.warning("capture_release_late", limit_s=RELEASE_LIMIT_S)

    async def end(self) -> None:
        """Hear again, as soon as the source gives audio."""
        self.on = False
        self.forget_rest()
        if self._diarizing is not None:
            self._diarizing.wake()
        async with asyncio.timeout(RELEASE_LIMIT_S):
            await self._capture.resume()

    def forget_rest(self) -> None:
        """The diarizer is no longer to be put to rest: the pause or the session ends."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

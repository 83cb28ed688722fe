"""Sources of audio that are opened later, or have nothing more to give."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, CaptureStream, Missing


class DeferredCapture:
    """A CaptureStream whose source is opened when it is listened to: a daemon that starts does not wait for devices.

    Iterating raises what opening raises.
    """

    remark: CaptureHealth | None = None

    def __init__(self, opening: Callable[[], Coroutine[Any, Any, CaptureStream]], paused: bool) -> None:
        """`paused`: nothing is to be heard until `resume`."""
        self._opening = opening
        self._stream: CaptureStream | None = None
        self._paused, self._closed = paused, False

    async def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth | Missing]:
        stream = await self._opening()
        self._stream = stream
        try:
            if self._paused:
                await stream.pause()
            if not self._closed:
                async for item in stream:
                    yield item
        finally:
            await stream.close()

    async def pause(self) -> None:
        """See ports.CaptureStream."""
        self._paused = True
        if self._stream is not None:
            await self._stream.pause()

    async def resume(self) -> None:
        """See ports.CaptureStream."""
        self._paused = False
        if self._stream is not None:
            await self._stream.resume()

    async def close(self) -> None:
        """See ports.CaptureStream."""
        self._closed = True
        if self._stream is not None:
            await self._stream.close()


class EmptyCapture:
    """A CaptureStream of a session that was ending: all that it will ever hear lies in the spool."""

    remark: CaptureHealth | None = None

    async def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth | Missing]:
        return
        yield  # makes this an iterator

    async def pause(self) -> None:
        """There is nothing to pause."""

    async def resume(self) -> None:
        """There is nothing to resume."""

    async def close(self) -> None:
        """There is nothing to release."""

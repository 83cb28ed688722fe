"""Wakes everybody who waits for something to be published."""

import asyncio


class Signal:
    """Take `next` before looking at what there is: then nothing that comes meanwhile is slept through."""

    def __init__(self) -> None:
        self._next = asyncio.Event()
        self._closed = False

    @property
    def next(self) -> asyncio.Event:
        """Set when it is sent the next time."""
        return self._next

    @property
    def closed(self) -> bool:
        """True once nothing more will be published."""
        return self._closed

    def send(self) -> None:
        """Wake those who wait now."""
        sent, self._next = self._next, asyncio.Event()
        sent.set()

    def close(self) -> None:
        """Wake those who wait, for the last time. Final."""
        self._closed = True
        self.send()


async def sent(event: asyncio.Event, within_s: float) -> bool:
    """Wait for a signal; return False if it did not come in time."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True

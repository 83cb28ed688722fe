"""A tunnel through a proxy that is itself reached over TLS: plain on the near side, encrypted on the far side.

What uses the tunnel wants a plain socket, on which it does its own TLS: it gets one end of a pair, and what goes in
there is passed on encrypted, and back. It ends when either side does; neither side runs ahead of the other by more than
the transports' buffers.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast


class _Side(asyncio.Protocol):
    """One side; passes on to the other what it receives. Before there is another side it keeps it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.kept = b""
        self.news = asyncio.Event()
        self.over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self.kept += data
            self.news.set()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # both sides end all the same
        self.over = True
        self.news.set()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Relay:
    """A TLS connection to a proxy, first for a request of its own, then for the owner of the near end."""

    def __init__(self, far: _Side) -> None:
        self._far = far

    async def asked(self, request: bytes, complete: Callable[[bytes], bool]) -> bytes:
        """Send a request and return what came back once it is complete, or the connection is over."""
        assert self._far.transport is not None
        self._far.transport.write(request)
        while not complete(self._far.kept) and not self._far.over:
            self._far.news.clear()
            await self._far.news.wait()
        head, self._far.kept = self._far.kept, b""
        return head

    async def near_end(self) -> socket.socket:
        """Return the plain socket; from here on it is the caller's to close, and closes the rest with it."""
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            theirs.setblocking(False)
            near = _Side()
            near.other = self._far
            await asyncio.get_running_loop().create_connection(lambda: near, sock=ours)
        except BaseException:
            ours.close()
            theirs.close()
            raise
        self._far.other = near
        return theirs

    def abort(self) -> None:
        """End it at once."""
        if self._far.transport is not None:
            self._far.transport.abort()


async def open_relay(sock: socket.socket, tls: ssl.SSLContext, host: str) -> Relay:
    """Encrypt a connected socket. Owns it; raise OSError (SSLError is one) where that fails."""
    far = _Side()
    try:
        await asyncio.get_running_loop().create_connection(lambda: far, sock=sock, ssl=tls, server_hostname=host)
    except BaseException:
        sock.close()
        raise
    return Relay(far)

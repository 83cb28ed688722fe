"""A small HTTP and WebSocket server on loopback that can misbehave: reset, freeze, stop answering pings, send rubbish.

It moves bytes; what a vendor would say to them is in the stand-ins.
"""

import asyncio
import http
import json
import logging
import socket as sockets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import State
from websockets.server import ServerProtocol

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 4 * 1024 * 1024
CLOSE_WAIT_S = 2.0

_quiet = logging.getLogger("tests.fakes.wire")
_quiet.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; header names in lower case, `query` with the last value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def bearer(self) -> str | None:
        """The key of `Authorization: Bearer KEY`, None without one."""
        kind, _, key = self.headers.get("authorization", "").partition(" ")
        return key.strip() or None if kind.lower() == "bearer" else None

    @property
    def upgrade(self) -> bool:
        """True for a WebSocket handshake."""
        return self.headers.get("upgrade", "").lower() == "websocket"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; a dict or list as body is sent as JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Hang(Exception):
    """Raised by a handler to keep the connection open without an answer."""


class Reset(Exception):
    """Raised by a handler to break the connection with a TCP reset."""


class _Protocol(ServerProtocol):
    no_pong = False

    def send_frame(self, frame: Frame) -> None:
        if not (self.no_pong and frame.opcode is Opcode.PONG):
            super().send_frame(frame)


class Socket:
    """One accepted WebSocket. Sending never waits; once it is closed or muted, nothing more goes out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: _Protocol) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = protocol
        self._frozen = asyncio.Event()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.muted = False
        self.closed_by: str | None = None

    @property
    def is_open(self) -> bool:
        """True until either side closes."""
        return self._protocol.state is State.OPEN and not self._writer.is_closing()

    @property
    def close_code(self) -> int | None:
        """The code the connection ended with (1006: without a close frame), None while it is open."""
        if self.closed_by == "reset":
            return 1006
        return self._protocol.close_code if self._protocol.state is State.CLOSED else None

    def send(self, message: str | bytes | Mapping[str, Any]) -> None:
        """Send text, bytes, or an object as JSON text."""
        if not self.is_open or self.muted:
            return
        if isinstance(message, bytes):
            self._protocol.send_binary(message)
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            self._protocol.send_text(text.encode())
        self.flush()

    def ping(self) -> None:
        """Send a ping."""
        if self.is_open and not self.muted:
            self._protocol.send_ping(b"stand-in")
            self.flush()

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame; `messages()` ends when the other side has answered, or after 2 s."""
        if self.is_open:
            self.closed_by = self.closed_by or "server"
            self._protocol.send_close(code, reason)
            self.flush()
            self._thawed.set()
            asyncio.get_running_loop().call_later(CLOSE_WAIT_S, self._writer.close)

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self.closed_by = self.closed_by or "reset"
        _reset(self._writer)
        self._thawed.set()

    def freeze_reading(self) -> None:
        """Read no more, so that the sender meets back-pressure; pings stay unanswered too."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Go on reading and sending."""
        self.muted = False
        self._thawed.set()

    def stop_pongs(self) -> None:
        """Answer no more pings."""
        self._protocol.no_pong = True

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Return messages (text or bytes) in order; ends when the connection has ended."""
        parts: list[bytes] = []
        kind = Opcode.BINARY
        while not self._writer.is_closing():
            await self._thawed.wait()
            try:
                data = await self._reader.read(1 << 16)
            except (ConnectionError, TimeoutError):
                data = b""
            if not self._thawed.is_set():
                await self._thawed.wait()
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            self.flush()
            for frame in self._protocol.events_received():
                if not isinstance(frame, Frame):
                    continue
                if frame.opcode is Opcode.CLOSE:
                    self.closed_by = self.closed_by or "client"
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                    kind, parts = frame.opcode, []
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    parts.append(bytes(frame.data))
                    if frame.fin:
                        whole = parts[0] if len(parts) == 1 else b"".join(parts)
                        yield whole.decode() if kind is Opcode.TEXT else whole
            if not data or (self._protocol.close_expected() and self._protocol.close_rcvd is not None):
                break
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_eof()
        self.closed_by = self.closed_by or "client"

    def flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self._writer.is_closing():
                self._writer.write(data)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        with suppress(OSError):
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


Respond = Callable[[Request], Awaitable[Reply | None]]
Converse = Callable[[Request, Socket], Awaitable[None]]


@asynccontextmanager
async def serving(respond: Respond, converse: Converse, port: int = 0) -> AsyncIterator[int]:
    """Serve on 127.0.0.1 and give the port. `respond` answers each request; None to a handshake means: accept it."""
    writers: set[asyncio.StreamWriter] = set()
    idle = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        idle.clear()
        try:
            await _exchange(reader, writer, respond, converse)
        except Hang:
            with suppress(ConnectionError):
                while await reader.read(1 << 16):
                    pass
        except Reset:
            _reset(writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writers.discard(writer)
            writer.close()
            if not writers:
                idle.set()

    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=HEAD_LIMIT)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        if writers:
            await idle.wait()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond, converse: Converse
) -> None:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        request = await _request(head, reader)
        reply = await respond(request)
        if request.upgrade and reply is None:
            await _accept(head, request, reader, writer, converse)
            return
        _answer(writer, reply or Reply(http.HTTPStatus.NOT_FOUND), close=request.upgrade)
        await writer.drain()
        if request.upgrade or request.headers.get("connection", "").lower() == "close":
            return


async def _request(head: bytes, reader: asyncio.StreamReader) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    length = int(headers.get("content-length", "0"))
    body = await reader.readexactly(min(length, BODY_LIMIT)) if length else b""
    url = urlsplit(target)
    return Request(method, url.path, dict(parse_qsl(url.query, keep_blank_values=True)), headers, body)


async def _accept(
    head: bytes, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, converse: Converse
) -> None:
    protocol = _Protocol(max_size=64 * 1024 * 1024, logger=_quiet)
    protocol.receive_data(head)
    (handshake,) = protocol.events_received()
    assert isinstance(handshake, Handshake)
    response = protocol.accept(handshake)
    protocol.send_response(response)
    socket = Socket(reader, writer, protocol)
    socket.flush()
    if response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
        return
    await converse(request, socket)
    if socket.is_open:
        socket.close(1000)
        async for _ in socket.messages():
            pass


def _answer(writer: asyncio.StreamWriter, reply: Reply, close: bool) -> None:
    body = reply.body
    kind = "application/json"
    if body is None:
        data = b""
    elif isinstance(body, bytes):
        data, kind = body, "text/plain"
    elif isinstance(body, str):
        data, kind = body.encode(), "text/plain"
    else:
        data = json.dumps(body).encode()
    phrase = http.HTTPStatus(reply.status).phrase if reply.status in set(http.HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if close:
        lines.append("Connection: close")
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data)

"""A vendor in this process that does what a test tells it: one HTTP answer, and one coroutine on the socket."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

TOKEN = "tok-3f9a5c71e6d24b0f"
KEY = "key-8d1b22c0aa"

Script = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Vendor:
    """What to answer, and what was asked."""

    base_url: str = ""
    socket_url: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    requests: list[bytes] = field(default_factory=list)
    opened: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(ln[15:]) for ln in head.split(b"\r\n") if ln.lower().startswith(b"content-length:"))
            self.requests.append(head + await reader.readexactly(length))
            await asyncio.sleep(self.delay_s)
            body = self.body
            if body is None:
                body = json.dumps({"id": "stream-1", "url": self.socket_url}).encode()
            lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(body)}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in self.headers.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def vendor(script: Script | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Vendor]:
    """With `tls` it is reached as vendor.test."""
    state = Vendor()
    host, secure = ("127.0.0.1", "") if tls is None else ("vendor.test", "s")

    async def run(socket: ServerConnection) -> None:
        state.opened += 1
        if script is not None:
            with suppress(ConnectionClosed):
                await script(socket)

    async with (
        await asyncio.start_server(state.answer, "127.0.0.1", 0, ssl=tls) as http,
        serve(run, "127.0.0.1", 0, compression=None, close_timeout=0.2, ssl=tls) as sockets,
    ):
        state.base_url = f"http{secure}://{host}:{http.sockets[0].getsockname()[1]}"
        port = next(iter(sockets.sockets)).getsockname()[1]
        state.socket_url = f"ws{secure}://{host}:{port}/live?token={TOKEN}"
        yield state


def started(speaker: str, timestamp: float) -> str:
    return json.dumps({"type": "diarization_speaker_start", "data": {"timestamp": timestamp, "speaker": speaker}})


def ended(speaker: str, timestamp: float) -> str:
    return json.dumps({"type": "diarization_speaker_end", "data": {"timestamp": timestamp, "speaker": speaker}})

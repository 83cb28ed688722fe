"""A vendor in this process that does what a test tells it: refuses the upgrade, or runs one coroutine on the socket."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

KEY = "sk-test-5b1c9d77e2f04a"
TRANSCRIPTION = "conversation.item.input_audio_transcription."


class Peer:
    """One accepted connection, seen from the vendor's side."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def tell(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, "event_id": "event_1", **fields}))

    async def refuse(self, code: str | None, **fields: object) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": f"said {KEY}", **fields}
        await self.tell("error", error=error)

    async def told(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def greet(self, expires_in_s: float = 3600) -> dict[str, Any]:
        """Go through the opening; give the configuration."""
        await self.tell("session.created", session={"type": "transcription", "expires_at": time.time() + expires_in_s})
        update = await self.told()
        assert update["type"] == "session.update"
        await self.tell("session.updated", session=update["session"])
        given: dict[str, Any] = update["session"]["audio"]["input"]
        return given


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Vendor:
    """How to answer the upgrade, and what was asked."""

    base_url: str = ""
    status: int = 101
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    paths: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    betas: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def vendor(script: Script | None = None) -> AsyncIterator[Vendor]:
    state = Vendor()

    def upgrade(_: ServerConnection, request: Request) -> Response | None:
        state.paths.append(request.path)
        state.authorizations.append(request.headers.get("Authorization"))
        state.betas.append(request.headers.get("OpenAI-Beta"))
        if state.status == 101:
            return None
        headers = Headers({**state.headers, "Content-Length": str(len(state.body))})
        return Response(state.status, "No", headers, state.body)

    async def run(socket: ServerConnection) -> None:
        if script is not None:
            with suppress(ConnectionClosed):
                await script(Peer(socket))

    async with serve(run, "127.0.0.1", 0, process_request=upgrade, compression=None, close_timeout=0.2) as server:
        state.base_url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1"
        yield state

"""A vendor in this process that does what a test tells it: refuses the upgrade, or runs one coroutine on the socket.

And the engine connected to it, with what becomes of it.
"""

import json
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from minuted_daemon.adapters.openai.engine import OpenAITranscriber
from minuted_daemon.adapters.openai.settings import Hints
from minuted_daemon.adapters.openai.stream import LIMITS, Limits, OpenAIStream
from minuted_daemon.core.events import TranscriberEvent, UtteranceId
from minuted_daemon.errors import VendorError

KEY = "sk-test-5b1c9d77e2f04a"
TRANSCRIPTION = "conversation.item.input_audio_transcription."
U = UtteranceId
TENTH = np.ones(2400, dtype=np.int16)


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
    headers_seen: list[Mapping[str, str]] = field(default_factory=list)


@asynccontextmanager
async def vendor(script: Script | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Vendor]:
    """With `tls` it is reached as vendor.test."""
    state = Vendor()

    def upgrade(_: ServerConnection, request: Request) -> Response | None:
        state.paths.append(request.path)
        state.authorizations.append(request.headers.get("Authorization"))
        state.betas.append(request.headers.get("OpenAI-Beta"))
        state.headers_seen.append({name.lower(): value for name, value in request.headers.raw_items()})
        if state.status == 101:
            return None
        headers = Headers({**state.headers, "Content-Length": str(len(state.body))})
        return Response(state.status, "No", headers, state.body)

    async def run(socket: ServerConnection) -> None:
        if script is not None:
            with suppress(ConnectionClosed):
                await script(Peer(socket))

    options = {"process_request": upgrade, "compression": None, "close_timeout": 0.2, "ssl": tls}
    async with serve(run, "127.0.0.1", 0, **options) as server:
        place = "http://127.0.0.1" if tls is None else "https://vendor.test"
        state.base_url = f"{place}:{next(iter(server.sockets)).getsockname()[1]}/v1"
        yield state


@asynccontextmanager
async def engine(
    script: Script | None = None, limits: Limits = LIMITS, model: str = "gpt-live-transcribe"
) -> AsyncIterator[tuple[OpenAITranscriber, Vendor]]:
    async with vendor(script) as peer:
        transcriber = OpenAITranscriber(peer.base_url, KEY, model, Hints(("en",), ("Ada",), "low"), limits)
        try:
            yield transcriber, peer
        finally:
            await transcriber.close()


@asynccontextmanager
async def stream(script: Script, limits: Limits = LIMITS) -> AsyncIterator[OpenAIStream]:
    async def greeted(peer: Peer) -> None:
        await peer.greet()
        await script(peer)

    async with engine(greeted, limits) as (transcriber, _):
        opened = await transcriber.open(())
        try:
            yield opened
        finally:
            await opened.close()


async def collect(opened: OpenAIStream) -> list[TranscriberEvent]:
    return [event async for event in opened.events()]


async def fault_of(opened: OpenAIStream) -> VendorError:
    with pytest.raises(VendorError) as caught:
        await collect(opened)
    return caught.value


async def refused(script: Script, limits: Limits = LIMITS) -> VendorError:
    async with engine(script, limits) as (transcriber, _):
        with pytest.raises(VendorError) as caught:
            await transcriber.open(())
    assert_no_secret(caught.value)
    return caught.value


def assert_no_secret(error: BaseException) -> None:
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


async def idle(peer: Peer) -> None:
    await peer.socket.wait_closed()

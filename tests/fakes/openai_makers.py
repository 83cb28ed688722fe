"""Other makers of OpenAI's realtime protocol on loopback, as their own documents and sources describe them.

speaches: `?model=` is required; the beta's flat session object under the current event names; says server_vad unless it
is turned off; refuses to be told an input format; texts only after a commit. Azure (preview): path `/openai/realtime`
with `api-version`, header `api-key`, events called transcription_session. vLLM: 16 kHz, `model` beside the type, no
confirmation; a commit begins an utterance, a final one ends it, and texts carry no item; audio that comes before it is
done with the one before is lost. What each hears it says as the number of samples, so that none can go astray.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass
class Maker:
    """What was asked of it."""

    base_url: str = ""
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    updates: list[dict[str, Any]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)


Talk = Callable[[Maker, ServerConnection], Awaitable[None]]


@asynccontextmanager
async def maker(talk: Talk, path: str, needed: str) -> AsyncIterator[Maker]:
    """Serve one at `path`, which wants `needed` in its query; anything else is refused as the framework does (403)."""
    state = Maker()

    def upgrade(connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        state.query = dict(parse_qsl(parts.query))
        state.headers = {name.lower(): value for name, value in request.headers.raw_items()}
        if parts.path != f"{path}/realtime" or needed not in state.query:
            return connection.respond(403, "")
        return None

    async def run(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await talk(state, socket)

    async with serve(run, "127.0.0.1", 0, process_request=upgrade, compression=None, close_timeout=0.2) as server:
        state.base_url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{path}"
        yield state


async def tell(socket: ServerConnection, kind: str, **fields: object) -> None:
    await socket.send(json.dumps({"type": kind, "event_id": "event_1", **fields}))


def samples(event: dict[str, Any]) -> int:
    return len(base64.b64decode(event["audio"], validate=True)) // 2


async def speaches(state: Maker, socket: ServerConnection) -> None:
    """Source: speaches, src/speaches/realtime (session, session_event_router, input_audio_buffer_event_router)."""
    session: dict[str, Any] = {
        "id": "sess_1",
        "model": "gpt-4o-realtime-preview",
        "input_audio_format": "pcm16",
        "input_audio_transcription": {"model": state.query["model"], "language": None},
        "turn_detection": {"type": "server_vad", "threshold": 0.6},
    }
    await tell(socket, "session.created", session=session)
    await _items(state, socket, session, "session.update", "session.updated")


async def azure(state: Maker, socket: ServerConnection) -> None:
    """Source: Microsoft, "Real-time speech transcription with GPT-4o-transcribe ... using WebSocket"."""
    session: dict[str, Any] = {
        "id": "sess_1",
        "object": "realtime.transcription_session",
        "expires_at": 0,
        "input_audio_format": "pcm16",
        "input_audio_transcription": None,
        "turn_detection": {"type": "server_vad", "threshold": 0.5},
    }
    await tell(socket, "transcription_session.created", session=session)
    await _items(state, socket, session, "transcription_session.update", "transcription_session.updated")


async def _items(state: Maker, socket: ServerConnection, session: dict[str, Any], update: str, updated: str) -> None:
    heard, item, written = 0, 1, [""]

    async def write(number: int, text: str) -> None:
        await asyncio.sleep(0.05)
        await tell(socket, TRANSCRIPTION + "completed", item_id=f"item_{number}", transcript=text)
        written.append(f"item_{number}")

    async with asyncio.TaskGroup() as writing:
        async for message in socket:
            event = json.loads(message)
            if event["type"] == update:
                state.updates.append(event)
                if update == "session.update" and "input_audio_format" in event["session"]:
                    await tell(socket, "error", error={"type": "invalid_request_error", "message": "not supported"})
                session |= {name: value for name, value in event["session"].items() if name in session}
                await tell(socket, updated, session=session)
            elif event["type"] == "input_audio_buffer.append":
                heard += samples(event)
            elif event["type"] == "input_audio_buffer.commit":
                assert session["turn_detection"] is None
                # speaches names the last item that has its text, whatever was committed since.
                before = written[-1] or None
                await tell(socket, "input_audio_buffer.committed", item_id=f"item_{item}", previous_item_id=before)
                writing.create_task(write(item, f"{heard}"))
                heard, item = 0, item + 1
            else:
                state.other.append(event["type"])


async def vllm(state: Maker, socket: ServerConnection) -> None:
    """Source: vLLM, entrypoints/openai/realtime/connection.py: an utterance is worked on as its audio comes."""
    await socket.send(json.dumps({"type": "session.created", "id": "sess-1", "created": 1_790_000_000}))
    validated, working, heard = False, False, 0
    async for message in socket:
        event = json.loads(message)
        kind = event["type"]
        if kind == "session.update":
            state.updates.append(event)
            validated = event.get("model") == "mistralai/Voxtral-Mini"
            if not validated:
                await tell(socket, "error", error="The model does not exist", code="model_not_found")
        elif kind == "input_audio_buffer.append":
            heard += samples(event) if working else 0
        elif kind == "input_audio_buffer.commit" and not event.get("final", False):
            if not validated:
                await tell(socket, "error", error="Model not validated.", code="model_not_validated")
            working = True
        elif kind == "input_audio_buffer.commit":
            await socket.send(json.dumps({"type": "transcription.delta", "delta": f"{heard}"}))
            await socket.send(json.dumps({"type": "transcription.done", "text": f"{heard}", "usage": None}))
            working, heard = False, 0
        else:
            state.other.append(kind)
            await tell(socket, "error", error=f"Unknown event type: {kind}", code="unknown_event")

"""The makers of OpenAI's protocol, as far as they differ: address, authentication, greeting, and how settings are said.

Pure. Which one answers is told by its first message; only the address and the key are decided before.
Sources: OpenAI's guide to realtime transcription and its types (also of the beta); Microsoft, "Real-time speech
transcription with gpt-4o-transcribe using WebSocket" and the Foundry reference; speaches, "Realtime API"; vLLM,
entrypoints/openai/realtime.
"""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from minuted_daemon.adapters.openai.settings import Fields, Takes, taken_by
from minuted_daemon.core.samples import WIDE_RATE_HZ

_AZURE = (".azure.com", ".azure.us", ".azure.cn")
_TRANSCRIPTION = ("language", "languages", "keywords", "delay", "prompt")


class Dialect(Enum):
    """How settings are said.

    CURRENT: OpenAI's own. OLDER: the beta's, with events called transcription_session. FLAT: the beta's session object
    under the current names (speaches). VLLM: only a model; utterances have no ids.
    """

    CURRENT = "current"
    OLDER = "older"
    FLAT = "flat"
    VLLM = "vllm"

    def takes(self, model: str) -> Takes:
        """Return what may be asked of a model in this dialect."""
        known = taken_by(model)
        if self is Dialect.CURRENT:
            return known
        if self is Dialect.VLLM:
            return Takes(languages=0, prompt=False)
        return Takes(languages=1, prompt=known.prompt)


def socket_url(base_url: str, model: str) -> str:
    """Return the address of the WebSocket: `/realtime`, for transcription, with what base_url's own query says.

    OpenAI refuses a model in it; a server whose models are called OWNER/NAME wants one.
    """
    parts = urlsplit(base_url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.setdefault("intent", "transcription")
    if "/" in model:
        query.setdefault("model", model)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/realtime", urlencode(query), ""))


def authentication(base_url: str, key: str) -> Mapping[str, str]:
    """Return the headers that show the key: as Azure wants it there, unless it is a token (Entra), else as a bearer."""
    if is_azure(base_url) and not key.startswith("eyJ"):
        return {"api-key": key}
    return {"Authorization": f"Bearer {key}"}


def is_azure(base_url: str) -> bool:
    """Return whether an address is one of Azure's."""
    return (urlsplit(base_url).hostname or "").endswith(_AZURE)


def dialect_of(greeting: Mapping[str, Any]) -> Dialect:
    """Return the dialect of the sender of this first message."""
    if greeting.get("type") == "transcription_session.created":
        return Dialect.OLDER
    session = greeting.get("session")
    if isinstance(session, dict):
        flat = any(name in session for name in ("input_audio_format", "input_audio_transcription", "turn_detection"))
        return Dialect.FLAT if flat and "audio" not in session else Dialect.CURRENT
    name, made = greeting.get("id"), greeting.get("created")
    return Dialect.VLLM if isinstance(name, str) and isinstance(made, int) else Dialect.CURRENT


def session_update(dialect: Dialect, model: str, fields: Fields, event_id: str) -> str:
    """Return the message that configures a session: PCM in, no turn detection, this model and its fields."""
    transcription = {"model": model, **{name: fields[name] for name in _TRANSCRIPTION if name in fields}}
    noise = {"type": fields["noise_reduction"]} if "noise_reduction" in fields else None
    if dialect is Dialect.VLLM:
        return json.dumps({"type": "session.update", "model": model})
    if dialect is Dialect.CURRENT:
        sound: dict[str, object] = {
            "format": {"type": "audio/pcm", "rate": WIDE_RATE_HZ},
            "turn_detection": None,
            "transcription": transcription,
        }
        if noise is not None:
            sound["noise_reduction"] = noise
        session: dict[str, object] = {"type": "transcription", "audio": {"input": sound}}
    else:
        session = {"turn_detection": None, "input_audio_transcription": transcription}
        if noise is not None:
            session["input_audio_noise_reduction"] = noise
        if dialect is Dialect.OLDER:
            session["input_audio_format"] = "pcm16"  # speaches refuses even to be told what it does
    kind = "transcription_session.update" if dialect is Dialect.OLDER else "session.update"
    return json.dumps({"type": kind, "event_id": event_id, "session": session})

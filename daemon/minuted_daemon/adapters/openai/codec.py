"""OpenAI's realtime transcription messages as data, both ways. No I/O, no clock, no state but counts in here.

Dispatch is on the `type` string alone: types and fields the vendor adds later must not matter.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.openai.dialects import Dialect, dialect_of
from minuted_daemon.core.samples import WIDE_BLOCK
from minuted_daemon.errors import Garbled

_APPEND_SAMPLES = 2 * WIDE_BLOCK  # 200 ms: small beside the socket's buffer, long beside the cost of a message
_NONSENSE_RUN = 20
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """The connection is accepted. `expires_at`: when it ends, in seconds since 1970 by the vendor's clock."""

    expires_at: float | None
    dialect: Dialect = Dialect.CURRENT


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """The configuration is in force. `cuts_itself`: the vendor says that its turn detection is on."""

    expires_at: float | None
    cuts_itself: bool


@dataclass(frozen=True, slots=True)
class Committed:
    """The buffer has become this item, after `previous`: None for the first, or where the vendor does not say."""

    item: str
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class Cleared:
    """The buffer has been emptied."""


@dataclass(frozen=True, slots=True)
class Delta:
    """More text of an item."""

    item: str
    text: str


@dataclass(frozen=True, slots=True)
class Completed:
    """An item's whole text; empty also where the vendor gave none."""

    item: str
    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An error, about one item (`item`), about one message of ours (`event_id`), or about neither.

    `message` is for decisions only: it may hold part of the key or of what was said.
    """

    code: str
    kind: str = ""
    param: str = ""
    message: str = ""
    event_id: str | None = None
    item: str | None = None


ServerEvent = SessionCreated | SessionUpdated | Committed | Cleared | Delta | Completed | Refused


def append_messages(pcm: NDArray[np.int16]) -> Iterator[str]:
    """Return the messages that append audio (int16, shape (n,), 24 kHz), 200 ms each at most; none for none.

    Raises ValueError for anything else.
    """
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise ValueError(f"audio is int16 of shape (n,), not {pcm.dtype} of shape {pcm.shape}")
    for start in range(0, len(pcm), _APPEND_SAMPLES):
        part = pcm[start : start + _APPEND_SAMPLES].astype("<i2", copy=False).tobytes()
        yield f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(part).decode()}"}}'


def commit_message(event_id: str) -> str:
    """Return the message that makes an item of the buffer."""
    return json.dumps({"type": "input_audio_buffer.commit", "event_id": event_id})


def clear_message(event_id: str) -> str:
    """Return the message that empties the buffer."""
    return json.dumps({"type": "input_audio_buffer.clear", "event_id": event_id})


class OpenAICodec:
    """Reads one connection's messages.

    counts: how many were left out, by why (`unknown` type, `nonsense`).
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._nonsense_run = 0

    def decode(self, message: str | bytes) -> ServerEvent | None:
        """Return the event in a message, None where there is none of interest.

        Raises Garbled after a run of nonsense.
        """
        try:
            body = json.loads(message)
            reader = _READERS.get(body["type"])
            event = reader(body) if reader is not None else None
        except (ValueError, TypeError, LookupError, RecursionError):
            return self._nonsense()
        self._nonsense_run = 0
        if reader is None:
            self.counts["unknown"] += 1
        return event

    def _nonsense(self) -> ServerEvent | None:
        self.counts["nonsense"] += 1
        self._nonsense_run += 1
        if self._nonsense_run > _NONSENSE_RUN:
            raise Garbled("BAD_ANSWER", "OpenAI keeps sending messages that are not of its protocol.")
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _item(body: dict[str, Any]) -> str:
    item = _text(body["item_id"])
    if not 0 < len(item) <= 200:
        raise ValueError
    return item


def _expiry(body: dict[str, Any]) -> float | None:
    session = body.get("session")
    value = session.get("expires_at") if isinstance(session, dict) else None
    # Compared first: false for NaN, infinity and integers that no float can hold.
    return float(value) if isinstance(value, int | float) and 0 < value < 1e11 else None


def _created(body: dict[str, Any]) -> SessionCreated:
    return SessionCreated(_expiry(body), dialect_of(body))


def _updated(body: dict[str, Any]) -> SessionUpdated:
    session = body.get("session")
    detection: Any = session
    for name in ("audio", "input", "turn_detection"):
        detection = detection.get(name) if isinstance(detection, dict) else None
    if detection is None and isinstance(session, dict):
        detection = session.get("turn_detection")  # where the session object is the beta's
    return SessionUpdated(_expiry(body), cuts_itself=detection is not None)


def _refused(body: dict[str, Any]) -> Refused:
    error = body.get("error")
    fields = error if isinstance(error, dict) else {}
    known = {name: str(value) for name, value in fields.items() if isinstance(value, str | int)}
    return Refused(
        code=known.get("code", ""),
        kind=known.get("type", ""),
        param=known.get("param", ""),
        message=known.get("message", ""),
        event_id=known.get("event_id"),
        item=_item(body) if body["type"] != "error" else None,
    )


def _committed(body: dict[str, Any]) -> Committed:
    previous = body.get("previous_item_id")
    return Committed(_item(body), previous if isinstance(previous, str) else None)


def _delta(body: dict[str, Any]) -> Delta | None:
    delta = body.get("delta")
    return Delta(_item(body), _text(delta)) if delta else None


def _completed(body: dict[str, Any]) -> Completed:
    """An item is answered even where `transcript` is null, absent or no text."""
    transcript = body.get("transcript")
    return Completed(_item(body), transcript if isinstance(transcript, str) else "")


_READERS: dict[str, Callable[[dict[str, Any]], ServerEvent | None]] = {
    "session.created": _created,
    "session.updated": _updated,
    # The beta's names, which other makers still use.
    "transcription_session.created": _created,
    "transcription_session.updated": _updated,
    "input_audio_buffer.committed": _committed,
    "input_audio_buffer.cleared": lambda _: Cleared(),
    _TRANSCRIPTION + "delta": _delta,
    _TRANSCRIPTION + "completed": _completed,
    _TRANSCRIPTION + "failed": _refused,
    "error": _refused,
    # Known, and of no interest here.
    "conversation.item.added": lambda _: None,
    "conversation.item.created": lambda _: None,
    "conversation.item.done": lambda _: None,
    "rate_limits.updated": lambda _: None,
}

"""pyannote's live protocol as data: audio to frames, messages to events. No I/O, no clock, no logging in here.

Source: the vendor's live streaming reference (AsyncAPI 0.0.1-beta).
"""

import json
import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.pyannote.faults import error_event
from minuted_daemon.core.events import DiarizerNews, MessageUnusable, SpeakerEnded, SpeakerStarted
from minuted_daemon.core.samples import BLOCK, RATE_HZ, seconds
from minuted_daemon.errors import Garbled

FRAME_BYTES = BLOCK * 4
END_OF_STREAM = '{"type":"end_of_stream"}'

_LARGEST = 1e19  # 1970's nanoseconds are fewer
_LABEL_CHARS = 64
_NAMES = 6
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,47}")
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?")
_NONSENSE_RUN = 20

_EVENTS: dict[str, type[SpeakerStarted] | type[SpeakerEnded]] = {
    "diarization_speaker_start": SpeakerStarted,
    "diarization_speaker_end": SpeakerEnded,
}


class PyannoteCodec:
    """One stream's messages. Feed `decode` what arrives; it returns the event in it, or why there is none.

    counts: how many messages gave none, by why (`unknown` type, `incomplete` event, `nonsense`).
    """

    def __init__(self) -> None:
        self.samples_sent = 0
        self.counts: Counter[str] = Counter()
        self._nonsense_run = 0

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Return the frame for 100 ms of audio (int16, shape (1600,)): float32 little-endian, 6400 bytes.

        Raises ValueError for any other shape or type: the vendor takes nothing else.
        """
        if pcm.dtype != np.int16 or pcm.shape != (BLOCK,):
            raise ValueError(f"a frame is int16 of shape ({BLOCK},), not {pcm.dtype} of shape {pcm.shape}")
        return np.multiply(pcm, 1 / 32768, dtype="<f4").tobytes()

    def sent(self) -> None:
        """One frame has left for the vendor."""
        self.samples_sent += BLOCK

    def decode(self, message: str | bytes) -> DiarizerNews:
        """Take the next message. Whether an event's time can be right is not looked at here.

        Raises Unavailable or Garbled on the vendor's `error` event, Garbled after a run of nonsense.
        """
        try:
            body = json.loads(message)
        except (ValueError, RecursionError):
            return self._nonsense("messages that are no JSON")
        if not isinstance(body, dict):
            return self._nonsense("messages that are no JSON object")
        kind = body.get("type")
        if kind == "error":
            raise error_event(body.get("message"))
        self._nonsense_run = 0
        if not isinstance(kind, str):
            self.counts["unknown"] += 1
            return MessageUnusable(f"messages without a type (fields: {_names(body)})")
        if kind not in _EVENTS:
            self.counts["unknown"] += 1
            return MessageUnusable(f"messages of {f'type {kind}' if _NAME.fullmatch(kind) else 'a nameless type'}")
        event = _event(kind, body)
        if isinstance(event, MessageUnusable):
            self.counts["incomplete"] += 1
        return event

    def _nonsense(self, kind: str) -> MessageUnusable:
        self.counts["nonsense"] += 1
        self._nonsense_run += 1
        if self._nonsense_run > _NONSENSE_RUN:
            raise Garbled("BAD_ANSWER", "pyannote keeps sending messages that are not of its protocol.")
        return MessageUnusable(kind)


def _event(kind: str, body: Mapping[str, object]) -> DiarizerNews:
    data = _payload(body)
    label, timestamp = _label(data.get("speaker")), _number(data.get("timestamp"))
    if label is not None and timestamp is not None:
        return _EVENTS[kind](label, round(timestamp * RATE_HZ))
    missing = [name for name, value in (("speaker", label), ("timestamp", timestamp)) if value is None]
    wrong = " and ".join(f"a {'wrong' if name in data else 'missing'} {name}" for name in missing)
    return MessageUnusable(f"{kind} with {wrong} (fields: {_names(data)})", is_event=True)


def _names(fields: Mapping[str, object]) -> str:
    """The fields' names, which do not reveal what was said."""
    return ", ".join(sorted(name for name in fields if _NAME.fullmatch(name))[:_NAMES]) or "none"


def _payload(body: Mapping[str, object]) -> Mapping[str, object]:
    """Where an event's two fields are: in `data` as documented, or else beside it or one level below it."""
    data = body.get("data")
    inner = data if isinstance(data, dict) else {}
    for place in (inner, body, *inner.values()):
        if isinstance(place, dict) and "speaker" in place and "timestamp" in place:
            return place
    return inner or {name: value for name, value in body.items() if name not in ("type", "data")}


def _label(value: object) -> str | None:
    """A label means nothing by itself, so a number is as good a name as any."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_LABEL_CHARS:
        return str(value)
    return value if isinstance(value, str) and 0 < len(value) <= _LABEL_CHARS and value.isprintable() else None


def _number(value: object) -> int | float | None:
    """A time as a number, also where it comes as text; None for what cannot be one."""
    if isinstance(value, str):
        value = float(value) if _DECIMAL.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= _LARGEST else None  # also false for NaN


class LeadGuard:
    """Says how long the next frame must wait so that never more than `lead_s` of audio is ahead of real time.

    The vendor holds at most 5 s that it has not got round to, and closes the connection over more; time in which it
    had nothing to do does not count. Only frames really sent do.
    """

    def __init__(self, lead_s: float) -> None:
        self._lead_s = lead_s
        self._ahead_s = 0.0
        self._at_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Return the seconds to wait before the next frame, 0 as a rule."""
        return max(0.0, self._left_s(now_s) + seconds(BLOCK) - self._lead_s)

    def sent(self, now_s: float) -> None:
        """One frame was sent."""
        self._ahead_s = self._left_s(now_s) + seconds(BLOCK)
        self._at_s = now_s

    def _left_s(self, now_s: float) -> float:
        return max(0.0, self._ahead_s - (now_s - self._at_s))

"""pyannote's live protocol as data: audio to frames, messages to events. No I/O, no clock, no logging in here.

Source: the vendor's live streaming reference (AsyncAPI 0.0.1-beta).
"""

import json
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.pyannote.faults import error_event
from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerStarted
from minuted_daemon.core.samples import BLOCK, RATE_HZ, seconds
from minuted_daemon.errors import Garbled

FRAME_BYTES = BLOCK * 4
END_OF_STREAM = '{"type":"end_of_stream"}'

_FUTURE_S = 5.0  # an event cannot be about audio that was never sent; the slack forgives the vendor's rounding
_LABEL_CHARS = 64
_NONSENSE_RUN = 20

_EVENTS: dict[str, type[SpeakerStarted] | type[SpeakerEnded]] = {
    "diarization_speaker_start": SpeakerStarted,
    "diarization_speaker_end": SpeakerEnded,
}


class PyannoteCodec:
    """One stream's messages. Feed `decode` what arrives; it gives the event in it, or None.

    counts: how many messages were left out, by why (`unknown` type, `nonsense`, `implausible` position).
    """

    def __init__(self) -> None:
        self.samples_sent = 0
        self.counts: Counter[str] = Counter()
        self._nonsense_run = 0

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Give the frame for 100 ms of audio (int16, shape (1600,)): float32 little-endian, 6400 bytes.

        Raises ValueError for any other shape or type: the vendor takes nothing else.
        """
        if pcm.dtype != np.int16 or pcm.shape != (BLOCK,):
            raise ValueError(f"a frame is int16 of shape ({BLOCK},), not {pcm.dtype} of shape {pcm.shape}")
        return np.multiply(pcm, 1 / 32768, dtype="<f4").tobytes()

    def sent(self) -> None:
        """One frame has left for the vendor."""
        self.samples_sent += BLOCK

    def decode(self, message: str | bytes) -> DiarizerEvent | None:
        """Take the next message.

        Raises Unavailable or Garbled on the vendor's `error` event, Garbled after a run of nonsense.
        """
        try:
            body = json.loads(message)
        except (ValueError, RecursionError):
            return self._nonsense()
        kind = body.get("type") if isinstance(body, dict) else None
        if not isinstance(kind, str):
            return self._nonsense()
        if kind == "error":
            raise error_event(body.get("message"))
        if kind not in _EVENTS:
            self.counts["unknown"] += 1
            self._nonsense_run = 0
            return None
        data = body.get("data")
        if not isinstance(data, dict):
            return self._nonsense()
        label, timestamp = data.get("speaker"), data.get("timestamp")
        if not isinstance(label, str) or not 0 < len(label) <= _LABEL_CHARS or not label.isprintable():
            return self._nonsense()
        if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
            return self._nonsense()
        self._nonsense_run = 0
        # Compared before it is used: also false for NaN, infinity and integers no float can hold.
        if not 0 <= timestamp <= seconds(self.samples_sent) + _FUTURE_S:
            self.counts["implausible"] += 1
            return None
        return _EVENTS[kind](label, round(timestamp * RATE_HZ))

    def _nonsense(self) -> DiarizerEvent | None:
        self.counts["nonsense"] += 1
        self._nonsense_run += 1
        if self._nonsense_run > _NONSENSE_RUN:
            raise Garbled("BAD_ANSWER", "pyannote keeps sending messages that are not of its protocol.")
        return None


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
        """Give the seconds to wait before the next frame, 0 as a rule."""
        return max(0.0, self._left_s(now_s) + seconds(BLOCK) - self._lead_s)

    def sent(self, now_s: float) -> None:
        """One frame was sent."""
        self._ahead_s = self._left_s(now_s) + seconds(BLOCK)
        self._at_s = now_s

    def _left_s(self, now_s: float) -> float:
        return max(0.0, self._ahead_s - (now_s - self._at_s))

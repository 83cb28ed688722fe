"""One stream of the pyannote stand-in: checks frames and pace, hears, and tells who speaks.

Faults at `stream`: everything standin.Connection does, `never_close`, and `dialect {name}` (pyannote_dialects), which
holds for this connection alone. A fault at `end` of any kind means: no close.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.fakes.meeting import RATE_HZ
from tests.fakes.pyannote_dialects import DIALECTS, PLAIN, Event
from tests.fakes.standin import Connection, StandIn
from tests.fakes.wire import Socket

FRAME_BYTES = 6400
FRAME_S = 0.1
BUFFER_S = 5.0
TICK_S = 0.1


@dataclasses.dataclass(slots=True)
class Knobs:
    """Seconds, and shares of events (0..1). All may be changed while running; labels stay as they are in a session."""

    key: str | None = None  # None: any Bearer key will do
    latency_s: float = 0.3
    sigma_s: float = 0.0
    tail_share: float = 0.0
    tail_s: float = 2.0
    boundary_sigma_s: float = 0.0  # error of the timestamps themselves
    duplicate_ends: float = 0.0
    duplicate_starts: float = 0.0
    orphan_ends: float = 0.0
    lost_ends: float = 0.0
    zero_length: float = 0.0
    out_of_order: float = 0.0
    split_until_s: float = 0.0  # until then a speaker's segments get one of `split_labels` labels each
    split_labels: int = 4
    permute_labels: bool = True
    dialect: str = PLAIN  # how events are written: one of pyannote_dialects
    max_speakers: int = 8
    cold_start_s: float = 0.0
    post_s: float = 0.0
    pace_s: float = BUFFER_S
    idle_s: float = 5.0
    close_on_bad_frame: bool = False
    max_stream_s: float = 18_000.0
    max_stream_code: int = 1008
    concurrent: int = 10
    posts_per_minute: int = 100
    url_lifetime_s: float = 60.0


@dataclasses.dataclass(slots=True)
class Stream:
    """What `POST /v1/live` made."""

    id: str
    token: str
    made: float
    status: str = "created"
    started_at: str | None = None
    completed_at: str | None = None
    used: bool = False


def now_text() -> str:
    """The time as the API writes it."""
    return str(np.datetime64("now", "ms")) + "Z"


class LiveConnection(Connection):
    """One stream. Events go out at audio position + latency, derived from what was heard."""

    def __init__(self, standin: StandIn, socket: Socket, number: int, stream: Stream) -> None:
        super().__init__(standin, socket, number)
        self._stream = stream
        self._listener = standin.recogniser.listen(RATE_HZ)
        self._told = 0.0  # stream position up to which events were derived
        self._last_end = -1.0  # where the stretch told last ended
        self._span: tuple[int, int] | None = None  # what was heard of the meeting, from its first to its last sample
        self._active: dict[str, str] = {}  # speaker: label of the open segment
        self._numbers = list(self.rng.permutation(8)) if standin.knobs.permute_labels else list(range(8))
        self._labels: dict[str, str] = {}
        self._last_due = 0.0
        self._latest_due = 0.0
        self._finished = False
        self._buffered_s = 0.0
        self._heard_from = self.loop.time()
        self._frames = self._silent = self._bad = self._late_audio = self._events = self._pace = self._wild = 0
        self._lead_s = self._gap_s = 0.0
        self._never_close = False
        self._dialect: str | None = None

    async def run(self) -> None:
        self.later(self.loop.time() + TICK_S, self._tick)
        async for message in self.socket.messages():
            if not self.socket.is_open:
                continue
            if isinstance(message, bytes):
                self._hear(message)
            else:
                self._order(message)
        self._stream.status = "done" if self._finished and self.socket.close_code == 1000 else "error"
        self._stream.completed_at = now_text()

    # --- what comes in

    def _tick(self) -> None:
        now = self.loop.time()
        knobs = self.standin.knobs
        self.later(now + TICK_S, self._tick)
        if not self._finished:
            self._gap_s = max(self._gap_s, now - self._heard_from)
            if now - self._heard_from > knobs.idle_s:
                self.socket.close(1008, "client timeout")
                return
            if now - self.opened > knobs.max_stream_s:
                self.socket.close(knobs.max_stream_code, "maximum stream duration")
                return
        self.run_faults(self._frames * FRAME_S)

    def _hear(self, frame: bytes) -> None:
        if self._finished:
            self._late_audio += 1
            self.say_error({"message": "audio after end_of_stream"})
            return
        now = self.loop.time()
        waited = now - self._heard_from
        self._gap_s = max(self._gap_s, waited)
        self._heard_from = now
        if len(frame) != FRAME_BYTES:
            self._bad += 1
            self.say_error({"message": f"Invalid chunk size: expected {FRAME_BYTES} bytes, got {len(frame)}"})
            if self.standin.knobs.close_on_bad_frame:
                self.socket.close(1008, "invalid chunk size")
            return
        self._buffered_s = max(0.0, self._buffered_s - waited) + FRAME_S
        self._lead_s = max(self._lead_s, self._buffered_s)
        if self._buffered_s > self.standin.knobs.pace_s + FRAME_S / 2:
            self._pace += 1
            self.socket.close(1008, "audio is ahead of real time")
            return
        samples = np.frombuffer(frame, dtype="<f4")
        self._frames += 1
        loudest = float(np.abs(samples).max())
        self._silent += loudest == 0
        if not loudest <= 1.0:  # also not a number
            self._wild += 1
            samples = np.clip(np.nan_to_num(samples), -1, 1)
        self._listener.feed(samples)
        self._tell(now)
        self.run_faults(self._frames * FRAME_S)

    def _order(self, text: str) -> None:
        try:
            order = json.loads(text)
        except ValueError:
            order = None
        if not isinstance(order, dict) or order.get("type") != "end_of_stream":
            self.say_error({"message": "unknown message"})
            return
        if self._finished:
            return
        self._finished = True
        self._listener.mark()
        now = self.loop.time()
        self._tell(now)
        for speaker in list(self._active):
            self._emit(0, speaker, self._listener.received, now)
        fault = self.standin.fault("end", self.number)
        if fault is None and not self._never_close:
            due = max(self._latest_due, now) + 0.01
            self.later(due, lambda: self.socket.close(1000))

    def act(self, do: str, facts: Mapping[str, Any]) -> None:
        if do == "never_close":
            self._never_close = True
        elif do == "dialect":
            if facts["name"] not in DIALECTS:
                raise ValueError(f"unknown dialect {facts['name']}")
            self._dialect = str(facts["name"])
        else:
            super().act(do, facts)

    def say_error(self, facts: Mapping[str, Any]) -> None:
        self.socket.send({"type": "error", "message": str(facts.get("message", "internal error"))})

    # --- what goes out

    def _tell(self, now: float) -> None:
        """Derive events from what has been heard since the last time."""
        settled = self._listener.settled
        for stretch in self._listener.stretches:
            if stretch.end <= self._told:
                continue
            low, high = max(stretch.start, self._told), min(stretch.end, settled)
            if high <= low:
                continue
            first = round(low) + stretch.offset if self._span is None else self._span[0]
            self._span = first, round(high) + stretch.offset
            if low != self._last_end:
                self._change(set(), self._last_end, now)
                here = round(low) + stretch.offset
                self._change(set(stretch.meeting.active_at(here)), low, now)
            for sample, kind, speaker in stretch.meeting.boundaries_between(
                low + stretch.offset, high + stretch.offset
            ):
                if kind == (speaker not in self._active):
                    self._emit(kind, speaker, sample - stretch.offset, now)
            self._last_end = high
        if self._last_end < settled:
            self._change(set(), self._last_end, now)
        self._told = settled
        self._listener.forget(self._told - RATE_HZ)

    def _change(self, active: set[str], at: float, now: float) -> None:
        for speaker in [s for s in self._active if s not in active]:
            self._emit(0, speaker, at, now)
        for speaker in sorted(active - set(self._active)):
            self._emit(1, speaker, at, now)

    def _label(self, speaker: str, at: float) -> str | None:
        knobs = self.standin.knobs
        label = self._labels.get(speaker)
        if label is None:
            if len(self._labels) >= knobs.max_speakers:
                return None
            number = len(self._labels)
            label = f"SPEAKER_{self._numbers[number] if number < 8 else number:02d}"
            self._labels[speaker] = label
        if at < knobs.split_until_s * RATE_HZ:
            extra = int(self.rng.integers(knobs.split_labels))
            return label if extra == 0 else f"SPEAKER_{8 * extra + int(label[-2:]):02d}"
        return label

    def _emit(self, kind: int, speaker: str, at: float, now: float) -> None:
        knobs, rng = self.standin.knobs, self.rng
        if kind:
            label = self._label(speaker, at)
            if label is None:
                return
            self._active[speaker] = label
        else:
            label = self._active.pop(speaker, None)
            if label is None or rng.random() < knobs.lost_ends:
                return
        stamp = max(0.0, at / RATE_HZ + (rng.normal(0, knobs.boundary_sigma_s) if knobs.boundary_sigma_s else 0.0))
        heard = now - (self._listener.received - at) / RATE_HZ
        self._send(kind, label, stamp, heard)
        if rng.random() < (knobs.duplicate_starts if kind else knobs.duplicate_ends):
            self._send(kind, label, stamp + float(rng.uniform(0, 0.2)), heard)
        if rng.random() < knobs.orphan_ends:
            self._send(0, f"SPEAKER_{int(rng.integers(9, 20)):02d}", stamp, heard)
        if rng.random() < knobs.zero_length:
            other = f"SPEAKER_{int(rng.integers(0, 8)):02d}"
            if other not in self._active.values():
                self._send(1, other, stamp, heard)
                self._send(0, other, stamp, heard)

    def _send(self, kind: int, label: str, stamp: float, heard: float) -> None:
        knobs, rng = self.standin.knobs, self.rng
        latency = knobs.latency_s
        if knobs.sigma_s:
            latency = max(0.02, latency + float(rng.normal(0, knobs.sigma_s)))
        if rng.random() < knobs.tail_share:
            latency += float(rng.exponential(knobs.tail_s))
        due = heard + latency
        if rng.random() < knobs.out_of_order:
            due += float(rng.uniform(0.2, 0.8))
        else:
            due = self._last_due = max(due, self._last_due + 1e-5)
        if self._finished:
            due = self._last_due = max(self._last_due + 1e-5, min(due, self.loop.time() + 0.05))
        name = "diarization_speaker_start" if kind else "diarization_speaker_end"
        message = DIALECTS[self._dialect or knobs.dialect](
            Event(name, label, round(stamp, 3), self.opened_at, self._before_s(), self._events)
        )
        self._events += 1
        if message is None:
            return
        self._latest_due = max(self._latest_due, due)
        self.later(due, lambda: self.socket.send(message))

    def _before_s(self) -> float:
        """Seconds of audio in all streams before this one."""
        return sum(
            one._frames * FRAME_S
            for one in self.standin.connections
            if isinstance(one, LiveConnection) and one.number < self.number
        )

    def stats(self) -> dict[str, Any]:
        return {
            **super().stats(),
            "stream": self._stream.id,
            "frames": self._frames,
            "seconds": round(self._frames * FRAME_S, 3),
            "silent_frames": self._silent,
            "bad_frames": self._bad,
            "out_of_range_frames": self._wild,
            "audio_after_end": self._late_audio,
            "pace_violations": self._pace,
            "largest_lead_s": round(self._lead_s, 3),
            "largest_gap_s": round(self._gap_s, 3),
            "events": self._events,
            "labels": self._labels,
            "finished": self._finished,
            "span": self._span,
            "hears": [s.meeting.name for s in self._listener.stretches[-1:]],
        }

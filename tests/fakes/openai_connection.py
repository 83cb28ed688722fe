"""One session of the OpenAI stand-in: takes events as strictly as the vendor, hears, and writes down.

Faults at `update` (n-th session.update): reject {code, param, message}, never, slow {by_s}. At `commit` (n-th accepted
commit): see openai_items.Turn. At `stream`: all that standin.Connection does, and `expire` {how}.
"""

import base64
import binascii
import json
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tests.fakes import openai_session as sessions
from tests.fakes.invented import answer
from tests.fakes.meeting import RATE_HZ
from tests.fakes.openai_items import Bookkeeper, Turn
from tests.fakes.recogniser import HeardWord
from tests.fakes.standin import Connection
from tests.fakes.wire import Request, Socket

WIDE_HZ = 24_000
APPEND_LIMIT = 15 * 1024 * 1024
SHORTEST_S = 0.1
TICK_S = 0.1
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"
BUFFER = "input_audio_buffer."
KNOWN_EVENTS = ("session.update", f"{BUFFER}append", f"{BUFFER}commit", f"{BUFFER}clear")


class RealtimeConnection(Connection):
    """One session."""

    standin: Bookkeeper

    def __init__(self, standin: Bookkeeper, socket: Socket, number: int, request: Request) -> None:
        super().__init__(standin, socket, number)
        self._request = request
        self._expires_at = time.time() + standin.knobs.expires_s
        self._session = sessions.default_session(f"sess_{secrets.token_hex(10)}", int(self._expires_at))
        self._asked = self._session
        self._listener = standin.recogniser.listen(WIDE_HZ)
        self._turn: Turn | None = None
        self._previous: str | None = None
        self._ordered = 0.0  # answers to commits, clears and updates keep their order
        self._voice = False
        self._quiet_s = 0.0
        self._appended = self._committed = self._cleared = 0
        self._burst: deque[tuple[float, float]] = deque()
        self._factor = 0.0
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    async def run(self) -> None:
        if not self._greet():
            async for _ in self.socket.messages():
                pass
            return
        now = self.loop.time()
        self.later(now + TICK_S, self._tick)
        self.later(now + self.standin.knobs.ping_s, self._ping)
        async for message in self.socket.messages():
            if not self.socket.is_open:
                continue
            if isinstance(message, bytes):
                self._error("invalid_event", "Binary frames are not supported.")
            else:
                self._dispatch(message)

    def _greet(self) -> bool:
        request, knobs = self._request, self.standin.knobs
        if knobs.key not in (None, request.bearer):
            return self._turn_away("invalid_api_key", "Incorrect API key provided.", 3000)
        if "realtime=v1" in request.headers.get("openai-beta", ""):
            return self._turn_away("beta_api_shape_disabled", "The beta API shape is no longer available.", 4000)
        if "model" in request.query:
            return self._turn_away("invalid_model", "This model is not a realtime conversation model.", 4000)
        if request.query.get("intent") != "transcription":
            return self._turn_away("missing_model", "You must provide a model parameter.", 4000)
        if self.standin.silent_greetings:
            self.standin.silent_greetings -= 1
        else:
            self._send("session.created", session=self._session)
        return True

    def _turn_away(self, code: str, message: str, close_code: int) -> bool:
        self._error(code, message)
        self.socket.close(close_code, f"invalid_request_error.{code}")
        return False

    # --- what comes in

    def _dispatch(self, text: str) -> None:
        try:
            event = json.loads(text)
        except ValueError:
            self._error("invalid_json", "Could not parse the event as JSON.")
            return
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            self._error("invalid_event", "Missing required parameter: 'type'.", "type")
            return
        kind, event_id = event["type"], event.get("event_id")
        if event_id is not None and (not isinstance(event_id, str) or len(event_id) > 512):
            self._error("invalid_value", "event_id is a string of at most 512 characters.", "event_id")
            return
        self._counts[kind] += 1
        if kind == "session.update":
            self._update(event)
        elif kind == "input_audio_buffer.append":
            self._append(event)
        elif kind == "input_audio_buffer.commit":
            self._commit(event_id)
        elif kind == "input_audio_buffer.clear":
            self._clear()
        else:
            known = ", ".join(KNOWN_EVENTS)
            self._error("invalid_value", f"Invalid value: '{kind}'. Supported values: {known}.", "type", event_id)

    def _update(self, event: Mapping[str, Any]) -> None:
        knobs = self.standin.knobs
        fault = self.standin.fault("update", self.standin.count("update"))
        after_s = knobs.update_ack_s
        if fault is not None and fault.do == "never":
            return
        if fault is not None and fault.do == "slow":
            after_s += float(fault.facts["by_s"])
        try:
            if fault is not None and fault.do == "reject":
                facts = fault.facts
                raise sessions.Refused(
                    facts.get("code", "invalid_value"), facts.get("message", "Invalid value."), facts.get("param")
                )
            new = sessions.merged(self._asked, event.get("session"))
        except sessions.Refused as refusal:
            echo = event.get("event_id") if refusal.echo else None
            self._in_order(after_s, self._error_call(refusal.code, refusal.message, refusal.param, echo))
            return
        self._asked = new

        def take() -> None:
            self._session = new
            self._send("session.updated", session=sessions.told(new))

        self._in_order(after_s, take)

    def _append(self, event: Mapping[str, Any]) -> None:
        event_id = event.get("event_id")
        audio = event.get("audio")
        if not isinstance(audio, str) or not audio:
            self._error("invalid_value", "Invalid 'audio': expected base64 audio.", "audio", event_id)
            return
        try:
            data = base64.b64decode(audio, validate=True)
        except binascii.Error:
            self._error("invalid_value", "Invalid 'audio': not valid base64.", "audio", event_id)
            return
        if not data or len(data) % 2:
            self._error("invalid_value", "Invalid 'audio': not 16-bit samples.", "audio", event_id)
            return
        if len(data) > APPEND_LIMIT:
            self._error("invalid_value", "Invalid 'audio': more than 15 MiB.", "audio", event_id)
            return
        pcm = np.frombuffer(data, dtype="<i2")
        now = self.loop.time()
        self._measure(now, len(pcm) / WIDE_HZ)
        turn = self._turn
        if turn is None:
            transcription = self._session["audio"]["input"]["transcription"]
            turn = self._turn = Turn(f"item_{secrets.token_hex(10)}", self._listener.received, transcription)
        turn.samples += len(pcm)
        self._appended += len(pcm)
        turn.arrivals.append((self._listener.received + len(pcm) * RATE_HZ / WIDE_HZ, time.time()))
        for at in range(0, len(pcm), WIDE_HZ):
            self._listener.feed(pcm[at : at + WIDE_HZ])
        if turn.streaming:
            self._schedule(turn, now)
        detection = self._session["audio"]["input"]["turn_detection"]
        if detection is not None:
            self._detect(pcm, int(detection.get("silence_duration_ms", 500)) / 1000)
        self.run_faults(self._appended / WIDE_HZ)

    def _commit(self, event_id: str | None) -> None:
        turn, knobs = self._turn, self.standin.knobs
        buffered_s = turn.samples / WIDE_HZ if turn else 0.0
        if turn is None or buffered_s < SHORTEST_S:
            self._counts["empty_commits"] += 1
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {buffered_s * 1000:.2f}ms of audio."
            )
            self._in_order(
                knobs.commit_ack_s, self._error_call("input_audio_buffer_commit_empty", message, None, event_id)
            )
            return
        number = self.standin.count("commit")
        fault = self.standin.fault("commit", number)
        if fault is not None:
            turn.fault, turn.facts = fault.do, fault.facts
        if turn.fault == "refused":
            code = str(turn.facts.get("code", "server_error"))
            self._in_order(knobs.commit_ack_s, self._error_call(code, "The commit failed.", None, event_id))
            return
        self._turn = None
        self._listener.mark()
        end = self._listener.received
        heard = self._listener.words(turn.start, end)
        self._committed += turn.samples
        spans = self._listener.spans(turn.start, end)
        self.standin.book_commit(self.number, number, turn.id, spans, [(h.meeting.name, h.word.text) for h in heard])
        self._listener.forget(end - RATE_HZ)
        previous, self._previous = self._previous, turn.id
        ack_s = knobs.commit_ack_s + float(turn.facts.get("by_s", 0.0)) * (turn.fault == "slow_commit")
        if turn.fault != "never_committed":
            self._in_order(ack_s, lambda: self._acknowledge(turn, previous))
        if turn.transcription is None or turn.fault in ("missing", "never_committed"):
            self.later(self.loop.time() + ack_s, lambda: setattr(turn, "over", True))
            return
        wait_s = float(self.rng.uniform(*knobs.completed_s))
        if self.rng.random() < knobs.out_of_order:
            wait_s += float(self.rng.uniform(1.0, 2.0))
        if self.rng.random() < knobs.late_share:
            wait_s = float(self.rng.uniform(*knobs.late_s))
        if turn.fault == "late":
            wait_s = float(turn.facts.get("by_s", 20.0))
        self.later(max(self.loop.time() + wait_s, self._ordered + 0.001), lambda: self._complete(turn, heard))

    def _clear(self) -> None:
        turn, self._turn = self._turn, None
        self._listener.mark()
        if turn is not None:
            self._cleared += turn.samples

        def answer() -> None:
            if turn is not None:
                turn.over = True
            self._send("input_audio_buffer.cleared")

        self._in_order(self.standin.knobs.clear_ack_s, answer)

    def _detect(self, pcm: np.ndarray[Any, np.dtype[np.int16]], silence_s: float) -> None:
        """Server VAD, for a client that left it on: it commits by itself."""
        loud = float(np.sqrt(np.mean(pcm.astype(np.float32) ** 2))) > 300
        at_ms = int(self._appended / WIDE_HZ * 1000)
        if loud:
            self._quiet_s = 0.0
            if not self._voice and self._turn is not None:
                self._voice = True
                item_id = self._turn.id
                self._send("input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=at_ms)
        elif self._voice:
            self._quiet_s += len(pcm) / WIDE_HZ
            if self._quiet_s >= silence_s and self._turn is not None:
                self._voice = False
                self._counts["vad_commits"] += 1
                self._send("input_audio_buffer.speech_stopped", item_id=self._turn.id, audio_end_ms=at_ms)
                self._commit(None)

    # --- what goes out

    def _schedule(self, turn: Turn, now: float) -> None:
        """Plan deltas for the words that have ended, in the order of their start."""
        knobs, listener = self.standin.knobs, self._listener
        settled = listener.settled
        assert turn.transcription is not None
        delay_s = knobs.delta_s
        if delay_s is None:
            delay_s = knobs.delays_s[turn.transcription.get("delay") or "medium"]
        last = listener.stretches[-1] if listener.stretches else None
        unsure = float("inf")
        if last is not None:
            here = int(min(settled, last.end)) + last.offset
            unsure = min((word.start for word in last.meeting.words_between(here, here + 1)), default=unsure)
        for item in listener.words(turn.start, settled)[len(turn.scheduled) :]:
            if item.ends_at > settled or item.word.start >= unsure:
                break
            turn.scheduled.append(item.word.text)
            due = now + delay_s - (listener.received - item.ends_at) / RATE_HZ
            turn.due = max(due, now + 0.005, turn.due + 1e-4)
            self.later(turn.due, self._delta_call(turn, item))

    def _delta_call(self, turn: Turn, item: HeardWord) -> Callable[[], None]:
        def send() -> None:
            if not turn.over and turn.fault != "no_deltas":
                turn.sent += 1
                self._word(turn, item)

        return send

    def _word(self, turn: Turn, item: HeardWord) -> None:
        self.standin.book_delta(item.meeting.name, item.word.text, turn.arrival_of(item.ends_at))
        self._delta(turn, item.word.text)

    def _delta(self, turn: Turn, text: str) -> None:
        item_id = turn.id
        if self.standin.knobs.early_item_id_differs and self._turn is turn:
            item_id = f"{turn.id}e"
        text = f" {text}" if turn.said else text
        turn.said += text
        extra = {"obfuscation": secrets.token_hex(4)} if self.standin.knobs.extra_fields else {}
        self._send(DELTA, item_id=item_id, content_index=0, delta=text, **extra)

    def _acknowledge(self, turn: Turn, previous: str | None) -> None:
        item = {
            "id": turn.id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        self._send("input_audio_buffer.committed", item_id=turn.id, previous_item_id=previous)
        self._send("conversation.item.added", item=item, previous_item_id=previous)
        self._send("conversation.item.done", item=item, previous_item_id=previous)

    def _complete(self, turn: Turn, heard: Sequence[HeardWord]) -> None:
        facts = turn.facts
        if turn.fault == "failed":
            turn.over = True
            code = facts.get("code", "audio_unintelligible")
            error = {"type": "server_error", "code": code, "message": facts.get("message", "failed"), "param": None}
            self._send(FAILED, item_id=turn.id, content_index=0, error=error)
            return
        invented = ""
        if self.standin.knobs.invents and not heard and not turn.said:
            invented = answer(self.standin.count("invented") - 1, self.standin.knobs.invents)
        if turn.fault != "no_deltas":
            for item in heard[turn.sent :]:
                self._word(turn, item)
            if invented:
                self._delta(turn, invented)
            if turn.fault == "differs":
                self._delta(turn, "misheard")
        turn.over = True
        usage = {"type": "duration", "seconds": round(turn.samples / WIDE_HZ, 3)}
        assert turn.transcription is not None
        extra: dict[str, Any] = {"languages": []} if turn.transcription["model"] == "gpt-transcribe" else {}
        transcript = facts.get("transcript") if turn.fault == "says" else " ".join(item.word.text for item in heard)
        self.standin.book_completed(turn.id)
        if invented:
            transcript = invented
        for _ in range({"twice": 2, "deltas_only": 0}.get(turn.fault, 1)):
            self._send(COMPLETED, item_id=turn.id, content_index=0, transcript=transcript, usage=usage, **extra)

    def _in_order(self, after_s: float, act: Callable[[], None]) -> None:
        self._ordered = max(self.loop.time() + after_s, self._ordered + 1e-4)
        self.later(self._ordered, act)

    def _send(self, kind: str, **fields: Any) -> None:
        self.socket.send({"type": kind, "event_id": f"event_{secrets.token_hex(8)}", **fields})

    def _error(self, code: str, message: str, param: str | None = None, event_id: str | None = None) -> None:
        self._errors[code] += 1
        body = {"type": "invalid_request_error", "code": code, "message": message, "param": param, "event_id": event_id}
        self._send("error", error=body)

    def _error_call(self, code: str, message: str, param: str | None, event_id: str | None) -> Callable[[], None]:
        return lambda: self._error(code, message, param, event_id)

    def say_error(self, facts: Mapping[str, Any]) -> None:
        self._error(str(facts.get("code", "server_error")), str(facts.get("message", "The server had an error.")))

    # --- time

    def _tick(self) -> None:
        self.later(self.loop.time() + TICK_S, self._tick)
        self.run_faults(self._appended / WIDE_HZ)
        if time.time() >= self._expires_at:
            self._expires_at = float("inf")
            self.act("expire", {})

    def _ping(self) -> None:
        self.socket.ping()
        self.later(self.loop.time() + self.standin.knobs.ping_s, self._ping)

    def act(self, do: str, facts: Mapping[str, Any]) -> None:
        if do != "expire":
            super().act(do, facts)
            return
        how = facts.get("how", self.standin.knobs.expiry)
        message = "Your session hit the maximum duration of 60 minutes."
        if how in ("both", "error"):
            self._error("session_expired", message)
        if how in ("both", "close"):
            self.socket.close(1001, message)

    def _measure(self, now: float, seconds: float) -> None:
        self._burst.append((now, seconds))
        while self._burst[0][0] < now - 2.0:
            self._burst.popleft()
        self._factor = max(self._factor, sum(part for _, part in self._burst) / 2.0)

    def stats(self) -> dict[str, Any]:
        return {
            **super().stats(),
            "appended_s": round(self._appended / WIDE_HZ, 3),
            "committed_s": round(self._committed / WIDE_HZ, 3),
            "cleared_s": round(self._cleared / WIDE_HZ, 3),
            "uncommitted_s": round(self._turn.samples / WIDE_HZ, 3) if self._turn else 0.0,
            "real_time_factor": round(self._factor, 2),
            "received": dict(self._counts),
            "errors": dict(self._errors),
        }

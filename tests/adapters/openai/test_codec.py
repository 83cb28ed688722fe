import base64
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.adapters.network.errors import Closing
from minuted_daemon.adapters.openai import faults
from minuted_daemon.adapters.openai.codec import (
    Cleared,
    Committed,
    Completed,
    Delta,
    OpenAICodec,
    Refused,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    append_messages,
    clear_message,
    commit_message,
)
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError

TRANSCRIPTION = "conversation.item.input_audio_transcription."


def read(body: object) -> ServerEvent | None:
    return OpenAICodec().decode(json.dumps(body))


@given(st.integers(0, 30_000))
def test_audio_is_appended_whole_in_small_messages_and_never_an_empty_one(length: int) -> None:
    pcm = np.arange(length).astype(np.int16)
    parts = []
    for message in append_messages(pcm):
        sent = json.loads(message)
        assert sent["type"] == "input_audio_buffer.append"
        parts.append(base64.b64decode(sent["audio"]))
        assert 0 < len(parts[-1]) <= 2 * 4800
    assert b"".join(parts) == pcm.astype("<i2").tobytes()


@pytest.mark.parametrize("pcm", [np.zeros(10, np.float32), np.zeros((2, 5), np.int16)])
def test_nothing_else_is_audio(pcm: np.ndarray) -> None:
    with pytest.raises(ValueError, match="audio is int16"):
        list(append_messages(pcm))


def test_commit_and_clear_carry_their_event_ids() -> None:
    assert json.loads(commit_message("c1")) == {"type": "input_audio_buffer.commit", "event_id": "c1"}
    assert json.loads(clear_message("c2")) == {"type": "input_audio_buffer.clear", "event_id": "c2"}


@pytest.mark.parametrize(
    ("body", "event"),
    [
        ({"type": "session.created", "session": {"expires_at": 1790000000, "audio": {}}}, SessionCreated(1790000000.0)),
        ({"type": "session.created"}, SessionCreated(None)),
        ({"type": "session.created", "session": {"expires_at": "soon"}}, SessionCreated(None)),
        ({"type": "session.created", "session": {"expires_at": 10**400}}, SessionCreated(None)),
        ({"type": "session.created", "session": {"expires_at": float("nan")}}, SessionCreated(None)),
        (
            {"type": "session.updated", "session": {"audio": {"input": {"turn_detection": None}}}},
            SessionUpdated(None, False),
        ),
        ({"type": "session.updated", "session": {}}, SessionUpdated(None, False)),
        (
            {"type": "session.updated", "session": {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}},
            SessionUpdated(None, True),
        ),
        ({"type": "input_audio_buffer.committed", "item_id": "i", "previous_item_id": None}, Committed("i")),
        ({"type": "input_audio_buffer.cleared"}, Cleared()),
        (
            {"type": TRANSCRIPTION + "delta", "item_id": "i", "delta": " so", "obfuscation": "x", "logprobs": []},
            Delta("i", " so"),
        ),
        ({"type": TRANSCRIPTION + "delta", "item_id": "i", "delta": ""}, None),
        ({"type": TRANSCRIPTION + "delta", "item_id": "i"}, None),
        ({"type": TRANSCRIPTION + "completed", "item_id": "i", "transcript": " So. "}, Completed("i", " So. ")),
        (
            {
                "type": TRANSCRIPTION + "failed",
                "item_id": "i",
                "error": {"type": "server_error", "code": None, "message": "429"},
            },
            Refused("", "server_error", message="429", item="i"),
        ),
        (
            {"type": "error", "error": {"type": "t", "code": "c", "param": "p", "message": "m", "event_id": "e"}},
            Refused("c", "t", "p", "m", "e"),
        ),
        ({"type": "conversation.item.done", "item": {}}, None),
    ],
)
def test_what_messages_mean(body: dict[str, Any], event: ServerEvent | None) -> None:
    codec = OpenAICodec()
    assert codec.decode(json.dumps(body).encode()) == event
    assert codec.counts == Counter()


def test_unknown_types_are_the_future() -> None:
    codec = OpenAICodec()
    for _ in range(50):
        assert codec.decode('{"type":"input_audio_buffer.dreamt","item_id":3}') is None
    assert codec.counts == {"unknown": 50}


def test_a_run_of_nonsense_ends_the_connection() -> None:
    codec = OpenAICodec()
    for _ in range(20):
        codec.decode(b"\xff")
    codec.decode('{"type":"input_audio_buffer.cleared"}')
    for body in (b"[]", b"{}", b'{"type":[]}', b"3", b"") * 4:
        assert codec.decode(body) is None
    with pytest.raises(Garbled):
        codec.decode(b'{"type":"input_audio_buffer.committed"}')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
types = st.sampled_from(
    ["session.created", "session.updated", "input_audio_buffer.committed", "error", "x"]
    + [TRANSCRIPTION + last for last in ("delta", "completed", "failed")]
)
names = st.sampled_from(["item_id", "delta", "transcript", "error", "session", "event_id", "code"])
messages = st.binary(max_size=40) | st.builds(
    lambda kind, fields: json.dumps({**fields, "type": kind}), types | json_values, st.dictionaries(names, json_values)
)


@given(st.lists(messages, max_size=20))
def test_nonsense_never_gets_past_the_codec(arriving: list[str | bytes]) -> None:
    codec = OpenAICodec()
    for message in arriving:
        event = codec.decode(message)
        if isinstance(event, Delta | Completed | Committed):
            assert event.item
        if isinstance(event, Refused):
            faults.fatal(event)


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "reason"),
    [
        (401, {}, b"", Rejected, "KEY_REJECTED"),
        (402, {}, b"", Rejected, "QUOTA_EXHAUSTED"),
        (403, {}, b"", Rejected, "ACCESS_DENIED"),
        (404, {}, b"", Rejected, "CONFIG_REJECTED"),
        (408, {}, b"", Unavailable, "VENDOR_TIMEOUT"),
        (429, {"retry-after": "5"}, b"{}", Unavailable, "RATE_LIMITED"),
        (429, {}, b'{"error":{"code":"insufficient_quota"}}', Rejected, "QUOTA_EXHAUSTED"),
        (429, {}, b'{"error":[]}', Unavailable, "RATE_LIMITED"),
        (503, {}, b"no", Unavailable, "VENDOR_DOWN"),
        (503, {}, b"<html>", Unavailable, "GATEWAY_FAILED"),
        (404, {"server": "squid/5.7"}, b"Not here", Unavailable, "GATEWAY_REFUSED"),
        (404, {"server": "uvicorn"}, b"Not here", Rejected, "CONFIG_REJECTED"),
        (302, {}, b"", Garbled, "BAD_ANSWER"),
    ],
)
def test_what_a_refused_upgrade_means(
    status: int, headers: dict[str, str], body: bytes, kind: type[VendorError], reason: str
) -> None:
    error = faults.refusal(status, headers, body)
    assert isinstance(error, kind)
    assert error.reason == reason
    assert getattr(error, "retry_after_s", None) == (5.0 if "retry-after" in headers else None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Refused("invalid_api_key"), "KEY_REJECTED"),
        (Refused("", "authentication_error"), "KEY_REJECTED"),
        (Refused("insufficient_quota", item="i"), "QUOTA_EXHAUSTED"),
        (Refused("model_not_found", event_id="e"), "CONFIG_REJECTED"),
        (Refused("session_expired", event_id="e"), "SESSION_EXPIRED"),
        (Refused("rate_limit_exceeded"), "RATE_LIMITED"),
        (Refused("rate_limit_exceeded", item="i"), None),
        (Refused("rate_limit_exceeded", event_id="e"), None),
        (Refused("invalid_value", "invalid_request_error"), None),
        (Refused("input_audio_buffer_commit_empty"), None),
        (Refused("", "server_error"), None),
    ],
)
def test_which_errors_end_the_connection(error: Refused, reason: str | None) -> None:
    fault = faults.fatal(error)
    assert (fault.reason if fault else None) == reason


@pytest.mark.parametrize(
    ("received", "sent", "ours_first", "text", "reason"),
    [
        (3000, 3000, False, "invalid_request_error.invalid_api_key", "KEY_REJECTED"),
        (3000, 3000, False, "", "KEY_REJECTED"),
        (3000, 3000, False, "insufficient_quota.insufficient_quota", "QUOTA_EXHAUSTED"),
        (4000, 4000, False, "invalid_request_error.missing_model", "CONFIG_REJECTED"),
        (4004, 4004, False, "", "CONFIG_REJECTED"),
        (1001, 1001, False, "Your session hit the maximum duration of 60 minutes.", "SESSION_EXPIRED"),
        (1001, 1001, False, "", "CLOSED_1001"),
        (1000, 1000, False, "", "CLOSED_1000"),
        (1011, 1011, False, "", "CLOSED_1011"),
        (None, 1011, True, "", "PING_TIMEOUT"),
        (None, None, True, "", "CLOSED_1006"),
        (None, 1009, True, "", "BAD_ANSWER"),
    ],
)
def test_what_a_close_means(received: int | None, sent: int | None, ours_first: bool, text: str, reason: str) -> None:
    assert faults.closure(Closing(received, sent, ours_first, text)).reason == reason


@pytest.mark.parametrize(
    ("expires_at", "left_s"), [(1000 + 3600, 3600), (1000 + 5, 5), (None, 3300), (1000, 3300), (999, 3300), (9e9, 3300)]
)
def test_a_lifetime_that_makes_no_sense_is_the_usual_one(expires_at: float | None, left_s: float) -> None:
    assert faults.lifetime_s(expires_at, 1000.0) == left_s

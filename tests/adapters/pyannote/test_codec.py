import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.adapters.network.errors import Closing
from minuted_daemon.adapters.pyannote import faults
from minuted_daemon.adapters.pyannote.codec import FRAME_BYTES, LeadGuard, PyannoteCodec
from minuted_daemon.core.events import MessageUnusable, SpeakerEnded, SpeakerStarted
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError
from tests.adapters.pyannote.scripted import ended, started


def codec(seconds_sent: int = 10) -> PyannoteCodec:
    made = PyannoteCodec()
    for _ in range(seconds_sent * 10):
        made.sent()
    return made


def test_a_frame_is_6400_bytes_of_float32_between_minus_one_and_one() -> None:
    pcm = np.zeros(1600, dtype=np.int16)
    pcm[:3] = [-32768, 16384, 32767]
    frame = PyannoteCodec().encode(pcm)
    assert len(frame) == FRAME_BYTES == 6400
    assert np.frombuffer(frame, "<f4")[:3].tolist() == [-1.0, 0.5, 32767 / 32768]


@pytest.mark.parametrize(
    "pcm", [np.zeros(1599, np.int16), np.zeros((1600, 1), np.int16), np.zeros(1600, np.float32), np.zeros(0, np.int16)]
)
def test_nothing_else_becomes_a_frame(pcm: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a frame is int16"):
        PyannoteCodec().encode(pcm)


def test_events_come_as_samples_since_the_stream_began() -> None:
    told = codec()
    assert told.decode(started("SPEAKER_00", 1.25)) == SpeakerStarted("SPEAKER_00", 20_000)
    assert told.decode(ended("SPEAKER_00", 2).encode()) == SpeakerEnded("SPEAKER_00", 32_000)
    assert told.decode(started("SPEAKER_01", 0)) == SpeakerStarted("SPEAKER_01", 0)
    assert told.counts == Counter()


@pytest.mark.parametrize("timestamp", ["-0.1", "NaN", "Infinity", "-Infinity", "1e400", "9" * 400, "1e20"])
def test_a_time_that_cannot_be_in_any_unit_gives_no_event(timestamp: str) -> None:
    told = codec(10)
    text = f'{{"type":"diarization_speaker_start","data":{{"timestamp":{timestamp},"speaker":"A"}}}}'
    kind = "diarization_speaker_start with a wrong timestamp (fields: speaker, timestamp)"
    assert told.decode(text) == MessageUnusable(kind, is_event=True)
    assert told.counts == {"incomplete": 1}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (None, "a missing speaker and a missing timestamp (fields: none)"),
        ([], "a missing speaker and a missing timestamp (fields: none)"),
        ({"timestamp": 1}, "a missing speaker (fields: timestamp)"),
        ({"speaker": "A", "time": 1}, "a missing timestamp (fields: speaker, time)"),
        ({"speaker": "A", "tell nobody": 1}, "a missing timestamp (fields: speaker)"),
        ({"timestamp": True, "speaker": "A"}, "a wrong timestamp (fields: speaker, timestamp)"),
        ({"timestamp": None, "speaker": "A"}, "a wrong timestamp (fields: speaker, timestamp)"),
        ({"timestamp": "nan", "speaker": "A"}, "a wrong timestamp (fields: speaker, timestamp)"),
        ({"timestamp": "half past", "speaker": "A"}, "a wrong timestamp (fields: speaker, timestamp)"),
        ({"timestamp": "1,5", "speaker": "A"}, "a wrong timestamp (fields: speaker, timestamp)"),
        ({"timestamp": 1, "speaker": ""}, "a wrong speaker (fields: speaker, timestamp)"),
        ({"timestamp": 1, "speaker": "A" * 65}, "a wrong speaker (fields: speaker, timestamp)"),
        ({"timestamp": 1, "speaker": "A\nB"}, "a wrong speaker (fields: speaker, timestamp)"),
        ({"timestamp": 1, "speaker": ["A"]}, "a wrong speaker (fields: speaker, timestamp)"),
    ],
)
def test_an_event_without_its_fields_tells_which(data: object, kind: str) -> None:
    told = codec()
    unusable = told.decode(json.dumps({"type": "diarization_speaker_end", "data": data}))
    assert unusable == MessageUnusable(f"diarization_speaker_end with {kind}", is_event=True)
    assert told.counts == {"incomplete": 1}


@pytest.mark.parametrize(
    "message",
    [
        {"data": {"timestamp": "1.5", "speaker": "A"}},
        {"data": {"timestamp": " 1.50 ", "speaker": "A"}},
        {"timestamp": 1.5, "speaker": "A"},
        {"data": None, "timestamp": 1.5, "speaker": "A"},
        {"data": {"segment": {"timestamp": 1.5, "speaker": "A"}}},
        {"data": {"id": 7, "segment": {"timestamp": "1.5", "speaker": "A"}}},
    ],
)
def test_what_is_certain_is_understood(message: dict[str, object]) -> None:
    told = codec()
    assert told.decode(json.dumps({"type": "diarization_speaker_start", **message})) == SpeakerStarted("A", 24_000)


def test_a_label_may_be_a_number() -> None:
    assert codec().decode(started(3, 1)) == SpeakerStarted("3", 16_000)  # type: ignore[arg-type]


def test_times_in_other_units_pass_for_who_can_tell() -> None:
    assert codec(1).decode(started("A", 1_764_600_000.5)) == SpeakerStarted("A", round(1_764_600_000.5 * 16_000))


@pytest.mark.parametrize(
    ("kind", "told_as"),
    [("diarization_overlap", "type diarization_overlap"), ("Guten Tag, Herr Meier", "a nameless type")],
)
def test_unknown_types_are_named_but_never_quoted(kind: str, told_as: str) -> None:
    told = codec()
    for _ in range(100):
        assert told.decode(json.dumps({"type": kind, "data": {}})) == MessageUnusable(f"messages of {told_as}")
    assert told.counts == {"unknown": 100}


def test_messages_without_a_type_are_no_nonsense_yet() -> None:
    told = codec()
    for _ in range(100):
        unusable = told.decode('{"version": 2, "payload": {}, "what was said": 1}')
        assert unusable == MessageUnusable("messages without a type (fields: payload, version)")


def test_extra_fields_are_the_future() -> None:
    message = json.loads(started("A", 1)) | {"confidence": 0.5}
    assert codec().decode(json.dumps(message)) == SpeakerStarted("A", 16_000)


def test_a_run_of_nonsense_ends_the_stream_and_sense_breaks_the_run() -> None:
    told = codec()
    for _ in range(20):
        assert told.decode(b"\xff\x00") == MessageUnusable("messages that are no JSON")
    assert told.decode(started("A", 1)) == SpeakerStarted("A", 16_000)
    for _ in range(20):
        assert told.decode("[]") == MessageUnusable("messages that are no JSON object")
    with pytest.raises(Garbled) as caught:
        told.decode("{")
    assert caught.value.reason == "BAD_ANSWER"


@pytest.mark.parametrize(
    ("message", "kind", "reason"),
    [
        ("Invalid chunk size: expected 6400 bytes", Garbled, "FRAME_REFUSED"),
        ("internal problem", Unavailable, "VENDOR_ERROR"),
        (None, Unavailable, "VENDOR_ERROR"),
    ],
)
def test_an_error_event_ends_the_stream(message: str | None, kind: type[VendorError], reason: str) -> None:
    with pytest.raises(kind) as caught:
        codec().decode(json.dumps({"type": "error", "message": message}))
    assert caught.value.reason == reason
    assert "6400" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
messages = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40),
    json_values.map(json.dumps),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["diarization_speaker_start", "diarization_speaker_end", "error", "x"])
            | json_values,
            "data": st.fixed_dictionaries({"timestamp": json_values, "speaker": json_values}) | json_values,
            "message": json_values,
        }
    ).map(json.dumps),
)


@given(st.lists(messages, max_size=30))
def test_whatever_arrives_gives_an_event_or_why_there_is_none_or_a_vendor_error(arriving: list[str | bytes]) -> None:
    told = codec(2)
    for message in arriving:
        try:
            event = told.decode(message)
        except VendorError:
            return
        if isinstance(event, MessageUnusable):
            assert len(event.kind) < 500
        else:
            assert isinstance(event, SpeakerStarted | SpeakerEnded)
            assert 0 <= event.at <= 1e19 * 16_000
            assert event.label


@given(st.lists(st.floats(0, 6), min_size=1, max_size=200), st.integers(1, 30))
def test_the_lead_is_never_above_its_limit_whatever_the_caller_does(pauses: list[float], burst: int) -> None:
    guard, now, sent = LeadGuard(3.5), 100.0, list[float]()
    for count, pause in enumerate(pauses):
        now += pause if count % burst == 0 else 0.0
        now += guard.wait_s(now)
        guard.sent(now)
        sent.append(now)
    for first, start in enumerate(sent):  # from any frame on, not only from the first
        assert all((count - first + 1) * 0.1 - (sent[count] - start) <= 3.5 + 1e-6 for count in range(first, len(sent)))


def test_nobody_in_step_with_real_time_ever_waits() -> None:
    guard = LeadGuard(3.5)
    for frame in range(2000):
        assert guard.wait_s(frame * 0.1) == 0
        guard.sent(frame * 0.1)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "reason", "wait_s"),
    [
        (401, {}, Rejected, "KEY_REJECTED", None),
        (402, {}, Rejected, "PAYMENT_REQUIRED", None),
        (403, {}, Rejected, "ACCESS_DENIED", None),
        (400, {}, Rejected, "REQUEST_REFUSED", None),
        (404, {}, Rejected, "REQUEST_REFUSED", None),
        (408, {}, Unavailable, "VENDOR_TIMEOUT", None),
        (429, {"retry-after": "7", "x-ratelimit-reset": "30"}, Unavailable, "RATE_LIMITED", 7.0),
        (429, {"x-ratelimit-reset": "30"}, Unavailable, "RATE_LIMITED", 30.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, Unavailable, "RATE_LIMITED", None),
        (429, {"retry-after": "nan"}, Unavailable, "RATE_LIMITED", None),
        (429, {"retry-after": "-1"}, Unavailable, "RATE_LIMITED", None),
        (429, {"retry-after": "1e9", "x-ratelimit-reset": "1790000000"}, Unavailable, "RATE_LIMITED", None),
        (500, {}, Unavailable, "VENDOR_DOWN", None),
        (503, {"retry-after": "3"}, Unavailable, "VENDOR_DOWN", 3.0),
        (204, {}, Garbled, "BAD_ANSWER", None),
        (302, {}, Garbled, "BAD_ANSWER", None),
    ],
)
def test_what_a_refusal_means(
    status: int, headers: dict[str, str], kind: type[VendorError], reason: str, wait_s: float | None
) -> None:
    error = faults.refusal(status, headers)
    assert isinstance(error, kind)
    assert error.reason == reason
    assert getattr(error, "retry_after_s", None) == wait_s


@given(st.integers(200, 599))
def test_a_refused_socket_never_ends_diarization_for_good(status: int) -> None:
    assert not isinstance(faults.upgrade_refusal(status, {}), Rejected)


@pytest.mark.parametrize(
    ("received", "sent", "ours_first", "reason"),
    [
        (1011, 1011, False, "CLOSED_1011"),
        (1008, 1008, False, "CLOSED_1008"),
        (1000, 1000, False, "CLOSED_1000"),
        (None, None, True, "CLOSED_1006"),
        (None, 1011, True, "PING_TIMEOUT"),
        (1002, 1002, True, "BAD_ANSWER"),
        (None, 1009, True, "BAD_ANSWER"),
    ],
)
def test_what_a_close_means(received: int | None, sent: int | None, ours_first: bool, reason: str) -> None:
    assert faults.closure(Closing(received, sent, ours_first)).reason == reason


@pytest.mark.parametrize(
    "url",
    [
        "wss://live.example/x?token=t",
        "ws://127.0.0.1:9/x?token=t",
        "ws://localhost/x",
        "ws://[::1]:80/x",
    ],
)
def test_urls_nobody_can_read_on_the_way_are_good(url: str) -> None:
    stream = faults.created(json.dumps({"id": "i", "url": url, "more": 1}).encode())
    assert stream.url == url
    assert url not in repr(stream)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b'{"id":"i"}',
        b'{"id":1,"url":"wss://a/b"}',
        b'{"id":"i","url":null}',
        b'{"id":"i","url":"ws://live.example/x"}',
        b'{"id":"i","url":"https://live.example/x"}',
        b'{"id":"i","url":"ws://localhost.evil.example/x"}',
        b'{"id":"i","url":"wss://"}',
        b'{"id":"i","url":"wss://a:99999/"}',
        b'{"id":"i","url":"wss://[::1"}',
        b"[" * 100_000,
    ],
)
def test_any_other_answer_is_nonsense(body: bytes) -> None:
    with pytest.raises(Garbled) as caught:
        faults.created(body)
    assert caught.value.reason == "BAD_ANSWER"

"""The OpenAI stand-in is as strict as the vendor, and writes down what it is sent."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import soxr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes import openai_session as sessions
from tests.fakes.coverage_book import CoverageBook
from tests.fakes.invented import answer
from tests.fakes.meeting import Meeting, load_meeting, render
from tests.fakes.openai_items import Knobs
from tests.fakes.openai_server import OpenAIStandIn

QUICK = {"update_ack_s": 0.02, "completed_s": (0.05, 0.1), "delta_s": 0.05}
LIVE = {"model": "gpt-live-transcribe", "languages": ["en"], "keywords": ["Ada"], "delay": "low"}
TRANSCRIPTION = "conversation.item.input_audio_transcription"


@pytest.fixture(scope="module")
def meeting() -> Meeting:
    return load_meeting("IB4010", 600, 60)


@pytest.fixture(scope="module")
def wide(meeting: Meeting) -> np.ndarray[Any, np.dtype[np.int16]]:
    return soxr.resample(render(meeting), 16_000, 24_000)


class Client:
    """Speaks the protocol and keeps what came."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.got: list[dict[str, Any]] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def configure(self, transcription: dict[str, Any] | None = LIVE, **more: Any) -> None:
        given = {"transcription": transcription, "turn_detection": None, **more}
        await self.say("session.update", session={"type": "transcription", "audio": {"input": given}})

    async def append(self, pcm: np.ndarray[Any, np.dtype[np.int16]], size: int = 2400) -> None:
        for at in range(0, len(pcm), size):
            data = base64.b64encode(pcm[at : at + size].tobytes()).decode()
            await self.say("input_audio_buffer.append", audio=data)

    async def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(8):
            while True:
                event = json.loads(await self.socket.recv())
                self.got.append(event)
                count -= event["type"] == kind
                if not count:
                    return dict(event)

    async def closed(self) -> int:
        try:
            async with asyncio.timeout(8):
                while True:
                    self.got.append(json.loads(await self.socket.recv()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    def kinds(self) -> list[str]:
        return [event["type"].removeprefix(TRANSCRIPTION + ".") for event in self.got]


@asynccontextmanager
async def session(
    standin: OpenAIStandIn, query: str = "intent=transcription", key: str | None = "k", **headers: str
) -> AsyncIterator[Client]:
    url = standin.base_url.replace("http", "ws") + "/realtime?" + query
    given = {"Authorization": f"Bearer {key}"} if key else {}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    async with connect(url, additional_headers={**given, **more}, compression=None) as socket:
        yield Client(socket)


@asynccontextmanager
async def ready(
    meeting: Meeting, script: Sequence[dict[str, Any]] = (), transcription: dict[str, Any] = LIVE, **knobs: Any
) -> AsyncIterator[tuple[OpenAIStandIn, Client]]:
    standin = OpenAIStandIn([meeting], Knobs(**{**QUICK, **knobs}), script)
    async with standin.running(), session(standin) as client:
        await client.until("session.created")
        await client.configure(transcription)
        await client.until("session.updated")
        client.got.clear()
        yield standin, client


def true_text(meeting: Meeting, start_s: float, end_s: float) -> str:
    return " ".join(w.text for w in meeting.words if start_s * 16_000 <= w.middle < end_s * 16_000)


async def test_the_words_of_each_commit_come_back(meeting: Meeting, wide: Any) -> None:
    async with ready(meeting) as (standin, client):
        # Neither cut falls close to a word's middle.
        for start_s, end_s in ((2.0, 6.1), (6.1, 9.0), (20.0, 24.0)):
            await client.append(wide[round(start_s * 24_000) : round(end_s * 24_000)])
            await client.say("input_audio_buffer.commit")
        await client.until(f"{TRANSCRIPTION}.completed", 3)
        committed = [e for e in client.got if e["type"] == "input_audio_buffer.committed"]
        assert [e["previous_item_id"] for e in committed] == [None, *(e["item_id"] for e in committed[:2])]
        completed = {e["item_id"]: e for e in client.got if e["type"].endswith("completed")}
        texts = [completed[e["item_id"]]["transcript"] for e in committed]
        assert texts == [true_text(meeting, 2, 6.1), true_text(meeting, 6.1, 9), true_text(meeting, 20, 24)]
        assert completed[committed[0]["item_id"]]["usage"] == {"type": "duration", "seconds": 4.1}
        for event in committed:
            deltas = [e["delta"] for e in client.got if e.get("item_id") == event["item_id"] and "delta" in e]
            assert "".join(deltas) == completed[event["item_id"]]["transcript"]
        stats = standin.stats()
        assert stats["connections"][0]["committed_s"] == 11.0
        assert (stats["twice_committed_s"], stats["words_twice"]) == (0, {})
        assert stats["connections"][0]["real_time_factor"] > 4
        # Each word was sent after its audio had come, and before its text was sent as a whole.
        sent = {delta["word"]: delta for delta in stats["deltas"]}
        assert sorted(sent) == sorted(" ".join(texts).split())
        for commit, text in zip(stats["commits"], texts, strict=True):
            for word in text.split():
                assert sent[word]["heard_at"] < sent[word]["sent_at"] <= commit["completed_at"]


async def test_order_after_a_commit(meeting: Meeting, wide: Any) -> None:
    async with ready(meeting, transcription={"model": "gpt-transcribe"}) as (_, client):
        await client.append(wide[48_000:96_000])
        await client.say("input_audio_buffer.commit")
        done = await client.until(f"{TRANSCRIPTION}.completed")
        kinds = client.kinds()
        assert kinds[:4] == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "delta",
        ]
        assert kinds[-1] == "completed"
        assert done["languages"] == []


async def test_streaming_models_write_before_the_commit(meeting: Meeting, wide: Any) -> None:
    async with ready(meeting) as (_, client):
        await client.append(wide[48_000:144_000])
        early = await client.until(f"{TRANSCRIPTION}.delta")
        await client.say("input_audio_buffer.commit")
        assert (await client.until("input_audio_buffer.committed"))["item_id"] == early["item_id"]


async def test_a_clear_ends_the_deltas_and_loses_the_audio(meeting: Meeting, wide: Any) -> None:
    async with ready(meeting, delta_s=0.2) as (standin, client):
        await client.append(wide[48_000:144_000])
        await client.say("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.say("input_audio_buffer.commit", event_id="mine")
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
        kinds = client.kinds()
        assert "delta" not in kinds[kinds.index("input_audio_buffer.cleared") :]
        await client.append(wide[48_000:144_000])
        await client.say("input_audio_buffer.commit")
        assert (await client.until(f"{TRANSCRIPTION}.completed"))["transcript"] == true_text(meeting, 2, 6)
        assert standin.stats()["twice_committed_s"] == 0
        assert standin.stats()["connections"][0]["cleared_s"] == 4.0


async def test_silence_is_an_empty_transcript_and_a_short_buffer_an_error(meeting: Meeting) -> None:
    async with ready(meeting) as (_, client):
        await client.append(np.zeros(2399, dtype=np.int16))
        await client.say("input_audio_buffer.commit", event_id="short")
        assert "99.96ms" in (await client.until("error"))["error"]["message"]
        await client.append(np.zeros(7200, dtype=np.int16))
        await client.say("input_audio_buffer.commit")
        assert (await client.until(f"{TRANSCRIPTION}.completed"))["transcript"] == ""


async def test_words_committed_twice_are_counted(meeting: Meeting, wide: Any) -> None:
    async with ready(meeting) as (standin, client):
        for start, end in ((48_000, 96_000), (72_000, 120_000)):
            await client.append(wide[start:end])
            await client.say("input_audio_buffer.commit")
        await client.until(f"{TRANSCRIPTION}.completed", 2)
        stats = standin.stats()
        assert stats["twice_committed_s"] == pytest.approx(1.0, abs=0.001)
        assert set(stats["words_twice"]) == set(true_text(meeting, 3, 4).split())


async def test_who_never_turns_detection_off_has_turns_cut_for_him(meeting: Meeting, wide: Any) -> None:
    standin = OpenAIStandIn([meeting], Knobs(**QUICK))
    async with standin.running(), session(standin) as client:
        given = {"input": {"transcription": {"model": "gpt-live-transcribe"}}}
        await client.say("session.update", session={"type": "transcription", "audio": given})
        assert (await client.until("session.updated"))["session"]["audio"]["input"]["turn_detection"] is not None
        await client.append(np.concatenate((wide[48_000:96_000], np.zeros(24_000, dtype=np.int16))))
        await client.until(f"{TRANSCRIPTION}.completed")
        assert "input_audio_buffer.speech_stopped" in client.kinds()


async def test_audio_before_the_configuration_is_not_transcribed(meeting: Meeting, wide: Any) -> None:
    standin = OpenAIStandIn([meeting], Knobs(**QUICK))
    async with standin.running(), session(standin) as client:
        await client.configure()
        await client.append(wide[48_000:96_000])
        await client.say("input_audio_buffer.commit")
        await client.until("conversation.item.done")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await client.until(f"{TRANSCRIPTION}.completed")


@pytest.mark.parametrize(
    "audio", ["", "!!!!", base64.b64encode(b"abc").decode(), 7, None, base64.b64encode(b"ab").decode()[:-1]]
)
async def test_bad_audio_is_an_error(meeting: Meeting, audio: Any) -> None:
    async with ready(meeting) as (_, client):
        await client.say("input_audio_buffer.append", audio=audio, event_id="e1")
        error = (await client.until("error"))["error"]
        assert (error["type"], error["param"], error["event_id"]) == ("invalid_request_error", "audio", "e1")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00\x00", "invalid_event"),
        ("{", "invalid_json"),
        ("[]", "invalid_event"),
        ('{"type": "input_audio_buffer.flush"}', "invalid_value"),
    ],
)
async def test_other_messages_are_errors(meeting: Meeting, message: str | bytes, code: str) -> None:
    async with ready(meeting) as (_, client):
        await client.socket.send(message)
        assert (await client.until("error"))["error"]["code"] == code
        await client.configure()  # the session stays usable
        await client.until("session.updated")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"transcription": {"model": "gpt-live-transcribe", "language": "en"}}, "transcription.language"),
        ({"transcription": {"model": "gpt-realtime-whisper", "keywords": ["a"]}}, "transcription.keywords"),
        ({"transcription": {"model": "gpt-realtime-whisper", "prompt": "a"}}, "transcription.prompt"),
        ({"transcription": {"model": "gpt-live-transcribe", "prompt": "a" * 1025}}, "transcription.prompt"),
        ({"transcription": {"model": "gpt-live-transcribe", "keywords": ["a<b"]}}, "transcription.keywords"),
        ({"transcription": {"model": "gpt-live-transcribe", "delay": "none"}}, "transcription.delay"),
        ({"transcription": {"model": "gpt-5"}}, "transcription.model"),
        ({"format": {"type": "audio/pcm", "rate": 16000}}, "format.rate"),
        ({"noise_reduction": "near_field"}, "noise_reduction"),
        ({"gain": 2}, "gain"),
        (
            {"transcription": {"model": "gpt-live-transcribe"}, "turn_detection": {"type": "server_vad"}},
            "turn_detection",
        ),
    ],
)
def test_updates_the_model_does_not_take_are_refused(given: dict[str, Any], param: str) -> None:
    session = sessions.default_session("s", 0)
    with pytest.raises(sessions.Refused) as refused:
        sessions.merged(session, {"type": "transcription", "audio": {"input": given}})
    assert refused.value.param == f"session.audio.input.{param}"


def test_updates_are_merged_deeply() -> None:
    session = sessions.default_session("s", 0)
    for given in ({"transcription": LIVE}, {"turn_detection": None}, {"transcription": {"delay": "high"}}):
        session = sessions.merged(session, {"type": "transcription", "audio": {"input": given}})
    assert session["audio"]["input"]["transcription"] == {**LIVE, "delay": "high"}
    assert session["audio"]["input"]["turn_detection"] is None
    told = sessions.told(session)["audio"]["input"]["transcription"]
    assert told == {"model": "gpt-live-transcribe", "languages": ["en"]}


@pytest.mark.parametrize(
    ("query", "key", "headers", "code", "close"),
    [
        ("intent=transcription", "wrong", {}, "invalid_api_key", 3000),
        ("intent=transcription", "k", {"OpenAI_Beta": "realtime=v1"}, "beta_api_shape_disabled", 4000),
        ("model=gpt-realtime-whisper", "k", {}, "invalid_model", 4000),
        ("", "k", {}, "missing_model", 4000),
    ],
)
async def test_bad_connections_are_turned_away(
    meeting: Meeting, query: str, key: str, headers: dict[str, str], code: str, close: int
) -> None:
    standin = OpenAIStandIn([meeting], Knobs(key="k"))
    async with standin.running(), session(standin, query, key, **headers) as client:
        assert await client.closed() == close
        assert [event["error"]["code"] for event in client.got] == [code]


async def test_upgrades_are_refused_as_scripted(meeting: Meeting) -> None:
    script = [{"at": "upgrade", "do": "status", "nth": n, "status": s} for n, s in enumerate((403, 429, 503), 1)]
    async with OpenAIStandIn([meeting], Knobs(key="k", bad_key="status"), script).running() as standin:
        for key, status in (("k", 403), ("k", 429), ("k", 503), ("wrong", 401), (None, 401)):
            with pytest.raises(InvalidStatus) as refused:
                async with session(standin, key=key):  # type: ignore[arg-type]
                    pass
            assert refused.value.response.status_code == status


@pytest.mark.parametrize(
    ("do", "kinds"),
    [
        ({"do": "failed", "code": "rate_limit_exceeded"}, ["failed"]),
        ({"do": "missing"}, []),
        ({"do": "twice"}, ["completed", "completed"]),
        ({"do": "late", "by_s": 0.6}, ["completed"]),
        ({"do": "no_deltas"}, ["completed"]),
        ({"do": "never_committed"}, []),
        ({"do": "refused"}, ["error"]),
    ],
)
async def test_items_fail_as_scripted(meeting: Meeting, wide: Any, do: dict[str, Any], kinds: list[str]) -> None:
    async with ready(meeting, [{"at": "commit", "nth": 1, **do}]) as (_, client):
        await client.append(wide[48_000:96_000])
        await client.say("input_audio_buffer.commit")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await client.until("nothing")
        ends = [kind for kind in client.kinds() if kind in ("completed", "failed", "error")]
        assert ends == kinds
        assert ("input_audio_buffer.committed" in client.kinds()) == (do["do"] not in ("never_committed", "refused"))
        assert ("delta" in client.kinds()) == (do["do"] != "no_deltas")


async def test_text_may_differ_from_its_deltas(meeting: Meeting, wide: Any) -> None:
    async with ready(meeting, [{"at": "commit", "do": "differs"}]) as (_, client):
        await client.append(wide[48_000:96_000])
        await client.say("input_audio_buffer.commit")
        done = await client.until(f"{TRANSCRIPTION}.completed")
        assert done["transcript"] == true_text(meeting, 2, 4)
        assert "".join(e["delta"] for e in client.got if "delta" in e) != done["transcript"]


@pytest.mark.parametrize("how", ["both", "error", "close"])
async def test_sessions_expire(meeting: Meeting, how: str) -> None:
    async with ready(meeting, expires_s=0.6, expiry=how) as (_, client):
        if how == "error":
            assert (await client.until("error"))["error"]["code"] == "session_expired"
        else:
            assert await client.closed() == 1001
            assert [e["error"]["code"] for e in client.got] == (["session_expired"] if how == "both" else [])


async def test_sound_without_words_is_answered_as_such_models_do(meeting: Meeting) -> None:
    noise = np.random.default_rng(1).normal(0, 300, 24_000).astype(np.int16)
    async with ready(meeting, invents=("en", "ja")) as (_, client):
        told = []
        for _ in range(2):
            await client.append(noise)
            await client.say("input_audio_buffer.commit")
            told.append((await client.until(f"{TRANSCRIPTION}.completed"))["transcript"])
        assert told == [answer(number, ("en", "ja")) for number in range(2)]
        assert [e["delta"] for e in client.got if "delta" in e] == told


async def test_updates_fail_as_scripted(meeting: Meeting) -> None:
    script = [
        {"at": "update", "nth": 1, "do": "reject", "code": "invalid_value", "param": "session.keywords"},
        {"at": "update", "nth": 2, "do": "never"},
    ]
    standin = OpenAIStandIn([meeting], Knobs(**QUICK), script)
    async with standin.running(), session(standin) as client:
        for _ in range(3):
            await client.configure()
        await client.until("session.updated")
        assert client.kinds() == ["session.created", "error", "session.updated"]


def test_the_book_counts_what_is_seen_again() -> None:
    book = CoverageBook()
    seen: set[int] = set()
    rng = np.random.default_rng(1)
    for _ in range(300):
        start = int(rng.integers(0, 500))
        span = range(start, start + int(rng.integers(0, 30)))
        assert book.add("m", span.start, span.stop) == len(seen & set(span))
        seen |= set(span)
    assert book.covered == len(seen)

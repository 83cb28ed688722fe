"""The engine against a scripted vendor on loopback: what leaves the machine, and how each fault ends a connection."""

import asyncio
import base64
import json
import logging
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from minuted_daemon.adapters.openai.engine import OpenAITranscriber
from minuted_daemon.adapters.openai.stream import LIMITS, Limits, OpenAIStream
from minuted_daemon.core.events import TextCompleted, TextFailed, TextGrew, TranscriberEvent, UtteranceId
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError
from tests.adapters.openai.scripted import KEY, TRANSCRIPTION, Peer, Script, Vendor, vendor

U = UtteranceId
TENTH = np.ones(2400, dtype=np.int16)


@asynccontextmanager
async def engine(
    script: Script | None = None, limits: Limits = LIMITS, model: str = "gpt-live-transcribe"
) -> AsyncIterator[tuple[OpenAITranscriber, Vendor]]:
    async with vendor(script) as peer:
        transcriber = OpenAITranscriber(peer.base_url, KEY, model, ("en",), ("Ada",), "low", limits)
        try:
            yield transcriber, peer
        finally:
            await transcriber.close()


@asynccontextmanager
async def stream(script: Script, limits: Limits = LIMITS) -> AsyncIterator[OpenAIStream]:
    async def greeted(peer: Peer) -> None:
        await peer.greet()
        await script(peer)

    async with engine(greeted, limits) as (transcriber, _):
        opened = await transcriber.open(())
        try:
            yield opened
        finally:
            await opened.close()


async def collect(opened: OpenAIStream) -> list[TranscriberEvent]:
    return [event async for event in opened.events()]


async def fault_of(opened: OpenAIStream) -> VendorError:
    with pytest.raises(VendorError) as caught:
        await collect(opened)
    return caught.value


async def refused(script: Script, limits: Limits = LIMITS) -> VendorError:
    async with engine(script, limits) as (transcriber, _):
        with pytest.raises(VendorError) as caught:
            await transcriber.open(())
    assert_no_secret(caught.value)
    return caught.value


def assert_no_secret(error: BaseException) -> None:
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


async def idle(peer: Peer) -> None:
    await peer.socket.wait_closed()


async def test_a_connection_from_beginning_to_end() -> None:
    got: list[dict[str, object]] = []
    given: list[dict[str, object]] = []

    async def script(peer: Peer) -> None:
        given.append(await peer.greet())
        while True:
            got.append(message := await peer.told())
            match message["type"]:
                case "input_audio_buffer.append":
                    await peer.tell(TRANSCRIPTION + "delta", item_id=f"item_{len(got) > 4}", delta=f"d{len(got)} ")
                case "input_audio_buffer.commit":
                    item = f"item_{len(got) > 4}"
                    await peer.tell("input_audio_buffer.committed", item_id=item, previous_item_id=None)
                    await peer.tell("conversation.item.added", item={})
                    await peer.tell(TRANSCRIPTION + "completed", item_id=item, transcript=f" final {item} ")
                    await peer.tell(TRANSCRIPTION + "completed", item_id=item, transcript="twice")

    async with engine(script) as (transcriber, peer):
        opened = await transcriber.open(("de", "fr"))
        assert 3500 < (opened.expires_in_s or 0) <= 3601
        audio = np.arange(10_000).astype(np.int16)
        await opened.append(U(7), audio)  # 4800 + 4800 + 400
        await opened.append(U(7), audio[:0])
        events = opened.events()
        told = [await anext(events) for _ in range(3)]
        await opened.commit(U(7))
        told.append(await anext(events))
        await opened.append(U(9), TENTH)
        told.append(await anext(events))
        await opened.commit(U(9))
        told.append(await anext(events))
        assert opened.seconds_sent == pytest.approx(12_400 / 24_000)
        await opened.close()
        await opened.close()
        assert [event async for event in events] == []
    assert told == [
        *(TextGrew(U(7), f"d{count} ") for count in (1, 2, 3)),
        TextCompleted(U(7), "final item_False"),
        TextGrew(U(9), "d5 "),
        TextCompleted(U(9), "final item_True"),
    ]
    sent = b"".join(base64.b64decode(str(message["audio"])) for message in got[:3])
    assert sent == audio.astype("<i2").tobytes()
    assert [message["type"] for message in got[3:]] == [
        "input_audio_buffer." + x for x in ("commit", "append", "commit")
    ]
    assert got[3]["event_id"] != got[5]["event_id"]
    assert peer.paths == ["/v1/realtime?intent=transcription"]
    assert peer.authorizations == [f"Bearer {KEY}"]
    assert peer.betas == [None]
    assert given[0]["turn_detection"] is None
    assert given[0]["transcription"] == {
        "model": "gpt-live-transcribe",
        "languages": ["de", "fr"],
        "keywords": ["Ada"],
        "delay": "low",
    }


def test_capabilities_and_a_cheap_start() -> None:
    told = OpenAITranscriber("https://api.example/v1", KEY, "gpt-live-transcribe").capabilities
    assert (told.name, told.rate_hz, told.min_commit_s) == ("openai", 24_000, 0.1)
    code = "import sys, minuted_daemon.adapters.openai.engine; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=15).returncode == 0


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "reason"),
    [
        (401, {}, f'{{"error":{{"message":"{KEY}"}}}}', Rejected, "KEY_REJECTED"),
        (403, {}, "", Rejected, "ACCESS_DENIED"),
        (429, {"Retry-After": "3"}, "", Unavailable, "RATE_LIMITED"),
        (429, {}, '{"error":{"code":"insufficient_quota"}}', Rejected, "QUOTA_EXHAUSTED"),
        (503, {}, "", Unavailable, "VENDOR_DOWN"),
    ],
)
async def test_refused_upgrades_are_told_apart(
    status: int, headers: dict[str, str], body: str, kind: type[VendorError], reason: str
) -> None:
    async with engine() as (transcriber, peer):
        peer.status, peer.headers, peer.body = status, headers, body.encode()
        with pytest.raises(kind) as caught:
            await transcriber.open(())
        assert caught.value.reason == reason
        assert getattr(caught.value, "retry_after_s", None) == (3.0 if headers else None)
        assert len(peer.paths) == 1
        assert_no_secret(caught.value)


async def test_a_bad_key_told_after_the_upgrade() -> None:
    async def script(peer: Peer) -> None:
        await peer.refuse("invalid_api_key")
        await peer.socket.close(3000, "invalid_request_error.invalid_api_key")

    assert (await refused(script)).reason == "KEY_REJECTED"


@pytest.mark.parametrize(("code", "reason"), [(3000, "KEY_REJECTED"), (4000, "CONFIG_REJECTED"), (1011, "CLOSED_1011")])
async def test_a_close_instead_of_a_session(code: int, reason: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.socket.close(code, f"for {KEY}")

    assert (await refused(script)).reason == reason


async def test_a_vendor_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        transcriber = OpenAITranscriber(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", KEY, "gpt-live-transcribe")
        with pytest.raises(Unavailable) as caught:
            await transcriber.open(())
        await transcriber.close()
    assert caught.value.reason == "VENDOR_DOWN"


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "a\nb"])
async def test_what_cannot_be_a_key_is_not_sent(key: str) -> None:
    async with vendor() as peer:
        with pytest.raises(Rejected) as caught:
            await OpenAITranscriber(peer.base_url, key, "gpt-live-transcribe").open(())
        assert caught.value.reason == "KEY_REJECTED"
        assert peer.paths == []


async def test_the_key_never_travels_in_the_clear() -> None:
    with pytest.raises(Rejected) as caught:
        await OpenAITranscriber("http://192.0.2.1/v1", KEY, "gpt-live-transcribe").open(())
    assert caught.value.reason == "INSECURE_URL"


async def test_a_refused_option_is_dropped_once() -> None:
    updates: list[dict[str, object]] = []

    async def script(peer: Peer) -> None:
        await peer.tell("session.created", session={})
        for param in ("session.audio.input.transcription.keywords", None):
            updates.append((await peer.told())["session"]["audio"]["input"]["transcription"])
            if param is not None:
                await peer.refuse("invalid_value", param=param)
        await peer.tell("session.updated", session={})
        await idle(peer)

    async with engine(script) as (transcriber, _):
        opened = await transcriber.open(())
        assert 3290 < (opened.expires_in_s or 0) <= 3300
        await opened.close()
    assert [set(update) for update in updates] == [
        {"model", "languages", "keywords", "delay"},
        {"model", "languages", "delay"},
    ]


async def test_settings_refused_twice_are_refused_for_good() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        for _ in range(2):
            await peer.told()
            await peer.refuse("invalid_value", param=None)
        await idle(peer)

    assert (await refused(script)).reason == "CONFIG_REJECTED"


async def test_a_refused_model_is_refused_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        await peer.told()
        await peer.refuse("invalid_value", param="session.audio.input.transcription.model")
        await idle(peer)

    assert (await refused(script)).reason == "CONFIG_REJECTED"


async def test_settings_that_are_never_confirmed() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        await peer.tell("something.new")
        await idle(peer)

    assert (await refused(script, replace(LIMITS, configure_s=0.1))).reason == "CONFIG_TIMEOUT"


async def test_a_session_that_is_never_created() -> None:
    assert (await refused(idle, replace(LIMITS, open_s=1.0))).reason == "VENDOR_TIMEOUT"


async def test_a_vendor_that_keeps_its_turn_detection() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        await peer.told()
        await peer.tell("session.updated", session={"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
        await idle(peer)

    assert (await refused(script)).reason == "CONFIG_REJECTED"


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (1000, "", "CLOSED_1000"),
        (1001, "maximum duration of 60 minutes", "SESSION_EXPIRED"),
        (1001, "", "CLOSED_1001"),
        (1011, KEY, "CLOSED_1011"),
    ],
)
async def test_a_close_names_its_code_to_reader_and_sender(code: int, text: str, reason: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.socket.close(code, text)

    async with stream(script) as opened:
        fault = await fault_of(opened)
        assert isinstance(fault, Unavailable)
        assert fault.reason == reason
        assert_no_secret(fault)
        with pytest.raises(Unavailable) as again:
            await opened.append(U(1), TENTH)
        assert again.value is fault


async def test_a_reset_is_a_lost_connection() -> None:
    async def script(peer: Peer) -> None:
        peer.socket.transport.abort()

    async with stream(script) as opened:
        assert (await fault_of(opened)).reason == "CLOSED_1006"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("session_expired", Unavailable, "SESSION_EXPIRED"),
        ("insufficient_quota", Rejected, "QUOTA_EXHAUSTED"),
        ("rate_limit_exceeded", Unavailable, "RATE_LIMITED"),
    ],
)
async def test_errors_that_end_the_connection(code: str, kind: type[VendorError], reason: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.refuse(code)
        await idle(peer)

    async with stream(script) as opened:
        fault = await fault_of(opened)
        assert isinstance(fault, kind)
        assert fault.reason == reason
        assert_no_secret(fault)
        with pytest.raises(kind):
            await opened.commit(U(1))


async def test_errors_that_do_not() -> None:
    async def script(peer: Peer) -> None:
        await peer.refuse("invalid_value")
        commit = await peer.told()
        await peer.refuse("input_audio_buffer_commit_empty", event_id=commit["event_id"])
        await peer.told()
        await peer.tell("input_audio_buffer.committed", item_id="a")
        await peer.tell(TRANSCRIPTION + "failed", item_id="a", error={"type": "server_error", "message": "429"})
        await idle(peer)

    async with stream(script) as opened:
        await opened.commit(U(1))
        await opened.commit(U(2))
        events = opened.events()
        assert await anext(events) == TextCompleted(U(1), "")
        assert await anext(events) == TextFailed(U(2), "RATE_LIMITED")
        assert opened.counts == {"error": 1}


async def test_a_failed_item_over_quota_is_refused_for_good() -> None:
    async def script(peer: Peer) -> None:
        await peer.told()
        await peer.tell("input_audio_buffer.committed", item_id="a")
        await peer.tell(TRANSCRIPTION + "failed", item_id="a", error={"code": "insufficient_quota"})
        await idle(peer)

    async with stream(script) as opened:
        await opened.commit(U(1))
        assert (await fault_of(opened)).reason == "QUOTA_EXHAUSTED"


async def test_a_commit_without_an_answer() -> None:
    async with stream(idle, replace(LIMITS, committed_s=0.2, tick_s=0.05)) as opened:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(fault_of(opened))  # waits already when the commit is sent
            await asyncio.sleep(0)
            await opened.append(U(1), TENTH)
            await opened.commit(U(1))
        assert reading.result().reason == "COMMIT_LOST"


async def test_a_clear_and_what_comes_after_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.told()
        await peer.tell(TRANSCRIPTION + "delta", item_id="a", delta="wrong")
        assert (await peer.told())["type"] == "input_audio_buffer.clear"
        await peer.tell(TRANSCRIPTION + "delta", item_id="a", delta="voice")
        await peer.tell("input_audio_buffer.cleared")
        assert (await peer.told())["type"] == "input_audio_buffer.append"
        await peer.tell(TRANSCRIPTION + "delta", item_id="b", delta="right")
        await idle(peer)

    async with stream(script) as opened:
        events = opened.events()
        await opened.append(U(1), TENTH)
        assert await anext(events) == TextGrew(U(1), "wrong")
        await opened.clear(U(1))
        await opened.clear(U(1))  # nothing is open any more: nothing is sent
        await opened.append(U(2), TENTH)
        assert await anext(events) == TextGrew(U(2), "right")


async def test_a_peer_that_stops_reading_costs_one_deadline() -> None:
    async def script(peer: Peer) -> None:
        peer.socket.transport.pause_reading()
        await idle(peer)

    async with stream(script, replace(LIMITS, send_s=0.2)) as opened:
        minute = np.zeros(24_000 * 60, dtype=np.int16)
        loop = asyncio.get_running_loop()
        fault: VendorError | None = None
        while fault is None:
            before = loop.time()
            try:
                await opened.append(U(1), minute)
            except VendorError as exc:
                fault = exc
        assert fault.reason == "SEND_TIMEOUT"
        assert loop.time() - before < 2
        assert await fault_of(opened) is fault


async def test_a_frozen_peer_is_found_by_its_missing_pongs() -> None:
    async def script(peer: Peer) -> None:
        peer.socket.transport.pause_reading()
        await idle(peer)

    async with stream(script, replace(LIMITS, ping_every_s=0.1, ping_wait_s=0.1)) as opened:
        assert (await fault_of(opened)).reason == "PING_TIMEOUT"


async def test_nonsense_without_end_is_garbled() -> None:
    async def script(peer: Peer) -> None:
        for _ in range(30):
            await peer.socket.send("<html>")
        await idle(peer)

    async with stream(script) as opened:
        assert isinstance(await fault_of(opened), Garbled)


async def test_close_ends_the_reader_without_an_error_and_in_time() -> None:
    async def script(peer: Peer) -> None:
        peer.socket.transport.pause_reading()  # does not answer the close either
        await idle(peer)

    async with stream(script) as opened, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(collect(opened))
        await asyncio.sleep(0)
        before = asyncio.get_running_loop().time()
        await opened.close()
        assert asyncio.get_running_loop().time() - before < 2
        assert await reading == []
        with pytest.raises(Unavailable) as caught:
            await opened.append(U(1), TENTH)
        assert caught.value.reason == "STREAM_CLOSED"


async def test_giving_up_on_opening_leaves_nothing_behind() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.socket.wait_closed()
        gone.set()

    async with engine(script) as (transcriber, peer):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await transcriber.open(())
        if peer.paths:
            await gone.wait()


async def test_no_logger_ever_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    names = ("websockets", "websockets.client", "openai", "httpx", "httpcore", "asyncio")

    async def script(peer: Peer) -> None:
        await peer.told()
        await peer.refuse("invalid_value")
        await peer.socket.close(1011, KEY)

    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG):
            logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
            async with stream(script) as opened:
                await opened.append(U(1), TENTH)
                await fault_of(opened)
    finally:
        for name in (*names, "websockets.server"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert caplog.records
    assert KEY not in caplog.text
    assert json.dumps(KEY) not in caplog.text

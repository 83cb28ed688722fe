"""The stream against a scripted vendor on loopback: what leaves the machine, and how each fault ends a connection."""

import asyncio
import base64
import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from minuted_daemon.adapters.openai.stream import LIMITS
from minuted_daemon.core.events import TextCompleted, TextFailed, TextGrew
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError
from tests.adapters.openai.scripted import (
    KEY,
    TENTH,
    TRANSCRIPTION,
    Peer,
    U,
    assert_no_secret,
    collect,
    engine,
    fault_of,
    idle,
    stream,
)


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
            logging.getLogger("websockets.client").debug("this would be seen")
            async with stream(script) as opened:
                await opened.append(U(1), TENTH)
                await fault_of(opened)
    finally:
        for name in (*names, "websockets.server"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert caplog.records
    assert KEY not in caplog.text
    assert json.dumps(KEY) not in caplog.text

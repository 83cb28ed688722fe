"""The engine against a scripted vendor on loopback: what leaves the machine, and how each fault ends a stream."""

import asyncio
import json
import logging
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection

from minuted_daemon.adapters.pyannote.engine import LIMITS, Limits, PyannoteDiarizer, PyannoteStream
from minuted_daemon.core.events import DiarizerEvent, MessageUnusable, SpeakerEnded, SpeakerStarted
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError
from tests.adapters.pyannote.scripted import KEY, TOKEN, Script, Vendor, ended, started, vendor

SILENCE = np.zeros(1600, dtype=np.int16)


@asynccontextmanager
async def engine(
    script: Script | None = None, limits: Limits = LIMITS
) -> AsyncIterator[tuple[PyannoteDiarizer, Vendor]]:
    async with vendor(script) as peer:
        diarizer = PyannoteDiarizer(peer.base_url, KEY, 18_000, limits)
        try:
            yield diarizer, peer
        finally:
            await diarizer.close()


@asynccontextmanager
async def stream(script: Script, limits: Limits = LIMITS) -> AsyncIterator[PyannoteStream]:
    async with engine(script, limits) as (diarizer, _):
        opened = await diarizer.open()
        try:
            yield opened
        finally:
            await opened.close()


async def collect(opened: PyannoteStream) -> list[DiarizerEvent]:
    return [event async for event in opened.events()]


async def fault_of(opened: PyannoteStream) -> VendorError:
    with pytest.raises(VendorError) as caught:
        await collect(opened)
    return caught.value


def assert_no_secret(error: BaseException) -> None:
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert TOKEN not in shown
    assert KEY not in shown


async def idle(peer: ServerConnection) -> None:
    await peer.wait_closed()


async def test_a_stream_from_beginning_to_end() -> None:
    got: list[str | bytes] = []

    async def script(peer: ServerConnection) -> None:
        async for message in peer:
            got.append(message)
            if len(got) == 3:
                await peer.send(started("SPEAKER_00", 0.1))
                await peer.send('{"type":"news"}')
            if isinstance(message, str):
                await peer.send(ended("SPEAKER_00", 0.25))
                return

    async with engine(script) as (diarizer, peer):
        opened = await diarizer.open()
        block = np.arange(1600, dtype=np.int16)
        for _ in range(3):
            await opened.send(block)
        events = opened.events()
        assert await anext(events) == SpeakerStarted("SPEAKER_00", 1600)
        await opened.finish()
        rest = [event async for event in events]
        assert rest == [MessageUnusable("messages of type news"), SpeakerEnded("SPEAKER_00", 4000)]
        assert opened.seconds_sent == pytest.approx(0.3)
        assert opened.counts == {"unknown": 1}
        await opened.close()
        await opened.close()
    assert [len(frame) for frame in got[:3]] == [6400] * 3
    assert np.frombuffer(got[0], "<f4")[1] == pytest.approx(1 / 32768)  # type: ignore[call-overload]
    assert json.loads(got[3]) == {"type": "end_of_stream"}
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/live HTTP/1.1")
    assert f"authorization: bearer {KEY}".encode() in head.lower()
    assert body == b"{}"


async def test_every_open_asks_for_a_stream_of_its_own() -> None:
    async with engine(idle) as (diarizer, peer):
        one, two = await diarizer.open(), await diarizer.open()
        await one.close()
        await two.close()
    assert len(peer.requests) == peer.opened == 2


def test_capabilities() -> None:
    told = PyannoteDiarizer("https://api.example", KEY, 18_000).capabilities
    assert (told.name, told.lag_s, told.max_stream_s) == ("pyannote", 0.5, 18_000)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [(401, Rejected, "KEY_REJECTED"), (402, Rejected, "PAYMENT_REQUIRED"), (500, Unavailable, "VENDOR_DOWN")],
)
async def test_refusals_are_told_apart(status: int, kind: type[VendorError], reason: str) -> None:
    async with engine() as (diarizer, peer):
        peer.headers = {"Via": "1.1 cdn.example"}
        peer.status, peer.body = status, b'{"requestId":"r","message":"no"}'
        with pytest.raises(kind) as caught:
            await diarizer.open()
        assert caught.value.reason == reason
        assert len(peer.requests) == 1
        assert_no_secret(caught.value)


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (407, {}, b"", "PROXY_REFUSED"),
        (403, {"Content-Type": "text/html; charset=utf-8"}, b"Access denied", "GATEWAY_REFUSED"),
        (401, {"Via": "1.1 proxy"}, b"", "GATEWAY_REFUSED"),
        (502, {}, b"\n<!DOCTYPE html>", "GATEWAY_FAILED"),
    ],
)
async def test_what_somebody_on_the_way_refuses_is_told_as_theirs(
    status: int, headers: dict[str, str], body: bytes, reason: str
) -> None:
    async with engine() as (diarizer, peer):
        peer.status, peer.headers, peer.body = status, headers, body
        with pytest.raises(Unavailable) as caught:
            await diarizer.open()
        assert caught.value.reason == reason
        assert "proxy" in caught.value.message.lower()


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_any_success_with_a_stream_opens_it(status: int) -> None:
    async with engine(idle) as (diarizer, peer):
        peer.status = status
        await (await diarizer.open()).close()
        assert peer.opened == 1


async def test_a_success_without_a_stream_is_nonsense() -> None:
    async with engine() as (diarizer, peer):
        peer.status, peer.body = 204, b""
        with pytest.raises(Garbled):
            await diarizer.open()


async def test_a_rate_limit_says_how_long() -> None:
    async with engine() as (diarizer, peer):
        peer.status, peer.headers = 429, {"Retry-After": "2", "X-RateLimit-Reset": "9"}
        with pytest.raises(Unavailable) as caught:
            await diarizer.open()
        assert (caught.value.reason, caught.value.retry_after_s) == ("RATE_LIMITED", 2.0)


@pytest.mark.parametrize("body", [b"<html>", b'{"id":"a","url":"ws://198.51.100.7/x"}', b"x" * 100_000])
async def test_a_nonsense_answer_is_garbled(body: bytes) -> None:
    async with engine() as (diarizer, peer):
        peer.body = body
        with pytest.raises(Garbled):
            await diarizer.open()
        assert peer.opened == 0


async def test_a_vendor_that_does_not_answer_in_time() -> None:
    async with engine(limits=replace(LIMITS, create_s=0.1)) as (diarizer, peer):
        peer.delay_s = 0.5
        with pytest.raises(Unavailable) as caught:
            await diarizer.open()
        assert caught.value.reason == "VENDOR_TIMEOUT"


async def test_a_vendor_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        diarizer = PyannoteDiarizer(f"http://127.0.0.1:{port}", KEY, 18_000)
        with pytest.raises(Unavailable) as caught:
            await diarizer.open()
        await diarizer.close()
    assert caught.value.reason == "VENDOR_DOWN"
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("key", ["", "  ", "two words", "schlüssel", "a\nb"])
async def test_what_cannot_be_a_key_is_not_sent(key: str) -> None:
    async with vendor() as peer:
        with pytest.raises(Rejected) as caught:
            await PyannoteDiarizer(peer.base_url, key, 18_000).open()
        assert caught.value.reason == "KEY_REJECTED"
        assert peer.requests == []


async def test_the_key_never_travels_in_the_clear() -> None:
    with pytest.raises(Rejected) as caught:
        await PyannoteDiarizer("http://192.0.2.1", KEY, 18_000).open()
    assert caught.value.reason == "INSECURE_URL"


async def answered(raw: bytes) -> VendorError:
    """Open against a vendor whose socket answers the upgrade with these bytes and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        writer.close()

    async with engine() as (diarizer, peer), await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        peer.socket_url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/live?token={TOKEN}"
        with pytest.raises(VendorError) as caught:
            await diarizer.open()
        assert_no_secret(caught.value)
        return caught.value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"HTTP/1.1 403 Used\r\nContent-Length: 0\r\n\r\n", "OPEN_REFUSED"),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 4\r\nRetry-After: 4\r\nContent-Length: 0\r\n\r\n", "RATE_LIMITED"),
        (b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n", "VENDOR_DOWN"),
        (b"HTTP/1.1 302 Go\r\nLocation: ws://127.0.0.1:1/?token=x\r\nContent-Length: 0\r\n\r\n", "BAD_ANSWER"),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "BAD_ANSWER"),
        (b"", "VENDOR_DOWN"),
    ],
)
async def test_a_socket_that_is_refused(raw: bytes, reason: str) -> None:
    assert (await answered(raw)).reason == reason


async def test_a_socket_that_opens_too_late() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with (
        engine(limits=replace(LIMITS, open_s=0.1)) as (diarizer, peer),
        await asyncio.start_server(never, "127.0.0.1", 0) as server,
    ):
        peer.socket_url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/live?token={TOKEN}"
        with pytest.raises(Unavailable) as caught:
            await diarizer.open()
    assert caught.value.reason == "VENDOR_TIMEOUT"
    assert_no_secret(caught.value)


@pytest.mark.parametrize("code", [1000, 1008, 1011])
async def test_a_close_names_its_code_to_reader_and_sender(code: int) -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(started("A", 0))
        await peer.close(code, f"policy {TOKEN}")

    async with stream(script) as opened:
        events = opened.events()
        assert await anext(events) == SpeakerStarted("A", 0)
        with pytest.raises(Unavailable) as caught:
            await anext(events)
        assert caught.value.reason == f"CLOSED_{code}"
        assert_no_secret(caught.value)
        with pytest.raises(Unavailable) as again:
            await opened.send(SILENCE)
        assert again.value is caught.value


async def test_a_reset_is_a_lost_connection() -> None:
    async def script(peer: ServerConnection) -> None:
        peer.transport.abort()

    async with stream(script) as opened:
        assert (await fault_of(opened)).reason == "CLOSED_1006"


async def test_an_error_event_ends_both_directions() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(json.dumps({"type": "error", "message": f"failed for {TOKEN}"}))
        await peer.wait_closed()

    async with stream(script) as opened:
        fault = await fault_of(opened)
        assert fault.reason == "VENDOR_ERROR"
        assert_no_secret(fault)
        with pytest.raises(Unavailable):
            await opened.send(SILENCE)


async def test_a_message_too_large_is_garbled() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send("x" * 200_000)
        await peer.wait_closed()

    async with stream(script) as opened:
        assert isinstance(await fault_of(opened), Garbled)


async def test_a_peer_that_stops_reading_costs_one_deadline() -> None:
    async def script(peer: ServerConnection) -> None:
        peer.transport.pause_reading()
        await peer.wait_closed()

    async with stream(script, replace(LIMITS, send_s=0.2, lead_s=1e6)) as opened:
        loop = asyncio.get_running_loop()
        fault: VendorError | None = None
        while fault is None:
            before = loop.time()
            try:
                await opened.send(SILENCE)
            except VendorError as exc:
                fault = exc
        assert fault.reason == "SEND_TIMEOUT"
        assert loop.time() - before < 1
        assert await fault_of(opened) is fault


async def test_a_frozen_peer_is_found_by_its_missing_pongs() -> None:
    async def script(peer: ServerConnection) -> None:
        peer.transport.pause_reading()
        await peer.wait_closed()

    async with stream(script, replace(LIMITS, ping_every_s=0.1, ping_wait_s=0.1)) as opened:
        assert (await fault_of(opened)).reason == "PING_TIMEOUT"


async def test_a_flush_that_never_ends_is_cut_short() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(started("A", 0))
        await peer.wait_closed()

    async with stream(script, replace(LIMITS, finish_s=0.2)) as opened:
        loop = asyncio.get_running_loop()
        events = opened.events()
        assert await anext(events) == SpeakerStarted("A", 0)
        async with asyncio.TaskGroup() as tasks:
            rest = tasks.create_task(collect_rest(events))  # waiting already when the deadline is set
            await asyncio.sleep(0)
            before = loop.time()
            await opened.finish()
        assert rest.result() == []
        assert 0.15 < loop.time() - before < 1.5


async def collect_rest(events: AsyncIterator[DiarizerEvent]) -> list[DiarizerEvent]:
    return [event async for event in events]


async def test_a_break_during_the_flush_is_told() -> None:
    async def script(peer: ServerConnection) -> None:
        async for message in peer:
            if isinstance(message, str):
                await peer.close(1011)

    async with stream(script) as opened:
        await opened.finish()
        await opened.finish()
        assert (await fault_of(opened)).reason == "CLOSED_1011"


async def test_nothing_is_sent_after_the_end() -> None:
    async with stream(idle) as opened:
        await opened.finish()
        with pytest.raises(Unavailable) as caught:
            await opened.send(SILENCE)
        assert caught.value.reason == "STREAM_CLOSED"


async def test_close_ends_the_reader_without_an_error_and_in_time() -> None:
    async def script(peer: ServerConnection) -> None:
        peer.transport.pause_reading()  # does not answer the close either
        await peer.wait_closed()

    async with stream(script) as opened, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(collect(opened))
        await asyncio.sleep(0)
        before = asyncio.get_running_loop().time()
        await opened.close()
        assert asyncio.get_running_loop().time() - before < 2
        assert await reading == []
        await opened.finish()


async def test_a_backlog_leaves_no_faster_than_the_lead_allows() -> None:
    got = 0

    async def script(peer: ServerConnection) -> None:
        nonlocal got
        async for _ in peer:
            got += 1

    async with stream(script, replace(LIMITS, lead_s=0.5)) as opened:
        loop = asyncio.get_running_loop()
        before = loop.time()
        for _ in range(10):
            await opened.send(SILENCE)
        took = loop.time() - before
    assert 0.48 < took < 1.5  # 1 s of audio, of which 0.5 s may lead


async def test_no_logger_ever_shows_the_token_or_the_key(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.recv()
        await peer.close(1011, TOKEN)

    with caplog.at_level(logging.DEBUG):
        for name in ("websockets", "websockets.client", "httpx", "httpcore", "asyncio"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
        try:
            async with stream(script) as opened:
                await opened.send(SILENCE)
                await fault_of(opened)
        finally:
            for name in ("websockets", "websockets.client", "websockets.server", "httpx", "httpcore", "asyncio"):
                logging.getLogger(name).setLevel(logging.NOTSET)
    assert caplog.records
    assert TOKEN not in caplog.text
    assert KEY not in caplog.text

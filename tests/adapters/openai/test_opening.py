"""Opening a connection to a scripted vendor on loopback: the settings, and each way to be refused."""

import asyncio
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from minuted_daemon.adapters.openai.engine import OpenAITranscriber
from minuted_daemon.adapters.openai.stream import LIMITS
from minuted_daemon.errors import Rejected, Unavailable, VendorError
from tests.adapters.openai.scripted import KEY, Peer, assert_no_secret, engine, idle, refused, vendor


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
        (407, {"Proxy-Authenticate": "Basic"}, "", Unavailable, "PROXY_REFUSED"),
        (403, {}, "<html>Blocked by policy</html>", Unavailable, "GATEWAY_REFUSED"),
        (
            403,
            {"Via": "1.1 cdn"},
            '{"error":{"code":"unsupported_country"}}',
            Rejected,
            "ACCESS_DENIED",
        ),
        (401, {"Via": "1.1 gate.example (squid)"}, "", Unavailable, "GATEWAY_REFUSED"),
        (502, {"Content-Type": "text/html"}, "oops", Unavailable, "GATEWAY_FAILED"),
        (404, {}, '{"error":{}}', Rejected, "CONFIG_REJECTED"),
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
        assert getattr(caught.value, "retry_after_s", None) == (3.0 if "Retry-After" in headers else None)
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


async def test_transcription_never_ends_because_of_a_hint() -> None:
    """However many options are refused, in whatever order, and whether or not the refusal names them."""
    updates: list[dict[str, object]] = []

    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        params = ["session.audio.input.transcription.delay", "session.audio.input.transcription.languages", None]
        for param in params:
            updates.append((await peer.told())["session"]["audio"]["input"]["transcription"])
            await peer.refuse("invalid_value", param=param)
        updates.append((await peer.told())["session"]["audio"]["input"]["transcription"])
        await peer.tell("session.updated", session={})
        await idle(peer)

    async with engine(script) as (transcriber, _):
        opened = await transcriber.open(())
        remarks = opened.remarks["HINTS_LEFT_OUT"]
        await opened.close()
    assert updates[-1] == {"model": "gpt-live-transcribe"}
    assert all(name in remarks for name in ("delay", "languages", "keywords"))


async def test_settings_refused_without_any_hint_are_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        while True:
            await peer.told()
            await peer.refuse("invalid_value", param=None)

    assert (await refused(script)).reason == "CONFIG_REJECTED"


@pytest.mark.parametrize("code", [1011, 4000])
async def test_a_server_that_breaks_off_over_hints_is_told_none(code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        update = await peer.told()
        if set(update["session"]["audio"]["input"]["transcription"]) > {"model"}:
            await peer.socket.close(code, "extra fields not permitted")
            return
        await peer.tell("session.updated", session={})
        await idle(peer)

    async with engine(script) as (transcriber, peer):
        if code == 1011:  # which may be anything, once
            with pytest.raises(Unavailable):
                await transcriber.open(())
        opened = await transcriber.open(())
        assert "breaks off" in opened.remarks["HINTS_LEFT_OUT"]
        await opened.close()
        assert len(peer.paths) == (3 if code == 1011 else 2)


async def test_a_server_that_breaks_off_anyway_is_not_blamed_on_hints() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        await peer.told()
        await peer.socket.close(1011)

    async with engine(script) as (transcriber, _):
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                await transcriber.open(())
            assert caught.value.reason == "CLOSED_1011"


async def test_where_refusals_take_their_time_no_hint_is_sent() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        update = await peer.told()
        while set(update["session"]["audio"]["input"]["transcription"]) > {"model"}:
            await peer.refuse("invalid_value", param="session.audio.input.transcription.keywords")
            update = await peer.told()
        await peer.tell("session.updated", session={})
        await idle(peer)

    async with engine(script, replace(LIMITS, hints_s=0.0)) as (transcriber, _):
        await (await transcriber.open(())).close()


async def test_a_refused_model_is_refused_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        await peer.told()
        await peer.refuse("invalid_value", param="session.audio.input.transcription.model")
        await idle(peer)

    assert (await refused(script)).reason == "CONFIG_REJECTED"


@pytest.mark.parametrize(
    "error",
    [
        {"type": "server_error", "code": "server_error", "param": None},
        {"type": "invalid_request_error", "code": "server_error", "param": None},
        {"type": "server_error", "code": "internal_error", "param": "session.audio.input.transcription.model"},
        {"type": "invalid_request_error", "code": "invalid_value", "event_id": "commit_7"},
        {"type": "invalid_request_error", "code": "invalid_value", "param": "audio"},
        {"type": "something_new", "code": None, "param": None},
    ],
)
async def test_an_error_that_names_no_setting_is_no_refusal(error: dict[str, object]) -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        await peer.told()
        await peer.tell("error", error={"message": f"said {KEY}", **error})
        await idle(peer)

    fault = await refused(script)
    assert isinstance(fault, Unavailable)
    assert fault.reason == "CONFIG_FAILED"


async def test_an_error_of_an_item_is_no_refusal() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        await peer.told()
        error = {"type": "server_error", "code": "server_error"}
        await peer.tell("conversation.item.input_audio_transcription.failed", item_id="i", error=error)
        await idle(peer)

    assert isinstance(await refused(script), Unavailable)


async def test_a_rate_limit_while_configured_is_waited_for() -> None:
    async def script(peer: Peer) -> None:
        await peer.tell("session.created")
        await peer.told()
        await peer.refuse("rate_limit_exceeded")
        await idle(peer)

    fault = await refused(script)
    assert isinstance(fault, Unavailable)
    assert fault.reason == "RATE_LIMITED"


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

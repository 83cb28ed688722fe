"""The pyannote stand-in is as strict as the vendor, and hears what it is sent."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.meeting import RATE_HZ, Meeting, Segment, load_meeting, meeting_of, render
from tests.fakes.pyannote_server import PyannoteStandIn
from tests.fakes.pyannote_stream import Knobs

SILENCE = bytes(6400)
KEY = {"Authorization": "Bearer k"}


def seconds(*spans: tuple[str, float, float]) -> list[Segment]:
    return [Segment(who, round(a * RATE_HZ), round(b * RATE_HZ)) for who, a, b in spans]


@pytest.fixture(scope="module")
def meeting() -> Meeting:
    return meeting_of("small", seconds(("a", 0.5, 2.0), ("b", 1.5, 3.0), ("a", 3.3, 4.0)), 5 * RATE_HZ)


def frames(meeting: Meeting, start_s: float = 0.0, end_s: float | None = None) -> list[bytes]:
    pcm = render(meeting)[round(start_s * RATE_HZ) : None if end_s is None else round(end_s * RATE_HZ)]
    floats = (pcm.astype("<f4") / 32768).tobytes()
    return [floats[at : at + 6400] for at in range(0, len(floats) - 6399, 6400)]


async def post(standin: PyannoteStandIn, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{standin.base_url}/v1/live", headers=options.pop("headers", KEY), **options)


@asynccontextmanager
async def streaming(standin: PyannoteStandIn) -> Any:
    url = (await post(standin, json={})).json()["url"]
    async with connect(url, compression=None) as socket:
        yield socket


async def events_until_close(socket: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    got = []
    try:
        async with asyncio.timeout(10):
            while True:
                got.append(json.loads(await socket.recv()))
    except ConnectionClosed as closed:
        return got, closed.rcvd.code if closed.rcvd else 1006


def plain(events: list[dict[str, Any]]) -> list[tuple[str, float, str]]:
    return [(e["type"].rsplit("_", 1)[1], e["data"]["timestamp"], e["data"]["speaker"]) for e in events]


async def test_events_are_those_of_what_was_heard(meeting: Meeting) -> None:
    knobs = Knobs(permute_labels=False)
    async with PyannoteStandIn([meeting], knobs).running() as standin, streaming(standin) as socket:
        for frame in frames(meeting, 0.2):
            await socket.send(frame)
        await socket.send('{"type": "end_of_stream"}')
        events, code = await events_until_close(socket)
    assert code == 1000
    assert plain(events) == [
        ("start", 0.3, "SPEAKER_00"),
        ("start", 1.3, "SPEAKER_01"),
        ("end", 1.8, "SPEAKER_00"),
        ("end", 2.8, "SPEAKER_01"),
        ("start", 3.1, "SPEAKER_00"),
        ("end", 3.8, "SPEAKER_00"),
    ]
    told = standin.stats()["connections"][0]
    assert told["seconds"] == 4.8
    start, end = (sample / 16_000 for sample in told["span"])
    assert (start, end) == (pytest.approx(0.2, abs=0.03), pytest.approx(5.0, abs=0.03))


async def test_a_mute_ends_speech_and_speech_is_open_until_the_end(meeting: Meeting) -> None:
    knobs = Knobs(permute_labels=False)
    async with PyannoteStandIn([meeting], knobs).running() as standin, streaming(standin) as socket:
        sound = frames(meeting)
        for frame in [*sound[5:10], *[SILENCE] * 10, *sound[20:25]]:
            await socket.send(frame)
        await socket.send('{"type": "end_of_stream"}')
        events, _ = await events_until_close(socket)
    assert plain(events) == [
        ("start", 0.0, "SPEAKER_00"),
        ("end", pytest.approx(0.5, abs=0.005), "SPEAKER_00"),
        ("start", pytest.approx(1.5, abs=0.005), "SPEAKER_01"),
        ("end", pytest.approx(2.0, abs=0.005), "SPEAKER_01"),
    ]


async def test_events_come_a_latency_after_their_audio(meeting: Meeting) -> None:
    loop = asyncio.get_running_loop()
    async with PyannoteStandIn([meeting], Knobs(latency_s=0.3)).running() as standin, streaming(standin) as socket:
        began = loop.time()
        for number, frame in enumerate(frames(meeting)[:6]):
            await asyncio.sleep(began + number * 0.1 - loop.time())
            await socket.send(frame)
        async with asyncio.timeout(2):
            await socket.recv()
        # The sample of 0.5 s is heard with the frame sent at 0.5 s, as if it had come at 0.4 s.
        assert 0.68 < loop.time() - began < 0.9


async def test_each_session_has_labels_of_its_own(meeting: Meeting) -> None:
    seen = set()
    async with PyannoteStandIn([meeting]).running() as standin:
        for _ in range(3):
            async with streaming(standin) as socket:
                for frame in frames(meeting)[:12]:
                    await socket.send(frame)
                await socket.send('{"type": "end_of_stream"}')
                events, _ = await events_until_close(socket)
                seen.add(events[0]["data"]["speaker"])
    assert len(seen) > 1


async def test_knobs_spoil_the_events() -> None:
    meeting = load_meeting("IB4010", 600, 30)
    knobs = Knobs(
        duplicate_ends=0.3,
        orphan_ends=0.3,
        zero_length=0.3,
        lost_ends=0.2,
        out_of_order=0.5,
        split_until_s=30,
        pace_s=99,
    )
    async with PyannoteStandIn([meeting], knobs).running() as standin, streaming(standin) as socket:
        for frame in frames(meeting):
            await socket.send(frame)
        await socket.send('{"type": "end_of_stream"}')
        events, code = await events_until_close(socket)
    stamps = [stamp for _, stamp, _ in plain(events)]
    assert code == 1000
    assert stamps != sorted(stamps)
    assert len({label for _, _, label in plain(events)}) > len(meeting.speakers)


async def test_http_is_checked(meeting: Meeting) -> None:
    script = [
        {"at": "post", "do": "status", "nth": 4, "status": 429, "retry_after": 7},
        {"at": "post", "do": "nonsense", "nth": 5},
    ]
    async with PyannoteStandIn([meeting], Knobs(key="k"), script).running() as standin:
        assert (await post(standin, headers={})).status_code == 401
        assert (await post(standin, headers={"Authorization": "Bearer x"})).status_code == 401
        assert (await post(standin, json=[1])).status_code == 400
        limited = await post(standin)
        assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
        with pytest.raises(ValueError, match="Expecting value"):
            (await post(standin)).json()
        made = await post(standin)  # an empty body will do
        assert set(made.json()) == {"id", "url"}
        assert made.headers["X-RateLimit-Limit"] == "100"
        async with httpx.AsyncClient(trust_env=False, headers=KEY) as client:
            found = await client.get(f"{standin.base_url}/v1/live/{made.json()['id']}")
        assert found.json()["status"] == "created"


async def test_a_url_works_once(meeting: Meeting) -> None:
    async with PyannoteStandIn([meeting]).running() as standin:
        url = (await post(standin)).json()["url"]
        async with connect(url):
            pass
        for again in (url, url.split("?")[0]):
            with pytest.raises(InvalidStatus) as refused:
                await connect(again)
            assert refused.value.response.status_code == 403


@pytest.mark.parametrize("frame", [bytes(6396), bytes(3200), b""])
async def test_a_frame_of_another_size_is_an_error(meeting: Meeting, frame: bytes) -> None:
    async with PyannoteStandIn([meeting]).running() as standin, streaming(standin) as socket:
        await socket.send(frame)
        assert json.loads(await socket.recv())["type"] == "error"


async def test_pace_and_idleness_are_violations(meeting: Meeting) -> None:
    async with PyannoteStandIn([meeting], Knobs(idle_s=0.3)).running() as standin:
        async with streaming(standin) as socket:
            for _ in range(49):
                await socket.send(SILENCE)
            assert (await events_until_close(socket))[1] == 1008  # idle, not ahead
        async with streaming(standin) as socket:
            for _ in range(60):
                await socket.send(SILENCE)
            assert (await events_until_close(socket))[1] == 1008
        first, second = standin.stats()["connections"]
        assert (first["pace_violations"], second["pace_violations"]) == (0, 1)
        assert first["silent_frames"] == 49
        assert first["largest_lead_s"] == pytest.approx(4.9, abs=0.1)


async def test_audio_after_the_end_is_an_error(meeting: Meeting) -> None:
    script = [{"at": "end", "do": "never_close"}]
    async with PyannoteStandIn([meeting], script=script).running() as standin, streaming(standin) as socket:
        await socket.send('{"type": "end_of_stream"}')
        await socket.send(SILENCE)
        assert json.loads(await socket.recv())["type"] == "error"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await socket.recv()


@pytest.mark.parametrize(
    ("do", "code"), [({"do": "close", "code": 1011}, 1011), ({"do": "reset"}, 1006), ({"do": "error_then_close"}, 1011)]
)
async def test_streams_break_as_scripted(meeting: Meeting, do: dict[str, Any], code: int) -> None:
    script = [{"at": "stream", "nth": 2, "after_s": 1.0, **do}]
    async with PyannoteStandIn([meeting], script=script).running() as standin:
        for number in (1, 2):
            async with streaming(standin) as socket:
                for _ in range(9 if number == 2 else 15):
                    await socket.send(SILENCE)
                if number == 2:
                    await socket.send(SILENCE)
                    assert (await events_until_close(socket))[1] == code


async def test_a_frozen_reader_takes_no_more(meeting: Meeting) -> None:
    script = [{"at": "stream", "do": "freeze", "after_s": 0.1}]
    async with PyannoteStandIn([meeting], script=script).running() as standin:
        url = (await post(standin)).json()["url"]
        socket = await connect(url, compression=None, ping_interval=None, close_timeout=0.1)

        async def send_for_ever() -> None:
            async with asyncio.timeout(1):
                while True:
                    await socket.send(bytes(1 << 16))

        with pytest.raises(TimeoutError):
            await send_for_ever()
        socket.transport.abort()


@pytest.mark.parametrize("mode", ["reset", "status", "hang"])
async def test_an_outage_refuses_everything_but_control(meeting: Meeting, mode: str) -> None:
    async with PyannoteStandIn([meeting]).running() as standin, httpx.AsyncClient(trust_env=False) as client:
        async with streaming(standin) as socket:
            order = {"outage": {"for_s": 0.5, "mode": mode}}
            assert (await client.post(f"{standin.base_url}/_control", json=order)).status_code == 200
            if mode == "status":
                assert (await post(standin)).status_code == 503
            else:
                with pytest.raises(httpx.HTTPError):
                    await post(standin)
            assert (await client.get(f"{standin.base_url}/_stats")).json()["refused_in_outage"] == {mode: 1}
            assert (await events_until_close(socket))[1] == (1011 if mode == "status" else 1006)
        async with asyncio.timeout(2):
            while True:
                try:
                    if (await post(standin)).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass


async def test_nonsense_orders_are_refused(meeting: Meeting) -> None:
    async with PyannoteStandIn([meeting]).running() as standin, httpx.AsyncClient(trust_env=False) as client:
        for order in ({"knobs": {"latency": 1}}, {"fault": []}, {"faults": [{"at": "post"}]}):
            assert (await client.post(f"{standin.base_url}/_control", json=order)).status_code == 400

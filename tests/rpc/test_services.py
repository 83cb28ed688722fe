"""Every RPC of the contract through a real server and the SDK."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

import minuted
from minuted.aio import AsyncClient
from minuted.v1.sessions_pb2 import StartSessionRequest
from minuted.v1.sessions_pb2_grpc import SessionServiceStub
from minuted_daemon.core.records import Health, Link, OverlapRecord, SessionState, StoredTurn, TurnLife
from minuted_daemon.errors import Denied, DeviceError, StoreError, Unavailable, WrongState
from minuted_daemon.service.views import Links, PartialTurn
from tests.rpc.conftest import Room
from tests.rpc.material import UP, interval, partial, session, speaker, turn


async def test_a_session_from_start_to_stop(room: Room, client: AsyncClient) -> None:
    started = await client.start(
        "boardroom", device="usb-mic", languages=["en"], fallback="local", channels=[2, 1], mix="first"
    )
    assert (list(started.channels), started.mix) == ([2, 1], "first")
    assert started.name == "boardroom"
    assert started.device == "usb-mic"
    assert started.state == minuted.SessionState.SESSION_STATE_RUNNING
    assert started.capture_link.health == minuted.LinkHealth.LINK_HEALTH_UP
    assert not started.degraded
    assert list(started.languages) == ["en"]
    assert started.fallback == "local"
    assert started.diarizer_sent.ToSeconds() == 0
    assert (await client.start("boardroom", device="usb-mic")).id == started.id
    with pytest.raises(minuted.Error) as caught:
        await client.start("boardroom", device="other")
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.ALREADY_EXISTS, "SESSION_EXISTS")
    assert caught.value.facts == {"session": started.id}
    assert (await client.session("boardroom")).id == started.id
    stopped = await client.stop(started.id)
    assert stopped.state == minuted.SessionState.SESSION_STATE_STOPPED
    assert stopped.HasField("end_time")
    assert not stopped.HasField("capture_link")


async def test_lists_are_paged(room: Room, client: AsyncClient) -> None:
    records = [session(f"room-{n}", SessionState.STOPPED) for n in range(7)]
    await room.publisher.write(records, "")
    names = [one.name async for one in client.sessions(page_size=3)]
    assert names == [record.name for record in reversed(records)]
    turns = [turn(records[0], start=n) for n in range(7)]
    await room.publisher.write(turns, records[0].name)
    assert [one.id async for one in client.turns("room-0", page_size=3)] == [one.id for one in turns]


async def test_a_turn_is_told_completely(room: Room, client: AsyncClient) -> None:
    record = session()
    ada, bob = speaker(record, "S1", "Ada"), speaker(record, "S2")
    said = replace(turn(record, ada, start=197_440), overlapping=(OverlapRecord(bob.id, 1),), generation=4)
    await room.publisher.write([record, ada, bob, said], record.name)
    (listed,) = [one async for one in client.turns(record.id)]
    async with aclosing(client.watch(record.id, after=3)) as stream:
        streamed = (await anext(stream)).turn
    for got in (listed, streamed):
        assert got.speaker == minuted.Speaker(id=ada.id, label="S1", display_name="Ada")
        assert got.overlapping_speakers[0].speaker.label == "S2"
        assert got.overlapping_speakers[0].duration.ToNanoseconds() == 62_500
        assert got.start_offset.ToJsonString() == "12.340s"
        assert got.end_offset.ToJsonString() == "13.340s"
        assert got.start_time.ToJsonString() == "2023-11-14T22:13:20.340Z"
        assert got.latency.ToJsonString() == "0.250s"
        assert (got.seq, got.revision, got.session_name) == (4, 0, "boardroom")
        assert got.state == minuted.TurnState.TURN_STATE_FINAL
        assert got.attribution == minuted.Attribution.ATTRIBUTION_DIARIZED
        assert got.text_source == minuted.TextSource.TEXT_SOURCE_COMPLETED
    assert [one.display_name for one in await client.speakers("boardroom")] == ["Ada", ""]


async def test_everything_streams(room: Room, client: AsyncClient) -> None:
    record = session()
    async with aclosing(client.watch(partials=True)) as stream:
        assert (await anext(stream)).caught_up.seq == 0
        ada = speaker(record)
        await room.publisher.write([record, ada, interval(record)], record.name)
        kinds = [(await anext(stream)).WhichOneof("event") for _ in range(3)]
        assert kinds == ["session", "speaker", "interval"]
        growing = turn(record)
        room.hub.publish_partial(PartialTurn(partial(growing, record.name)))
        told = (await anext(stream)).turn
        assert told.state == minuted.TurnState.TURN_STATE_PARTIAL
        assert told.seq == 0
        assert not told.HasField("latency")
        assert not told.HasField("speaker")
        assert told.text_source == minuted.TextSource.TEXT_SOURCE_UNSPECIFIED
        gone = StoredTurn(replace(growing, life=TurnLife.RETRACTED), record.name)
        room.hub.publish_partial(PartialTurn(gone))
        assert (await anext(stream)).turn.state == minuted.TurnState.TURN_STATE_RETRACTED


async def test_heartbeats(room: Room, client: AsyncClient) -> None:
    await room.stop()
    await room.serve(heartbeat_s=0.05)
    async with aclosing(client.watch()) as stream:
        kinds = [(await anext(stream)).WhichOneof("event") for _ in range(3)]
    assert kinds == ["caught_up", "heartbeat", "heartbeat"]


async def test_watch_sessions(room: Room, client: AsyncClient) -> None:
    await client.start("boardroom")
    await client.start("attic")
    ended = await client.stop("attic")
    async with aclosing(client.watch_sessions()) as stream:
        first = await anext(stream)
        assert first.name == "boardroom"
        lost = Link(Health.DOWN, "CONNECTION_LOST", "the connection was lost", 1_800_000_000.5, 1_800_000_004.0)
        down = Links(UP.capture, lost, UP.transcriber)
        room.sessions.links[first.id] = down
        room.hub.touch(first.id)
        degraded = await anext(stream)
        assert degraded.degraded
        assert degraded.diarizer_link.reason == "CONNECTION_LOST"
        assert degraded.diarizer_link.since.ToJsonString() == "2027-01-15T08:00:00.500Z"
        assert degraded.diarizer_link.next_attempt.ToJsonString() == "2027-01-15T08:00:04Z"
        room.hub.touch(first.id)  # nothing changed: nothing is told
        foreign = replace(down, diarizer=Link(Health.UP, "FELL_BACK", "the local one serves instead"))
        room.sessions.links[first.id] = foreign
        room.hub.touch(first.id)
        told = await anext(stream)
        assert told.degraded, "it works, but not as it was meant to"
        assert told.diarizer_link.health == minuted.LinkHealth.LINK_HEALTH_UP
        await client.start("lab")
        assert (await anext(stream)).name == "lab"
        await client.stop("boardroom")
        assert (await anext(stream)).state == minuted.SessionState.SESSION_STATE_STOPPED
    assert ended.id not in room.sessions.links


async def test_refused_links_are_asked_again(room: Room, client: AsyncClient) -> None:
    started = await client.start("boardroom")
    assert not await client.retry()
    refused = Link(Health.REFUSED, "KEY_REJECTED", "it refuses the key", 1_800_000_000.0, 1_800_000_600.0)
    room.sessions.links[started.id] = replace(UP, transcriber=refused)
    for found in (await client.retry(), await client.retry("boardroom")):
        (one,) = found
        assert (one.session_id, one.session_name, one.role, one.engine) == (
            started.id,
            "boardroom",
            "transcriber",
            "openai",
        )
        assert one.asked
        assert one.link.health == minuted.LinkHealth.LINK_HEALTH_REFUSED
        assert one.link.next_attempt.ToSeconds() - one.link.since.ToSeconds() == 600
    with pytest.raises(minuted.Error) as unknown:
        await client.retry("nowhere")
    assert unknown.value.reason == "SESSION_NOT_FOUND"


async def test_devices_and_info(room: Room, client: AsyncClient) -> None:
    await client.start("boardroom")
    devices = await client.devices()
    assert [(one.name, one.is_default) for one in devices] == [("built-in", True), ("usb-mic", False)]
    info = await client.info()
    assert info.store_id == "01STORE"
    assert (info.highest_seq, info.live_sessions) == (1, 1)
    assert (info.auto_diarizer, info.auto_transcriber) == ("local", "local")
    assert info.engines[0] == minuted.Engine(name="pyannote", role="diarizer", reason="KEY_MISSING")
    assert info.version
    assert info.uptime.ToNanoseconds() > 0


@pytest.mark.parametrize(
    "name", ["9.41.00\u202fAM.wav", "a\u00a0b.wav", "\u4f1a\u8b70\u3000.wav", "\U0001f468\u200d\U0001f469.wav"]
)
async def test_a_file_may_have_any_name_that_can_be_shown(name: str, client: AsyncClient) -> None:
    assert (await client.start("room", device=f"file:/srv/{name}")).device == f"file:/srv/{name}"
    with pytest.raises(minuted.Error, match="device"):
        await client.start("other", device=f"file:/srv/{name}\u2028")


async def test_every_wrong_field_is_named_at_once(client: AsyncClient) -> None:
    with pytest.raises(minuted.Error) as caught:
        await client.start(
            "Board Room",
            device="file:a.wav",
            diarizer="alexa",
            transcriber="none",
            languages=["?"],
            fallback="other",
            channels=[0],
            mix="stereo",
        )
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert set(caught.value.facts) == {"name", "device", "diarizer", "languages", "fallback", "channels", "mix"}
    assert all(field in caught.value.message for field in caught.value.facts)
    with pytest.raises(minuted.Error, match="transcriber"):
        await client.start("a", diarizer="none", transcriber="none")
    with pytest.raises(minuted.Error) as caught:
        [one async for one in client.turns("", page_size=1001)]
    assert set(caught.value.facts) == {"session", "page_size"}
    with pytest.raises(minuted.Error) as caught:
        await anext(client.watch(after=-1))
    assert set(caught.value.facts) == {"after_seq"}
    for ask in (client.session, client.stop, client.speakers):
        with pytest.raises(minuted.Error, match="session: required"):
            await ask("")


async def test_not_found_and_cursor_ahead(client: AsyncClient) -> None:
    for asking in (
        client.session("attic"),
        client.stop("attic"),
        client.speakers("attic"),
        anext(client.turns("attic")),
        anext(client.watch("attic")),
    ):
        with pytest.raises(minuted.Error) as caught:
            await asking
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
    with pytest.raises(minuted.Error) as caught:
        await anext(client.watch(after=7))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_AHEAD")
    assert caught.value.facts["store_id"] == "01STORE"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WrongState("KEY_MISSING", "there is no key"), grpc.StatusCode.FAILED_PRECONDITION),
        (Denied("NOT_YOURS", "no"), grpc.StatusCode.PERMISSION_DENIED),
        (DeviceError("DEVICE_FAILED", "it broke"), grpc.StatusCode.FAILED_PRECONDITION),
        (StoreError("DISK_FULL", "the disk is full", path="/var"), grpc.StatusCode.UNAVAILABLE),
        (Unavailable("VENDOR_AWAY", "away"), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_errors_carry_reason_and_facts(
    room: Room, client: AsyncClient, error: Exception, code: grpc.StatusCode
) -> None:
    room.sessions.breaks = error
    with pytest.raises(minuted.Error) as caught:
        await client.start("boardroom")
    assert type(caught.value) is minuted.Error  # not Unreachable: it was reached
    assert (caught.value.code, caught.value.reason) == (code, error.reason)
    assert caught.value.message == error.message
    assert caught.value.facts == error.facts


async def test_errors_are_read_by_standard_means_and_fit_into_headers(room: Room) -> None:
    error = WrongState("KEY_MISSING", "kein Schlüssel ist da: " + "x" * 9_000, device="y" * 9_000, other="z" * 9_000)
    room.sessions.breaks = error
    async with grpc.aio.insecure_channel(room.address) as channel:
        call = SessionServiceStub(channel).StartSession(StartSessionRequest(name="boardroom"))
        status = await rpc_status.aio.from_call(call)  # checks that code and message agree with the details
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("KEY_MISSING", "minuted")
    assert status.message.startswith("kein Schlüssel ist da: xxx")


async def test_a_bug_is_a_bare_internal(room: Room, client: AsyncClient, capfd: pytest.CaptureFixture[str]) -> None:
    room.sessions.breaks = ZeroDivisionError("secret detail")
    with pytest.raises(minuted.Error) as caught:
        await client.start("boardroom")
    assert caught.value.code is grpc.StatusCode.INTERNAL
    assert "secret" not in caught.value.message
    assert not caught.value.facts
    out, err = capfd.readouterr()
    assert "rpc_failed" in out + err
    assert "ZeroDivisionError" in out + err


async def test_what_is_not_offered_yet_says_so(client: AsyncClient) -> None:
    for asking in (
        client.rename("a", "S1", "Ada"),
        client.merge("a", "S1", "S2"),
        anext(client.search("word")),
        anext(client.export("a", minuted.ExportFormat.EXPORT_FORMAT_SRT)),
        anext(client.levels()),
    ):
        with pytest.raises(minuted.Error) as caught:
            await asking
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_OFFERED")


async def test_health_and_reflection(room: Room) -> None:
    async with grpc.aio.insecure_channel(room.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "minuted.v1.TurnService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        (listed,) = [answer async for answer in asked]
        names = {one.name for one in listed.list_services_response.service}
        assert {
            "minuted.v1.SessionService",
            "minuted.v1.TurnService",
            "minuted.v1.SpeakerService",
            "minuted.v1.DeviceService",
            "minuted.v1.DaemonService",
            "grpc.health.v1.Health",
        } <= names
        assert room.server
        await room.server.drain()
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_stopping_tells_streams_and_does_not_wait_for_them(room: Room, client: AsyncClient) -> None:
    record = session()
    await room.publisher.write([record], record.name)
    turns, sessions = client.watch(after=0), client.watch_sessions()
    await anext(turns)
    await anext(turns)
    await room.publisher.write([turn(record)], record.name)
    assert room.server
    started = asyncio.get_running_loop().time()
    await room.server.stop(10.0)
    assert asyncio.get_running_loop().time() - started < 5
    assert (await anext(turns)).turn.text  # what was published before is still given
    interrupted = await anext(turns)
    assert isinstance(interrupted, minuted.Interrupted)
    assert interrupted.error.reason == "DAEMON_STOPPING"
    assert interrupted.cursor == 2
    await turns.aclose()
    with pytest.raises(minuted.Unreachable):
        await anext(sessions)


async def test_a_client_who_leaves_is_forgotten_at_once(room: Room, client: AsyncClient) -> None:
    streams = [client.watch() for _ in range(5)]
    for stream in streams:
        await anext(stream)
    assert room.hub.subscribers == 5
    for stream in streams:
        await stream.aclose()
    async with asyncio.timeout(2):
        while room.hub.subscribers:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

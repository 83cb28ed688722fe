"""Whatever subscribers do, control is answered; what exceeds a budget is refused with its reason and the setting."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from minuted.v1 import daemon_pb2, daemon_pb2_grpc, sessions_pb2, sessions_pb2_grpc, turns_pb2, turns_pb2_grpc
from minuted_daemon.rpc.budgets import RpcLimits
from minuted_daemon.rpc.server import start_server
from tests.rpc.conftest import Room
from tests.rpc.material import FakeCapture


@asynccontextmanager
async def served(room: Room, address: str, limits: RpcLimits) -> AsyncIterator[grpc.aio.Channel]:
    server = await start_server(
        [address], sessions=room.sessions, store=room.store, hub=room.hub, capture=FakeCapture(), limits=limits
    )
    try:
        async with grpc.aio.insecure_channel(server.addresses[0]) as channel:
            yield channel
    finally:
        await server.stop(0.1)


async def opened(channel: grpc.aio.Channel, count: int) -> list[Any]:
    """Open streams and wait until each is being served."""
    turns = turns_pb2_grpc.TurnServiceStub(channel)
    streams = [turns.StreamTurns(turns_pb2.StreamTurnsRequest(after_seq=0)) for _ in range(count)]
    for stream in streams:
        await stream.read()
    return streams


def details(error: grpc.aio.AioRpcError) -> tuple[ErrorInfo, RetryInfo]:
    raw = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    info, retry = ErrorInfo(), RetryInfo()
    status = Status.FromString(raw)  # type: ignore[arg-type]
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    return info, retry


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def _finished(call: Any) -> Any:
    return await call


async def control(channel: grpc.aio.Channel) -> None:
    sessions = sessions_pb2_grpc.SessionServiceStub(channel)
    for call in (sessions.PauseSession, sessions.StopSession):
        answer = sessions_pb2.PauseSessionRequest if call is sessions.PauseSession else sessions_pb2.StopSessionRequest
        error = await refused(call(answer(session="nobody")))
        assert error.code() is grpc.StatusCode.NOT_FOUND  # answered, not turned away
    await daemon_pb2_grpc.DaemonServiceStub(channel).GetInfo(daemon_pb2.GetInfoRequest())
    await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())


async def test_beyond_its_budget_a_stream_is_refused_and_control_is_answered(room: Room, tmp_path: Path) -> None:
    async with served(room, f"unix:{tmp_path}/b.sock", RpcLimits(streams=3)) as channel:
        streams = await opened(channel, 3)
        error = await refused(opened(channel, 1))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        info, retry = details(error)
        assert (info.reason, info.metadata["setting"], info.metadata["limit"]) == (
            "TOO_MANY_STREAMS",
            "limits.streams",
            "3",
        )
        assert retry.retry_delay.seconds >= 1
        await control(channel)
        streams.pop().cancel()
        for _ in range(50):  # until the server has seen that it is gone
            try:
                streams += await opened(channel, 1)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.01)
        else:
            pytest.fail("a stream that ended still counts")


async def test_one_connection_cannot_take_the_streams_of_all(room: Room) -> None:
    async with served(room, "127.0.0.1:0", RpcLimits(streams=10, streams_per_connection=2)) as channel:
        streams = await opened(channel, 2)
        info, _ = details(await refused(opened(channel, 1)))
        assert (info.reason, info.metadata["setting"]) == ("TOO_MANY_STREAMS", "limits.streams_per_connection")
        assert len(streams) == 2


async def test_a_watcher_of_health_counts_as_a_stream_and_its_check_does_not(room: Room, tmp_path: Path) -> None:
    async with served(room, f"unix:{tmp_path}/b.sock", RpcLimits(streams=1)) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        assert details(await refused(opened(channel, 1)))[0].reason == "TOO_MANY_STREAMS"
        await control(channel)
        watch.cancel()


async def test_beyond_their_budget_reads_are_refused(room: Room, tmp_path: Path, monkeypatch: Any) -> None:
    waiting, go_on = asyncio.Event(), asyncio.Event()
    listed = room.sessions.list

    async def slow(*given: Any, **named: Any) -> Any:
        waiting.set()
        await go_on.wait()
        return await listed(*given, **named)

    monkeypatch.setattr(room.sessions, "list", slow)
    async with served(room, f"unix:{tmp_path}/b.sock", RpcLimits(reads=1)) as channel:
        sessions = sessions_pb2_grpc.SessionServiceStub(channel)
        first = sessions.ListSessions(sessions_pb2.ListSessionsRequest())
        task = asyncio.get_running_loop().create_task(_finished(first))
        await waiting.wait()
        error = await refused(sessions.ListSessions(sessions_pb2.ListSessionsRequest()))
        info, _ = details(error)
        assert (info.reason, info.metadata["setting"]) == ("TOO_MANY_READS", "limits.reads")
        await control(channel)
        go_on.set()
        await task
        await sessions.ListSessions(sessions_pb2.ListSessionsRequest())


async def test_a_crowd_of_streams_does_not_delay_control(room: Room, tmp_path: Path) -> None:
    async with served(room, f"unix:{tmp_path}/b.sock", RpcLimits(streams=1_000)) as channel:
        await opened(channel, 1_000)
        assert details(await refused(opened(channel, 1)))[0].reason == "TOO_MANY_STREAMS"
        before = time.monotonic()
        await control(channel)
        assert time.monotonic() - before < 5  # answered at all; how fast is for a bench to say

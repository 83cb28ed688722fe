"""Bytes that are no message: the client's mistake, told as such, and nothing that the daemon's log has to explain."""

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from minuted.aio import AsyncClient
from tests.rpc.conftest import Room

NOT_UTF_8 = b"\x0a\x02\xff\xfe"
CORRUPT = b"\xff\xff\xff\xff"


async def refusal(room: Room, method: str, raw: bytes) -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(room.address) as channel:
        streams = method.endswith("StreamTurns")
        call = anext(aiter(channel.unary_stream(method)(raw))) if streams else channel.unary_unary(method)(raw)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
    return refused.value


@pytest.mark.parametrize("raw", [NOT_UTF_8, CORRUPT])
@pytest.mark.parametrize(
    "method", ["SessionService/GetSession", "SessionService/StartSession", "TurnService/StreamTurns"]
)
async def test_it_is_an_invalid_request(
    room: Room, client: AsyncClient, method: str, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    error = await refusal(room, f"/minuted.v1.{method}", raw)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    packed: AnyMessage = Status.FromString(details).details[0]
    info = ErrorInfo()
    packed.Unpack(info)
    assert info.reason == "INVALID_REQUEST"
    assert caplog.records == []
    assert (await client.start("boardroom")).name == "boardroom"

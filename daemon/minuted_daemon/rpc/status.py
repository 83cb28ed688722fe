"""Errors on their way to a client: the one place where they become a gRPC status with google.rpc.ErrorInfo."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc
import grpc.aio
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from minuted_daemon.errors import (
    AlreadyExists,
    CursorAhead,
    Denied,
    DeviceError,
    Exhausted,
    Invalid,
    MinutedError,
    NotFound,
    NotOffered,
    Stopping,
    StoreError,
    VendorError,
    WrongState,
)

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]  # generic in its stubs only

DOMAIN = "minuted"
DETAILS_KEY = "grpc-status-details-bin"
OURS = "/minuted."
MESSAGE_LIMIT = 1_000
RETRY_S = 1
"""How long a client that met a limit waits at least."""
FACT_LIMIT = 300
"""Characters that are sent: an error travels, twice, in the 8 KiB of headers that peers accept."""

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]


CODES: Mapping[type[MinutedError], grpc.StatusCode] = {
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    Denied: grpc.StatusCode.PERMISSION_DENIED,
    Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    CursorAhead: grpc.StatusCode.OUT_OF_RANGE,
    DeviceError: grpc.StatusCode.FAILED_PRECONDITION,
    VendorError: grpc.StatusCode.UNAVAILABLE,
    StoreError: grpc.StatusCode.UNAVAILABLE,
    Stopping: grpc.StatusCode.UNAVAILABLE,
    NotOffered: grpc.StatusCode.UNIMPLEMENTED,
}


def code_of(error: MinutedError) -> grpc.StatusCode:
    """Return the status code of an error: that of the nearest of its classes in the table."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def details_of(error: MinutedError) -> bytes:
    """Return the serialised google.rpc.Status with reason and facts."""
    facts = {name: fact[:FACT_LIMIT] for name, fact in error.facts.items()}
    info = AnyMessage()
    info.Pack(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts))
    details = [info]
    if isinstance(error, Exhausted):  # the same request may succeed later
        details.append(AnyMessage())
        details[-1].Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_S)))
    number, _ = code_of(error).value
    return cast(bytes, Status(code=number, message=error.message[:MESSAGE_LIMIT], details=details).SerializeToString())


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of the contract. A bug is a bare INTERNAL to the client and a traceback in the log."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Return the method's handler with its errors mapped."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(OURS):
            return handler
        reader = _reader(cast(Callable[[bytes], Any], handler.request_deserializer))
        serializers = (reader, handler.response_serializer)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(_stream(method, handler.unary_stream), *serializers)
        return grpc.unary_unary_rpc_method_handler(_unary(method, cast(Any, handler.unary_unary)), *serializers)


class _Unreadable:
    """Stands for a request whose bytes cannot be read as its message."""


def _reader(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return a reader that refuses unreadable bytes as a request; grpcio would report a fault of the daemon."""

    def reading(raw: bytes) -> Any:
        try:
            return read(raw)
        except DecodeError:
            return _Unreadable()

    return reading


def _check(request: Any) -> None:
    if isinstance(request, _Unreadable):
        raise Invalid("INVALID_REQUEST", "the request's bytes are no message that its method takes")


def _unary(method: str, behaviour: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Any], Any]:
    async def answer(request: Any, context: Context) -> Any:
        try:
            _check(request)
            if not inspect.iscoroutinefunction(behaviour):
                raise _not_offered(method)
            return await behaviour(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  # the last place that can handle it
            await refuse(context, method, error)

    return answer


def _stream(method: str, behaviour: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            _check(request)
            if not inspect.isasyncgenfunction(behaviour):
                raise _not_offered(method)
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    yield response
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  # the last place that can handle it
            await refuse(context, method, error)

    return answer


async def refuse(context: Context, method: str, error: Exception) -> NoReturn:
    """End an RPC with the status of an error; one that is not ours is a bug, and logged."""
    if isinstance(error, MinutedError):
        code = code_of(error)
        if code is not grpc.StatusCode.INTERNAL:
            await context.abort(code, error.message[:MESSAGE_LIMIT], ((DETAILS_KEY, details_of(error)),))
    log.error("rpc_failed", method=method, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the daemon's log")


def _not_offered(method: str) -> NotOffered:
    return NotOffered("NOT_OFFERED", f"this minuted does not offer {method.rpartition('/')[2]} yet")

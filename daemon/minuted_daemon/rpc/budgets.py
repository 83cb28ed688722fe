"""How many RPCs may be under way at once: streams and reads have budgets of their own, control has none.

Whatever subscribers do, a room can be muted: stop, pause, info and the health check are never refused for want of room.
What an RPC does is not this file's business.
"""

import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from minuted_daemon.errors import Exhausted
from minuted_daemon.rpc.status import OURS, refuse

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]  # generic in its stubs only

READS = frozenset({"GetTurn", "ListDevices", "ListSessions", "ListSpeakers", "ListTurns", "SearchTurns"})
"""Unary RPCs that may have much to read from the store. All other unary ones are control: short, and never refused."""


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """How many streams may be open and how many reads under way: in all, and of one connection.

    Connections over a Unix socket cannot be told apart; they count as one with the bound for all.
    """

    streams: int = 1_000
    streams_per_connection: int = 500
    reads: int = 100


class _Budget:
    """One kind of RPC. `key`: the setting that bounds it, and what such RPCs are called."""

    def __init__(self, reason: str, most: int, most_each: int, key: str) -> None:
        self._reason = reason
        self._most = most
        self._most_each = most_each
        self._key = key
        self._open: Counter[str] = Counter()

    @contextmanager
    def taken(self, peer: str) -> Iterator[None]:
        """Count one while it lasts. Raise Exhausted (TOO_MANY_STREAMS, TOO_MANY_READS) where the budget is used up."""
        if self._open.total() >= self._most:
            raise self._exhausted(self._most, self._key)
        if not peer.startswith("unix:") and self._open[peer] >= self._most_each:
            raise self._exhausted(self._most_each, f"{self._key}_per_connection")
        self._open[peer] += 1
        try:
            yield
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]

    def _exhausted(self, most: int, key: str) -> Exhausted:
        message = f"{most} {self._key} are under way already; end some, or raise limits.{key}"
        return Exhausted(self._reason, message, setting=f"limits.{key}", limit=str(most))


class BudgetInterceptor(grpc.aio.ServerInterceptor):
    """Refuses streams and reads beyond their budgets, before anything is done for them."""

    def __init__(self, limits: RpcLimits) -> None:
        self._streams = _Budget("TOO_MANY_STREAMS", limits.streams, limits.streams_per_connection, "streams")
        self._reads = _Budget("TOO_MANY_READS", limits.reads, limits.reads, "reads")

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Return the method's handler, counted if it is a stream or a read."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        serializers = (handler.request_deserializer, handler.response_serializer)
        # Health's Watch and reflection are streams like any other; their checks are control.
        if handler.unary_stream:
            counted = _counted_stream(method, handler.unary_stream, self._streams)
            return grpc.unary_stream_rpc_method_handler(counted, *serializers)
        if handler.stream_stream:
            counted = _counted_stream(method, handler.stream_stream, self._streams)
            return grpc.stream_stream_rpc_method_handler(counted, *serializers)
        if method.startswith(OURS) and method.rpartition("/")[2] in READS:
            return grpc.unary_unary_rpc_method_handler(
                _counted_read(method, handler.unary_unary, self._reads),
                *serializers,
            )
        return handler


def _counted_read(method: str, behaviour: Any, budget: _Budget) -> Callable[[Any, Any], Any]:
    async def answer(request: Any, context: Any) -> Any:
        try:
            with budget.taken(context.peer()):
                return await behaviour(request, context)
        except Exhausted as error:
            await refuse(context, method, error)

    return answer


def _counted_stream(method: str, behaviour: Any, budget: _Budget) -> Callable[[Any, Any], Any]:
    if inspect.isasyncgenfunction(behaviour):

        async def responses(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                with budget.taken(context.peer()):
                    async with aclosing(behaviour(request, context)) as answers:
                        async for response in answers:
                            yield response
            except Exhausted as error:
                await refuse(context, method, error)

        return responses

    async def answer(request: Any, context: Any) -> None:
        try:
            with budget.taken(context.peer()):
                await behaviour(request, context)
        except Exhausted as error:
            await refuse(context, method, error)

    return answer

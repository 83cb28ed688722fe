"""TurnService, but for SearchTurns and ExportTranscript, which this daemon does not offer yet."""

# Names, arguments and documentation of the methods are the contract's.
# ruff: noqa: ARG002, D102, N802

from collections.abc import AsyncIterator
from contextlib import aclosing

from minuted.v1 import turns_pb2 as pb
from minuted.v1.turns_pb2_grpc import TurnServiceServicer
from minuted_daemon.errors import Stopping
from minuted_daemon.ports.minutes import MinutesReader
from minuted_daemon.rpc import convert, requests
from minuted_daemon.rpc.status import Context
from minuted_daemon.service.feed.hub import Hub


class TurnService(TurnServiceServicer):
    """Streams turns from the hub and lists them from the store."""

    def __init__(self, store: MinutesReader, hub: Hub) -> None:
        self._store = store
        self._hub = hub

    async def StreamTurns(
        self, request: pb.StreamTurnsRequest, context: Context
    ) -> AsyncIterator[pb.StreamTurnsResponse]:
        async with aclosing(self._hub.subscribe(*requests.subscription(request))) as deliveries:
            async for delivery in deliveries:
                yield convert.delivery(delivery)
        raise Stopping

    async def ListTurns(self, request: pb.ListTurnsRequest, context: Context) -> pb.ListTurnsResponse:
        problems = requests.Problems()
        key = requests.session_key(request, problems)
        limit, token = requests.page(request, problems)
        problems.raise_any()
        session = await self._store.session(key)
        page = await self._store.turns(session.id, limit, token, request.as_delivered, request.exclude_suspect)
        return pb.ListTurnsResponse(
            turns=[convert.turn(stored) for stored in page.items], next_page_token=page.next_token or ""
        )

"""TurnService, but for SearchTurns and ExportTranscript, which this daemon does not offer yet."""

# Names, arguments and documentation of the methods are the contract's.
# ruff: noqa: ARG002, D102, N802

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing

from minuted.v1 import turns_pb2 as pb
from minuted.v1.turns_pb2_grpc import TurnServiceServicer
from minuted_daemon.errors import Stopping
from minuted_daemon.ports.store import Store
from minuted_daemon.rpc import convert, requests
from minuted_daemon.rpc.status import Context
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.views import Delivery

CONVERTED = 256


class TurnService(TurnServiceServicer):
    """Streams turns from the hub and lists them from the store."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._converted = Converted()
        hub.when_forgetting(self._converted.forget)

    async def StreamTurns(
        self, request: pb.StreamTurnsRequest, context: Context
    ) -> AsyncIterator[pb.StreamTurnsResponse]:
        async with aclosing(self._hub.subscribe(*requests.subscription(request))) as deliveries:
            async for delivery in deliveries:
                yield self._converted(delivery)
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


class Converted:
    """The last deliveries as messages: all subscribers are given the same objects, so each is converted once."""

    def __init__(self) -> None:
        # By identity; the delivery is held beside its message, so that no other object can have its id.
        self._last: OrderedDict[int, tuple[Delivery, pb.StreamTurnsResponse]] = OrderedDict()

    def __call__(self, delivery: Delivery) -> pb.StreamTurnsResponse:
        """Return a delivery's message. It is shared: nobody may change it."""
        known = self._last.get(id(delivery))
        if known:
            return known[1]
        message = convert.delivery(delivery)
        self._last[id(delivery)] = (delivery, message)
        if len(self._last) > CONVERTED:
            self._last.popitem(last=False)
        return message

    def forget(self) -> None:
        """Keep nothing of what was delivered: some of it is erased."""
        self._last.clear()

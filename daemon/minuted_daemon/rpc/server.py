"""The gRPC server: its services, addresses and shutdown."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_health.v1.health import aio as health_aio  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from minuted.v1 import (
    daemon_pb2,
    daemon_pb2_grpc,
    devices_pb2,
    devices_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    speakers_pb2,
    speakers_pb2_grpc,
    turns_pb2,
    turns_pb2_grpc,
)
from minuted_daemon.addresses import TcpAddress, UnixAddress
from minuted_daemon.errors import ConfigError
from minuted_daemon.ports.capture import Capture
from minuted_daemon.ports.minutes import MinutesReader
from minuted_daemon.rpc.budgets import BudgetInterceptor, RpcLimits
from minuted_daemon.rpc.services.daemon import DaemonService
from minuted_daemon.rpc.services.devices import DeviceService
from minuted_daemon.rpc.services.sessions import SessionService
from minuted_daemon.rpc.services.speakers import SpeakerService
from minuted_daemon.rpc.services.turns import TurnService
from minuted_daemon.rpc.sockets import SOCKET_MODE, SocketClaim, parse, why_not
from minuted_daemon.rpc.status import StatusInterceptor
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.sessions import Sessions

SERVICES = tuple(
    file.services_by_name[name].full_name
    for file, name in (
        (sessions_pb2.DESCRIPTOR, "SessionService"),
        (turns_pb2.DESCRIPTOR, "TurnService"),
        (speakers_pb2.DESCRIPTOR, "SpeakerService"),
        (devices_pb2.DESCRIPTOR, "DeviceService"),
        (daemon_pb2.DESCRIPTOR, "DaemonService"),
    )
)

OPTIONS = (
    ("grpc.so_reuseport", 0),  # or a second daemon would share the port silently
    ("grpc.max_receive_message_length", 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    # A peer whose machine is gone is dropped within 80 s; clients may ping the daemon as often.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)
STUCK_S = 2.0
"""So long behind its grace gRPC may take to stop. It has been seen to stop never, where connections broke just then."""

log = structlog.get_logger()


class Server:
    """A running server. `addresses`: where it listens, with real port numbers."""

    def __init__(
        self, server: grpc.aio.Server, health: Any, hub: Hub, claims: Sequence[SocketClaim], addresses: Sequence[str]
    ) -> None:
        self._server = server
        self._health = health
        self._hub = hub
        self._claims = list(claims)
        self.addresses = tuple(addresses)

    async def drain(self) -> None:
        """Report NOT_SERVING in the health service. RPCs are still served."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float, stuck_s: float = STUCK_S) -> None:
        """End every stream (UNAVAILABLE, DAEMON_STOPPING) after all published messages, then the server.

        RPCs still under way after `grace_s` are cancelled, and gRPC gets `stuck_s` more. Idempotent.
        """
        await self.drain()
        self._hub.close()
        try:
            async with asyncio.timeout(grace_s + stuck_s):
                await self._server.stop(grace_s)
        except TimeoutError:
            log.warning("server_stop_timed_out", waited_s=grace_s + stuck_s)
        for claim in self._claims:
            claim.release()
        self._claims.clear()


async def start_server(
    listen: Sequence[str],
    *,
    sessions: Sessions,
    store: MinutesReader,
    hub: Hub,
    capture: Capture,
    limits: RpcLimits | None = None,
) -> Server:
    """Listen at every address and serve; whoever can connect is served from then on.

    Raises ConfigError (LISTEN_INVALID, SOCKET_PATH_TOO_LONG, SOCKET_IN_USE, SOCKET_UNUSABLE, ADDRESS_UNUSABLE,
    TLS_REQUIRED) with everything that is wrong among its problems; then nothing stays open.
    """
    # No limit of grpcio's own: it would count all RPCs alike, and refuse to pause because others listen.
    interceptors = (BudgetInterceptor(limits or RpcLimits()), StatusInterceptor())
    server = grpc.aio.server(interceptors=interceptors, options=OPTIONS)
    # The RPCs that are not offered yet are those the generated classes leave abstract; status.py answers for them.
    sessions_pb2_grpc.add_SessionServiceServicer_to_server(SessionService(sessions, hub), server)
    turns_pb2_grpc.add_TurnServiceServicer_to_server(TurnService(store, hub), server)  # type: ignore[abstract]
    speakers_pb2_grpc.add_SpeakerServiceServicer_to_server(SpeakerService(store), server)  # type: ignore[abstract]
    devices_pb2_grpc.add_DeviceServiceServicer_to_server(DeviceService(capture), server)  # type: ignore[abstract]
    daemon_pb2_grpc.add_DaemonServiceServicer_to_server(DaemonService(sessions, store), server)
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection(
        (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME), server
    )

    claims: list[SocketClaim] = []
    try:
        addresses = _bind(server, listen, claims)
        for service in SERVICES:
            await health.set(service, health_pb2.HealthCheckResponse.SERVING)
        await server.start()
    except BaseException:
        await server.stop(None)
        for claim in claims:
            claim.release()
        raise
    log.info("server_started", addresses=addresses)
    return Server(server, health, hub, claims, addresses)


def _bind(server: grpc.aio.Server, listen: Sequence[str], claims: list[SocketClaim]) -> list[str]:
    addresses: list[str] = []
    wrong: list[ConfigError] = []
    for text in listen:
        try:
            address = parse(text)
            if isinstance(address, UnixAddress):
                claims.append(SocketClaim(address))
                _bind_socket(server, claims[-1])
            else:
                address = _bind_port(server, address)
            addresses.append(str(address))
        except ConfigError as error:
            wrong.append(error)
    if wrong:
        problems = tuple(problem for error in wrong for problem in error.problems)
        raise ConfigError(wrong[0].reason, "; ".join(problems), problems)
    if not addresses:
        raise ConfigError("LISTEN_INVALID", "daemon.listen names no address")
    return addresses


def _bind_socket(server: grpc.aio.Server, claim: SocketClaim) -> None:
    before = os.umask(0o777 & ~SOCKET_MODE)  # no other user may connect, not even before its mode is set
    try:
        server.add_insecure_port(f"unix:{quote(str(claim.path))}")  # gRPC reads it as a URI
    except RuntimeError as error:
        raise ConfigError("SOCKET_UNUSABLE", f"daemon.listen: gRPC cannot listen on {claim.path}") from error
    finally:
        os.umask(before)
    claim.opened()


def _bind_port(server: grpc.aio.Server, address: TcpAddress) -> TcpAddress:
    try:
        return TcpAddress(address.host, server.add_insecure_port(str(address)))
    except RuntimeError as error:
        raise ConfigError(
            "ADDRESS_UNUSABLE", f"daemon.listen: cannot listen on {address}: {why_not(address)}", address=str(address)
        ) from error

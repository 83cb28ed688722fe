"""Where the daemon is, and how the connection to it behaves. Nothing here connects."""

import os
from urllib.parse import quote

DEFAULT_ADDRESS = "unix:/run/minuted/minuted.sock"
UNIX = "unix:"
ADDRESS_VARIABLE = "MINUTED_ADDRESS"

CONNECT_DEADLINE_S = 5.0

OPTIONS: tuple[tuple[str, int], ...] = (
    # The daemon is on this machine or in this building: a proxy meant for the web must not get in between.
    ("grpc.enable_http_proxy", 0),
    # The first is also how long one attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", round(CONNECT_DEADLINE_S * 1000)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A stream says something every 15 s; a peer whose machine is gone is found out within 40 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # Two clients of one process must not share one connection and its flow control.
    ("grpc.use_local_subchannel_pool", 1),
)


def choose(address: str | None) -> str:
    """Give the address to use: the one given, else that of MINUTED_ADDRESS, else the daemon's default."""
    return address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS


def target(address: str) -> str:
    """Turn an address (`unix:/path`, `host:port`, `tcp:host:port`) into gRPC's own notation."""
    if address.startswith(UNIX):
        return UNIX + quote(address.removeprefix(UNIX))  # a path is taken as it is; gRPC would read it as a URI
    return address.removeprefix("tcp:").removeprefix("//")

"""Where the daemon is, and how the connection to it behaves. Nothing here connects."""

import os
from ipaddress import ip_address
from urllib.parse import quote

DEFAULT_ADDRESS = "unix:/run/minuted/minuted.sock"
UNIX = "unix:"
ADDRESS_VARIABLE = "MINUTED_ADDRESS"

LONGEST_SOCKET_PATH = 107
"""Bytes; the kernel's own limit."""

CONNECT_DEADLINE_S = 5.0

_HIGHEST_PORT = 65_535
_EXAMPLE_PORT = 7310
_EXAMPLE = f"127.0.0.1:{_EXAMPLE_PORT}"
_GRPC_SCHEMES = ("dns", "ipv4", "ipv6", "unix-abstract")  # other ways of gRPC's to name a server, taken as they are

OPTIONS: tuple[tuple[str, int], ...] = (
    # The daemon is on this machine or in this building: a proxy meant for the web must not get in between.
    ("grpc.enable_http_proxy", 0),
    # The first is also how long one attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", round(CONNECT_DEADLINE_S * 1000)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A stream says something every 15 s; a dead peer is noticed within 40 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # Two clients of one process must not share one connection and its flow control.
    ("grpc.use_local_subchannel_pool", 1),
)


class InvalidAddress(ValueError):
    """An address has an unknown form. The text says what is wrong, and how an address is written."""


def choose(address: str | None) -> str:
    """Return the address to use: the one given, else that of MINUTED_ADDRESS, else the daemon's default."""
    return address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS


def target(address: str) -> str:
    """Return an address (`unix:PATH`, `HOST:PORT`, `tcp:HOST:PORT`) in gRPC's own notation.

    Raises InvalidAddress.
    """
    kind, colon, rest = address.partition(":")
    if colon and kind == "unix":
        return UNIX + quote(_socket_path(address, rest))  # a path is taken as it is; gRPC would read it as a URI
    if colon and kind in _GRPC_SCHEMES:
        return address
    if not address.isprintable() or any(char.isspace() for char in address):
        raise InvalidAddress(f"{address!r} is no address: it holds spaces or control characters")
    if hint := _likely(address):
        raise InvalidAddress(f'"{address}" {hint}')
    return _host_and_port(address)


def _socket_path(address: str, path: str) -> str:
    if path.startswith("//") and not path.startswith("///"):
        absolute = f"{UNIX}/{path.removeprefix('//')}"
        raise InvalidAddress(f'"{address}" begins with two slashes; with one it is an absolute path: {absolute}')
    if not path:
        raise InvalidAddress(f"{UNIX} must be followed by the path of a socket: {DEFAULT_ADDRESS}")
    if path.endswith("/"):
        raise InvalidAddress(f'"{address}" is a directory; name the socket in it: {address}minuted.sock')
    path = f"/{path.lstrip('/')}" if path.startswith("/") else path
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise InvalidAddress(f"the path of a socket has at most {LONGEST_SOCKET_PATH} bytes; {path} has more")
    return path


def _likely(address: str) -> str | None:
    """Return the likely meaning of an address in an unknown form."""
    kind, _, rest = address.partition(":")
    if "://" in address and kind != "tcp":
        host = rest.removeprefix("//").partition("/")[0] or _EXAMPLE
        return f"is a URL, and minuted is no web server; an address has no {kind}://, as in {host}"
    if kind.lower() in ("unix", "tcp") and kind not in ("unix", "tcp"):
        return f"must begin with small letters: {kind.lower()}:{rest}"
    if address.startswith(("/", "./", "../", "~/")) or address.endswith(".sock"):
        return f"is a path; the address of a socket is {UNIX} and its path: {UNIX}{address}"
    return None


def _host_and_port(address: str) -> str:
    place = address.removeprefix("tcp:").removeprefix("//")
    host, _, port = place.rpartition(":")
    if place.count(":") > 1 and not (host.startswith("[") and host.endswith("]")):
        if not _is_ipv6(host):
            whole = f"[{place.strip('[]')}]:{_EXAMPLE_PORT}"
            raise InvalidAddress(f'"{address}" has no port after an address in brackets, as in {whole}')
        place = f"[{host}]:{port}"
    if ":" not in place:
        if place.isdecimal():
            raise InvalidAddress(f'"{address}" names no host; write 127.0.0.1:{place}')
        raise InvalidAddress(f'"{address}" has no port; write {place}:PORT, as in {place}:{_EXAMPLE_PORT}')
    if not host:
        raise InvalidAddress(f'"{address}" names no host; write 127.0.0.1:{port}')
    if not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= _HIGHEST_PORT:
        raise InvalidAddress(f'"{address}" has no port that can be: it is a number from 1 to {_HIGHEST_PORT}')
    return place


def _is_ipv6(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

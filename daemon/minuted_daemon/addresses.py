"""Addresses: where the daemon may listen, and which hosts may be reached without encryption (this machine alone).

One rule for configuration, server and vendors. Clients read the same forms (clients/python/minuted/address.py).
"""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from minuted_daemon.errors import ConfigError

LONGEST_SOCKET_PATH = 107
"""Bytes; the kernel's own limit."""
_HIGHEST_PORT = 65_535
_EXAMPLE_PORT = 7310


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system; its mode and group decide who may connect."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A port on the loopback interface. Port 0: any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_listen(address: str) -> UnixAddress | TcpAddress:
    """Read `unix:/PATH`, `HOST:PORT` or `tcp:HOST:PORT`.

    Raises ConfigError (LISTEN_INVALID, SOCKET_PATH_TOO_LONG, TLS_REQUIRED) whose text begins with what is wrong.
    """
    if address.startswith("unix:"):
        return UnixAddress(_socket_path(address.removeprefix("unix:")))
    if not address.isprintable() or any(char.isspace() for char in address):
        raise _invalid("it holds spaces or control characters")
    if hint := _likely(address):
        raise _invalid(hint)
    place = address.removeprefix("tcp:").removeprefix("//")
    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if place.count(":") > 1 and not _is_ip(host):
        raise _invalid(f"an IPv6 address is followed by a port and stands in brackets, as in [::1]:{_EXAMPLE_PORT}")
    if ":" not in place and not place.isdecimal():
        raise _invalid(f"it has no port; write HOST:PORT, as in 127.0.0.1:{_EXAMPLE_PORT}, or unix:PATH")
    if not host:
        raise _invalid(f"it names no host; write 127.0.0.1:{port}")
    if not (port.isascii() and port.isdecimal()) or int(port) > _HIGHEST_PORT:
        raise _invalid(f"its port must be a number from 0 to {_HIGHEST_PORT}")
    if not is_loopback(host):
        message = f"it is not on loopback, and without TLS nothing else is served; write 127.0.0.1:{port}"
        raise ConfigError("TLS_REQUIRED", message)
    return TcpAddress(host, int(port))


def _socket_path(path: str) -> Path:
    if path.startswith("//") and not path.startswith("///"):
        absolute = f"unix:/{path.removeprefix('//')}"
        raise _invalid(f"it begins with two slashes; with one it is an absolute path: {absolute}")
    if not path.startswith("/"):
        raise _invalid("the path of a socket must be absolute: unix:/run/minuted/minuted.sock")
    if path.endswith("/"):
        raise _invalid("it is a directory; name a socket in it, as in unix:/run/minuted/minuted.sock")
    path = f"/{path.lstrip('/')}"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        message = f"the path of a socket may have {LONGEST_SOCKET_PATH} bytes; {path} has more"
        raise ConfigError("SOCKET_PATH_TOO_LONG", message)
    return Path(path)


def _likely(address: str) -> str | None:
    """Return the likely meaning of an address in an unknown form."""
    kind, _, rest = address.partition(":")
    if "://" in address and kind != "tcp":
        return f"it is a URL; an address has no {kind}://, as in 127.0.0.1:{_EXAMPLE_PORT}"
    if kind.lower() in ("unix", "tcp") and kind not in ("unix", "tcp"):
        return f"it must begin with small letters: {kind.lower()}:{rest}"
    if address.startswith(("/", "./", "../", "~/")) or address.endswith(".sock"):
        return f"it is a path; a socket is written as unix:{address}"
    return None


def _invalid(problem: str) -> ConfigError:
    return ConfigError("LISTEN_INVALID", problem)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine. An IPv6 address comes without its brackets."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(url: str, secure: str = "https", plain: str = "http") -> bool:
    """Return whether a URL is safe from readers on the way: the secure scheme, or the plain one on loopback."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == secure or (parts.scheme == plain and is_loopback(host or "")))

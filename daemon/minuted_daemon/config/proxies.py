"""Which proxy a URL is reached through: decided from a setting and from environment variables, by curl's rules. Pure.

One rule for the configuration check and for every connection, so that an HTTP request and a WebSocket never part ways.
Where this departs from curl, it takes more: NO_PROXY may also hold ports, white space between names, and `*` in a list.
Source: curl's manual (ENVIRONMENT, --proxy, --noproxy) and its lib/noproxy.c.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

NO_PROXY_AT_ALL = "none"
"""The setting that keeps every connection off any proxy, whatever the environment says."""

SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_ALIASES = {"socks": "socks4"}  # as curl takes it
_USUAL_PORT = 1080  # curl's, for every kind of proxy but https
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_LIKE = {"ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. `origin` says where it was named, for a message; user and password are never shown."""

    scheme: str
    host: str
    port: int
    origin: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The proxy for a message: no user, no password."""
        return f"{_bracketed(self.host)}:{self.port} ({self.origin})"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads to; the host of an IPv6 address has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def shown(self) -> str:
        """The place for a message."""
        return f"{_bracketed(self.host)}:{self.port}"


def target_of(url: str) -> Target:
    """Return where a URL of http, https, ws or wss leads to. Raise ValueError for any other."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("no address of http, https, ws or wss")
    return Target(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])


def parse_proxy(value: str, origin: str) -> Proxy:
    """Read a proxy's address, `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]`.

    Raise ValueError with what is wrong; the value, which may hold a password, is never repeated.
    """
    scheme, divider, rest = value.strip().partition("://")
    if not divider:
        scheme, rest = "http", value.strip()
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    if scheme not in SCHEMES:
        raise ValueError(f"names a kind of proxy that is not supported; there are {', '.join(SCHEMES)}")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, place = authority.rpartition("@")
    host, port = _host_and_port(place, _PORTS["https"] if scheme == "https" else _USUAL_PORT)
    user, colon, password = login.partition(":")
    user, password = unquote(user), unquote(password)
    if scheme.startswith("http") and ":" in user:
        raise ValueError("has a user name with a colon, which no HTTP proxy takes")
    if any(ord(c) < 32 for c in user + password):
        raise ValueError("has control characters in its user or password")
    if not at or not (user or colon):
        return Proxy(scheme, host, port, origin)
    return Proxy(scheme, host, port, origin, user, password)


def _host_and_port(place: str, usual: int) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+(?:%25?\w+)?\]|[^\[\]:\s]+)(?::(\d*))?", place)
    if match is None:
        raise ValueError("must be an address such as http://proxy.example.com:3128")
    host, digits = match.group(1).strip("[]"), match.group(2)
    port = int(digits) if digits else usual
    if not 0 < port <= 65_535:
        raise ValueError("has a port that is not from 1 to 65535")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise ValueError("has a host name that cannot be one") from None
    return host, port


class Proxies:
    """Decides for each URL. `setting`: a proxy's address, `none`, or empty for the environment's variables.

    NO_PROXY counts in either case, as with curl's --proxy.
    """

    def __init__(self, setting: str = "", environ: Mapping[str, str] | None = None) -> None:
        self._setting = setting
        self._environ = {} if environ is None else environ

    def chosen(self, url: str) -> Proxy | None:
        """Return the proxy to reach a URL through, None for a direct connection.

        Raise ValueError, beginning with the variable's or the setting's name, where it names no usable proxy.
        """
        target = target_of(url)
        named = self._named(target.scheme)
        if named is None or self.excepted(target):
            return None
        origin, value = named
        try:
            return parse_proxy(value, origin)
        except ValueError as error:
            where = origin if origin == "network.proxy" else f"{origin} (in the environment)"
            raise ValueError(f"{where}: {error}") from None

    def excepted(self, target: Target) -> bool:
        """Return whether NO_PROXY takes a target from the proxy."""
        _, value = self._first(("no_proxy", "NO_PROXY")) or ("", "")
        return excepts(value, target.host, target.port)

    def passed_over(self, url: str) -> str | None:
        """Return the name of a variable that looks as if it counted for a URL and does not: HTTP_PROXY in capitals."""
        http = _LIKE.get(target_of(url).scheme, target_of(url).scheme) == "http"
        if self._setting or not http or self._named("http") is not None or not self._environ.get("HTTP_PROXY"):
            return None
        return "HTTP_PROXY"

    def _named(self, scheme: str) -> tuple[str, str] | None:
        if self._setting:
            return None if self._setting == NO_PROXY_AT_ALL else ("network.proxy", self._setting)
        names: list[str] = []
        for word in dict.fromkeys((scheme, _LIKE.get(scheme, scheme))):
            # In capitals, http_proxy may be what a web client sent (CGI): curl does not read it, nor does this.
            names += [f"{word}_proxy"] + ([f"{word}_proxy".upper()] if word != "http" else [])
        return self._first((*names, "all_proxy", "ALL_PROXY"))

    def _first(self, names: Sequence[str]) -> tuple[str, str] | None:
        """Return the first variable that is set and not empty."""
        return next(((name, value) for name in names if (value := self._environ.get(name, "").strip())), None)


def excepts(no_proxy: str, host: str, port: int) -> bool:
    """Return whether a NO_PROXY list names a host (an IPv6 address without brackets) at this port."""
    address = _address(host)
    name = host.rstrip(".").lower()
    for entry in re.split(r"[,\s]+", no_proxy.strip()):
        pattern, only_port = _split_entry(entry)
        if not pattern or (only_port is not None and only_port != port):
            continue
        if pattern == "*" or (_covers_address(pattern, address) if address else _covers_name(pattern, name)):
            return True
    return False


def _split_entry(entry: str) -> tuple[str, int | None]:
    """Return an entry without its brackets and its port, and the port."""
    if match := re.fullmatch(r"\[([^\[\]]+)\](/\d+)?(?::(\d+))?", entry):
        return match.group(1) + (match.group(2) or ""), int(match.group(3)) if match.group(3) else None
    if match := re.fullmatch(r"([^:]+):(\d+)", entry):
        return match.group(1), int(match.group(2))
    return entry, None


def _covers_name(pattern: str, name: str) -> bool:
    """A name covers itself and all below it, with or without a dot (or `*.`) in front and a dot at the end."""
    pattern = pattern.lower().removeprefix("*").removeprefix(".").removesuffix(".")
    return bool(pattern) and (name == pattern or name.endswith(f".{pattern}"))


def _covers_address(pattern: str, address: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> bool:
    base, slash, bits = pattern.partition("/")
    known = _address(base)
    if known is None or (slash and not bits.isdecimal()):
        return False
    if not slash or int(bits) == 0:  # curl takes /0 for the address alone
        return known == address
    try:
        return address in ipaddress.ip_network(f"{known}/{int(bits)}", strict=False)
    except ValueError:
        return False


def _address(host: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""What every vendor's HTTP and WebSocket answers mean, whichever vendor it is; what one alone says is in its faults.py.

No text of a vendor's goes into an error: it may quote a key, a token, or what was said.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed

from minuted_daemon.errors import Garbled, Unavailable, VendorError

LOST = 1006
"""The close code of a connection that ended without one."""

SILENT = logging.Logger("silent", level=logging.CRITICAL + 1)
"""For websockets, which logs request lines and headers, and with them tokens and keys, at DEBUG."""
SILENT.addHandler(logging.NullHandler())

PROXY_STATUS = 407
_LONGEST_WAIT_S = 3600.0
_PROXY_HEADERS = ("via", "proxy-authenticate", "proxy-connection", "x-squid-error")
_PROXIES = (
    "squid",
    "haproxy",
    "zscaler",
    "bluecoat",
    "mitmproxy",
    "tinyproxy",
    "privoxy",
    "forti",
    "forcepoint",
    "mcafee",
)
_PROTOCOL_CODES = frozenset({1002, 1003, 1007, 1009})


@dataclass(frozen=True, slots=True)
class Closing:
    """How a connection closed. The codes are None where no close frame went that way.

    `ours_first`: the closing began on this side. `text` is the vendor's reason.
    """

    received: int | None
    sent: int | None
    ours_first: bool
    text: str = ""

    @property
    def code(self) -> int:
        """The code it counts as."""
        return LOST if self.received is None else self.received


def closing(exc: ConnectionClosed) -> Closing:
    """Read how a connection closed."""
    received, sent = exc.rcvd, exc.sent
    return Closing(
        received.code if received is not None else None,
        sent.code if sent is not None else None,
        ours_first=not exc.rcvd_then_sent,
        text=received.reason if received is not None else "",
    )


def common_closure(vendor: str, how: Closing) -> VendorError | None:
    """Return the error for a closing that began on this side, None where the vendor's own code says why."""
    if how.ours_first and how.sent in _PROTOCOL_CODES:
        return Garbled("BAD_ANSWER", f"{vendor} broke the WebSocket protocol ({how.sent}).", close_code=str(how.sent))
    if how.received is None and how.sent == 1011:
        return Unavailable("PING_TIMEOUT", f"{vendor} no longer answers.")
    return None


def common_refusal(
    vendor: str, status: int, headers: Mapping[str, str], wait_headers: Sequence[str] = ("retry-after",)
) -> VendorError | None:
    """Return the error for an HTTP status that means the same everywhere, None for others. Header names are lower case.

    `wait_headers` are those that may tell how many seconds to wait, the first that does counts.
    """
    code = str(status)
    if status == 429:
        wait_s = _wait_s(headers, wait_headers)
        return Unavailable("RATE_LIMITED", f"{vendor} has had too many requests.", wait_s, status=code)
    if status == 408:
        return Unavailable("VENDOR_TIMEOUT", f"{vendor} took too long (HTTP 408).", status=code)
    if status >= 500:
        wait_s = _wait_s(headers, wait_headers)
        return Unavailable("VENDOR_DOWN", f"{vendor} is failing (HTTP {status}).", wait_s, status=code)
    if status < 400:
        return Garbled("BAD_ANSWER", f"{vendor} answered with HTTP {status}.", status=code)
    return None


def gateway_refusal(vendor: str, status: int, headers: Mapping[str, str], body: bytes = b"") -> VendorError | None:
    """Return the error for an answer that a proxy or gateway on the way gave, None for the vendor's own.

    Vendors speak JSON; an answer that is a page, or not JSON under a proxy's name, is not the vendor's. Header names
    are lower case.
    """
    code = str(status)
    if status == PROXY_STATUS:
        sentence = f"The proxy on the way to {vendor} wants a user and a password (HTTP 407)."
        return Unavailable("PROXY_REFUSED", sentence, status=code)
    if status < 400 or not _is_foreign(headers, body):
        return None
    verb, reason = ("failed", "GATEWAY_FAILED") if status >= 500 else ("refused the request", "GATEWAY_REFUSED")
    sentence = f"A proxy or gateway on the way to {vendor} {verb} (HTTP {status}); {vendor} itself was not reached."
    return Unavailable(reason, sentence, _wait_s(headers, ("retry-after",)), status=code)


def _is_foreign(headers: Mapping[str, str], body: bytes) -> bool:
    try:
        if isinstance(json.loads(body), dict):
            return False
    except (ValueError, RecursionError):
        pass
    page = "html" in headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<"
    server = headers.get("server", "").lower()
    return page or any(name in headers for name in _PROXY_HEADERS) or any(name in server for name in _PROXIES)


def usable_key(key: str) -> bool:
    """Return whether a key can be sent in a header at all."""
    return bool(key) and key.isascii() and key.isprintable() and " " not in key


def _wait_s(headers: Mapping[str, str], names: Sequence[str]) -> float | None:
    for name in names:
        try:
            wait_s = float(headers.get(name, ""))
        except ValueError:
            continue
        if 0 <= wait_s <= _LONGEST_WAIT_S:
            return wait_s
    return None

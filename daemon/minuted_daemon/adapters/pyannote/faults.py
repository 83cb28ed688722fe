"""What pyannote's refusals, answers and closes mean, as errors of errors.py. Pure; third-party types stay out.

No text of the vendor's goes into an error: the socket URL carries a token, and answers may repeat it.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError

_LONGEST_WAIT_S = 3600.0
_CLIENT_FAULT = re.compile(r"chunk|frame size|sample rate|encoding|end_of_stream", re.IGNORECASE)
_PROTOCOL_CODES = frozenset({1002, 1003, 1007, 1009})


@dataclass(frozen=True, slots=True)
class Created:
    """A stream that may be connected to once. The URL is a secret."""

    id: str
    url: str = field(repr=False)


def created(body: bytes) -> Created:
    """Read the answer to the request for a stream.

    Raises Garbled if it is no such answer, or its URL is neither wss:// nor a ws:// of this machine.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        stream, url = answer.get("id"), answer.get("url")
        if isinstance(stream, str) and isinstance(url, str) and is_private(url, "wss", "ws"):
            return Created(stream[:100], url)
    raise Garbled("BAD_ANSWER", "pyannote answered the request for a stream with something else.")


def is_private(url: str, secure: str, plain: str) -> bool:
    """Tell whether what goes to this URL cannot be read on the way: the secure scheme, or the plain one on loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    if not host:
        return False
    return parts.scheme == secure or (parts.scheme == plain and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Tell whether a host name is this machine's."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def usable_key(key: str) -> bool:
    """Tell whether a key can be sent in a header at all."""
    return bool(key) and key.isascii() and key.isprintable() and " " not in key


def refusal(status: int, headers: Mapping[str, str]) -> VendorError:
    """Give the error for an answer other than 200 to the request for a stream. Header names are lower case."""
    match status:
        case 401:
            return Rejected(
                "KEY_REJECTED",
                "pyannote does not accept the key; check the credential pyannoteai_api_key.",
                status="401",
            )
        case 402:
            return Rejected("PAYMENT_REQUIRED", "pyannote wants a plan, credit or a higher budget.", status="402")
        case 403:
            return Rejected("ACCESS_DENIED", "Live streaming is not enabled for this pyannote team.", status="403")
    return _general(status, headers) or Rejected(
        "REQUEST_REFUSED", f"pyannote refused to create a stream (HTTP {status}).", status=str(status)
    )


def upgrade_refusal(status: int, headers: Mapping[str, str]) -> VendorError:
    """Give the error for a refused WebSocket. The URL was used up or too old: a new stream may well succeed."""
    return _general(status, headers) or Unavailable(
        "OPEN_REFUSED", f"pyannote refused the connection to a new stream (HTTP {status}).", status=str(status)
    )


def _general(status: int, headers: Mapping[str, str]) -> VendorError | None:
    code = str(status)
    if status == 429:
        return Unavailable("RATE_LIMITED", "pyannote has had too many requests.", _wait_s(headers), status=code)
    if status == 408:
        return Unavailable("VENDOR_TIMEOUT", "pyannote took too long (HTTP 408).", status=code)
    if status >= 500:
        return Unavailable("VENDOR_DOWN", f"pyannote is failing (HTTP {status}).", _wait_s(headers), status=code)
    if status < 400:
        return Garbled("BAD_ANSWER", f"pyannote answered with HTTP {status}.", status=code)
    return None


def _wait_s(headers: Mapping[str, str]) -> float | None:
    for name in ("retry-after", "x-ratelimit-reset"):
        try:
            wait_s = float(headers.get(name, ""))
        except ValueError:
            continue
        if 0 <= wait_s <= _LONGEST_WAIT_S:
            return wait_s
    return None


def error_event(message: object) -> VendorError:
    """Give the error for an `error` event.

    A complaint about what was sent is Garbled, not Rejected: frames are right by construction, so it is as likely
    the vendor's own fault, which must not end diarization for the rest of a session.
    """
    if isinstance(message, str) and _CLIENT_FAULT.search(message):
        return Garbled("FRAME_REFUSED", "pyannote complains about the form of the audio it was sent.")
    return Unavailable("VENDOR_ERROR", "pyannote reported an error and cannot go on with this stream.")


def closure(received: int | None, sent: int | None, ours_first: bool) -> VendorError:
    """Give the error for a connection that closed.

    `received` and `sent` are the close codes, None where no close frame went that way;
    `ours_first`: the closing began on this side.
    """
    if ours_first and sent in _PROTOCOL_CODES:
        return Garbled("BAD_ANSWER", f"pyannote broke the WebSocket protocol ({sent}).", close_code=str(sent))
    if received is None and sent == 1011:
        return Unavailable("PING_TIMEOUT", "pyannote no longer answers.")
    code = 1006 if received is None else received
    hint = {
        1006: "The connection to pyannote was lost.",
        1008: "pyannote closed the connection: no audio for 5 s, or audio ahead of real time.",
        1011: "pyannote closed the connection over a fault of its own.",
    }.get(code, "pyannote closed the connection.")
    return Unavailable(f"CLOSED_{code}", hint, close_code=str(code))

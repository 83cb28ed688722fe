"""What pyannote's refusals, answers and closes mean, as errors of errors.py. Pure; third-party types stay out.

No text of the vendor's goes into an error: the socket URL carries a token, and answers may repeat it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from minuted_daemon.adapters.network.errors import LOST, Closing, common_closure, common_refusal, gateway_refusal
from minuted_daemon.addresses import is_private
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError

_WAIT_HEADERS = ("retry-after", "x-ratelimit-reset")
_CLIENT_FAULT = re.compile(r"chunk|frame size|sample rate|encoding|end_of_stream", re.IGNORECASE)


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


def refusal(status: int, headers: Mapping[str, str], body: bytes = b"") -> VendorError:
    """Return the error for an answer other than 2xx to the request for a stream. Header names are lower case."""
    if foreign := gateway_refusal("pyannote", status, headers, body):
        return foreign
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
    return common_refusal("pyannote", status, headers, _WAIT_HEADERS) or Rejected(
        "REQUEST_REFUSED", f"pyannote refused to create a stream (HTTP {status}).", status=str(status)
    )


def upgrade_refusal(status: int, headers: Mapping[str, str], body: bytes = b"") -> VendorError:
    """Return the error for a refused WebSocket. The URL was used up or too old: a new stream may well succeed."""
    if foreign := gateway_refusal("pyannote", status, headers, body):
        return foreign
    return common_refusal("pyannote", status, headers, _WAIT_HEADERS) or Unavailable(
        "OPEN_REFUSED", f"pyannote refused the connection to a new stream (HTTP {status}).", status=str(status)
    )


def error_event(message: object) -> VendorError:
    """Return the error for an `error` event.

    A complaint about what was sent is Garbled, not Rejected: frames are right by construction, so it is as likely
    the vendor's own fault, which must not end diarization for the rest of a session.
    """
    if isinstance(message, str) and _CLIENT_FAULT.search(message):
        return Garbled("FRAME_REFUSED", "pyannote complains about the form of the audio it was sent.")
    return Unavailable("VENDOR_ERROR", "pyannote reported an error and cannot go on with this stream.")


def closure(how: Closing) -> VendorError:
    """Return the error for a connection that closed."""
    if fault := common_closure("pyannote", how):
        return fault
    hint = {
        LOST: "The connection to pyannote was lost.",
        1008: "pyannote closed the connection: no audio for 5 s, or audio ahead of real time.",
        1011: "pyannote closed the connection over a fault of its own.",
    }.get(how.code, "pyannote closed the connection.")
    return Unavailable(f"CLOSED_{how.code}", hint, close_code=str(how.code))

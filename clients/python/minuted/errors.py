"""What a call can raise, and how a gRPC failure becomes one of these.

Error                 the daemon refused, or failed
└── Unreachable       there is no daemon at the address, or the connection to it broke
"""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "minuted"


class Error(Exception):
    """A call failed. `reason` is stable and UPPER_SNAKE; it is the name of `code` where the daemon gave none."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, facts: Mapping[str, str]) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        return self.message


class Unreachable(Error):
    """The daemon did not answer: it is not running, is going away, or the connection to it broke."""


def closed(address: str) -> Error:
    """Return the Error for any call on a closed client, also if another thread or task closed it."""
    message = f"this client of minuted at {address} was closed"
    return Error(grpc.StatusCode.FAILED_PRECONDITION, "CLIENT_CLOSED", message, {})


def from_call(error: grpc.RpcError, address: str) -> Error:
    """Return the Error for a failed call, synchronous or not."""
    code = error.code() or grpc.StatusCode.UNKNOWN
    message = error.details() or code.name
    info = _info(error.trailing_metadata() or ())
    if info is not None:
        kind = Unreachable if code is grpc.StatusCode.UNAVAILABLE and info.reason == "DAEMON_STOPPING" else Error
        return kind(code, info.reason, message, dict(info.metadata))
    # The client's own cancelling never comes here: this is a server that cancels unanswered calls as it stops.
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return Unreachable(code, code.name, f"minuted is not reachable at {address}", {"detail": message})
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Error(code, code.name, f"minuted at {address} did not answer in time", {})
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Error(code, code.name, "this minuted cannot do that yet", {"detail": message})
    return Error(code, code.name, message, {})


def _info(metadata: Iterable[Any]) -> ErrorInfo | None:
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            for detail in Status.FromString(value).details:
                info = ErrorInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return info
    return None

"""How a watch stays complete over disconnects: its cursor, which errors to retry, and when. No I/O."""

import random
from dataclasses import dataclass

import grpc

from minuted.errors import Error
from minuted.v1.turns_pb2 import StreamTurnsRequest, StreamTurnsResponse

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0

# Asking again cannot change these.
FINAL_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The stream broke and is being resumed at `cursor`: drop the partial turns that are shown.

    Comes once for each interruption, however many attempts it takes; `caught_up` follows when it is over.
    """

    error: Error
    cursor: int | None


class Following:
    """One watch. `request()`, then `received()` for each message; `broke()` when the stream ends; then again."""

    def __init__(self, session: str, after: int | None, partials: bool, exclude_suspect: bool = False) -> None:
        self._session = session
        self._partials = partials
        self._exclude_suspect = exclude_suspect
        self._connected = False
        self._interrupted = False
        self._failures = 0
        self.cursor = after

    def request(self) -> StreamTurnsRequest:
        """Ask for what comes after everything received so far."""
        return StreamTurnsRequest(
            session=self._session,
            after_seq=self.cursor,
            include_partials=self._partials,
            exclude_suspect=self._exclude_suspect,
        )

    def received(self, response: StreamTurnsResponse) -> None:
        """Note how far the stream has come."""
        self._connected, self._interrupted, self._failures = True, False, 0
        kind = response.WhichOneof("event")
        seq: int = getattr(response, kind).seq if kind else 0
        if seq > (self.cursor or 0) or (self.cursor is None and kind == "caught_up"):
            self.cursor = seq

    def broke(self, error: Error) -> Interrupted | None:
        """Return the notice that the stream broke, None if it was returned already.

        Raises the error if nothing was ever received (no daemon, a wrong session), or asking again cannot help.
        """
        if not self._connected or error.code in FINAL_CODES:
            raise error
        self._failures += 1
        if self._interrupted:
            return None
        self._interrupted = True
        return Interrupted(error, self.cursor)

    def pause_s(self) -> float:
        """How long to wait before the next attempt: doubling, with jitter, so that clients do not all come at once."""
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

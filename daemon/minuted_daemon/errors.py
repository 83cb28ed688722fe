"""Every error minuted raises on purpose. Third-party exceptions are mapped to these at the adapter that met them.

    MinutedError
    ├── ConfigError      the administrator must change something; `minuted` exits 78
    ├── RequestError     the client must change something
    │   ├── NotFound
    │   ├── AlreadyExists
    │   ├── Invalid
    │   ├── WrongState
    │   ├── Denied
    │   └── Exhausted    a limit was met; the same request may succeed later
    ├── DeviceError      an audio source cannot be opened or stopped working
    ├── VendorError
    │   ├── Unavailable  try again, not before `retry_after_s`
    │   ├── Rejected     refused: ask again seldom, or after something was changed
    │   └── Garbled      the peer spoke nonsense: reconnect, and count it
    └── StoreError       the database cannot be read or written

Nothing here may import anything but the standard library.
"""

from collections.abc import Mapping


class MinutedError(Exception):
    """An expected failure: a stable UPPER_SNAKE `reason`, one sentence, and the facts behind it.

    `message` names the thing and the remedy. Neither it nor `facts` may hold keys, audio or transcript text.
    """

    def __init__(self, reason: str, message: str, **facts: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.facts: Mapping[str, str] = facts

    def __str__(self) -> str:
        return self.message


class ConfigError(MinutedError):
    """The configuration or the machine it names is unusable. `problems` lists all that is wrong, one line each."""

    def __init__(self, reason: str, message: str, problems: tuple[str, ...] = (), **facts: str) -> None:
        super().__init__(reason, message, **facts)
        self.problems = problems or (message,)


class RequestError(MinutedError):
    """A client asked for something that cannot be given."""


class NotFound(RequestError):
    """What the request names does not exist."""


class AlreadyExists(RequestError):
    """What the request would create exists with other settings."""


class Invalid(RequestError):
    """One or more fields are wrong. The message names all of them."""

    @classmethod
    def fields(cls, problems: Mapping[str, str]) -> "Invalid":
        """Return INVALID_REQUEST from what is wrong with each field: the facts are these, the message joins them."""
        message = "; ".join(f"{field}: {problem}" for field, problem in problems.items())
        return cls("INVALID_REQUEST", message, **problems)


class WrongState(RequestError):
    """The thing exists, but is in no state for this request."""


class Denied(RequestError):
    """The client may not do this."""


class Exhausted(RequestError):
    """A limit was met: a slow subscriber, too many sessions."""


class DeviceError(MinutedError):
    """An audio source cannot be opened, or stopped working. Reasons: DEVICE_NOT_FOUND, DEVICE_FAILED, FILE_*."""


class VendorError(MinutedError):
    """A diarizer or transcriber failed."""


class Unavailable(VendorError):
    """The vendor cannot be used now. `retry_after_s` is the vendor's own wish, None when it named none."""

    def __init__(self, reason: str, message: str, retry_after_s: float | None = None, **facts: str) -> None:
        super().__init__(reason, message, **facts)
        self.retry_after_s = retry_after_s


class Rejected(VendorError):
    """The vendor refuses, and will until something is changed: a bad key, no plan, a setting it does not know.

    `retry_after_s` is when it may be asked again, None where nothing is known about that.
    """

    def __init__(self, reason: str, message: str, retry_after_s: float | None = None, **facts: str) -> None:
        super().__init__(reason, message, **facts)
        self.retry_after_s = retry_after_s


class Garbled(VendorError):
    """The vendor sent what its protocol does not allow."""


class StoreError(MinutedError):
    """The database cannot be read or written.

    Reasons: DISK_FULL, DISK_READ_ONLY, DISK_FAILED, DATABASE_LOCKED, DATABASE_CORRUPT, ERASURE_DELAYED, STORE_FAILED;
    of a backup also BACKUP_EXISTS, BACKUP_FAILED.
    """


class CursorAhead(RequestError):
    """The client's cursor is of another store, or of one that was set back. Reason: CURSOR_AHEAD."""


class Stopping(MinutedError):
    """The daemon is going away; the client comes back later. Reason: DAEMON_STOPPING."""

    def __init__(self) -> None:
        super().__init__("DAEMON_STOPPING", "minuted is stopping")


class NotOffered(MinutedError):
    """The contract has this RPC, this daemon does not. Reason: NOT_OFFERED."""


def leaves(error: BaseException) -> list[BaseException]:
    """Return what an error consists of: itself, or everything in a group, in order."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]

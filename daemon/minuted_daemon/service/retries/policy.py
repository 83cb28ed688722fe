"""The one place that decides about retries. Pure: time and randomness come in as data; nothing sleeps here."""

from collections.abc import Callable

from minuted_daemon.errors import DeviceError, MinutedError, NotFound, Rejected, StoreError, Unavailable, WrongState

FIRST_DELAY_S = 0.5
LATER_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
NO_CONNECTION_MAX_S = 4.8
"""The longest wait where no connection came up: it costs nothing, and shows within 6 s when one can."""
HEALTHY_S = 60.0
"""A connection that lived so long refills the budget: the next failure is answered at once again."""
RATE_LIMITED = "RATE_LIMITED"
LONGEST_WISH_S = 3600.0
"""A vendor's `retry_after_s` beyond this is cut to it, so that a nonsense value cannot end a session's link."""
NOBODY_WAITS_S = LATER_DELAYS_S[-1]
"""The same for what ended sessions are owed."""
REFUSED_AGAIN_S = 600.0
"""A refusal is asked about again so long after it: a key may be mended, a bill paid by then. The default."""
REFUSED_SOON_S = (1.0, 4.0, 15.0)
"""A refusal of what had worked before may be a slip of the vendor's: it is asked about so soon first."""
REFUSED_JITTER = 0.05
"""Such a delay is longer by up to this share, so that daemons that lost the same vendor do not come back in step."""
ASK_AGAIN_S = (4.0, 30.0, 600.0)
"""A turn of an ended session is asked for again so long after each attempt without an answer; then it is given up."""
JITTER = 0.25
"""Delays vary by this share to either side, so that sessions that lost the same vendor do not come back in step."""


class RetryPolicy:
    """Says how long to wait before the next attempt at one link.

    The first retry comes within a second, then 1, 2, 4, 8, 16 and at most 30 s, until a connection has been healthy
    for a minute; at most 6 s after an attempt that brought no connection, where a session waits for it. There is no
    last attempt: a vendor may stay away for an hour, and a refusal says itself when to ask again.
    """

    def __init__(self, random: Callable[[], float], closed_door_s: float = NO_CONNECTION_MAX_S) -> None:
        """`random` gives numbers in [0, 1). `closed_door_s`: the longest wait where no connection came up."""
        self._random = random
        self._closed_door_s = closed_door_s
        self._failures = 0
        self._opened_s: float | None = None

    @property
    def failures(self) -> int:
        """Failures since the budget was last full."""
        return self._failures

    @property
    def connected(self) -> bool:
        """True from the begin of a connection on until it broke."""
        return self._opened_s is not None

    def opened(self, now_s: float) -> None:
        """A connection came up."""
        self._opened_s = now_s

    def failed(self, now_s: float, error: MinutedError) -> float:
        """An attempt failed or a connection broke: return the seconds to wait."""
        if isinstance(error, Rejected):
            self._opened_s = None
            self._failures += 1
            return REFUSED_AGAIN_S if error.retry_after_s is None else error.retry_after_s
        if error.reason in (FELL_BACK, TAKEN_BACK):
            return 0.0  # the next attempt is the first at another engine
        if self._opened_s is not None and now_s - self._opened_s >= HEALTHY_S:
            self._failures = 0
        delay_s = FIRST_DELAY_S if self._failures == 0 else LATER_DELAYS_S[min(self._failures, len(LATER_DELAYS_S)) - 1]
        if self._opened_s is None and error.reason != RATE_LIMITED:
            delay_s = min(delay_s, self._closed_door_s)
        self._opened_s = None
        self._failures += 1
        delay_s = min(delay_s * (1.0 + JITTER * (2.0 * self._random() - 1.0)), LATER_DELAYS_S[-1])
        wish_s = error.retry_after_s if isinstance(error, Unavailable) else None
        if wish_s is None:
            return delay_s
        wish_s = min(max(wish_s, 0.0), LONGEST_WISH_S)
        # Never before the vendor's wish, and not all sessions at that very moment.
        return max(delay_s, wish_s + JITTER * self._random() * min(wish_s, 4.0))


class RefusalPolicy:
    """Says how long to wait before a refusal is asked about again, for all who wait for the same thing together.

    Three times soon where it had worked before, then every `again_s`. What worked for a minute may be asked about soon
    again; what is taken and refused by turns may not, or that would be a storm.
    """

    def __init__(self, random: Callable[[], float], again_s: float = REFUSED_AGAIN_S) -> None:
        """`random` gives numbers in [0, 1)."""
        self._random = random
        self._again_s = again_s
        self._soon: list[float] = []
        self._accepted_s: float | None = None
        self._ever = False

    def accepted(self, now_s: float) -> None:
        """It works."""
        if not self._ever:
            self._ever, self._soon = True, list(REFUSED_SOON_S)
        if self._accepted_s is None:
            self._accepted_s = now_s

    def refused(self, now_s: float) -> float:
        """It was refused: return the seconds to wait."""
        if self._accepted_s is not None and now_s - self._accepted_s >= HEALTHY_S:
            self._soon = list(REFUSED_SOON_S)
        self._accepted_s = None
        delay_s = self._soon.pop(0) if self._soon else self._again_s
        return delay_s * (1.0 + REFUSED_JITTER * self._random())


def may_pass(error: MinutedError) -> bool:
    """Return whether a session that could not be started may start later without anybody changing anything."""
    if isinstance(error, NotFound | WrongState):
        return error.reason in ("DEVICE_NOT_FOUND", "DISK_FULL")
    return isinstance(error, DeviceError | StoreError)


FELL_BACK = "FELL_BACK"


TAKEN_BACK = "TAKEN_BACK"
"""The reason of a connection to a substitute that ends because the vendor accepts again."""

"""Names and ids: what a session may be called, and ULIDs. Nothing about sessions themselves belongs here."""

import secrets
import time
from collections.abc import Callable

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


class UlidSource:
    """Makes ULIDs that rise strictly, also within a millisecond and when the wall clock is set back."""

    def __init__(
        self, now_s: Callable[[], float] = time.time, random_bits: Callable[[int], int] = secrets.randbits
    ) -> None:
        self._now_s = now_s
        self._random_bits = random_bits
        self._last = 0

    def __call__(self) -> str:
        """Return the next id: 26 characters of Crockford's base 32, sorting like the time they were made."""
        # One bit is kept free, so that counting up within a millisecond does not spill into the time at once.
        fresh = int(self._now_s() * 1000) << _RANDOM_BITS | self._random_bits(_RANDOM_BITS - 1)
        self._last = max(fresh, self._last + 1)
        return "".join(_CROCKFORD[self._last >> shift & 31] for shift in range(125, -1, -5))

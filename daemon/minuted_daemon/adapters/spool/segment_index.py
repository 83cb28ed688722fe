"""Which audio of a session is in which of its files. Pure; the event loop's own."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from minuted_daemon.adapters.spool.files.segment import Segment
from minuted_daemon.core.ranges import Span, joined, within


@dataclass(slots=True)
class Held:
    """A segment, and when its last audio came, by the monotonic clock."""

    segment: Segment
    born_s: float


class SegmentIndex:
    """A session's segments, oldest first. The newest may be growing."""

    def __init__(self, held: Iterable[Held]) -> None:
        self._held = list(held)
        self._size = sum(one.segment.size for one in self._held)

    @property
    def held(self) -> Sequence[Held]:
        """All segments."""
        return self._held

    @property
    def size(self) -> int:
        """Bytes in all of them."""
        return self._size

    def add(self, added: Segment, spans: tuple[Span, ...], now_s: float) -> None:
        """Note what was written to the newest segment or a newer one, as far as `spans` reaches."""
        if self._held and self._held[-1].segment.serial == added.serial:
            newest = self._held[-1].segment
            spans, size = joined((*newest.spans, *spans)), newest.size + added.size
            self._held[-1] = Held(replace(added, spans=spans, size=size), now_s)
            self._size += added.size
        elif spans:
            self._held.append(Held(replace(added, spans=spans), now_s))
            self._size += added.size

    def replace(self, serial: int, left: Segment | None) -> None:
        """Note what remains of a segment. One that is gone already stays so."""
        for index, held in enumerate(self._held):
            if held.segment.serial == serial:
                self._held[index : index + 1] = [] if left is None else [Held(left, held.born_s)]
                self._size += (0 if left is None else left.size) - held.segment.size
                return

    def remove(self, going: Iterable[Held]) -> list[int]:
        """Remove segments; return their serials."""
        serials = {held.segment.serial for held in going}
        self._size -= sum(held.segment.size for held in self._held if held.segment.serial in serials)
        self._held = [held for held in self._held if held.segment.serial not in serials]
        return sorted(serials)

    def clear(self) -> None:
        """Forget all segments."""
        self._held, self._size = [], 0

    def over(self, start: int, end: int) -> list[Segment]:
        """Return the segments that hold some of [start, end)."""
        first = max(0, bisect_right(self._held, start, key=lambda held: held.segment.start) - 1)
        over: list[Segment] = []
        for held in islice(self._held, first, None):
            if held.segment.start >= end:
                break
            if within(start, end, held.segment.spans):
                over.append(held.segment)
        return over

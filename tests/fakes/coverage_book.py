"""Which samples were seen, and how many of them more than once."""

from bisect import bisect_left, bisect_right


class CoverageBook:
    """Sets of samples by name; `covered` counts distinct samples, `again` those added when they were already there."""

    def __init__(self) -> None:
        self.covered = 0
        self.again = 0
        self._starts: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}

    def add(self, name: str, start: int, end: int) -> int:
        """Add [start, end); gives how many of its samples were there before."""
        if end <= start:
            return 0
        starts, ends = self._starts.setdefault(name, []), self._ends.setdefault(name, [])
        first, last = bisect_left(ends, start), bisect_right(starts, end)
        joined = list(zip(starts[first:last], ends[first:last], strict=True))
        again = sum(max(0, min(end, e) - max(start, s)) for s, e in joined)
        low, high = min([start, *(s for s, _ in joined)]), max([end, *(e for _, e in joined)])
        starts[first:last], ends[first:last] = [low], [high]
        self.covered += end - start - again
        self.again += again
        return again

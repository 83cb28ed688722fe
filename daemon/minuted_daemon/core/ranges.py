"""Sets of stretches of the sample clock, as sorted tuples of half-open pairs. Pure."""

from collections.abc import Iterable

Span = tuple[int, int]
"""[start, end) in samples at 16 kHz."""


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the union: sorted, without overlaps, neighbours made one."""
    union: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return tuple(union)


def within(start: int, end: int, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the parts of sorted spans that lie in [start, end)."""
    return tuple((max(low, start), min(high, end)) for low, high in spans if max(low, start) < min(high, end))


def without(spans: Iterable[Span], taken: Iterable[Span]) -> tuple[Span, ...]:
    """Return what is left of the spans when the taken ones are cut out."""
    taken = tuple(taken)
    return tuple(piece for low, high in spans for piece in outside(low, high, taken))


def length(spans: Iterable[Span]) -> int:
    """Return the number of samples in spans that do not overlap."""
    return sum(end - start for start, end in spans)


def outside(start: int, end: int, taken: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what is left of [start, end) without the taken ranges, in order."""
    pieces = [(start, end)]
    for low, high in taken:
        pieces = [part for a, b in pieces for part in ((a, min(b, low)), (max(a, high), b)) if part[1] > part[0]]
    return pieces

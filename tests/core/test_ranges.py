"""Arithmetic on spans, against sets of samples."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.core.ranges import Span, joined, length, within, without

position = st.integers(0, 30)
spans = st.lists(st.tuples(position, position), max_size=6)


def as_set(of: list[Span] | tuple[Span, ...]) -> set[int]:
    return {at for start, end in of for at in range(start, end)}


@given(spans)
def test_joined_spans_hold_the_same_samples_in_the_fewest_pieces(some: list[Span]) -> None:
    union = joined(some)
    assert as_set(union) == as_set(some)
    assert length(union) == len(as_set(some))
    assert all(a[1] < b[0] for a, b in pairwise(union))


@given(spans, spans, position, position)
def test_parts_and_rests(some: list[Span], taken: list[Span], start: int, end: int) -> None:
    union = joined(some)
    assert as_set(within(start, end, union)) == as_set(union) & as_set([(start, end)])
    assert as_set(without(union, taken)) == as_set(union) - as_set(taken)
    assert all(low < high for low, high in (*within(start, end, union), *without(union, taken)))

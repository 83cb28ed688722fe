"""Ogg files that are several streams one after the other, of which decoders take the first. No I/O.

Source: RFC 3533, section 6.
"""

from collections.abc import Iterator

from minuted_daemon.adapters.capture.recordings.headers import Bytes

_PAGE_HEAD = 27
_BEGINS_STREAM = 2
_AT_ONCE = 1 << 20


def links(read: Bytes, size: int) -> Iterator[tuple[int, int]]:
    """Return the streams as [begin, end); those that play at the same time begin together and are one."""
    begin, at, in_head = 0, 0, True
    held_from, held = 0, b""
    while at + _PAGE_HEAD < size:
        if not held_from <= at <= held_from + len(held) - _PAGE_HEAD - 255:
            held_from, held = at, read(at, _AT_ONCE)
        head = held[at - held_from : at - held_from + _PAGE_HEAD + 255]
        if len(head) < _PAGE_HEAD or head[:4] != b"OggS":
            break
        first = bool(head[5] & _BEGINS_STREAM)
        if first and not in_head:
            yield begin, at
            begin = at
        in_head = first
        lengths = head[_PAGE_HEAD : _PAGE_HEAD + head[26]]
        at += _PAGE_HEAD + len(lengths) + sum(lengths)
    yield begin, size

"""How the containers of plain recordings are built: where their audio begins, and how much of it their heads promise.

What the head says is often wrong: how much audio there really is, is decided in extent.py. No I/O but through the
`Bytes` that is handed in.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Bytes = Callable[[int, int], bytes]
"""Gives at most so many bytes from a position on, fewer at the end of the file."""

_MOST_CHUNKS = 10_000
_LARGEST_FORMAT = 4_096
_GUID_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_WAVE = b"wave" + _GUID_TAIL
_PLAIN_TAGS = frozenset({0x01, 0x02, 0x03, 0x06, 0x07, 0x11, 0x31, 0x40, 0x45, 0x64})
"""Of WAV: whole numbers, floats, A-law, mu-law, three ADPCMs and GSM 6.10; all decoded by a few lines of libsndfile."""
_EXTENSIBLE = 0xFFFE
_PLAIN_AIFF = frozenset(
    {
        b"NONE",
        b"sowt",
        b"twos",
        b"raw ",
        b"fl32",
        b"FL32",
        b"fl64",
        b"FL64",
        b"in24",
        b"in32",
        b"ulaw",
        b"ULAW",
        b"alaw",
    }
    | {b"ALAW", b"GSM ", b"ima4"}
)
_PLAIN_CAF = frozenset({b"lpcm", b"ulaw", b"alaw"})


def _is_printable(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= letter < 0x7F for letter in name)


@dataclass(frozen=True, slots=True)
class Grammar:
    """How chunks follow each other. `counts_header`: a chunk's length takes in its name and length."""

    begin: int
    name: int
    length: struct.Struct
    align: int
    counts_header: bool = False

    @property
    def header(self) -> int:
        """How many bytes stand in front of a chunk's content."""
        return self.name + self.length.size

    def chunks(self, read: Bytes, size: int, begin: int | None = None) -> Iterator["Chunk"]:
        """Return the chunks from `begin` on, the one that reaches beyond `size` included."""
        at = self.begin if begin is None else begin
        for _ in range(_MOST_CHUNKS):
            head = read(at, self.header)
            if at >= size or len(head) < self.header:
                return
            (length,) = self.length.unpack(head[self.name :])
            if self.counts_header:
                length -= self.header
            if length < 0:
                return
            body = at + self.header
            yield Chunk(head[: self.name], body, length)
            at = body + length + -length % self.align
            if self.align == 2 and length % 2 and not _is_printable(read(at, 4)) and _is_printable(read(at - 1, 4)):
                at -= 1  # a writer that does not pad


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk's name, where its content begins, and how long that is said to be."""

    name: bytes
    body: int
    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What the head of a recording says.

    kind: WAV, AIFF, AU, CAF or W64. plain: decoded without a codec worth the name. format: the content of WAV's `fmt `
    chunk. body: where the audio begins. stated: how many bytes of it there are said to be, None where the head says
    that it does not know. whole: where the file is said to end, None where nothing is said of it. lengths: the fields
    that hold `stated`, each with how much more than that stands in it. grammar: of the chunks after the audio.
    """

    kind: str
    plain: bool
    body: int
    stated: int | None
    whole: int | None = None
    format: bytes = b""
    lengths: tuple[tuple[int, struct.Struct, int], ...] = ()
    grammar: Grammar | None = None
    big_endian: bool = False


def layout(read: Bytes, size: int) -> Layout | None:
    """Return how a plain recording is built; None for a file of another kind, or one that ends before its audio."""
    head = read(0, 40)
    if is_wav(head):
        return _wav(read, size, head)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _aiff(read, size, head)
    if head[:4] == b".snd" and len(head) >= 24:
        return _au(head)
    if head[:4] == b"caff":
        return _caf(read, size)
    if head[:16] == _W64_RIFF and head[24:40] == _W64_WAVE:
        return _w64(read, size, head)
    return None


def is_wav(head: bytes) -> bool:
    """Whether a file with these first 12 bytes claims to be WAV."""
    return head[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX") and head[8:12] == b"WAVE"


def is_plain_container(head: bytes) -> bool:
    """Whether a file with these first bytes claims to be of a kind whose layout is known here."""
    return is_wav(head) or head[:4] in (b"FORM", b".snd", b"caff") or head[:16] == _W64_RIFF


def _wav(read: Bytes, size: int, head: bytes) -> Layout | None:
    order = ">" if head[:4] == b"RIFX" else "<"
    grammar = Grammar(12, 4, struct.Struct(f"{order}I"), 2)
    (whole,) = grammar.length.unpack(head[4:8])
    form, long_whole, long_data = b"", 0, None
    for chunk in grammar.chunks(read, size):
        if chunk.name == b"ds64" and chunk.length >= 16:
            long_whole, long_data = struct.unpack("<QQ", read(chunk.body, 16).ljust(16, b"\0"))
        elif chunk.name == b"fmt " and not form:
            form = read(chunk.body, min(chunk.length, _LARGEST_FORMAT))
        elif chunk.name == b"data":
            if not form:
                return None
            stated: int | None = chunk.length
            if chunk.length == 0xFFFFFFFF:
                stated = long_data
                whole = long_whole
            where = ((chunk.body - 4, grammar.length, 0),)
            plain = _wav_tag(form, order) in _PLAIN_TAGS
            return Layout("WAV", plain, chunk.body, stated, 8 + whole, form, where, grammar, order == ">")
    return None


def _wav_tag(form: bytes, order: str) -> int:
    if len(form) < 16:
        return 0
    (tag,) = struct.unpack_from(f"{order}H", form)
    if tag == _EXTENSIBLE and len(form) >= 26:
        (tag,) = struct.unpack_from(f"{order}H", form, 24)
    return int(tag)


def _aiff(read: Bytes, size: int, head: bytes) -> Layout | None:
    grammar = Grammar(12, 4, struct.Struct(">I"), 2)
    (whole,) = grammar.length.unpack(head[4:8])
    codec = b"NONE" if head[8:12] == b"AIFF" else b""
    for chunk in grammar.chunks(read, size):
        if chunk.name == b"COMM" and head[8:12] == b"AIFC":
            codec = read(chunk.body, 22)[18:22]
        if chunk.name == b"SSND":
            stated = max(0, chunk.length - 8)
            where = ((chunk.body - 4, grammar.length, 8),)
            return Layout("AIFF", codec in _PLAIN_AIFF, chunk.body + 8, stated, 8 + whole, b"", where, grammar)
    return None


def _au(head: bytes) -> Layout:
    body, stated, codec = struct.unpack(">III", head[4:16])
    where = ((8, struct.Struct(">I"), 0),)
    return Layout("AU", codec <= 27, body, None if stated == 0xFFFFFFFF else stated, None, b"", where)


def _caf(read: Bytes, size: int) -> Layout | None:
    grammar = Grammar(8, 4, struct.Struct(">q"), 1)
    plain = False
    at = grammar.begin
    while at < size:
        # A length of -1 means: up to the end of the file.
        head = read(at, grammar.header)
        if len(head) < grammar.header:
            return None
        name, (length,) = head[:4], grammar.length.unpack(head[4:])
        body = at + grammar.header
        if name == b"desc":
            plain = read(body, 12)[8:12] in _PLAIN_CAF
        if name == b"data":
            where = ((at + 4, grammar.length, 4),)
            stated = None if length < 0 else max(0, length - 4)
            return Layout("CAF", plain, body + 4, stated, None, b"", where, grammar)
        if length < 0:
            return None
        at = body + length
    return None


def _w64(read: Bytes, size: int, head: bytes) -> Layout | None:
    grammar = Grammar(40, 16, struct.Struct("<Q"), 8, counts_header=True)
    (whole,) = grammar.length.unpack(head[16:24])
    plain = False
    at = grammar.begin
    while at < size:
        name, length = read(at, 16), read(at + 16, 8)
        if len(length) < 8:
            return None
        (long,) = grammar.length.unpack(length)
        body = at + grammar.header
        if name == b"fmt " + _GUID_TAIL:
            plain = _wav_tag(read(body, 40), "<") in _PLAIN_TAGS
        if name == b"data" + _GUID_TAIL:
            where = ((at + 16, grammar.length, grammar.header),)
            return Layout("W64", plain, body, max(0, long - grammar.header), whole, b"", where, grammar)
        if long < grammar.header:
            return None
        at = at + long + -long % grammar.align
    return None

"""Where the audio of a plain recording ends, and whether its head promises more.

Recorders write a length that they do not know yet and never mend it: nothing, a number as large as there is room for,
what it was some seconds before they crashed, or the rest of it above 4 GiB. So the head is believed as far as the file
agrees with it. No I/O but through the `Bytes` that is handed in.
"""

from dataclasses import dataclass

from minuted_daemon.adapters.capture.recordings.headers import Bytes, Grammar, Layout

HEADER_UNFINISHED = "HEADER_UNFINISHED"
HEADER_WRONG = "HEADER_WRONG"
FILE_TRUNCATED = "FILE_TRUNCATED"

_WRAP = 1 << 32
_NEAR = 1 << 16
"""Placeholders are rounded down to whole blocks, and have the length of a head taken off or added."""
_TAIL = 1 << 16
"""Where chunks after audio of unknown length are looked for."""
_MOST_ZEROS = 1 << 26
_STEP = 1 << 20
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
_AUDIO_AGAIN = frozenset({b"data", b"SSND", b"RIFF", b"RIFX", b"RF64", b"FORM"})
"""Recordings that were put one after the other: their heads are but a click."""
_BEHIND_AUDIO = frozenset(
    {
        b"LIST",
        b"id3 ",
        b"ID3 ",
        b"bext",
        b"iXML",
        b"axml",
        b"chna",
        b"umid",
        b"cue ",
        b"smpl",
        b"inst",
        b"fact",
        b"PEAK",
    }
    | {
        b"DISP",
        b"afsp",
        b"JUNK",
        b"junk",
        b"PAD ",
        b"FLLR",
        b"_PMX",
        b"minf",
        b"elm1",
        b"regn",
        b"plst",
        b"note",
        b"labl",
    }
    | {
        b"MARK",
        b"COMT",
        b"NAME",
        b"AUTH",
        b"ANNO",
        b"(c) ",
        b"APPL",
        b"INST",
        b"info",
        b"free",
        b"strg",
        b"levl",
        b"LGWV",
    }
)


@dataclass(frozen=True, slots=True)
class Extent:
    """The audio is [start, end) of the file; `missing` bytes more were promised.

    remark: HEADER_UNFINISHED (no length was ever written), HEADER_WRONG (the file holds more than its head says),
    FILE_TRUNCATED, or empty where all is well.
    """

    start: int
    end: int
    missing: int = 0
    remark: str = ""


def extent(known: Layout, read: Bytes, size: int) -> Extent:
    """Tell where the audio is that a file of this size holds."""
    start, stated = known.body, known.stated
    room = max(0, size - start)
    if stated is None:
        return Extent(start, _end(known, read, size))
    if 0 < stated <= room:
        if _ends_there(known, read, size, start + stated):
            return Extent(start, start + stated)
        return Extent(start, _end(known, read, size), remark=HEADER_WRONG)
    if stated == 0:
        if _ends_there(known, read, size, start):
            return Extent(start, start)
        return Extent(start, _end(known, read, size), remark=HEADER_UNFINISHED)
    if _is_placeholder(stated):
        return Extent(start, _end(known, read, size))
    if known.whole is not None and known.kind != "W64" and size - 1 <= known.whole <= size + stated % 2:
        return Extent(start, _end(known, read, size))  # the file is whole; only the chunk's own length is wrong
    return Extent(start, size, start + stated - size, FILE_TRUNCATED)


def _is_placeholder(length: int) -> bool:
    """Whether a length that the file does not hold was never meant as one."""
    return any(abs(length - power) <= _NEAR for power in (1 << 31, 1 << 32, 1 << 63, 1 << 64))


def _ends_there(known: Layout, read: Bytes, size: int, end: int) -> bool:
    """Whether what comes after `end` is no audio."""
    tail = size - end
    if tail <= 1:
        return True
    if read(end, len(max(_TAGS, key=len))).startswith(_TAGS):
        return True
    grammar = known.grammar
    if grammar is not None:
        padded = end + -(end - known.body) % grammar.align
        if size <= padded or any(_chunks_to_the_end(grammar, read, size, at) for at in {end, padded}):
            return True
    return tail % _WRAP != 0 and end > known.body and _is_zero(read, end, size)


def _end(known: Layout, read: Bytes, size: int) -> int:
    """Return where audio of unknown length ends: at the chunks after it, or with the file."""
    grammar = known.grammar
    if grammar is None or grammar.name != 4:
        return size
    begin = max(known.body, size - _TAIL)
    tail = read(begin, _TAIL)
    for at in sorted(at for name in _BEHIND_AUDIO for at in _all(tail, name)):
        if _chunks_to_the_end(grammar, read, size, begin + at):
            return begin + at
    return size


def _all(text: bytes, word: bytes) -> list[int]:
    found, at = [], text.find(word)
    while at >= 0:
        found.append(at)
        at = text.find(word, at + 1)
    return found


def _chunks_to_the_end(grammar: Grammar, read: Bytes, size: int, begin: int) -> bool:
    """Whether nothing but chunks lies between `begin` and the end of the file; a known one may be cut off by it."""
    at = begin
    for chunk in grammar.chunks(read, size, begin):
        name = chunk.name[:4]
        if not all(0x20 <= letter < 0x7F for letter in name) or name in _AUDIO_AGAIN:
            return False
        at = chunk.body + chunk.length
        if at > size + 1:
            return name in _BEHIND_AUDIO
    return begin < size and size - at < grammar.header


def _is_zero(read: Bytes, begin: int, size: int) -> bool:
    """Whether there is nothing but zeros, which recorders that reserve room leave; not looked at where that is long."""
    if size - begin > _MOST_ZEROS:
        return False
    return not any(read(at, min(_STEP, size - at)).strip(b"\0") for at in range(begin, size, _STEP))

"""Text that a person saved with an editor: UTF-8, with or without the mark that some editors put in front of it."""

import codecs

MARK = "\ufeff"
"""What some editors put in front of UTF-8."""

_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # begins like UTF-16's, so it comes first
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def wide_encoding(content: bytes) -> str | None:
    """Return the name of the encoding if a file's bytes are text of two or four bytes a character, else None.

    Without a mark it is recognised by its zero bytes, which no text in UTF-8 holds.
    """
    for mark, name in _WIDE_MARKS:
        if content.startswith(mark):
            return name
    if b"\0" not in content:
        return None
    return "UTF-32" if b"\0\0\0" in content else "UTF-16"

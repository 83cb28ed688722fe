"""What the names of files and devices may hold: everything that can be shown in one line of text."""

import unicodedata

_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of surrogate pairs, and what separates lines and paragraphs."""


def is_name(text: str) -> bool:
    """Tell whether a text can be a name: spaces of all kinds, joiners and emoji can be part of one."""
    return text.isprintable() or not any(unicodedata.category(letter) in _REFUSED for letter in text)

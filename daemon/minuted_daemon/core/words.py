"""What counts as words in a transcriber's text, and text that can be stored. What is said of turns is not decided here.

A vendor's JSON may hold a character beyond the first 65,536 as two surrogate halves, and may send them one by one.
"""


def has_words(text: str) -> bool:
    """Return whether there is a letter or a digit of any script: punctuation, blanks and musical notes are no words."""
    return any(map(str.isalnum, text))


def grown(text: str, more: str) -> str:
    """Return `text` followed by `more`; two halves that meet become their character."""
    if text and more and _first_half(text[-1]):
        return text[:-1] + _paired(text[-1] + more)
    return text + more


def settled(text: str) -> str:
    """Return growing text without a first half at its end, whose other half may still come."""
    return text[:-1] if text and _first_half(text[-1]) else text


def storable(text: str) -> str:
    """Return text that can be stored and sent: halves that belong together joined, a lone one as U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _paired(text: str) -> str:
    """Join halves that stand side by side; lone ones stay."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _first_half(letter: str) -> bool:
    return "\ud800" <= letter <= "\udbff"

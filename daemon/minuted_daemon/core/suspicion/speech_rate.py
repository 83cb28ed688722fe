"""How much speech a text takes: its syllables, by script, and where it goes round in circles. Facts about texts only.

Syllables are counted low rather than high: for a text to be too fast it must be so beyond doubt.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

LONGEST = 1_500
"""Characters of a text that are looked at; no turn has more."""
_VOWELS = "aeiouyæøœıəαεηιουωаеёиоуыэюяіїєў"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_VOWEL_RUN = re.compile(f"[{_VOWELS}]+")
_BLOCK = re.compile(r"[぀-ヿ㐀-鿿가-힯豈-﫿ｦ-ﾝ\U00020000-\U0003ffff]")
"""Kana, Han, Hangul: a sign is a syllable."""
_KANA = re.compile(r"[぀-ヿｦ-ﾝ]")
_UNPARTED = re.compile(r"[぀-ヿ㐀-鿿豈-﫿ｦ-ﾝ฀-໿က-႟ក-៿\U00020000-\U0003ffff]")
"""Signs of scripts that put no blanks between words."""
_STRETCHED = re.compile(r"([^\W\d_])\1{15,}|([^\W\d_]{2,3}?)\2{9,}")
_STRETCHED_LEAST = 16
_LONGEST_PHRASE = 12  # words
_TOO_OFTEN = {1: 12, 2: 7, 3: 5}
"""How often people say a phrase of so many words on end, and once more; longer ones: _LONG_TOO_OFTEN."""
_LONG_TOO_OFTEN = 4
_SIGNS_TOO_OFTEN = {1: 14, 2: 8, 3: 6, 4: 6}
_LONG_SIGNS_TOO_OFTEN = 5
_LEAST_ON_END = 10
"""Any phrase that is said too often brings more pairs of neighbours than this that were there before."""


def folded(text: str) -> str:
    """Return a text in the form that is compared and counted: its beginning, in small letters of usual width."""
    text = text[:LONGEST]
    return text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def is_parted(text: str) -> bool:
    """Return whether a folded text's words stand apart: most of its letters are of a script with blanks."""
    return text.isascii() or 2 * len(_UNPARTED.findall(text)) <= sum(map(str.isalnum, text))


def units(text: str) -> list[str]:
    """Return the words of a folded text, or its signs where the script puts no blanks between words."""
    return _WORD.findall(text) if is_parted(text) else [sign for sign in text if sign.isalnum()]


def syllables(text: str) -> int:
    """Return at least how many syllables a folded text has."""
    blocks = 0 if text.isascii() else len(_BLOCK.findall(text)) - len(_KANA.findall(text)) // 4  # they are short
    rest = text if not blocks else _BLOCK.sub(" ", text)
    return blocks + sum(_syllables_of_word(word) for word in _WORD.findall(rest))


def _syllables_of_word(word: str) -> int:
    if not word.isascii():
        word = unicodedata.normalize("NFD", word)
    runs = len(_VOWEL_RUN.findall(word))
    if word[-1] == "e" and runs > 1:
        runs -= 1  # the one that English and French do not say
    if runs == 0:
        runs = sum(map(str.isalpha, word)) // 3  # a script that writes no vowels, or other ones
    return max(1, runs)


def goes_round(text: str) -> bool:
    """Return whether a folded text says one word, phrase or syllable more often on end than people do."""
    said = units(text)
    if any(len(word) >= _STRETCHED_LEAST and _STRETCHED.search(word) for word in said):
        return True
    if len(said) - len(set(pairwise(said))) <= _LEAST_ON_END:
        return False
    often, rest = (_TOO_OFTEN, _LONG_TOO_OFTEN) if is_parted(text) else (_SIGNS_TOO_OFTEN, _LONG_SIGNS_TOO_OFTEN)
    for length in range(1, min(_LONGEST_PHRASE, len(said) // 2) + 1):
        if _most_on_end(said, length) >= often.get(length, rest):
            return True
    return False


def rounds(said: Sequence[str]) -> tuple[int, int]:
    """Return how often these words or signs say the same, if they say nothing else, and how long that is; else 1."""
    for length in range(1, min(_LONGEST_PHRASE, len(said) // 2) + 1):
        if len(said) % length == 0 and said[length:] == said[:-length]:
            return len(said) // length, length
    return 1, len(said)


def _most_on_end(said: Sequence[str], length: int) -> int:
    """Return how often a phrase of this length is said on end, at most."""
    best = run = 0
    for same in map(str.__eq__, said, said[length:]):
        run = run + 1 if same else 0
        best = max(best, run)
    return 1 + best // length


def begins_with(text: Sequence[str], before: Sequence[str], share: float) -> bool:
    """Return whether `text` begins with all of `before`, as far as `share` of its pairs of neighbours."""
    pairs = set(pairwise(before))
    if not pairs or len(text) < share * len(before):
        return False
    head = text[: len(before) + max(2, len(before) // 5)]
    return len(pairs & set(pairwise(head))) >= share * len(pairs)

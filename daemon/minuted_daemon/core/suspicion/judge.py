"""Which texts look invented: transcribers write sentences for sound without speech, and go round in circles.

A mark is an opinion beside a text. It never delays, changes or withdraws one, and it is made once for each text, from
what is known when the text is settled. What the lines are that such models know by heart is boilerplate.py's.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from minuted_daemon.core.events import Attribution, Evidence, SuspectReason, TurnState
from minuted_daemon.core.records import TurnRecord
from minuted_daemon.core.samples import RATE_HZ, samples
from minuted_daemon.core.suspicion.boilerplate import Kind, kind_of
from minuted_daemon.core.suspicion.speech_rate import (
    begins_with,
    folded,
    goes_round,
    is_parted,
    rounds,
    syllables,
    units,
)

_NO_SPEECH = samples(0.03)
"""So little is a click, not a sound of speech."""
_FASTEST = 11.0  # syllables a second: auctioneers, for a breath
_AT_ONCE = 3  # syllables that may come on top: edges are rough, and the audio sent is longer than the turn
_EDGE_S = 0.4
_DENSEST = 40.0
"""Syllables in a second of speech as measured. Of faint speech energy finds a tenth, of people talking at once less."""
_DENSEST_UNCLAIMED = 25.0
_KNOWN_FASTEST, _KNOWN_FASTEST_CLAIMED = 12.0, 20.0
"""Syllables in a second of speech as measured, of a line that such models know by heart."""
_KNOWN_LEAST_S = 0.12
"""Of speech, for the shortest of them; a tap on the table has less."""
_KNOWN_SLOWEST_S = 0.6  # a syllable
_PAUSES_S = 1.5
_REMEMBERED = 8
_EVERYDAY_LONGEST_S = 3.0
_CLOSINGS_ON_END = 2
_EVERYDAY_ROUNDS, _WORD_ROUNDS = 5, 6
_EVERYDAYS_ON_END = {False: 3, True: 4, None: 6}
"""By `claimed`: without a diarizer, it may be the whole room's goodbye."""


@dataclass(frozen=True, slots=True)
class _Least:
    """A text that is shorter than this people begin with again."""

    words: int
    letters: int
    signs: int


_BEGUN_AGAIN, _BEGUN_AGAIN_IN_HASTE, _TWICE = _Least(6, 20, 10), _Least(3, 10, 5), _Least(8, 26, 16)
_HASTE = 7.0
"""Syllables a second: more than most people say for long."""
_ALIKE, _ALIKE_FROM = 0.8, 12
"""A vendor that says a text again may hear some of it otherwise; so many words or signs are enough to tell."""


@dataclass(frozen=True, slots=True)
class Said:
    """A settled text and the evidence for it. Lengths are in samples.

    `claimed`: whether a diarizer claims it, None where there is no diarizer. `holder`: who said it, None
    if unknown.
    """

    text: str
    start: int
    length: int
    evidence: Evidence | None = None
    claimed: bool | None = None
    holder: Hashable = None

    @property
    def heard(self) -> int | None:
        """How much of it may be speech: with a diarizer's word for it, also what only energy takes for voice."""
        if self.evidence is None:
            return None
        return max(self.evidence.spoken, self.evidence.voiced) if self.claimed else self.evidence.spoken


@dataclass(frozen=True, slots=True)
class _Remembered:
    said: Said
    units: Sequence[str]
    line: str
    parted: bool


class Suspicion:
    """One session's opinion of its texts. Remembers the last few, for those that only repeat what came before."""

    def __init__(self, languages: Sequence[str] = (), diarized: bool = True) -> None:
        """`languages`: those of the session (BCP 47), none: any. `diarized`: a diarizer listens, and could claim."""
        self._languages = tuple(languages)
        self._diarized = diarized
        self._last: OrderedDict[Hashable, _Remembered] = OrderedDict()

    def judge(self, key: Hashable, said: Said) -> SuspectReason | None:
        """Return why a text looks invented, None if it does not. `key` is the turn's: judged again it is a new text."""
        self._last.pop(key, None)
        if not self._diarized:
            said = replace(said, claimed=None)
        text = folded(said.text)
        if not any(map(str.isalnum, text)):
            return None
        words = units(text)
        remembered = _Remembered(said, words, "".join(words), is_parted(text))
        before = sorted((one for one in self._last.values() if one.said.start < said.start), key=_place)
        self._last[key] = remembered
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        return self._judged(remembered, text, before)

    def forget(self, key: Hashable) -> None:
        """There is no such turn any more."""
        self._last.pop(key, None)

    def _judged(self, one: _Remembered, text: str, before: Sequence[_Remembered]) -> SuspectReason | None:
        said, heard = one.said, one.said.heard
        known = kind_of(said.text, self._languages)
        count = syllables(text)
        if known is not None and known[0] is Kind.CREDIT:
            return SuspectReason.BOILERPLATE
        if heard is not None and heard <= _NO_SPEECH:
            return SuspectReason.NO_SPEECH
        if goes_round(text):
            return SuspectReason.REPETITION
        if known is not None and self._is_recited(one, known, count, before):
            return SuspectReason.BOILERPLATE
        if count > _FASTEST * (said.length / RATE_HZ + _EDGE_S) + _AT_ONCE:
            return SuspectReason.CUMULATIVE if _says_again(one, count, before) else SuspectReason.TOO_FAST
        densest = _DENSEST_UNCLAIMED if said.claimed is False else _DENSEST
        if heard is not None and count > densest * heard / RATE_HZ + 1:
            return SuspectReason.NO_SPEECH
        return SuspectReason.CUMULATIVE if _says_again(one, count, before) else None

    def _is_recited(
        self, one: _Remembered, known: tuple[Kind, bool], count: int, before: Sequence[_Remembered]
    ) -> bool:
        """Return whether a line that people say is none here: too little speech for it, or too often on end."""
        kind, ours = known
        said, closing = one.said, kind is Kind.CLOSING
        if closing and (not ours or said.claimed is False):
            return True
        if said.evidence is not None:
            spoken_s = said.evidence.spoken / RATE_HZ
            longest_s = _KNOWN_SLOWEST_S * count + (_PAUSES_S if closing else _EVERYDAY_LONGEST_S)
            too_long = spoken_s > longest_s and (closing or not said.claimed)
            least_s = count / (_KNOWN_FASTEST_CLAIMED if said.claimed else _KNOWN_FASTEST)
            if too_long or spoken_s <= max(least_s, _KNOWN_LEAST_S):
                return True
        times, length = rounds(one.units)
        if times >= (_CLOSINGS_ON_END if closing else _EVERYDAY_ROUNDS if length > 1 else _WORD_ROUNDS):
            return True
        on_end = 1
        for other in reversed(before):
            if other.line != one.line or other.said.holder != said.holder:
                break
            on_end += 1
        return on_end >= (_CLOSINGS_ON_END if closing else _EVERYDAYS_ON_END[said.claimed])


def said_in(turn: TurnState | TurnRecord) -> Said:
    """Return what a turn says. One whose diarizer was away for a moment is neither claimed nor not."""
    claimed = None if turn.attribution is Attribution.INFERRED else turn.attribution is Attribution.DIARIZED
    holder = turn.speaker if isinstance(turn, TurnState) else turn.speaker_id
    return Said(turn.text, turn.start, turn.end - turn.start, turn.evidence, claimed, holder)


def _says_again(one: _Remembered, count: int, before: Sequence[_Remembered]) -> bool:
    """Return whether a text holds all of one of the last two again, which was long enough to mean something."""
    in_haste = count > _HASTE * one.said.length / RATE_HZ
    for other in before[-2:]:
        if other.parted is not one.parted:
            continue
        if other.units == one.units:
            if _is_long(other, _TWICE):
                return True
        elif len(one.units) > len(other.units) and _is_long(other, _BEGUN_AGAIN_IN_HASTE if in_haste else _BEGUN_AGAIN):
            alike = _ALIKE if len(other.units) >= _ALIKE_FROM else 1.0
            if begins_with(one.units, other.units, alike):
                return True
    return False


def _is_long(one: _Remembered, least: _Least) -> bool:
    if not one.parted:
        return len(one.units) >= least.signs
    return len(one.units) >= least.words and len(one.line) >= least.letters


def _place(one: _Remembered) -> int:
    return one.said.start

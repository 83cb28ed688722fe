"""Matches labels of two epochs that are one person, by the speech that both epochs heard.

Only sums are kept, never the speech: for each set of labels active in the older epoch and each in the newer one, how
long the two were active together. Who is one person after that is a question of these sums alone.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from minuted_daemon.core.diarization.timeline import Span, Voice
from minuted_daemon.core.samples import samples

_ENOUGH = samples(0.8)
"""A second of speech in both, less what two diarizers may differ by at its edges."""
_CLEARLY = 2
"""A newer label must have spoken this many times as long with its match as with any other label."""
_DOUBTED = 4
"""Another older label that could be the match may have spoken at most this many times as long."""
_MOST_SUMS = 512

Active = tuple[Voice, ...]
Together = tuple[Active, Active]
"""Who was active in the older epoch, and who in the newer one, each in order of number."""


class SharedSpeech:
    """Adds up who was active with whom. When there are more sums than _MOST_SUMS, the shortest are forgotten."""

    def __init__(self) -> None:
        self._sums: Counter[Together] = Counter()

    def add(self, older: Sequence[Span], newer: Sequence[Span], start: int, end: int) -> None:
        """Add what was active in [start, end), once and for all."""
        self._sums.update(_together(older, newer, start, end))
        if len(self._sums) > _MOST_SUMS:
            self._sums = Counter(dict(self._sums.most_common(_MOST_SUMS // 2)))

    def matches(
        self, older: Sequence[Span], newer: Sequence[Span], start: int, end: int, known: dict[Voice, Voice]
    ) -> dict[Voice, Voice]:
        """Return who is who, newer to older, from all that was added and from what is active in [start, end).

        `known`: what has been decided before; it is not given again.
        """
        sums = self._sums + _together(older, newer, start, end)
        found: dict[Voice, Voice] = {}
        while more := _clear_matches(sums, {**known, **found}) or _agreeing(sums, {**known, **found}):
            found |= more
        return found


def _together(older: Sequence[Span], newer: Sequence[Span], start: int, end: int) -> Counter[Together]:
    """For how many samples of [start, end) each two sets of voices were active together."""
    marks: list[tuple[int, int, int, Voice]] = []  # (position, 0 end or 1 start, side, voice)
    for side, spans in enumerate((older, newer)):
        for span in spans:
            low, high = max(span.start, start), end if span.end is None else min(span.end, end)
            if low < high:
                marks += [(low, 1, side, span.voice), (high, 0, side, span.voice)]
    active: tuple[set[Voice], set[Voice]] = (set(), set())
    sums: Counter[Together] = Counter()
    since = start
    for at, starts, side, voice in sorted(marks):
        if at > since and (active[0] or active[1]):
            sums[tuple(sorted(active[0])), tuple(sorted(active[1]))] += at - since
        since = at
        if starts:
            active[side].add(voice)
        else:
            active[side].discard(voice)
    return sums


def _clear_matches(sums: Counter[Together], known: dict[Voice, Voice]) -> dict[Voice, Voice]:
    """Return the newer labels that can be matched by now, each with its older label.

    Overlapped speech does not say which of several labels is which, so only stretches count in which each epoch has
    one label that is not known yet: those of a lone speaker, and the rest of an overlap once the others are known.
    A newer label must clearly have spoken with one older label; an older label that was split into several newer ones
    goes on as the one that spoke most. An older label whose end was lost seems to speak with every label: it is no
    match if most of what it shared with the newer one is shared by another older label as well.
    """
    taken = set(known.values())
    shared: Counter[tuple[Voice, Voice]] = Counter()
    doubtful: Counter[tuple[Voice, Voice]] = Counter()
    for (old, new), length in sums.items():
        left, right = _others(old, taken), _others(new, known)
        if len(left) == len(right) == 1:
            shared[right[0], left[0]] += length
        elif len(right) == 1:
            doubtful.update({(right[0], voice): length for voice in left})
    best: dict[Voice, Voice] = {}  # older to newer
    for (one, other), length in sorted(shared.items()):
        rival = max((shared[pair] for pair in shared if pair[0] == one and pair[1] != other), default=0)
        clear = length >= _CLEARLY * rival and length * _DOUBTED >= doubtful[one, other]
        if clear and length >= _ENOUGH and (other not in best or length > shared[best[other], other]):
            best[other] = one
    return {one: other for other, one in best.items() if _leads(shared, one, other)}


def _agreeing(sums: Counter[Together], known: dict[Voice, Voice]) -> dict[Voice, Voice]:
    """Return a newer label that is active and silent together with one older label, even if others speak meanwhile.

    The time two labels were active together, less the time only one of them was, must reach _ENOUGH and be _CLEARLY
    more than with any other label, on either side.
    """
    taken = set(known.values())
    together: Counter[tuple[Voice, Voice]] = Counter()
    alone: Counter[Voice] = Counter()
    for (old, new), length in sums.items():
        left, right = _others(old, taken), _others(new, known)
        alone.update(dict.fromkeys((*left, *right), length))
        together.update({(one, other): length for one in right for other in left})
    score = {pair: 3 * length - alone[pair[0]] - alone[pair[1]] for pair, length in together.items()}
    for pair in sorted(score, key=lambda pair: (-score[pair], pair)):
        rivals = (score[other] for other in score if other != pair and (other[0] == pair[0] or other[1] == pair[1]))
        if score[pair] >= _ENOUGH and all(_CLEARLY * rival <= score[pair] for rival in rivals):
            return dict([pair])
    return {}


def _leads(shared: Counter[tuple[Voice, Voice]], newer: Voice, older: Voice) -> bool:
    return all(length <= shared[newer, older] for (_, other), length in shared.items() if other == older)


def _others(voices: Active, known: Iterable[Voice]) -> list[Voice]:
    return [voice for voice in voices if voice not in known]

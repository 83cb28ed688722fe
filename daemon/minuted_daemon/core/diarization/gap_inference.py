"""The gaps between epochs, in which no diarizer listened, and the speaker of the speech in them."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from minuted_daemon.core.diarization.timeline import Voice
from minuted_daemon.core.events import Epoch, SpeakerNumber
from minuted_daemon.core.samples import ENDLESS, samples

_LONGEST = samples(3.0)
"""In a longer gap another speaker may well have spoken."""
_EDGE = samples(0.35)
"""Voice activity and diarizers do not agree on edges to the frame."""
_AT_ONCE = samples(0.1)
_MOST = 32


@dataclass(slots=True)
class _Gap:
    start: int
    before: frozenset[Voice]  # the voices that were cut off
    epoch: Epoch | None = None  # the next one
    firsts: dict[Voice, int] = field(default_factory=dict)  # where it first heard each voice

    def end(self) -> tuple[int, frozenset[Voice]]:
        """Where the next epoch first hears a voice, and which."""
        first = min(self.firsts.values(), default=ENDLESS)
        return first, frozenset(voice for voice, at in self.firsts.items() if at < first + _AT_ONCE)


class Gaps:
    """Remembers the last gaps of a session; turns in older ones are frozen."""

    def __init__(self) -> None:
        self._gaps: deque[_Gap] = deque(maxlen=_MOST)

    def began(self, at: int, cut_off: frozenset[Voice]) -> None:
        """From here on no diarizer listened; `cut_off` were speaking."""
        self._gaps.append(_Gap(at, cut_off))

    def ended(self, epoch: Epoch) -> None:
        """An epoch listens again."""
        if self._gaps and self._gaps[-1].epoch is None:
            self._gaps[-1].epoch = epoch

    def heard(self, epoch: Epoch, voice: Voice, at: int) -> None:
        """A voice of the epoch began to speak."""
        gap = self._gaps[-1] if self._gaps else None
        if gap is not None and gap.epoch == epoch and gap.start <= at <= gap.start + _LONGEST:
            gap.firsts[voice] = min(at, gap.firsts.get(voice, at))

    def inferred(self, start: int, end: int, known: Callable[[Voice], SpeakerNumber | None]) -> SpeakerNumber | None:
        """Return the speaker of unclaimed speech in [start, end); None if that is not certain.

        The gap is at most 3 s long, one voice was cut off at its start, and at its end the same person alone is heard.
        """
        for gap in self._gaps:
            until, after = gap.end()
            if until == ENDLESS or start < gap.start - _EDGE or end > until + _EDGE:
                continue
            if len(gap.before) == len(after) == 1:
                one, other = (known(voice) for side in (gap.before, after) for voice in side)
                return one if one == other else None
        return None

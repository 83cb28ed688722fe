"""A turn while the merge still works on it. Decisions are made by those who hold it."""

from dataclasses import dataclass, field

from minuted_daemon.core.events import Overlap, TextSource, TurnNumber, TurnState, UtteranceId
from minuted_daemon.core.samples import samples
from minuted_daemon.core.timeline import Voice

LEAD = samples(0.1)
TAIL = samples(0.15)
_ENDLESS = 1 << 62


@dataclass(slots=True, eq=False)
class Turn:
    """One holder's stretch: what is known of it, what was sent of it, and what came back."""

    number: TurnNumber
    voice: Voice
    start: int
    end: int
    parts: list[tuple[int, int]]
    not_before: int  # audio before this is in another turn's commit
    not_after: int = _ENDLESS  # where the next voice begins
    closed: bool = False
    paused: bool = False  # the holder is known to be silent behind the last part
    repaired: bool = False

    utterance: UtteranceId | None = None  # the attempt under way
    sent_from: int | None = None
    sent_to: int | None = None
    sent: int = 0  # samples of this attempt
    misses: int = 0  # attempts without an answer

    partial: str = ""
    fallback: str = ""  # the best of earlier attempts
    text: str = ""
    text_source: TextSource = TextSource.NONE
    overlapping: tuple[Overlap, ...] = ()
    settled: bool = False
    gone: bool = False
    shown: TurnState | None = None
    revised_at: int = field(default=-_ENDLESS)

    def content(self, since: int, until: int) -> list[tuple[int, int]]:
        """The audio of this turn from `since` on, as far as it may be sent by now: rising ranges before `until`."""
        ranges: list[tuple[int, int]] = []
        for number, (start, end) in enumerate(self.parts, 1):
            tail = TAIL if self.closed or self.paused or number < len(self.parts) else 0
            low = max(start - LEAD, self.not_before, since, ranges[-1][1] if ranges else 0)
            high = min(end + tail, max(end, self.not_after), until)
            if high > low:
                if ranges and ranges[-1][1] == low:
                    ranges[-1] = (ranges[-1][0], high)
                else:
                    ranges.append((low, high))
        return ranges

    def forget_sent(self) -> None:
        """What was sent no longer counts."""
        self.utterance = None
        self.sent_from = self.sent_to = None
        self.sent = 0
        self.partial = ""

"""A turn while the merge still works on it. Decisions are made by those who hold it."""

from dataclasses import dataclass, field

from minuted_daemon.core.diarization.timeline import UNCLAIMED, Voice
from minuted_daemon.core.events import Evidence, Overlap, TextSource, TurnNumber, TurnState, UtteranceId
from minuted_daemon.core.samples import ENDLESS, samples
from minuted_daemon.core.words import has_words, settled

LEAD = samples(0.1)
TAIL = samples(0.15)
"""The silence sent around a turn where no other voice is active."""
SHORTEST_COMMIT = samples(0.3)
"""A transcriber refuses less; what a commit has less than that is filled up with silence."""


@dataclass(slots=True, eq=False)
class Turn:
    """One holder's stretch: what is known of it, what was sent of it, and what came back."""

    number: TurnNumber
    voice: Voice
    start: int
    end: int
    first: int  # where its audio begins: some silence before its start, and voice that begins a little earlier
    last: int  # where its audio ends, likewise
    not_before: int  # audio before this is in another turn's commit
    not_after: int = ENDLESS  # audio from here on is in another turn's commit
    closed: bool = False
    paused: bool = False  # the holder is known to be silent after the last part
    repaired: bool = False
    misfit: bool = False  # more of another voice is in it than a repair took out, or it came too soon

    utterance: UtteranceId | None = None  # the attempt under way
    sent_from: int | None = None
    sent_to: int | None = None
    misses: int = 0  # attempts without an answer, or with one that has no word
    wordless: int = 0  # those with one
    failures: int = 0  # attempts that the transcriber gave up on
    trials: int = 0  # attempts while it failed at everything
    answers_before: int = 0  # answers to others when it failed first

    partial: str = ""
    fallback: str = ""  # the best of earlier attempts
    fallback_is_whole: bool = False  # it is a completed text, only of an attempt that was given up
    text: str = ""
    text_source: TextSource = TextSource.NONE
    evidence: Evidence | None = None  # noted while it is remembered
    overlapping: tuple[Overlap, ...] = ()
    covered_by_others: bool = False  # all of its audio went into other turns' commits
    settled: bool = False
    gone: bool = False
    shown: TurnState | None = None
    revised_at: int = field(default=-ENDLESS)

    @property
    def has_audio(self) -> bool:
        """False if all of its audio is in other turns' commits."""
        return self.last > self.first

    def content(self, since: int, until: int) -> tuple[int, int] | None:
        """The audio of this turn from `since` on, as far as it may be sent by now: a range before `until`.

        Pauses inside are sent too: they are short, and may contain quiet words.
        """
        low = max(self.first, self.not_before, since)
        high = min(self.last if self.closed or self.paused else self.end, self.not_after, until)
        return (low, high) if high > low else None

    def touches(self, start: int, end: int) -> bool:
        """Return whether it has anything of [start, end): of its stretch, or of its audio."""
        return min(self.start, self.first) < end and max(self.end, self.last, self.sent_to or 0) > start

    @property
    def silent(self) -> bool:
        """The transcriber found no word in it."""
        return self.text_source is TextSource.COMPLETED and not has_words(self.text)

    @property
    def heard(self) -> bool:
        """Speech was heard in it: a diarized speaker claims it, or the transcriber had begun to say something."""
        return self.voice != UNCLAIMED or self.words_begun

    @property
    def words_begun(self) -> bool:
        """An attempt had begun to say something of it."""
        return has_words(self.partial) or has_words(self.fallback)

    @property
    def said(self) -> str:
        """What to show while it has no text: all that an attempt said of it so far."""
        return settled(max(self.partial, self.fallback, key=len)).strip()

    @property
    def sent(self) -> int:
        """Samples sent in this attempt."""
        return 0 if self.sent_from is None or self.sent_to is None else self.sent_to - self.sent_from

    def keep_partial(self) -> None:
        """Give this attempt up: its partial text becomes the fallback if no earlier one was longer."""
        if not self.fallback_is_whole:
            self.fallback = max(self.fallback, self.partial, key=len)

    def forget_sent(self) -> None:
        """What was sent no longer counts."""
        self.utterance = None
        self.sent_from = self.sent_to = None
        self.partial = ""

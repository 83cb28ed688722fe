"""Turns after they are cut: partials while they grow, then settled, revised or retracted.

Where turns begin and end is decided in turn_cutter.py and reviser.py; here, who speaks in them, who overlaps, and how
often a final turn may change.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from minuted_daemon.core.diarization.epochs import Epochs, Relabelled
from minuted_daemon.core.diarization.identity import Identity
from minuted_daemon.core.diarization.timeline import UNCLAIMED
from minuted_daemon.core.events import (
    Attribution,
    MergeOutput,
    Overlap,
    SpeakerNumber,
    TextSource,
    TurnGrew,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    TurnState,
    UtteranceId,
    WordsMissing,
)
from minuted_daemon.core.merge.reviser import Revision
from minuted_daemon.core.samples import RATE_HZ, Sample, samples
from minuted_daemon.core.transcription.turn import Turn

_REVISE_EVERY = 10 * RATE_HZ
_MANY = 40
"""More turns than this wait for their text only during an outage."""
_OVERLAP_LEAST = samples(0.1)


class Outcomes:
    """Keeps the turns that wait for their text and those that may still change. `now` is session time in samples."""

    def __init__(self, epochs: Epochs, identity: Identity) -> None:
        self._outputs: list[MergeOutput] = []
        self._textless = False
        self._epochs, self._identity = epochs, identity
        self._waiting: list[Turn] = []  # closed, and without their text
        self._finals: deque[Turn] = deque()
        self._changed_finals: list[Turn] = []

    @property
    def waiting(self) -> Sequence[Turn]:
        """The closed turns that have no text yet."""
        return self._waiting

    @property
    def waits(self) -> bool:
        """True while a closed turn has no text."""
        return bool(self._waiting)

    def take_outputs(self) -> list[MergeOutput]:
        """Return the outputs since the last call, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def add_outputs(self, outputs: Iterable[MergeOutput]) -> None:
        """Put these after the other outputs."""
        self._outputs.extend(outputs)

    def text_refused(self) -> None:
        """There is no text for now: turns are shown without it."""
        self._textless = True

    def text_returned(self) -> None:
        """There is text again: turns are shown with it."""
        self._textless = False

    def forget(self, frozen_to: int) -> None:
        """Stop tracking turns that end before this position: they change no more."""
        while self._finals and self._finals[0].end < frozen_to:
            self._finals.popleft()

    def speakers_joined(self) -> None:
        """Speakers were joined: growing turns show it at once, final ones are revised if it changes them."""
        for turn in self._finals:
            turn.overlapping = self._of_others(turn, turn.overlapping)
            if self._state(turn) != turn.shown:
                self._to_revise(turn)

    def closed(self, turn: Turn) -> None:
        """A turn's stretch is decided; its text is awaited."""
        self._speaker_of(turn)  # a label becomes a speaker with its first turn
        turn.overlapping = self._overlaps(turn)
        self._waiting.append(turn)

    def redacted(self, start: int, end: int) -> list[Turn]:
        """Drop all turns that touch [start, end); return those whose text was awaited."""
        awaited = [turn for turn in self._waiting if turn.touches(start, end)]
        for turn in awaited:
            self._waiting.remove(turn)
            self.vanished(turn)
        self._finals = deque(turn for turn in self._finals if not turn.touches(start, end))
        self._changed_finals = [turn for turn in self._changed_finals if not turn.touches(start, end)]
        return awaited

    def vanished(self, turn: Turn) -> None:
        """The turn turned out to be none."""
        turn.gone = True
        if turn.shown is not None:
            self._outputs.append(TurnRetracted(turn.number, was_final=False))

    def _overlaps(self, turn: Turn) -> tuple[Overlap, ...]:
        others = [
            Overlap(self._identity.speaker(voice), length)
            for voice, length in self._epochs.active_time(turn.start, turn.end)
            if voice != turn.voice and length >= _OVERLAP_LEAST
        ]
        return self._of_others(turn, others)

    def _of_others(self, turn: Turn, overlaps: Iterable[Overlap]) -> tuple[Overlap, ...]:
        """Return one entry for each other speaker, as they are known now."""
        total: Counter[SpeakerNumber] = Counter()
        for overlap in overlaps:
            total[self._identity.usage(overlap.speaker)] += overlap.duration
        own = self._speaker_of(turn)
        return tuple(Overlap(speaker, length) for speaker, length in sorted(total.items()) if speaker != own)

    def _state(self, turn: Turn, partial: bool = False) -> TurnState:
        speaker = self._speaker_of(turn)
        told = Attribution.DIARIZED if turn.voice != UNCLAIMED else Attribution.INFERRED
        return TurnState(
            turn.number,
            Sample(turn.start),
            Sample(turn.end),
            speaker,
            Attribution.UNKNOWN if speaker is None else told,
            turn.said if partial else turn.text,
            TextSource.NONE if partial else turn.text_source,
            turn.overlapping,
            turn.evidence,
        )

    def _near_the_ends(self) -> Sequence[Turn]:
        """Return the waiting turns that may have changed: the oldest get their text, the newest grow."""
        if len(self._waiting) <= _MANY:
            return self._waiting
        return [*self._waiting[: _MANY // 2], *self._waiting[-_MANY // 2 :]]

    def show_partials(self, growing: Turn | None) -> None:
        """Output every partial that changed."""
        turns = self._near_the_ends()
        for turn in [*turns, growing] if growing is not None else turns:
            if turn.settled or not (turn.partial or turn.fallback or turn.shown or self._textless):
                continue
            shown, said = turn.shown, turn.said
            if not said and shown is None and not self._textless:
                continue
            if shown is None or shown.text != said or self._speaker_of(turn) != shown.speaker:
                turn.overlapping = self._overlaps(turn)
                turn.shown = self._state(turn, partial=True)
                self._outputs.append(TurnGrew(turn.shown))

    def _speaker_of(self, turn: Turn) -> SpeakerNumber | None:
        if turn.voice == UNCLAIMED:
            return self._epochs.inferred(turn.start, turn.end)
        return self._identity.speaker(turn.voice)

    def settle(self, answered: Iterable[Turn], now: int) -> None:
        """These turns have their text."""
        for turn in answered:
            self._waiting.remove(turn)
            turn.settled = True
            if turn.silent or turn.covered_by_others:
                self.vanished(turn)
                self._note_wordless(turn)
                continue
            turn.overlapping = self._overlaps(turn)
            turn.shown = self._state(turn)
            turn.revised_at = now
            self._finals.append(turn)
            self._outputs.append(TurnSettled(turn.shown, self._generation(turn)))

    def _note_wordless(self, turn: Turn) -> None:
        if turn.silent and turn.wordless:
            self._outputs.append(WordsMissing(Sample(turn.start), Sample(turn.end)))

    def replace(self, revision: Revision, now: int) -> None:
        """Replace the old turns by the new ones: retractions first, then revisions, then new turns."""
        before = {turn.number for turn in revision.old if not turn.gone}
        said = [turn for turn in revision.new if not turn.silent and not turn.covered_by_others]
        for turn in revision.old:
            if turn in self._finals:
                self._finals.remove(turn)
            if turn in self._changed_finals:
                self._changed_finals.remove(turn)
            if not turn.gone and turn.number not in {other.number for other in said}:
                self._outputs.append(TurnRetracted(turn.number, was_final=True))
            turn.gone = True
        for turn in revision.new:
            turn.settled, turn.gone = True, turn not in said
            self._note_wordless(turn)
        for turn in sorted(said, key=lambda turn: turn.number not in before):
            turn.overlapping = self._overlaps(turn)
            turn.shown, turn.revised_at = self._state(turn), now
            tell = TurnRevised if turn.number in before else TurnSettled
            self._outputs.append(tell(turn.shown, self._generation(turn)))
            self._finals.append(turn)

    def correct_overlaps(self, since: int) -> None:
        """Revise final turns in which another speaker's time changed by 0.1 s or more."""
        for turn in self._finals:
            if turn.end <= since:
                continue
            overlaps = self._overlaps(turn)
            before = {overlap.speaker: overlap.duration for overlap in turn.overlapping}
            after = {overlap.speaker: overlap.duration for overlap in overlaps}
            if any(abs(after.get(one, 0) - before.get(one, 0)) >= _OVERLAP_LEAST for one in {*before, *after}):
                turn.overlapping = overlaps
                self._to_revise(turn)

    def corrected(self, turn: Turn, now: int) -> None:
        """A final turn got a better text or voice: it is revised without the usual wait."""
        turn.revised_at = min(turn.revised_at, now - _REVISE_EVERY)
        self._to_revise(turn)

    def relabel(self, change: Relabelled, under_way: Sequence[Turn]) -> None:
        """Apply a relabelling; `under_way`: new turns of revisions."""
        old, new, start, end = change.old, change.new, change.start, change.end
        for turn in [*self._waiting, *self._finals, *under_way]:
            if turn.voice == old and 2 * (min(end, turn.end) - max(start, turn.start)) > turn.end - turn.start:
                turn.voice = new
                self._to_revise(turn)

    def _to_revise(self, turn: Turn) -> None:
        if turn.settled and not turn.gone and turn not in self._changed_finals:
            self._changed_finals.append(turn)

    def revise(self, now: int, final: bool) -> None:
        """Output every revision that is due; all of them if `final`: nothing more will come."""
        due = [turn for turn in self._changed_finals if final or now >= turn.revised_at + _REVISE_EVERY]
        for turn in due:
            self._changed_finals.remove(turn)
            state = self._state(turn)
            if state != turn.shown:
                turn.shown, turn.revised_at = state, now
                self._outputs.append(TurnRevised(state, self._generation(turn)))

    def _generation(self, turn: Turn) -> UtteranceId | None:
        return turn.utterance if turn.text_source is not TextSource.NONE else None

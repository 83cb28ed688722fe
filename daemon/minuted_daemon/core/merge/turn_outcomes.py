"""What becomes of turns and is told of them: partials while they grow, their settling, revisions, retractions.

Where turns begin and end is decided before; here it is put together who speaks in them and with whom, and how often a
final turn may change.
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
"""More turns than these wait for their text only where there was none for long."""
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
        """Return what is to be told, in order, since the last call."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def add_outputs(self, outputs: Iterable[MergeOutput]) -> None:
        """Have these told next."""
        self._outputs.extend(outputs)

    def text_refused(self) -> None:
        """There is no text for now: turns are shown without it."""
        self._textless = True

    def text_returned(self) -> None:
        """There is text again: turns are shown with it."""
        self._textless = False

    def forget(self, frozen_to: int) -> None:
        """Turns that end before this position change no more."""
        while self._finals and self._finals[0].end < frozen_to:
            self._finals.popleft()

    def speakers_joined(self) -> None:
        """Some speakers are others now: growing turns show it at once, final ones are revised where it matters."""
        for turn in self._finals:
            turn.overlapping = self._of_others(turn, turn.overlapping)
            if self._state(turn) != turn.shown:
                self._to_revise(turn)

    def closed(self, turn: Turn) -> None:
        """A turn's stretch is decided; its text is awaited."""
        self._speaker_of(turn)  # a label is a speaker from its first turn
        turn.overlapping = self._overlaps(turn)
        self._waiting.append(turn)

    def redacted(self, start: int, end: int) -> list[Turn]:
        """Let go of all turns that touch [start, end); give those whose text was awaited."""
        awaited = [turn for turn in self._waiting if turn.touches(start, end)]
        for turn in awaited:
            self._waiting.remove(turn)
            self.vanished(turn)
        self._finals = deque(turn for turn in self._finals if not turn.touches(start, end))
        self._changed_finals = [turn for turn in self._changed_finals if not turn.touches(start, end)]
        return awaited

    def vanished(self, turn: Turn) -> None:
        """There is no such turn after all."""
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
        """One entry for each speaker as they are known now; nobody overlaps with himself."""
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
        """Return the waiting turns that may have changed: of a day's, the oldest get their text and the newest grow."""
        if len(self._waiting) <= _MANY:
            return self._waiting
        return [*self._waiting[: _MANY // 2], *self._waiting[-_MANY // 2 :]]

    def show_partials(self, growing: Turn | None) -> None:
        """Tell of every partial that changed."""
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
            if turn.silent or turn.swallowed:
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
        """Put the new turns in the place of the old ones: what is gone first, then what changed, then what is new."""
        before = {turn.number for turn in revision.old if not turn.gone}
        said = [turn for turn in revision.new if not turn.silent and not turn.swallowed]
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
        """News changed for how long somebody else spoke during a final turn: worth a revision from 0.1 s on."""
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
        """A final turn's text or voice is known at last: nobody wavers, so there is no need to wait."""
        turn.revised_at = min(turn.revised_at, now - _REVISE_EVERY)
        self._to_revise(turn)

    def relabel(self, told: Relabelled, under_way: Sequence[Turn]) -> None:
        """The diarizer changed its mind; `under_way`: turns that are to replace others."""
        old, new, start, end = told.old, told.new, told.start, told.end
        for turn in [*self._waiting, *self._finals, *under_way]:
            if turn.voice == old and 2 * (min(end, turn.end) - max(start, turn.start)) > turn.end - turn.start:
                turn.voice = new
                self._to_revise(turn)

    def _to_revise(self, turn: Turn) -> None:
        if turn.settled and not turn.gone and turn not in self._changed_finals:
            self._changed_finals.append(turn)

    def revise(self, now: int, final: bool) -> None:
        """Tell of every change that is due, and of all if nothing more will come."""
        due = [turn for turn in self._changed_finals if final or now >= turn.revised_at + _REVISE_EVERY]
        for turn in due:
            self._changed_finals.remove(turn)
            state = self._state(turn)
            if state != turn.shown:
                turn.shown, turn.revised_at = state, now
                self._outputs.append(TurnRevised(state, self._generation(turn)))

    def _generation(self, turn: Turn) -> UtteranceId | None:
        return turn.utterance if turn.text_source is not TextSource.NONE else None

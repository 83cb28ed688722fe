"""The merge as the service sees it: events in, commands and turns out, time as data.

This file joins the parts and turns their state into outputs. Who is active is timeline.py's, who holds the floor
floor.py's, where turns are cut plan.py's and cutter.py's, what the transcriber is sent and answers lane.py's.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from minuted_daemon.core.book import Book
from minuted_daemon.core.cutter import LATE_NEWS, Cutter
from minuted_daemon.core.epochs import Epochs, Relabelled
from minuted_daemon.core.events import (
    Attribution,
    AudioShed,
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    MergeOutput,
    Overlap,
    SpeakerNumber,
    SpeakerRelabelled,
    SpeakersMatched,
    TextCompleted,
    TextFailed,
    TextGrew,
    TextSource,
    TranscriberEvent,
    TranscriberLost,
    TranscriberReady,
    TranscriberRefused,
    TurnGrew,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    TurnState,
    UtteranceId,
    VoiceObserved,
)
from minuted_daemon.core.holdback import HoldBack
from minuted_daemon.core.identity import Identity
from minuted_daemon.core.lane import Lane
from minuted_daemon.core.reviser import Reviser, Revision
from minuted_daemon.core.samples import RATE_HZ, Sample, samples, seconds
from minuted_daemon.core.timeline import UNHEARD
from minuted_daemon.core.turn import Turn
from minuted_daemon.core.unheard import MARGIN, UnheardSpeech
from minuted_daemon.core.voice import VoiceTrack

_SILENCE_ENDS = samples(1.5)
_MEMORY = samples(60.0)
_REVISE_EVERY = 10 * RATE_HZ
_OVERLAP_LEAST = samples(0.1)


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """`hold_back_s` None means auto. `diarizer_lag_s`: the event lag to expect before any was measured."""

    hold_back_s: float | None = None
    join_gap_s: float = 0.8
    max_turn_s: float = 20.0
    freeze_s: float = 300.0
    diarizer_lag_s: float = 0.5
    transcribes: bool = True


MergeInput = (
    VoiceObserved
    | EpochOpened
    | EpochTookOver
    | EpochClosed
    | SpeakersMatched
    | AudioShed
    | TranscriberEvent
    | TranscriberReady
    | TranscriberLost
    | TranscriberRefused
)


class Merger:
    """Decides who said what. Pure: the same inputs give the same outputs.

    Feed what happened, then call `advance`, which gives everything that follows from it. Audio is fed as
    VoiceObserved, in order and without holes; `advance(now)` may run ahead of the audio once capture has ended.
    """

    def __init__(self, settings: MergeSettings) -> None:
        self._settings = settings
        self._track = VoiceTrack()
        self._identity = Identity()
        self._epochs = Epochs(self._identity)
        self._unheard = UnheardSpeech(self._track)
        self._hold_back = HoldBack(settings.hold_back_s, settings.diarizer_lag_s)
        self._lane = Lane()
        self._book = Book()
        self._numbers = count(1)
        self._cutter = Cutter(
            self._epochs,
            self._unheard,
            self._track,
            self._lane,
            self._book,
            self._numbers,
            samples(settings.join_gap_s),
            samples(settings.max_turn_s),
            self._turn_closed,
            self._turn_vanished,
        )
        self._reviser = Reviser(
            self._cutter,
            self._track,
            self._lane,
            self._book,
            self._numbers,
            samples(settings.join_gap_s),
            self._turn_renamed,
        )
        self._now = 0
        self._horizon = 0
        self._retained = 0
        self._closing = self._final = False
        self._changed = False
        self._waiting: list[Turn] = []  # closed, and without their text
        self._finals: deque[Turn] = deque()
        self._changed_finals: list[Turn] = []
        self._outputs: list[MergeOutput] = []
        if not settings.transcribes:
            self._lane.refuse()

    # --- what happened ---

    def feed(self, event: MergeInput) -> None:
        """Take in one event. Gives nothing back: call `advance`."""
        match event:
            case VoiceObserved():
                self._track.append(event)
            case TextGrew():
                self._lane.grew(event.utterance, event.text, event.replaces)
            case TextCompleted():
                self._lane.completed(event.utterance, event.text)
            case TextFailed():
                self._lane.failed(event.utterance)
            case EpochOpened():
                if self._epochs.opened(event):
                    self._unheard.diarizer_came(event.base)
            case EpochTookOver():
                self._changed |= self._epochs.took_over(event) is not None
            case EpochClosed():
                self._close_epoch(event)
            case SpeakersMatched():
                if self._epochs.match(event.newer, event.older):
                    self._speakers_joined()
            case AudioShed():
                self._lane.shed(event.before)
            case TranscriberReady():
                self._lane.ready()
            case TranscriberLost():
                self._lane.lost()
            case TranscriberRefused():
                self._lane.refuse()

    def feed_diarization(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """Take in a diarizer's event of this epoch; `sent_to` is how far the epoch had been sent audio by then.

        Events of an epoch that is not open are dropped: nobody can say where they belong.
        """
        if isinstance(event, SpeakerRelabelled):
            relabelled = self._epochs.relabel(epoch, event)
            if relabelled is not None:
                self._relabel(relabelled)
            return
        heard = self._epochs.tell(epoch, event)
        if heard is not None:
            self._hold_back.observe(sent_to - heard.at)
            self._news(heard.changed_from)

    def close(self) -> None:
        """No more audio and no more diarizer events will come: decide all that is left at the next `advance`."""
        self._closing = True

    def abandon(self) -> None:
        """No more time: settle every turn at the next `advance` with what is there. Call `close` first."""
        self._lane.refuse()

    # --- what follows ---

    def advance(self, now: Sample) -> Sequence[MergeOutput]:
        """Bring everything up to `now` (session time in samples, never falling) and give what follows, in order.

        Calling it again with the same `now` and nothing fed gives nothing.
        """
        later, self._now = now > self._now, max(now, self._now)
        self._end_silent()
        moved = self._move_horizon()
        if self._epochs.join(self._horizon):
            self._speakers_joined()
        if moved or self._changed or (self._closing and not self._final):
            self._final = self._closing
            self._cut()
        looked_from = self._reviser.advance(self._now, self._frozen_to, self._final) if later else None
        if looked_from is not None:
            self._correct_overlaps(looked_from)
        self._lane.advance(self._now, self._horizon)
        self._outputs.extend(self._lane.commands)
        self._lane.commands.clear()
        self._show_partials()
        self._settle()
        self._revise()
        self._forget()
        outputs, self._outputs = self._outputs, []
        return outputs

    def speaker(self, epoch: Epoch, label: str) -> SpeakerNumber | None:
        """Whose label this is, None before their first turn. A later join may change the answer."""
        voice = self._epochs.voice(epoch, label)
        return None if voice is None else self._identity.known(voice)

    def epochs_of(self, speaker: SpeakerNumber) -> frozenset[Epoch]:
        """The epochs that have a label which is this speaker's. Who shares one with another can never be the other."""
        return self._epochs.of_speaker(speaker)

    @property
    def settled(self) -> bool:
        """True once closed and no turn waits for anything."""
        return (
            self._final
            and self._cutter.open is None
            and not self._waiting
            and self._lane.idle
            and not self._reviser.busy
        )

    @property
    def retain_from(self) -> Sample:
        """Audio from here on may still be asked for by an Append; older audio will not."""
        needed = self._lane.needed_from()
        oldest = min(self._cutter.done_to, self._horizon - LATE_NEWS)
        if needed is not None:
            oldest = min(oldest, needed)
        if self._cutter.open is not None:
            oldest = min(oldest, self._cutter.open.start)
        self._retained = max(self._retained, oldest - MARGIN)
        return Sample(self._retained)

    def next_deadline(self) -> Sample | None:
        """When `advance` must be called at the latest even if nothing is fed; None if nothing is due."""
        due = [turn.revised_at + _REVISE_EVERY for turn in self._changed_finals]
        due += [at for at in (self._lane.deadline(), self._reviser.deadline()) if at is not None]
        return Sample(min(due)) if due else None

    @property
    def hold_back_s(self) -> float:
        """The present hold-back."""
        return seconds(self._hold_back.length)

    # --- parts ---

    def _news(self, changed_from: int | None) -> None:
        if changed_from is None:
            return
        self._changed = True
        self._cutter.late |= changed_from < self._cutter.done_to
        self._unheard.judge_again(max(changed_from, self._horizon - LATE_NEWS))
        self._reviser.news(changed_from, self._now)

    def _close_epoch(self, event: EpochClosed) -> None:
        broke = self._epochs.closed(event)
        if broke is None:
            return
        if broke.changed:
            self._news(broke.at)
        if broke.resumed_from is None or broke.resumed_from > broke.at:
            self._unheard.diarizer_went(broke.at)
        if broke.resumed_from is not None:
            self._unheard.diarizer_came(broke.resumed_from)

    def _speakers_joined(self) -> None:
        """Some speakers are others now: growing turns show it at once, final ones are revised where it matters."""
        for turn in self._finals:
            turn.overlapping = self._of_others(turn, turn.overlapping)
            if self._state(turn) != turn.shown:
                self._to_revise(turn)

    def _end_silent(self) -> None:
        silent_since = max(self._track.last_voiced, 1)
        if self._track.end - silent_since >= _SILENCE_ENDS and self._epochs.fall_silent(silent_since):
            self._changed = True

    def _move_horizon(self) -> bool:
        self._hold_back.advance(self._now)
        horizon = self._track.end if self._closing else self._track.end - self._hold_back.length
        if horizon <= self._horizon:
            return False
        self._horizon = horizon
        return True

    def _cut(self) -> None:
        self._changed = False
        before = self._unheard.claimed_to
        spans = self._epochs.spans(before - LATE_NEWS)
        if self._unheard.advance(self._horizon, spans, self._final):
            self._cutter.late |= before < self._cutter.done_to
        self._cutter.plan(self._horizon, self._hold_back.length, self._final)
        if self._cutter.late:
            self._cutter.catch_late(self._horizon, self._final)

    def _turn_closed(self, turn: Turn) -> None:
        self._speaker_of(turn)  # a label is a speaker from its first turn
        turn.overlapping = self._overlaps(turn)
        self._waiting.append(turn)
        if turn.misfit:
            self._reviser.news(turn.start, self._now)

    def _turn_vanished(self, turn: Turn) -> None:
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
            total[self._identity.standing(overlap.speaker)] += overlap.duration
        own = self._speaker_of(turn)
        return tuple(Overlap(speaker, length) for speaker, length in sorted(total.items()) if speaker != own)

    def _state(self, turn: Turn, partial: bool = False) -> TurnState:
        speaker = self._speaker_of(turn)
        told = Attribution.DIARIZED if turn.voice != UNHEARD else Attribution.INFERRED
        return TurnState(
            turn.number,
            Sample(turn.start),
            Sample(turn.end),
            speaker,
            Attribution.UNKNOWN if speaker is None else told,
            turn.partial.strip() if partial else turn.text,
            TextSource.NONE if partial else turn.text_source,
            turn.overlapping,
        )

    def _show_partials(self) -> None:
        growing = [*self._waiting, self._cutter.open] if self._cutter.open else self._waiting
        for turn in growing:
            if turn.settled or not (turn.partial.strip() or turn.shown):
                continue
            shown = turn.shown
            if shown is None or shown.text != turn.partial.strip() or self._speaker_of(turn) != shown.speaker:
                turn.overlapping = self._overlaps(turn)
                turn.shown = self._state(turn, partial=True)
                self._outputs.append(TurnGrew(turn.shown))

    def _speaker_of(self, turn: Turn) -> SpeakerNumber | None:
        if turn.voice == UNHEARD:
            return self._epochs.inferred(turn.start, turn.end)
        return self._identity.speaker(turn.voice)

    def _settle(self) -> None:
        for turn in self._lane.answered:
            if self._reviser.took(turn):
                continue
            self._waiting.remove(turn)
            turn.settled = True
            if turn.silent or turn.swallowed:
                self._turn_vanished(turn)
                continue
            turn.overlapping = self._overlaps(turn)
            turn.shown = self._state(turn)
            turn.revised_at = self._now
            self._finals.append(turn)
            self._outputs.append(TurnSettled(turn.shown, self._generation(turn)))
        self._lane.answered.clear()
        for turn in self._lane.corrected:
            turn.revised_at = min(turn.revised_at, self._now - _REVISE_EVERY)  # once in a turn's life: no need to wait
            self._to_revise(turn)
        self._lane.corrected.clear()
        for revision in self._reviser.done:
            self._replace(revision)
        self._reviser.done.clear()

    def _replace(self, revision: Revision) -> None:
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
        for turn in sorted(said, key=lambda turn: turn.number not in before):
            turn.overlapping = self._overlaps(turn)
            turn.shown, turn.revised_at = self._state(turn), self._now
            tell = TurnRevised if turn.number in before else TurnSettled
            self._outputs.append(tell(turn.shown, self._generation(turn)))
            self._finals.append(turn)

    def _correct_overlaps(self, since: int) -> None:
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

    def _turn_renamed(self, turn: Turn) -> None:
        turn.revised_at = min(turn.revised_at, self._now - _REVISE_EVERY)  # the truth came late, nobody wavers
        self._to_revise(turn)

    def _relabel(self, told: Relabelled) -> None:
        old, new, start, end = told.old, told.new, told.start, told.end
        self._changed |= told.changed
        for turn in [*self._waiting, *self._finals, *self._reviser.new_turns]:
            if turn.voice == old and 2 * (min(end, turn.end) - max(start, turn.start)) > turn.end - turn.start:
                turn.voice = new
                self._to_revise(turn)

    def _to_revise(self, turn: Turn) -> None:
        if turn.settled and not turn.gone and turn not in self._changed_finals:
            self._changed_finals.append(turn)

    def _revise(self) -> None:
        due = [turn for turn in self._changed_finals if self._final or self._now >= turn.revised_at + _REVISE_EVERY]
        for turn in due:
            self._changed_finals.remove(turn)
            state = self._state(turn)
            if state != turn.shown:
                turn.shown, turn.revised_at = state, self._now
                self._outputs.append(TurnRevised(state, self._generation(turn)))

    def _generation(self, turn: Turn) -> UtteranceId | None:
        return turn.utterance if turn.text_source is not TextSource.NONE else None

    @property
    def _frozen_to(self) -> int:
        return self._now - samples(self._settings.freeze_s)

    def _forget(self) -> None:
        while self._finals and self._finals[0].end < self._frozen_to:
            self._finals.popleft()
        before = self._cutter.done_to - _MEMORY
        self._epochs.forget(before)
        self._unheard.forget(before)
        self._book.forget(before)

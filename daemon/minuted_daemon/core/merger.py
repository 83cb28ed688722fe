"""The merge as the service sees it: events in, commands and turns out, time as data.

This file joins the parts and turns their state into outputs. Who is active is timeline.py's, who holds the floor
floor.py's, where turns are cut plan.py's and cutter.py's, what the transcriber is sent and answers lane.py's.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from minuted_daemon.core.cutter import LATE_NEWS, Cutter
from minuted_daemon.core.events import (
    Attribution,
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    MergeOutput,
    Overlap,
    SpeakerEnded,
    SpeakerNumber,
    SpeakerRelabelled,
    SpeakerStarted,
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
from minuted_daemon.core.lane import Lane
from minuted_daemon.core.samples import RATE_HZ, Sample, samples, seconds
from minuted_daemon.core.timeline import UNHEARD, Timeline, Voice
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
    | EpochClosed
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
        self._timeline = Timeline()
        self._unheard = UnheardSpeech(self._track)
        self._hold_back = HoldBack(settings.hold_back_s, settings.diarizer_lag_s)
        self._lane = Lane()
        self._cutter = Cutter(
            self._timeline,
            self._unheard,
            self._track,
            self._lane,
            samples(settings.join_gap_s),
            samples(settings.max_turn_s),
            self._turn_closed,
            self._turn_vanished,
        )
        self._voices: dict[tuple[Epoch, str], Voice] = {}
        self._speakers: dict[Voice, SpeakerNumber] = {}
        self._bases: dict[Epoch, int] = {}
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
                self._bases[event.epoch] = event.base
                self._unheard.diarizer_came(event.base)
            case EpochClosed():
                self._close_epoch(event)
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
        base = self._bases.get(epoch)
        if base is None:
            return
        if isinstance(event, SpeakerRelabelled):
            old, new = self._voice(epoch, event.old), self._voice(epoch, event.new)
            if old != new:
                self._relabel(old, new, base + event.start, base + event.end)
            return
        at = base + event.at
        self._hold_back.observe(sent_to - at)
        voice = self._voice(epoch, event.label)
        if isinstance(event, SpeakerStarted):
            self._news(self._timeline.start(voice, at), at)
        elif isinstance(event, SpeakerEnded):
            self._news(self._timeline.end(voice, at), at)

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
        self._now = max(now, self._now)
        self._end_silent()
        moved = self._move_horizon()
        if moved or self._changed or (self._closing and not self._final):
            self._final = self._closing
            self._cut()
        self._lane.advance(self._now, self._horizon)
        self._outputs.extend(self._lane.commands)
        self._lane.commands.clear()
        self._show_partials()
        self._settle()
        self._revise()
        self._forget()
        outputs, self._outputs = self._outputs, []
        return outputs

    @property
    def settled(self) -> bool:
        """True once closed and no turn waits for anything."""
        return self._final and self._cutter.open is None and not self._waiting and self._lane.idle

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
        answer = self._lane.deadline()
        if answer is not None:
            due.append(answer)
        return Sample(min(due)) if due else None

    @property
    def hold_back_s(self) -> float:
        """The present hold-back."""
        return seconds(self._hold_back.length)

    # --- parts ---

    def _voice(self, epoch: Epoch, label: str) -> Voice:
        return self._voices.setdefault((epoch, label), Voice(len(self._voices) + 1))

    def _news(self, changed: bool, at: int) -> None:
        self._changed |= changed
        self._cutter.late |= changed and at < self._cutter.done_to
        if changed:
            self._unheard.judge_again(max(at, self._horizon - LATE_NEWS))

    def _close_epoch(self, event: EpochClosed) -> None:
        if self._bases.pop(event.epoch, None) is None:
            return
        for (epoch, _), voice in self._voices.items():
            if epoch == event.epoch:
                self._changed |= self._timeline.cut_off(voice, event.heard_to)
        self._unheard.diarizer_went(event.heard_to)

    def _end_silent(self) -> None:
        silent_since = max(self._track.last_voiced, 1)
        if self._track.end - silent_since >= _SILENCE_ENDS and self._timeline.fall_silent(silent_since):
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
        spans = self._timeline.spans(before - LATE_NEWS)
        if self._unheard.advance(self._horizon, spans, self._final):
            self._cutter.late |= before < self._cutter.done_to
        self._cutter.plan(self._horizon, self._hold_back.length, self._final)
        if self._cutter.late:
            self._cutter.catch_late(self._horizon, self._final)

    def _turn_closed(self, turn: Turn) -> None:
        self._speaker_of(turn)  # a label is a speaker from its first turn
        turn.overlapping = self._overlaps(turn)
        self._waiting.append(turn)

    def _turn_vanished(self, turn: Turn) -> None:
        turn.gone = True
        if turn.shown is not None:
            self._outputs.append(TurnRetracted(turn.number, was_final=False))

    def _overlaps(self, turn: Turn) -> tuple[Overlap, ...]:
        others = [
            Overlap(self._speaker(voice), length)
            for voice, length in self._timeline.active_time(turn.start, turn.end)
            if voice != turn.voice and length >= _OVERLAP_LEAST
        ]
        return tuple(sorted(others, key=lambda overlap: overlap.speaker))

    def _speaker(self, voice: Voice) -> SpeakerNumber:
        return self._speakers.setdefault(voice, SpeakerNumber(len(self._speakers) + 1))

    def _state(self, turn: Turn, partial: bool = False) -> TurnState:
        speaker = self._speaker_of(turn)
        return TurnState(
            turn.number,
            Sample(turn.start),
            Sample(turn.end),
            speaker,
            Attribution.UNKNOWN if speaker is None else Attribution.DIARIZED,
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
        return None if turn.voice == UNHEARD else self._speaker(turn.voice)

    def _settle(self) -> None:
        for turn in self._lane.answered:
            self._waiting.remove(turn)
            turn.settled = True
            silent = turn.text_source is TextSource.COMPLETED and not any(map(str.isalnum, turn.text))
            if silent or turn.swallowed:
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

    def _relabel(self, old: Voice, new: Voice, start: int, end: int) -> None:
        self._changed |= self._timeline.relabel(old, new, start, end)
        for turn in [*self._waiting, *self._finals]:
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

    def _forget(self) -> None:
        while self._finals and self._finals[0].end < self._now - samples(self._settings.freeze_s):
            self._finals.popleft()
        before = self._cutter.done_to - _MEMORY
        self._timeline.forget(before)
        self._unheard.forget(before)
        self._cutter.forget(before)

"""The merge as the service sees it: events in, commands and turns out, time as data.

This file joins the parts: who is active (core.diarization), who holds the floor (floor.py), where turns are cut
(segmentation.py, turn_cutter.py), what the transcriber is sent and answers (core.transcription), what late events
change (reviser.py), and which turns are shown (turn_outcomes.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from minuted_daemon.core.diarization.epochs import Epochs, Names, OpenEpoch
from minuted_daemon.core.diarization.identity import Identity
from minuted_daemon.core.events import (
    AudioShed,
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    MergeOutput,
    Redacted,
    SpeakerNumber,
    SpeakerRelabelled,
    SpeakersMatched,
    SpeechJudged,
    TextCompleted,
    TextFailed,
    TextGrew,
    TranscriberEvent,
    TranscriberLost,
    TranscriberReady,
    TranscriberRefused,
    TurnNumber,
    VoiceObserved,
)
from minuted_daemon.core.merge.context import MergeContext
from minuted_daemon.core.merge.hold_back import HoldBack
from minuted_daemon.core.merge.reviser import Reviser
from minuted_daemon.core.merge.segmentation import SHORTEST
from minuted_daemon.core.merge.turn_cutter import LATE_NEWS, Cutter, Decided
from minuted_daemon.core.merge.turn_outcomes import Outcomes
from minuted_daemon.core.merge.unclaimed_speech import MARGIN, UnclaimedSpeech
from minuted_daemon.core.samples import Sample, samples, seconds
from minuted_daemon.core.transcription.commit_ranges import CommitRanges
from minuted_daemon.core.transcription.queue import Progress, TranscriptionQueue
from minuted_daemon.core.transcription.stored_turns import StoredTurns
from minuted_daemon.core.voice.activity import VoiceTrack

_MEMORY = samples(60.0)


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """`hold_back_s` None means auto. `diarizer_lag_s`: the event lag to expect before any was measured."""

    hold_back_s: float | None = None
    join_gap_s: float = 0.8
    max_turn_s: float = 20.0
    freeze_s: float = 300.0
    diarizer_lag_s: float = 0.5
    transcribes: bool = True


@dataclass(frozen=True, slots=True)
class Resumption:
    """A session that is resumed after the daemon stopped or crashed.

    begin: where the retained audio begins (a multiple of FRAME). past: the stretches of stored turns that end after it,
    by start. speakers, generation: the highest numbers in use. names: the speaker of each label that had one. audio:
    the audio of the stored turns' commits, as far as it is known; it contains at least their stretches.
    """

    begin: Sample
    past: Sequence[tuple[int, int]]
    speakers: int
    generation: int
    names: Names = field(default_factory=dict)
    audio: Sequence[tuple[int, int]] = ()


MergeInput = (
    VoiceObserved
    | SpeechJudged
    | EpochOpened
    | EpochTookOver
    | EpochClosed
    | SpeakersMatched
    | AudioShed
    | Redacted
    | TranscriberEvent
    | TranscriberReady
    | TranscriberLost
    | TranscriberRefused
)


class Merger:
    """Decides who said what. Pure: the same inputs give the same outputs.

    Feed what happened, then call `advance`, which returns everything that follows from it. Audio is fed as
    VoiceObserved, in order and without holes; `advance(now)` may run ahead of the audio once capture has ended.
    """

    def __init__(self, settings: MergeSettings, resumed: Resumption | None = None) -> None:
        """With `resumed`, audio is fed from its `begin` on, and stored turns are not made again."""
        resumed = resumed or Resumption(Sample(0), (), 0, 0)
        self._settings = settings
        self._track = VoiceTrack(resumed.begin)
        self._past = StoredTurns(resumed.begin, resumed.past)
        self._identity = Identity(resumed.speakers)
        self._epochs = Epochs(self._identity, resumed.names)
        self._outcomes = Outcomes(self._epochs, self._identity)
        self._unclaimed = UnclaimedSpeech(self._track)
        self._hold_back = HoldBack(settings.hold_back_s, settings.diarizer_lag_s)
        self._transcription = TranscriptionQueue(resumed.begin, resumed.generation)
        self._commits = CommitRanges([(0, resumed.begin), *resumed.past, *resumed.audio])
        join_gap = samples(settings.join_gap_s)
        context = MergeContext(self._track, self._transcription, self._commits, count(1), join_gap)
        self._cutter = Cutter(context, self._epochs, self._unclaimed, self._past, samples(settings.max_turn_s))
        self._reviser = Reviser(context, self._cutter)
        self._now = self._horizon = self._retained = int(resumed.begin)
        self._redacted_to = 0  # turns that begin before this are not revised
        self._closing = self._final = False
        self._changed = False
        self._silent_since: int | None = None  # where a long silence began, reported since the last advance
        if not settings.transcribes:
            self._transcription.refuse()

    # --- what happened ---

    def feed(self, event: MergeInput) -> None:
        """Take in one event; its outputs come from the next `advance`."""
        match event:
            case VoiceObserved():
                silent_since = self._track.append(event)
                self._silent_since = self._silent_since if silent_since is None else silent_since
            case SpeechJudged():
                self._track.take(event)
            case TextGrew():
                self._transcription.grew(event.utterance, event.text, event.replaces)
            case TextCompleted():
                self._transcription.completed(event.utterance, event.text)
            case TextFailed():
                self._transcription.failed(event.utterance, event.reason)
            case EpochOpened():
                if self._epochs.opened(event):
                    self._unclaimed.diarizer_came(event.base)
            case EpochTookOver():
                self._changed |= self._epochs.took_over(event) is not None
            case EpochClosed():
                self._close_epoch(event)
            case SpeakersMatched():
                if self._epochs.match(event.newer, event.older):
                    self._outcomes.speakers_joined()
            case AudioShed():
                self._transcription.shed(event.before)
            case Redacted():
                self._redact(event)
            case TranscriberReady():
                if not event.makes_up:
                    self._outcomes.text_returned()
                self._transcription.ready(event.makes_up, event.repeats)
            case TranscriberLost():
                self._transcription.lost(event.makes_up)
            case TranscriberRefused(makes_up=True):
                self._transcription.serve_both()
            case TranscriberRefused():
                self._outcomes.text_refused()
                self._transcription.lost()

    def feed_diarization(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """Take in a diarizer's event of this epoch; `sent_to` is how far the epoch had been sent audio by then.

        Events of an epoch that is not open are dropped: their positions mean nothing.
        """
        if isinstance(event, SpeakerRelabelled):
            relabelled = self._epochs.relabel(epoch, event)
            if relabelled is not None:
                self._changed |= relabelled.changed
                self._cutter.relabelled(relabelled)
                self._outcomes.relabel(relabelled, self._reviser.new_turns)
            return
        effect = self._epochs.apply(epoch, event)
        if effect is not None:
            self._hold_back.observe(sent_to - effect.at)
            self._news(effect.changed_from)

    def expect_lag(self, lag_s: float) -> None:
        """The diarizer that serves from now on is expected to lag so much."""
        self._hold_back.expect(lag_s, self._now)

    def close(self) -> None:
        """No more audio and diarizer events will come: the next `advance` decides everything that is left."""
        self._closing = True

    def abandon(self) -> None:
        """Out of time: the next `advance` settles every turn with the text it has. Call `close` first."""
        self._transcription.refuse()

    # --- what follows ---

    def advance(self, now: Sample) -> Sequence[MergeOutput]:
        """Bring everything up to `now` (session time in samples, never falling) and return what follows, in order.

        Calling it again with the same `now` and nothing fed returns nothing.
        """
        later = now > self._now
        self._now = max(now, self._now)
        self._end_silent()
        moved = self._move_horizon()
        if self._epochs.join(self._horizon):
            self._outcomes.speakers_joined()
        if moved or self._changed or (self._closing and not self._final):
            self._final = self._closing
            self._cut()
        if later:
            self._review()
        progress = self._transcription.advance(self._now, self._horizon)
        self._outcomes.add_outputs((*progress.told, *progress.commands))
        self._outcomes.show_partials(self._cutter.open)
        self._settle(progress)
        self._outcomes.revise(self._now, self._final)
        self._forget()
        return self._outcomes.take_outputs()

    def speaker(self, epoch: Epoch, label: str) -> SpeakerNumber | None:
        """Return the speaker of a label, None before their first turn. A later join may change the answer."""
        voice = self._epochs.voice(epoch, label)
        return None if voice is None else self._identity.known(voice)

    @property
    def names(self) -> Names:
        """The speaker of each label that has one; the same mapping until that changes."""
        return self._epochs.names

    def open_epochs(self) -> Sequence[OpenEpoch]:
        """Return the open connections, oldest first, and the labels that are active in each."""
        return self._epochs.open()

    def audio_of(self, turn: TurnNumber) -> tuple[int, int] | None:
        """Return the audio of a closed turn's commit, which may exceed its stretch; None if there is none."""
        return self._commits.audio(turn)

    def epochs_of(self, speaker: SpeakerNumber) -> frozenset[Epoch]:
        """Return the epochs in which this speaker has a label. Two speakers with an epoch in common are two people."""
        return self._epochs.of_speaker(speaker)

    @property
    def settled(self) -> bool:
        """True once closed and no turn waits for anything."""
        return (
            self._final
            and self._cutter.open is None
            and not self._outcomes.waits
            and self._transcription.idle
            and not self._reviser.busy
        )

    @property
    def retain_from(self) -> Sample:
        """Audio from here on may still be asked for by an Append; older audio will not."""
        needed = self._transcription.needed_from()
        oldest = min(self._cutter.done_to, self._horizon - LATE_NEWS)
        if needed is not None:
            oldest = min(oldest, needed)
        if self._cutter.open is not None:
            oldest = min(oldest, self._cutter.open.start)
        self._retained = max(self._retained, oldest - MARGIN)
        return Sample(self._retained)

    def pending(self, heard: Sample) -> list[tuple[int, int]]:
        """Return the stretches of [0, heard) that are not decided yet, in any order and with overlaps.

        One stretch from the first open sample on, one for each turn that waits for its text (no more than the spool
        holds), and the recent voice that no turn covers yet.
        """
        since = min(self._unclaimed.claimed_to, self._horizon)
        if self._cutter.open is not None:
            since = min(since, self._cutter.open.start)
        found = [(since, int(heard))] if since < heard else []
        awaited = (*self._outcomes.waiting, *self._reviser.new_turns)
        found += [(min(turn.start, turn.first), max(turn.end, turn.last)) for turn in awaited]
        recent = since - LATE_NEWS
        for low, high in self._commits.uncovered(recent, since):
            found += self._track.speech(low, high, at_least=SHORTEST)
        for span in self._cutter.spans(recent) if self._cutter.late else ():
            found += self._commits.uncovered(span.start, since if span.end is None else min(span.end, since))
        return [(start, min(end, int(heard))) for start, end in found if start < min(end, heard)]

    @property
    def hold_back_s(self) -> float:
        """The present hold-back."""
        return seconds(self._hold_back.length)

    # --- parts ---

    def _news(self, changed_from: int | None) -> None:
        if changed_from is None:
            return
        self._changed = True
        self._cutter.news(changed_from)
        self._unclaimed.judge_again(max(changed_from, self._horizon - LATE_NEWS))
        self._reviser.news(changed_from, self._now)

    def _close_epoch(self, event: EpochClosed) -> None:
        broken = self._epochs.closed(event)
        if broken is None:
            return
        if broken.changed:
            self._news(broken.at)
        if broken.resumed_from is None or broken.resumed_from > broken.at:
            self._unclaimed.diarizer_went(broken.at)
        if broken.resumed_from is not None:
            self._unclaimed.diarizer_came(broken.resumed_from)

    def _redact(self, event: Redacted) -> None:
        """Stored turns are the store's to redact; here they only stop changing."""
        self._redacted_to = max(self._redacted_to, event.end)
        self._track.silence(event.start, event.end)
        given_up = self._reviser.redacted(event.start, event.end)
        awaited = self._outcomes.redacted(event.start, event.end)
        self._transcription.redacted(event.start, event.end)
        for turn in (*given_up, *awaited):
            self._transcription.forget(turn)
        self._take(self._cutter.redacted(event.start, event.end, awaited))
        self._changed = True

    def _end_silent(self) -> None:
        silent_since, self._silent_since = self._silent_since, None
        if silent_since is not None and self._epochs.fall_silent(silent_since):
            self._changed = True

    def _move_horizon(self) -> bool:
        self._hold_back.advance(self._now)
        # Once capture has ended no more events are expected: the rest of the audio need not be held back.
        horizon = self._track.end if self._closing else min(self._track.end, self._now - self._hold_back.length)
        if horizon <= self._horizon:
            return False
        self._horizon = horizon
        return True

    def _cut(self) -> None:
        self._changed = False
        if self._final:
            self._track.decide()
        before = self._unclaimed.claimed_to
        since = before - LATE_NEWS
        spans = self._past.spans(since) + self._epochs.spans(since)
        if self._unclaimed.advance(self._horizon, spans, self._final):
            self._cutter.news(before)
        self._take(self._cutter.advance(self._horizon, self._hold_back.length, self._final))

    def _take(self, decided: Decided) -> None:
        for turn in decided.vanished:
            self._outcomes.vanished(turn)
        for turn in decided.closed:
            turn.evidence = self._track.evidence(turn.first, turn.last)  # it may be forgotten before the text comes
            self._outcomes.closed(turn)
            if turn.misfit:
                self._reviser.news(turn.start, self._now)

    def _review(self) -> None:
        review = self._reviser.advance(self._now, self._frozen_to, self._final)
        if review is not None:
            for turn in review.renamed:
                self._outcomes.corrected(turn, self._now)
            self._outcomes.correct_overlaps(review.since)

    def _settle(self, progress: Progress) -> None:
        others, revisions = self._reviser.answered(progress.answered)
        self._outcomes.settle(others, self._now)
        for turn in progress.corrected:
            self._outcomes.corrected(turn, self._now)
        for revision in revisions:
            self._outcomes.replace(revision, self._now)

    @property
    def _frozen_to(self) -> int:
        return max(self._now - samples(self._settings.freeze_s), self._redacted_to)

    def _forget(self) -> None:
        self._outcomes.forget(self._frozen_to)
        before = self._cutter.done_to - _MEMORY
        self._epochs.forget(before)
        self._unclaimed.forget(before)
        self._commits.forget(before)
        self._past.forget(before)

"""Drives one session's merger: feeds what happened, and acts at once on what follows.

Between a vendor's answer and its turn lies only the store. What is decided about speech is decided in core/.
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import structlog

from minuted_daemon.core.diarization.epochs import Names, OpenEpoch
from minuted_daemon.core.events import (
    Append,
    AudioShed,
    Clear,
    Command,
    Commit,
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    MergeOutput,
    Redacted,
    SpeakerNumber,
    SpeakersMatched,
    SpeechJudged,
    TextSource,
    TranscriberEvent,
    TranscriberFaltered,
    TranscriberLost,
    TranscriberReady,
    TranscriberRecovered,
    TranscriberRefused,
    TurnGrew,
    TurnRetracted,
    TurnState,
    VoiceObserved,
    WordsMissing,
)
from minuted_daemon.core.merge.merger import MergeInput, Merger
from minuted_daemon.core.records import Record, TurnRecord
from minuted_daemon.core.samples import FRAME, RATE_HZ, Sample, samples
from minuted_daemon.service.merge.turn_records import TurnRecords
from minuted_daemon.service.views import PartialTurn

TICK_S = 0.1
MARGIN = samples(5.0)
"""Who asks for a turn's audio again looks at a little of what was before it."""
MISSED_AT_ONCE = 30 * RATE_HZ
SILENT_DB = -100.0


class MergeDriver:
    """Joins a merger to its session. A fault of the merger is reported once; from then on it is left alone."""

    def __init__(
        self,
        merger: Merger,
        turn_records: TurnRecords,
        store: Callable[[Sequence[Record]], None],
        tell: Callable[[PartialTurn], None],
        faulted: Callable[[], None],
        log: structlog.stdlib.BoundLogger,
        lag_s: Callable[[], float] = lambda: 0.0,
        begin: Sample = Sample(0),  # noqa: B008  a number
    ) -> None:
        """`store` has records stored in one transaction, `tell` tells subscribers; neither waits.

        `lag_s` gives the lag to expect of the diarizer that serves now; it is asked at the begin of each epoch.
        `begin`: where the merger's audio begins.
        """
        self._merger = merger
        self._turn_records = turn_records
        self._store = store
        self._tell = tell
        self._faulted = faulted
        self._lag_s = lag_s
        self._log = log
        self._broken = self._over = False
        self._heard = begin
        self._audio_ended_s: float | None = None
        self._news = asyncio.Event()
        self._gave_up = False
        self.owed_from: Sample | None = None
        """Where the first turn begins that was settled without its text because there was no more time."""
        self.submit: Callable[[Command | TranscriberFaltered | TranscriberRecovered], None] = _into_the_void
        """Where commands for the transcriber go, and what its answers show of how it is."""
        self.names: Names = {}
        """Whose each label is, of those that are anybody's."""
        self.named: Callable[[Names], None] = _to_nobody
        """Hears of every change of `names`, before anything is stored that follows from it."""
        self.settling: Callable[[TurnState, tuple[int, int] | None], None] = _unclaimed
        """Hears of each turn that is to be stored, and of the audio in its commit."""

    @property
    def heard(self) -> Sample:
        """The session has heard everything before this."""
        return self._heard

    @property
    def undecided_from(self) -> Sample:
        """What was said before this is settled, or nobody will ask for it again."""
        return self._heard if self._broken else self._merger.retain_from

    @property
    def retain_from(self) -> Sample:
        """Audio from here on may still be asked for, now or once the session has ended."""
        needed = self.undecided_from
        return needed if self.owed_from is None else Sample(min(needed, max(0, self.owed_from - MARGIN)))

    @property
    def settled(self) -> bool:
        """True once all that was heard is decided and nothing is awaited any more."""
        return self._broken or self._merger.settled

    def listened(self, heard: Sample, observed: VoiceObserved) -> None:
        """The next block was judged; the session has now heard everything before `heard`."""
        self._heard = heard
        self._merge(observed)

    def judged(self, last: SpeechJudged) -> None:
        """All audio was heard; these are the verdicts on the rest of it."""
        self._merge(last)

    def missed(self, heard: Sample) -> None:
        """Nothing was heard between what was listened to last and `heard`."""
        while self._heard < heard:
            start, self._heard = self._heard, Sample(min(heard, self._heard + MISSED_AT_ONCE))
            frames = (self._heard - start) // FRAME
            self._merge(VoiceObserved(start, np.zeros(frames, np.bool_), np.full(frames, SILENT_DB, np.float32)))

    def epoch_changed(self, event: EpochOpened | EpochTookOver | EpochClosed) -> None:
        """A diarizer's epoch begins with its first block, takes over from the one before, or is over."""
        if isinstance(event, EpochOpened):
            self._guarded(lambda: self._merger.expect_lag(self._lag_s()))
        self._merge(event)

    def diarized(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """The diarizer said something; `sent_to` is how far it had been sent audio by then.

        What follows is decided with the next block: an end and the start that belongs to it arrive together.
        """
        self._guarded(lambda: self._merger.feed_diarization(epoch, event, sent_to))

    def pending(self, heard: Sample) -> list[tuple[int, int]]:
        """Return what of [0, heard) is not decided; see Merger.pending."""
        return self._merger.pending(heard)

    def speaker(self, epoch: Epoch, label: str) -> SpeakerNumber | None:
        """Return the speaker a label is now; None before their first turn."""
        return self._merger.speaker(epoch, label)

    def open_epochs(self) -> Sequence[OpenEpoch]:
        """Return the diarizer's open connections, oldest first, and who is active in each."""
        return self._merger.open_epochs()

    def epochs_of(self, speaker: SpeakerNumber) -> frozenset[Epoch]:
        """Return the epochs in which a speaker was heard, under any label."""
        return self._merger.epochs_of(speaker)

    def matched(self, match: SpeakersMatched) -> None:
        """Two speakers turned out to be one, by their voices."""
        self._merge(match)

    def redacted(self, event: Redacted) -> None:
        """Something is to be forgotten."""
        self._merge(event)

    def transcribed(self, event: TranscriberEvent | TranscriberReady | TranscriberLost | TranscriberRefused) -> None:
        """The transcriber said something, or its connection changed."""
        self._merge(event)

    def shed(self, before: Sample) -> None:
        """Audio before this position is gone, though it may not have been transcribed."""
        self._merge(AudioShed(before))

    async def hear_out(self, diarizing: "asyncio.Task[None]", limit_s: float) -> None:
        """All audio was heard: wait until the diarizer has ended, for `limit_s` at most.

        From here on session time is the clock's, and all that is behind the hold-back by then is decided as ever.
        """
        loop = asyncio.get_running_loop()
        self._audio_ended_s = loop.time()
        while not diarizing.done() and loop.time() < self._audio_ended_s + limit_s:
            await asyncio.wait({diarizing}, timeout=TICK_S)
            self._merge()

    async def settle(self, left_s: Callable[[], float]) -> bool:
        """All audio was heard and diarized: wait until every turn is settled, while `left_s()` is above 0.

        What is not settled then is settled as it is; give False if there was something. What comes afterwards changes
        nothing any more.
        """
        if self._audio_ended_s is None:
            self._audio_ended_s = asyncio.get_running_loop().time()
        self._guarded(self._merger.close)
        self._merge()
        while not self.settled and left_s() > 0:
            self._news.clear()
            try:
                async with asyncio.timeout(TICK_S):
                    await self._news.wait()
            except TimeoutError:
                self._merge()
        in_time = self.settled
        if not in_time:
            self._gave_up = True
            self._guarded(self._merger.abandon)
            self._merge()
        for turn in self._turn_records.unsettled():
            self._note_owed(turn)
            self._store(self._turn_records.settled(turn, None))
        self._over = True
        return in_time

    def _merge(self, *events: MergeInput) -> None:
        def advance() -> None:
            for event in events:
                self._merger.feed(event)
            outputs = self._merger.advance(self._now())
            if self._merger.names is not self.names:
                self.names = self._merger.names
                self.named(self.names)
            self._act(outputs)

        self._guarded(advance)
        self._news.set()

    def _guarded(self, step: Callable[[], None]) -> None:
        if self._broken or self._over:
            return
        try:
            step()
        except Exception:  # noqa: BLE001 - a bug in the merge ends its own session, with all that was settled
            self._broken = True
            self._log.exception("merge_fault")
            self._faulted()

    def _note_owed(self, turn: TurnState) -> None:
        if self._gave_up and turn.text_source is not TextSource.COMPLETED:
            self.owed_from = turn.start if self.owed_from is None else min(self.owed_from, turn.start)

    def _now(self) -> Sample:
        if self._audio_ended_s is None:
            return self._heard
        return Sample(self._heard + samples(asyncio.get_running_loop().time() - self._audio_ended_s))

    def _act(self, outputs: Sequence[MergeOutput]) -> None:
        """What follows from one event is stored in one transaction."""
        records: list[Record] = []
        for output in outputs:
            if isinstance(output, Append | Commit | Clear | TranscriberFaltered | TranscriberRecovered):
                self.submit(output)
            elif isinstance(output, WordsMissing):
                records.append(self._turn_records.wordless(output))
            elif isinstance(output, TurnGrew):
                partial = self._turn_records.grew(output.turn)
                if partial is not None:
                    self._tell(partial)
            elif isinstance(output, TurnRetracted):
                gone = self._turn_records.retracted(output.number)
                if isinstance(gone, TurnRecord):
                    records.append(gone)
                elif gone is not None:
                    self._tell(gone)
            else:
                self._note_owed(output.turn)
                self.settling(output.turn, self._merger.audio_of(output.turn.number))
                records += self._turn_records.settled(output.turn, output.generation)
        if records:
            self._store(records)


def _to_nobody(names: Names) -> None:
    """Nobody wants to know."""


def _unclaimed(turn: TurnState, audio: tuple[int, int] | None) -> None:
    """Nobody wants to know."""


def _into_the_void(command: Command | TranscriberFaltered | TranscriberRecovered) -> None:
    """A session without a transcriber sends nothing."""

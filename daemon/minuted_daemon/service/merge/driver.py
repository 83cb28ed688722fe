"""Drives one session's merger: records what happened in the recovery log, feeds it, and acts at once on what follows.

Between a vendor's answer and its turn lies only the store. What is decided about speech is decided in core/.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minuted_daemon.core.diarization.epochs import Names, OpenEpoch
from minuted_daemon.core.events import (
    Append,
    AudioShed,
    Clear,
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
    TranscriberEvent,
    TranscriberFaltered,
    TranscriberLost,
    TranscriberReady,
    TranscriberRecovered,
    TranscriberRefused,
    TurnRevised,
    TurnSettled,
    TurnState,
    VoiceObserved,
)
from minuted_daemon.core.merge.merger import MergeInput, Merger
from minuted_daemon.core.samples import FRAME, RATE_HZ, Sample, samples
from minuted_daemon.ports.engines import Diarizer
from minuted_daemon.service.connections.transcriber_link import TranscriberLink
from minuted_daemon.service.connections.transcriber_renewal import TranscriptionSink
from minuted_daemon.service.merge.outputs import MergeOutputs, TurnOutput

TICK_S = 0.1
MISSED_AT_ONCE = 30 * RATE_HZ
SILENT_DB = -100.0


@dataclass(frozen=True, slots=True)
class MergeState:
    """The merge as it stands when the session has heard everything before `heard`.

    `undecided_from`: see MergeDriver. `epochs`: the diarizer's open connections. `names`: the speaker of each label.
    """

    heard: Sample
    undecided_from: Sample
    epochs: Sequence[OpenEpoch]
    names: Names


class InputLog(Protocol):
    """Keeps what a crash must not cost. `heard`: the session had heard everything before it."""

    def epoch_changed(self, heard: Sample, event: EpochOpened | EpochTookOver | EpochClosed) -> None:
        """Something about a diarizer's connection."""
        ...

    def diarized(self, heard: Sample, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """The diarizer said something; `sent_to` is how far it had been sent audio by then."""
        ...

    def named(self, heard: Sample, names: Names) -> None:
        """The speakers of labels have changed; what bears a new name is stored after this."""
        ...

    def settling(self, heard: Sample, turn: TurnState, audio: tuple[int, int]) -> None:
        """A turn is about to be stored; `audio` is what was sent in its commit."""
        ...

    def checkpoint(self, state: MergeState) -> None:
        """All of the merge's state: what was logged before it is needed no more for what comes after."""
        ...

    def forget(self, end: Sample, state: MergeState) -> None:
        """What was said before `end` is forgotten."""
        ...

    def pause(self) -> None:
        """What comes now was logged before; until `go_on`."""
        ...

    def go_on(self) -> None:
        """Log what comes from here on."""
        ...


class Failing(Protocol):
    """A session that a fault ends."""

    def fault(self, event: str) -> None:
        """A bug was met; call it while its exception is handled."""
        ...


class MergeDriver:
    """Joins a merger to its session. A fault of the merger is reported once; from then on it is left alone."""

    def __init__(
        self,
        merger: Merger,
        log: InputLog,
        outputs: MergeOutputs,
        session: Failing,
        diarizer: Diarizer | None,
        connect: Callable[[TranscriptionSink], TranscriberLink | None],
    ) -> None:
        """`merger` was fed nothing so far. `connect` makes the link that takes its commands and answers to the sink."""
        self._merger = merger
        self._log = log
        self._outputs = outputs
        self._session = session
        self._diarizer = diarizer
        self._transcriber = connect(self)
        self._broken = self._over = False
        self._heard = merger.retain_from  # before anything is fed: where its audio begins
        self._audio_ended_s: float | None = None
        self._news = asyncio.Event()
        self._names: Names = {}

    @property
    def transcriber(self) -> TranscriberLink | None:
        """The link to the transcriber, to be run by the session."""
        return self._transcriber

    @property
    def heard(self) -> Sample:
        """The session has heard everything before this."""
        return self._heard

    @property
    def undecided_from(self) -> Sample:
        """What was said before this is settled, or will not be asked for again."""
        return self._heard if self._broken else self._merger.retain_from

    @property
    def retain_from(self) -> Sample:
        """Audio from here on may still be asked for, now or once the session has ended."""
        owed = self._outputs.retain_from
        return self.undecided_from if owed is None else min(self.undecided_from, owed)

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
        self._log.epoch_changed(self._heard, event)
        if isinstance(event, EpochOpened):
            lag_s = 0.0 if self._diarizer is None else self._diarizer.capabilities.lag_s
            self._guarded(lambda: self._merger.expect_lag(lag_s))
        self._merge(event)

    def diarized(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """The diarizer said something; `sent_to` is how far it had been sent audio by then.

        What follows is decided with the next block: an end and the start that belongs to it arrive together.
        """
        self._log.diarized(self._heard, epoch, event, sent_to)
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
        self._log.forget(event.end, self._state)

    def checkpoint(self) -> None:
        """Log the whole state: to be called each minute."""
        self._log.checkpoint(self._state)

    def forget(self, before: Sample) -> None:
        """Final turns that end before this position change no more."""
        self._outputs.forget(before)

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """What is fed within was logged before."""
        self._log.pause()
        yield
        self._log.go_on()

    def transcribed(self, event: TranscriberEvent | TranscriberReady | TranscriberLost | TranscriberRefused) -> None:
        """The transcriber said something, or its connection changed."""
        self._merge(event)

    def shed(self, before: Sample) -> None:
        """Audio before this position is gone, though it may not have been transcribed."""
        self._merge(AudioShed(before))

    async def hear_out(self, diarizing: "asyncio.Task[None]", limit_s: float) -> None:
        """All audio was heard: wait until the diarizer has ended, for `limit_s` at most.

        From here on session time is the clock's, and all that is older than the hold-back by then is decided as ever.
        """
        loop = asyncio.get_running_loop()
        self._audio_ended_s = loop.time()
        while not diarizing.done() and loop.time() < self._audio_ended_s + limit_s:
            await asyncio.wait({diarizing}, timeout=TICK_S)
            self._merge()

    async def settle(self, left_s: Callable[[], float]) -> bool:
        """All audio was heard and diarized: wait until every turn is settled, while `left_s()` is above 0.

        What is not settled then is settled as it is; return False if there was something. What comes afterwards changes
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
            self._outputs.give_up()
            self._guarded(self._merger.abandon)
            self._merge()
        self._outputs.settle_rest()
        self._over = True
        return in_time

    def _merge(self, *events: MergeInput) -> None:
        def advance() -> None:
            for event in events:
                self._merger.feed(event)
            outputs = self._merger.advance(self._now())
            if self._merger.names is not self._names:
                self._names = self._merger.names
                self._log.named(self._heard, self._names)
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
            self._session.fault("merge_fault")

    @property
    def _state(self) -> MergeState:
        return MergeState(self._heard, self.undecided_from, self._merger.open_epochs(), self._names)

    def _now(self) -> Sample:
        if self._audio_ended_s is None:
            return self._heard
        return Sample(self._heard + samples(asyncio.get_running_loop().time() - self._audio_ended_s))

    def _act(self, outputs: Sequence[MergeOutput]) -> None:
        """Commands go to the transcriber; all the rest is stored or shown."""
        turns: list[TurnOutput] = []
        for output in outputs:
            if isinstance(output, Append | Commit | Clear | TranscriberFaltered | TranscriberRecovered):
                if self._transcriber is not None:
                    self._transcriber.submit(output)
                continue
            if isinstance(output, TurnSettled | TurnRevised):
                audio = self._merger.audio_of(output.turn.number)
                if audio is not None:
                    self._log.settling(self._heard, output.turn, audio)
            turns.append(output)
        self._outputs.dispatch(turns)

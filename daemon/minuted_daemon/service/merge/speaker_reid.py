"""Re-identifies speakers by voice, so that they keep their names after the diarizer's connection broke.

It takes in the session's audio, and what the diarizer's link tells the merge, keeps a little clean speech of every
label, and, once there is a second epoch, has the voices compared. Which are alike enough is decided in core/voice.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.core.diarization.solo_speech import Solo, Solos
from minuted_daemon.core.events import (
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    SpeakerNumber,
    SpeakerRelabelled,
    SpeakersMatched,
    VoiceObserved,
)
from minuted_daemon.core.samples import FRAME, Sample, samples
from minuted_daemon.core.voice.clips import Clips, VoiceClips, VoiceKey, best_of
from minuted_daemon.core.voice.matching import VoicePrint, matches, may_be_one, stage
from minuted_daemon.errors import Rejected, VendorError
from minuted_daemon.ports.engines import Diarizer, VoicePrinter
from minuted_daemon.service.connections.diarizer_connection import DiarizationSink

PRINT_LIMIT_S = 30.0
MOST_FAILURES = 3
"""Prints that may fail before a session does without them; it goes on with speakers apart."""


class Merge(DiarizationSink, Protocol):
    """The merge: it takes in what the diarizer says, and knows the speaker of each label."""

    def speaker(self, epoch: Epoch, label: str) -> SpeakerNumber | None:
        """Return the speaker a label is now; None before their first turn."""
        ...

    def epochs_of(self, speaker: SpeakerNumber) -> frozenset[Epoch]:
        """Return the epochs in which a speaker was heard, under any label."""
        ...

    def matched(self, match: SpeakersMatched) -> None:
        """Two speakers turned out to be one."""
        ...


@dataclass(frozen=True, slots=True)
class _Printed:
    """A print, how much speech it was made of, and in which epochs its speaker had been heard by then."""

    vector: NDArray[np.float32] | None
    stage: int
    epochs: frozenset[Epoch]


class SpeakerReid:
    """One session's. All but `run` and `finish` take next to no time and wait for nothing."""

    def __init__(
        self, printer: VoicePrinter, diarizer: Diarizer, merge: Merge, log: structlog.stdlib.BoundLogger
    ) -> None:
        self._printer = printer
        self._diarizer = diarizer
        self._merge = merge
        self._log = log
        self._clips = VoiceClips()
        self._open: dict[Epoch, Solos] = {}
        self._epochs = 0
        self._heard_to = self._last_voiced = 0
        self._looked: dict[VoiceKey, int] = {}
        self._prints: dict[SpeakerNumber, _Printed] = {}
        self._failures = 0
        self._news = asyncio.Event()

    # --- what it takes in --------------------------------------------------------------------------------------------

    def hear(self, pcm: NDArray[np.int16], observed: VoiceObserved) -> None:
        """The next block (int16, shape (1600,), 16 kHz) and its voice activity."""
        self._clips.hear(observed.start, pcm)
        self._heard_to = observed.start + len(pcm)
        if observed.voiced.any():
            self._last_voiced = observed.start + (int(np.flatnonzero(observed.voiced)[-1]) + 1) * FRAME
        for epoch, solos in self._open.items():
            self._keep(epoch, solos.advance(self._heard_to, self._last_voiced))

    def forget(self, start: Sample, end: Sample) -> None:
        """Nothing of what was said in [start, end) is kept any more."""
        self._clips.forget(start, end)

    def epoch_changed(self, event: EpochOpened | EpochClosed | EpochTookOver) -> None:
        """Something about an epoch. The merge is told first."""
        self._merge.epoch_changed(event)
        if isinstance(event, EpochOpened):
            self._epochs += 1
            lag = samples(self._diarizer.capabilities.lag_s)
            self._open[event.epoch] = Solos(event.base, self._heard_to, lag)
        elif isinstance(event, EpochClosed) and (solos := self._open.pop(event.epoch, None)) is not None:
            self._keep(event.epoch, solos.close(event.heard_to))

    def diarized(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """The diarizer said something. The merge is told first."""
        self._merge.diarized(epoch, event, sent_to)
        solos = self._open.get(epoch)
        if solos is None:
            return
        solos.feed(event)
        if isinstance(event, SpeakerRelabelled):
            start, end = solos.base + event.start, solos.base + event.end
            self._clips.relabel((epoch, event.old), (epoch, event.new), start, end)

    def _keep(self, epoch: Epoch, solos: list[Solo]) -> None:
        for solo in solos:
            self._clips.keep((epoch, solo.label), solo.start, solo.end)
        if solos and self._epochs > 1 and self._due():
            self._news.set()

    def _due(self) -> bool:
        """Some label has reached a stage at which it was not looked at yet."""
        return any(stage(clips.speech) > self._looked.get(key, 0) for key, clips in self._clips.voices.items())

    # --- what follows -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Compare voices whenever there is more speech of them; for ever, or until it has failed too often."""
        while self._failures < MOST_FAILURES:
            await self._news.wait()
            self._news.clear()
            await self._look()
        self._log.warning("voices_not_compared", failures=self._failures)

    async def finish(self, limit_s: float) -> None:
        """All was heard: compare for the last time, for `limit_s` at most. `run` must have been ended before."""
        if self._epochs > 1 and self._failures < MOST_FAILURES and self._due():
            try:
                async with asyncio.timeout(limit_s):
                    await self._look()
            except TimeoutError:
                self._log.warning("voices_not_compared", limit_s=limit_s)

    async def _look(self) -> None:
        try:
            fresh = await self._take_prints()
        except TimeoutError:
            self._failed("PRINT_TIMEOUT")
        except VendorError as error:
            self._failed(error.reason, for_good=isinstance(error, Rejected))
        else:
            if fresh:
                self._join()

    def _failed(self, reason: str, for_good: bool = False) -> None:
        self._failures += MOST_FAILURES if for_good else 1
        self._log.warning("voice_print_failed", reason=reason)

    async def _take_prints(self) -> bool:
        """Have prints made of all speakers who may be the same as another, as far as there is more speech than before.

        Return whether any was made. A label is looked at again at its next stage, or if this fails.
        """
        voices = {speaker: clips for speaker, clips in self._voices().items() if stage(clips.speech)}
        epochs = {speaker: self._merge.epochs_of(speaker) for speaker in voices}
        looked = {key: stage(clips.speech) for key, clips in self._clips.voices.items() if self._speaker(key)}
        fresh = False
        for speaker, clips in voices.items():
            known, reached = self._prints.get(speaker), stage(clips.speech)
            is_new = known is None or (known.stage, known.epochs) != (reached, epochs[speaker])
            if is_new and any(may_be_one(epochs[speaker], other) for other in epochs.values()):
                async with asyncio.timeout(PRINT_LIMIT_S):
                    vector = await self._printer.print(clips.pcm())
                self._prints[speaker] = _Printed(vector, reached, epochs[speaker])  # None is not asked again either
                fresh = True
        self._looked = looked
        return fresh

    def _join(self) -> None:
        voices = self._voices()  # the merge may have joined some meanwhile, on other evidence
        self._prints = {speaker: known for speaker, known in self._prints.items() if speaker in voices}
        prints = [
            VoicePrint(speaker, known.vector, voices[speaker].speech, self._merge.epochs_of(speaker))
            for speaker, known in self._prints.items()
            if known.vector is not None
        ]
        for match in matches(prints):
            self._log.info("voices_matched", newer=match.newer, older=match.older)
            self._merge.matched(match)

    def _voices(self) -> dict[SpeakerNumber, Clips]:
        """Return the speech kept of each speaker, as the merge sees them now."""
        keys: dict[SpeakerNumber, list[VoiceKey]] = {}
        for key in self._clips.voices:
            speaker = self._speaker(key)
            if speaker is not None:
                keys.setdefault(speaker, []).append(key)
        for labels in keys.values():
            if len(over := [key for key in labels if key[0] not in self._open]) > 1:
                self._clips.join(over)
        return {
            speaker: best_of(self._clips.voices[key] for key in labels if key in self._clips.voices)
            for speaker, labels in keys.items()
        }

    def _speaker(self, key: VoiceKey) -> SpeakerNumber | None:
        return self._merge.speaker(*key)

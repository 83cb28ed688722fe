"""The one door into a session's merge: its audio, what its diarizer says, and what is to be forgotten.

A replay after a crash feeds the same values again.
"""

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import Redacted
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.core.voice.activity import VoiceDetector
from minuted_daemon.service.connections.diarizer_connection import DiarizationSink
from minuted_daemon.service.connections.diarizer_link import DiarizerLink
from minuted_daemon.service.merge.driver import MergeDriver
from minuted_daemon.service.merge.speaker_reid import SpeakerReid


class Pipeline:
    """One session's. Nothing here waits."""

    def __init__(
        self, voice: VoiceDetector, driver: MergeDriver, reid: SpeakerReid | None, diarizing: DiarizerLink | None
    ) -> None:
        self.driver = driver
        self.reid = reid
        self.diarizing = diarizing
        self._voice = voice

    @property
    def diarization(self) -> DiarizationSink:
        """Where the diarizer's words go."""
        return self.reid or self.driver

    def hear(self, start: Sample, pcm: NDArray[np.int16]) -> None:
        """Take in the next block (int16, shape (1600,), 16 kHz)."""
        if self.diarizing is not None:
            self.diarizing.hear(start, pcm)
        observed = self._voice.observe(start, pcm)
        if self.diarizing is not None:
            self.diarizing.observed(observed)
        if self.reid is not None:
            self.reid.hear(pcm, observed)
        self.driver.listened(Sample(start + BLOCK), observed)

    def hear_again(self, start: Sample, pcm: NDArray[np.int16]) -> None:
        """Take in a block of before a crash: the diarizer's words about it are known."""
        observed = self._voice.observe(start, pcm)
        if self.reid is not None:
            self.reid.hear(pcm, observed)
        self.driver.listened(Sample(start + BLOCK), observed)

    def finish(self) -> None:
        """All audio was heard."""
        self.driver.judged(self._voice.finish())

    def forget(self, start: Sample, end: Sample) -> None:
        """Forget what was said in [start, end): nothing of it is settled or told any more."""
        self.driver.redacted(Redacted(start, end))
        if self.reid is not None:
            self.reid.forget(start, end)

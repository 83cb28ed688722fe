"""One stream's diarization: audio in, events out. The networks are given to it; no processes and no sockets here."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.worker.diarization import powerset
from minuted_daemon.adapters.local.worker.diarization.co_occurrence import CoOccurrence
from minuted_daemon.adapters.local.worker.diarization.diarizer_events import Announcer
from minuted_daemon.adapters.local.worker.diarization.powerset import WINDOW, Stretch
from minuted_daemon.adapters.local.worker.diarization.segment_tracking import Changes, Segment, SegmentTracker
from minuted_daemon.adapters.local.worker.diarization.speaker_change import VoiceChanges
from minuted_daemon.adapters.local.worker.diarization.voice_clustering import Embedding, VoiceClusters
from minuted_daemon.core.events import DiarizerEvent

HOP = 8_000
"""New samples for each step: 0.5 s."""
LOOK_AHEAD = 20_800
"""What lies nearer than 1.3 s to the newest sample is not reported yet. With a hop and the step's own time, events are
1.3 to 1.9 s late: the merger takes lags above 2 s for outliers."""
LONG_BACKLOG = 4 * HOP
"""With this much waiting, a step takes two hops at once."""

_LONGEST_SAMPLE = 72_000
_SHORTEST_SAMPLE = 4_800
_ENOUGH_ALONE = 8_000
_GROWTH = 2.0

SegmentationNetwork = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Log-probabilities, shape (frames, 7), of float32 audio in [-1, 1), shape (160000,)."""
VoiceNetwork = Callable[[NDArray[np.float32]], Embedding]
"""The embedding of float32 audio in [-1, 1), shape (n,) with n >= 4800."""


@dataclass(slots=True)
class StreamDiarization:
    """Push audio; while `ready`, take a hop and look. A look takes about 0.1 s of one core, however long the stream is.

    `done` counts the samples that were worked on. Only `push` and `take_hop` touch what waits.
    """

    segmentation: SegmentationNetwork
    voice: VoiceNetwork
    look_ahead: int = LOOK_AHEAD
    done: int = 0
    _audio: NDArray[np.int16] = field(default_factory=lambda: np.zeros(WINDOW, dtype=np.int16))
    _pending: list[NDArray[np.int16]] = field(default_factory=list)
    _waiting: int = 0
    _tracker: SegmentTracker = field(default_factory=SegmentTracker)
    _co_occurrence: CoOccurrence = field(default_factory=CoOccurrence)
    _clusters: VoiceClusters = field(init=False)
    _voice_changes: VoiceChanges = field(default_factory=VoiceChanges)
    _announcer: Announcer = field(default_factory=Announcer)
    _heard: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._clusters = VoiceClusters(self._co_occurrence)

    @property
    def ready(self) -> bool:
        """True while there is enough new audio for a step."""
        return self._waiting >= HOP

    @property
    def voices(self) -> int:
        """How many voices a step compares; bounded."""
        return self._clusters.size

    def push(self, pcm: NDArray[np.int16]) -> None:
        """Take the next audio (int16, shape (n,), 16 kHz)."""
        self._pending.append(pcm)
        self._waiting += len(pcm)

    def take_hop(self) -> None:
        """Move on by the next hop, or by what is left. `look` or `finish` then works on it, without new audio."""
        fresh = np.concatenate(self._pending) if self._pending else np.zeros(0, dtype=np.int16)
        taken = fresh[: 2 * HOP if self._waiting >= LONG_BACKLOG else HOP]
        self._pending = [fresh[len(taken) :]]
        self._waiting -= len(taken)
        self._audio = np.concatenate((self._audio, taken))[-WINDOW:]
        self.done += len(taken)

    def look(self) -> list[DiarizerEvent]:
        """Return what the last hop settles, in order of position, revisions last."""
        return self._look(self.done - self.look_ahead)

    def finish(self) -> list[DiarizerEvent]:
        """Return what there is without look-ahead, and end all speakers that still speak."""
        return self._look(self.done) + self._tell(self._tracker.close())

    def _look(self, horizon: int) -> list[DiarizerEvent]:
        if horizon <= 0:
            return []
        window_start = self.done - WINDOW
        wave = self._audio.astype(np.float32) / 32_768.0
        if self._audio.any():
            active = powerset.activity(self.segmentation(wave))
        else:  # a paused session: nothing to be heard
            active = np.zeros((1, powerset.TRACKS), dtype=np.float32)
        whole = powerset.stretches(active, window_start)
        shown = self._voice_changes.apply(whole)
        changes = self._tracker.update(shown, window_start, horizon)
        if self._find_changes(active, wave, window_start):
            shown = self._voice_changes.apply(whole)
            changes += self._tracker.update(shown, window_start, horizon)
        self._co_occurrence.observe(self._tracker.tracks(shown))
        for segment in (*changes.closed, *self._tracker.open):
            self._listen(segment, active, wave, window_start)
        return self._tell(changes)

    def _find_changes(self, active: NDArray[np.float32], wave: NDArray[np.float32], window_start: int) -> bool:
        """Look for new voices in open segments; return whether there are any."""
        found = False
        for segment in self._tracker.open:
            if segment.view is None:
                continue
            newest = self._voice_changes.newest(_own_speech(segment.view, active, window_start))
            if newest is None:
                continue
            first, last = int(newest[0]) + window_start, int(newest[-1]) + window_start
            if self._voice_changes.observe(segment.number, first, last, self.voice(wave[newest])):
                self._voice_changes.change(segment.start, first, wave, window_start)
                found = True
        self._voice_changes.keep([segment.number for segment in self._tracker.open], window_start)
        return found

    def _tell(self, changes: Changes) -> list[DiarizerEvent]:
        labels = self._clusters.labels()
        events = self._announcer.announce(changes, labels)
        self._co_occurrence.keep(labels)
        self._heard = {number: speech for number, speech in self._heard.items() if number in labels}
        return events

    def _listen(
        self, segment: Segment, active: NDArray[np.float32], wave: NDArray[np.float32], window_start: int
    ) -> None:
        """Take a picture of the segment's voice, if it is the first or the last one or there is much more to hear."""
        before = self._heard.get(segment.number)
        if segment.view is None:
            return
        own = _own_speech(segment.view, active, window_start)
        speech = len(own)
        if before is not None and segment.open and speech < _GROWTH * before:
            return
        if speech < _SHORTEST_SAMPLE:
            middle = (segment.view.start + min(segment.view.end, self.done)) // 2 - window_start
            first = min(max(middle - _SHORTEST_SAMPLE // 2, 0), WINDOW - _SHORTEST_SAMPLE)
            own = np.arange(first, first + _SHORTEST_SAMPLE)
        self._heard[segment.number] = max(speech, 1)
        self._clusters.put(
            segment.number,
            segment.start,
            segment.end,
            self.voice(wave[own[-_LONGEST_SAMPLE:]]),
            speech,
            tentative=segment.open,
        )


def _own_speech(view: Stretch, active: NDArray[np.float32], window_start: int) -> NDArray[np.int64]:
    """Return the samples of the window in which this local speaker speaks, alone if that is enough of them."""
    centres = powerset.frame_centres(len(active), window_start)
    mine = (centres >= view.start) & (centres <= view.end) & (active[:, view.track] > powerset.ONSET)
    alone = mine & (np.delete(active, view.track, axis=1).max(axis=1) < powerset.ONSET)
    chosen = alone if alone.sum() * powerset.STEP > _ENOUGH_ALONE else mine
    firsts = centres[chosen] - window_start - powerset.STEP // 2
    samples = (firsts[:, None] + np.arange(powerset.STEP)[None]).ravel()
    return samples[(samples >= 0) & (samples < WINDOW)]

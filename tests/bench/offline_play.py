"""Plays a recording to the offline engine and the merge as the daemon would, in virtual time and in one process.

Blocks of 100 ms go in; the diarizer's events come back as late as its look-ahead and its own work make them; the
recognizer hears exactly what the merge sends and is busy for as long as it takes. No pacing, no sockets.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.worker import onnx_models as networks
from minuted_daemon.adapters.local.worker.beam_search import BEAM
from minuted_daemon.adapters.local.worker.decode_queue import DecodeQueue, Job, pieces, readable
from minuted_daemon.adapters.local.worker.diarization.pipeline import (
    SegmentationNetwork,
    StreamDiarization,
    VoiceNetwork,
)
from minuted_daemon.adapters.voice_activity import SileroModels
from minuted_daemon.core.events import (
    Append,
    Clear,
    Commit,
    DiarizerEvent,
    Epoch,
    EpochOpened,
    MergeOutput,
    SpeakerRelabelled,
    TextCompleted,
    TextGrew,
    TranscriberEvent,
    TranscriberReady,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    TurnState,
    UtteranceId,
)
from minuted_daemon.core.merge.merger import Merger, MergeSettings
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples
from minuted_daemon.core.voice.activity import VoiceDetector

EPOCH = Epoch(1)
STREAM = 1
DIARIZER_LAG_S = 1.9
TRANSPORT_BLOCKS = 2
"""A step's events are there this many blocks after its last audio."""
DRAIN_S = 60.0


@dataclass
class Engines:
    """The models, or what stands for them."""

    segmentation: SegmentationNetwork
    voice: VoiceNetwork
    recognize: Callable[[NDArray[np.int16], int], str]


def open_engines() -> Engines:
    """Load the models into this process."""
    return Engines(networks.open_segmentation(), networks.open_voice(), networks.open_recognizer())


@dataclass
class Played:
    """What came of a recording. Times are seconds of this process's thread."""

    events: list[DiarizerEvent] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)
    turns: list[TurnState] = field(default_factory=list)
    steps_s: list[float] = field(default_factory=list)
    recognized_s: float = 0.0
    partials: int = 0
    sent: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Ranges of audio sent, by utterance."""


class _Recognizer:
    """One recognizer, busy with one job at a time."""

    def __init__(self, recognize: Callable[[NDArray[np.int16], int], str], with_partials: bool) -> None:
        self._recognize = recognize
        self._with_partials = with_partials
        self.queue = DecodeQueue()
        self.queue.open(STREAM)
        self._free_at = 0.0
        self._answers: list[tuple[float, TranscriberEvent]] = []
        self.busy_s = 0.0
        self.partials = 0

    def advance(self, now_s: float) -> list[TranscriberEvent]:
        """Work until `now_s` and give what is answered by then."""
        while self._free_at <= now_s and (job := self.queue.next_job()) is not None:
            if job.final or self._with_partials:
                self._work(job, now_s)
        due = [event for at, event in self._answers if at <= now_s]
        self._answers = [(at, event) for at, event in self._answers if at > now_s]
        return due

    def _work(self, job: Job, now_s: float) -> None:
        began = time.thread_time()
        found = [text for piece in pieces(job.pcm) if (text := self._recognize(piece, BEAM if job.final else 1))]
        took = time.thread_time() - began
        text = readable(" ".join(found))
        self.busy_s += took
        self._free_at = max(self._free_at, now_s - BLOCK / RATE_HZ) + took
        utterance = _utterance(job)
        if job.final:
            self._answers.append((self._free_at, TextCompleted(utterance, text)))
        else:
            self.partials += 1
            self._answers.append((self._free_at, TextGrew(utterance, text, replaces=True)))


def _utterance(job: Job) -> UtteranceId:
    return UtteranceId(job.utterance)


class Room:
    """A session that hears a recording: int16, shape (n,), 16 kHz."""

    def __init__(self, pcm: NDArray[np.int16], engines: Engines, with_partials: bool) -> None:
        self.pcm = pcm
        self.diarization = StreamDiarization(engines.segmentation, engines.voice)
        self.recognizer = _Recognizer(engines.recognize, with_partials)
        self.detector = VoiceDetector(SileroModels().stream())
        self.merger = Merger(MergeSettings(diarizer_lag_s=DIARIZER_LAG_S))
        self.merger.feed(TranscriberReady(repeats=True))
        self.merger.feed(EpochOpened(EPOCH, Sample(0)))
        self.played = Played()
        self.now = 0
        self._final: dict[int, TurnState] = {}
        self._coming: deque[tuple[int, list[DiarizerEvent]]] = deque()

    def hear(self, length: int) -> None:
        """Go on by so many samples, or to the end."""
        for start in range(self.now, min(self.now + length, len(self.pcm) - BLOCK + 1), BLOCK):
            block = self.pcm[start : start + BLOCK]
            self.now = start + BLOCK
            while self._coming and self._coming[0][0] <= self.now:
                self._diarized(self._coming.popleft()[1])
            self.merger.feed(self.detector.observe(Sample(start), block))
            self._advance()
            self.diarization.push(block)
            while self.diarization.ready:
                self.diarization.take_hop()
                self._coming.append((self.now + TRANSPORT_BLOCKS * BLOCK, self._timed(self.diarization.look)))

    def end(self) -> Played:
        """Hear the rest and settle all turns."""
        self.hear(len(self.pcm))
        self.diarization.take_hop()
        for events in [events for _, events in self._coming] + [self._timed(self.diarization.finish)]:
            self._diarized(events)
        self.merger.close()
        until = self.now + samples(DRAIN_S)
        while not self.merger.settled and self.now < until:
            self.now += BLOCK
            self._advance()
        self.played.turns = sorted(self._final.values(), key=lambda turn: (turn.start, turn.number))
        self.played.recognized_s, self.played.partials = self.recognizer.busy_s, self.recognizer.partials
        return self.played

    def _timed(self, step: Callable[[], list[DiarizerEvent]]) -> list[DiarizerEvent]:
        began = time.thread_time()
        events = step()
        self.played.steps_s.append(time.thread_time() - began)
        return events

    def _diarized(self, events: list[DiarizerEvent]) -> None:
        heard = min(self.now, len(self.pcm))
        for event in events:
            self.played.events.append(event)
            if not isinstance(event, SpeakerRelabelled):
                self.played.lags_s.append((heard - event.at) / RATE_HZ)
            self.merger.feed_diarization(EPOCH, event, Sample(heard))

    def _advance(self) -> None:
        for event in self.recognizer.advance(self.now / RATE_HZ):
            self.merger.feed(event)
        for output in self.merger.advance(Sample(self.now)):
            self._take(output)

    def _take(self, output: MergeOutput) -> None:
        queue = self.recognizer.queue
        match output:
            case Append(utterance, start, end):
                queue.append(STREAM, utterance, self.pcm[start:end])
                self.played.sent.setdefault(utterance, []).append((start, end))
            case Commit(utterance, pad):
                if pad:
                    queue.append(STREAM, utterance, np.zeros(pad, dtype=np.int16))
                queue.commit(STREAM, utterance)
            case Clear(utterance):
                queue.clear(STREAM, utterance)
                self.played.sent.pop(utterance, None)
            case TurnSettled(turn) | TurnRevised(turn):
                self._final[turn.number] = turn
            case TurnRetracted(number, was_final) if was_final:
                self._final.pop(number, None)
            case _:
                pass


def play(pcm: NDArray[np.int16], engines: Engines, *, with_partials: bool = False) -> Played:
    """Play a recording: int16, shape (n,), 16 kHz. Partials are made only where asked for: they change no final."""
    return Room(pcm, engines, with_partials).end()

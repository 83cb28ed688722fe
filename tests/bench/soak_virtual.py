"""Many hours in virtual time: a device whose clock is wrong, its line of blocks, the wall clock's map, and the core.

The device's samples come 200 ppm too slowly and a little unevenly, as a sound server gives them. What must follow: no
gap where nothing is missing, turns at most one block from where they truly were, and neither memory nor processor time
that grows from hour to hour. Speech is that of a real meeting, over and over.
"""

import pickle
import statistics
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from minuted_daemon.adapters.capture.continuity import Continuity
from minuted_daemon.adapters.capture.protocol.frames import Captured
from minuted_daemon.adapters.capture.resampling import Rendered
from minuted_daemon.core.events import (
    Append,
    Clear,
    Commit,
    Epoch,
    EpochOpened,
    SpeakerEnded,
    SpeakerStarted,
    TextCompleted,
    TranscriberReady,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    UtteranceId,
    VoiceObserved,
)
from minuted_daemon.core.merge.merger import Merger, MergeSettings
from minuted_daemon.core.samples import BLOCK, FRAME, RATE_HZ, WIDE_BLOCK, Sample
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.service.session.wall_clock import WallClock
from tests.bench.soak_slope import slope
from tests.fakes.meeting import Meeting, load_meeting

MEETING = "ES2011d"
SLOW = 200e-6
JITTER_S = 0.004
LAG_S, ANSWER_S = 0.3, 0.7
START_S = 1.8e9
"""Any wall time to begin with."""
BLOCK_S = BLOCK / RATE_HZ
LOOKS = 30
"""So often an hour the size of the core is taken: it holds more while much is said."""
FLAT = 0.1
"""What memory and time may grow by over the whole run, as a share; less than is sure does not count."""
FEWEST_HOURS = 6
"""Fewer say nothing about growth."""
MOST_OFF_S = BLOCK_S
MAY_BE_OUT = 40
"""Words of the turns that are still open, or on their way, when the time is up."""


@dataclass
class Hour:
    """What an hour cost, and what was wrong in it.

    `core_kb` is the size of all that the core holds, the mean of several looks; `map_kb` that of the map to wall time,
    which is bounded and fills up within half a day.
    """

    cpu_s: float = 0.0
    core_kb: float = 0.0
    map_kb: float = 0.0
    turns: int = 0
    gaps: int = 0
    points: int = 0
    off_s: float = 0.0
    words: int = 0
    told: int = 0


@dataclass
class Device:
    """Gives blocks at the times at which a device with a slow clock would, and the sample clock's line of them."""

    rng: np.random.Generator
    line: Continuity = field(default_factory=Continuity)
    given: int = 0

    def block(self) -> tuple[AudioBlock, int]:
        """The next block of the line, and how many things came that were no such block."""
        captured_s = self.true_s(self.given * BLOCK) + float(self.rng.uniform(0, JITTER_S))
        rendered = Rendered(self.given, _PCM, _WIDE)
        self.given += 1
        # It can be passed on once its last sample is there.
        now_s = captured_s + BLOCK_S * (1 + SLOW)
        items = self.line.advance(now_s) + self.line.feed(
            0, Captured(rendered, captured_s, START_S + captured_s), now_s
        )
        blocks = [item for item in items if isinstance(item, AudioBlock)]
        heard = [block for block in blocks if not block.filled]
        return heard[-1], len(items) - len(heard)

    @staticmethod
    def true_s(at: float) -> float:
        """When a sample truly was captured, in seconds from the first."""
        return at / RATE_HZ * (1 + SLOW)


_PCM = np.zeros(BLOCK, np.int16)
_WIDE = np.zeros(WIDE_BLOCK, np.int16)


class Talk:
    """A meeting over and over: its voice activity block by block, who begins and ends to speak, and its words."""

    def __init__(self, meeting: Meeting) -> None:
        self.length = meeting.duration - meeting.duration % BLOCK
        self.meeting = meeting
        voiced = np.zeros(self.length // FRAME, dtype=np.bool_)
        for word in meeting.words:
            voiced[word.start // FRAME : -(-word.end // FRAME)] = True
        self._voiced = voiced
        self._levels = np.where(voiced, np.float32(-20), np.float32(-60)).astype(np.float32)
        self._edges = [edge for edge in meeting.boundaries if edge[0] < self.length]

    def observed(self, start: int) -> VoiceObserved:
        """The voice activity of a block."""
        at = start % self.length // FRAME
        frames = slice(at, at + BLOCK // FRAME)
        return VoiceObserved(Sample(start), self._voiced[frames], self._levels[frames])

    def events(self) -> Iterator[SpeakerStarted | SpeakerEnded]:
        """Who starts and ends, for ever; everybody ends where the meeting begins again."""
        base = 0
        while True:
            active: set[str] = set()
            for sample, starts, speaker in self._edges:
                (active.add if starts else active.discard)(speaker)
                yield (SpeakerStarted if starts else SpeakerEnded)(speaker, Sample(base + sample))
            for speaker in sorted(active):
                yield SpeakerEnded(speaker, Sample(base + self.length))
            base += self.length

    def count(self, ranges: Sequence[tuple[int, int]]) -> int:
        """How many words have their middle in what was sent."""
        found = 0
        for start, end in ranges:
            for base in range(start // self.length * self.length, end, self.length):
                low, high = max(0, start - base), min(self.length, end - base)
                found += sum(low <= word.middle < high for word in self.meeting.words_between(low, high))
        return found

    def words(self, start: int, end: int) -> int:
        """How many words end in [start, end)."""
        return sum(
            start <= base + word.end < end
            for base in range(start // self.length * self.length, end, self.length)
            for word in self.meeting.words
            if word.middle < self.length
        )


class Soak:
    """One session that does not end. `hour` plays the next one."""

    def __init__(self, seed: int) -> None:
        self._device = Device(np.random.default_rng(seed))
        self._talk = Talk(load_meeting(MEETING))
        self._events = self._talk.events()
        self._next = next(self._events)
        self._clock, self._merger = WallClock(), Merger(MergeSettings())
        self._merger.feed(TranscriberReady())
        self._merger.feed(EpochOpened(Epoch(1), Sample(0)))
        self._sent: dict[UtteranceId, list[tuple[int, int]]] = {}
        self._due: deque[tuple[int, TextCompleted]] = deque()
        self._finals: dict[int, int] = {}  # words of each
        self._now = 0

    def hour(self) -> Hour:
        """Play an hour of the device's clock."""
        hour, start = Hour(), self._now
        for _ in range(LOOKS):
            began_s = time.process_time()
            for _ in range(round(3600 / BLOCK_S / LOOKS)):
                self.block(hour)
            hour.cpu_s += time.process_time() - began_s
            hour.core_kb += len(pickle.dumps(self._merger)) / 1024 / LOOKS
        hour.map_kb = len(pickle.dumps(self._clock)) / 1024
        hour.words = self._talk.words(start, self._now)
        return hour

    def block(self, hour: Hour) -> None:
        block, others = self._device.block()
        hour.gaps += others
        start, self._now = self._now, self._now + BLOCK
        hour.points += self._clock.observe(Sample(start), block.wall_s) is not None
        self._merger.feed(self._talk.observed(start))
        while self._next.at + round(LAG_S * RATE_HZ) <= self._now:
            self._merger.feed_diarization(Epoch(1), self._next, Sample(self._now))
            self._next = next(self._events)
        while self._due and self._due[0][0] <= self._now:
            self._merger.feed(self._due.popleft()[1])
        for output in self._merger.advance(Sample(self._now)):
            match output:
                case Append():
                    self._sent.setdefault(output.utterance, []).append((output.start, output.end))
                case Clear():
                    self._sent.pop(output.utterance, None)
                case Commit():
                    count = self._talk.count(self._sent.pop(output.utterance))
                    text = " ".join(["w"] * count)
                    self._due.append((self._now + round(ANSWER_S * RATE_HZ), TextCompleted(output.utterance, text)))
                case TurnSettled() | TurnRevised():
                    before = self._finals.get(output.turn.number, 0)
                    self._finals[output.turn.number] = len(output.turn.text.split())
                    hour.turns += isinstance(output, TurnSettled)
                    hour.told += self._finals[output.turn.number] - before
                    for at in (output.turn.start, output.turn.end):
                        off_s = self._clock.wall_s(at) - START_S - Device.true_s(at)
                        hour.off_s = max(hour.off_s, abs(off_s))
                case TurnRetracted():
                    hour.told -= self._finals.pop(output.number, 0)
                case _:
                    pass


def report(hours: float, seed: int) -> list[str]:
    """Play, print a line an hour, and give the names of the figures that miss their targets."""
    soak = Soak(seed)
    print(f"{hours:.0f} h of virtual time, a device {1e6 * SLOW:.0f} ppm slow, speech of {MEETING}")
    print(
        f"{'hour':>4}{'cpu s':>8}{'core kB':>9}{'map kB':>8}{'turns':>7}{'words':>7}{'told':>7}{'gaps':>6}"
        f"{'points':>8}{'off ms':>8}"
    )
    done: list[Hour] = []
    for number in range(1, max(2, round(hours)) + 1):
        hour = soak.hour()
        done.append(hour)
        print(
            f"{number:4}{hour.cpu_s:8.2f}{hour.core_kb:9.1f}{hour.map_kb:8.1f}{hour.turns:7}{hour.words:7}{hour.told:7}"
            f"{hour.gaps:6}{hour.points:8}{1000 * hour.off_s:8.1f}",
            flush=True,
        )
    missed = []
    if any(hour.gaps for hour in done):
        missed.append("false gaps")
    if any(hour.off_s > MOST_OFF_S for hour in done):
        missed.append("turns misplaced")
    if abs(sum(hour.words for hour in done) - sum(hour.told for hour in done)) > MAY_BE_OUT:
        missed.append("words lost or doubled")
    if len(done) >= FEWEST_HOURS:
        for name, unit, figures in (
            ("memory of the core", "kB", [hour.core_kb for hour in done]),
            ("processor time", "s", [hour.cpu_s for hour in done]),
        ):
            growth = slope([3600.0 * number for number in range(len(done))], figures)
            print(f"{name}: {growth} ({unit}, 95 %)")
            if growth.least > 0 and growth.per_hour * len(done) > FLAT * statistics.fmean(figures):
                missed.append(name)
    return missed

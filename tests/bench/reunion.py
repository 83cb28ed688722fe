"""`make bench-reunion`: who is recognised by voice after the diarizer's connection broke.

Meetings of synthetic voices in virtual time: the truth, late and with jitter, through the merge and the voice memory
with the real embedding network. In each meeting the connection breaks three times, at seeded moments, and is back 1 to
3 s later with other labels. A returning voice is somebody who spoke alone for 2 s in some earlier epoch and for 2 s in
this one. Exits 1 if anybody is joined to somebody else, or fewer than 90 % of the returning voices are joined.

With a directory as its argument it plays the meetings there instead of those recorded with the tests.
"""

import asyncio
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.adapters.local.worker.onnx_models import open_voice
from minuted_daemon.core.events import (
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    SpeakerEnded,
    SpeakerNumber,
    SpeakersMatched,
    SpeakerStarted,
)
from minuted_daemon.core.merge.merger import Merger, MergeSettings
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples
from minuted_daemon.core.voice.activity import VoiceDetector
from minuted_daemon.ports.engines import DiarizerCapabilities, DiarizerStream
from minuted_daemon.service.merge.speaker_reid import SpeakerReid
from tests.fakes.meeting import seed_of
from tests.fakes_service.virtual_time import VirtualLoop
from tests.voices.library import MEETINGS, VoiceMeeting, load, names

BREAKS = 3
GAP_S = (1.0, 3.0)
APART_S = 15.0
"""No break is nearer than this to another, or to the meeting's beginning or end."""
CATCH_UP_S = 2.0
LAG_S, LAG_SIGMA_S, EDGE_SIGMA_S = 0.3, 0.075, 0.1
PRINT_S = 0.5
SPOKE = samples(2.0)
LEAST_JOINED = 0.9


class Vendor:
    """A diarizer that is only asked what it can do."""

    capabilities = DiarizerCapabilities("truth", lag_s=0.5, catch_up_s=CATCH_UP_S)

    async def open(self) -> DiarizerStream:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class Printer:
    """The real network, in this process; a print takes as long as in the daemon."""

    def __init__(self) -> None:
        self._network = open_voice()
        self.count = 0

    async def print(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        await asyncio.sleep(PRINT_S)
        self.count += 1
        vector = self._network(pcm.astype(np.float32) / 32_768.0)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class Part:
    """One epoch of a meeting: it hears [base, heard_to) from `opened_at` on and calls people by `labels`."""

    number: Epoch
    base: int
    opened_at: int
    heard_to: int
    labels: dict[str, str]


@dataclass
class Room:
    """The merge of one meeting, and what was joined in it."""

    merger: Merger = field(default_factory=lambda: Merger(MergeSettings(transcribes=False)))
    matches: list[SpeakersMatched] = field(default_factory=list)

    def epoch_changed(self, event: EpochOpened | EpochClosed | EpochTookOver) -> None:
        self.merger.feed(event)

    def diarized(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        self.merger.feed_diarization(epoch, event, sent_to)

    def speaker(self, epoch: Epoch, label: str) -> SpeakerNumber | None:
        return self.merger.speaker(epoch, label)

    def epochs_of(self, speaker: SpeakerNumber) -> frozenset[Epoch]:
        return self.merger.epochs_of(speaker)

    def matched(self, match: SpeakersMatched) -> None:
        self.matches.append(match)
        self.merger.feed(match)


@dataclass(frozen=True)
class Result:
    """How one meeting went: returning voices, and what became of them."""

    voices: int
    returning: int
    joined: int
    wrong: int
    too_little: int
    prints: int


def parts_of(meeting: VoiceMeeting) -> list[Part]:
    """Break a meeting's connection at moments that its name decides."""
    rng = random.Random(seed_of("reunion", meeting.name))
    apart, room = samples(APART_S), meeting.duration - samples(APART_S) * (BREAKS + 1)
    breaks = [apart * (n + 1) + at for n, at in enumerate(sorted(rng.randrange(room) for _ in range(BREAKS)))]
    found: list[Part] = []
    base = opened_at = 0
    for number, heard_to in enumerate([*breaks, meeting.duration], start=1):
        heard_to = heard_to // BLOCK * BLOCK
        labels = rng.sample(range(8), len(meeting.speakers))
        named = {speaker: f"SPEAKER_{label:02}" for speaker, label in zip(meeting.speakers, labels, strict=True)}
        found.append(Part(Epoch(number), base, opened_at, heard_to, named))
        gap = samples(rng.uniform(*GAP_S)) // BLOCK * BLOCK
        opened_at = heard_to + gap
        base = opened_at - min(gap, samples(CATCH_UP_S))
    return found


def alone(meeting: VoiceMeeting, start: int, end: int) -> dict[str, int]:
    """For how many samples of [start, end) each speaker spoke alone."""
    total: dict[str, int] = defaultdict(int)
    edges = sorted({edge for said in meeting.segments for edge in (said.start, said.end)} | {start, end})
    for low, high in pairwise(edges):
        active = {said.speaker for said in meeting.segments if said.start < high and said.end > low}
        if start <= low and high <= end and len(active) == 1:
            total[active.pop()] += high - low
    return total


def events_of(meeting: VoiceMeeting, part: Part) -> list[tuple[int, DiarizerEvent]]:
    """What the connection tells of the meeting while it lasts, by the sample at which it arrives."""
    rng = random.Random(seed_of("reunion", meeting.name, part.number))
    found: list[tuple[int, DiarizerEvent]] = []
    for said in meeting.segments:
        label = part.labels[said.speaker]
        start = max(0, said.start + samples(rng.gauss(0, EDGE_SIGMA_S)) - part.base)
        end = said.end + samples(rng.gauss(0, EDGE_SIGMA_S)) - part.base
        for at, event in ((start, SpeakerStarted(label, start)), (end, SpeakerEnded(label, end))):
            lag = samples(max(0.02, rng.gauss(LAG_S, LAG_SIGMA_S)))
            arrival = max(part.base + at, part.opened_at) + lag
            if end > max(start, 0) and arrival < part.heard_to:
                found.append((arrival, event))
    return sorted(found, key=lambda item: item[0])


async def play(meeting: VoiceMeeting) -> Result:
    """Hear one meeting to its end."""
    parts = parts_of(meeting)
    room, printer, detector = Room(), Printer(), VoiceDetector()
    memory = SpeakerReid(printer, Vendor(), room, structlog.get_logger())
    events = {part.number: events_of(meeting, part) for part in parts}
    async with asyncio.TaskGroup() as group:
        running = group.create_task(memory.run())
        for start in range(0, meeting.duration // BLOCK * BLOCK, BLOCK):
            now = start + BLOCK
            pcm = meeting.audio[start:now]
            for part in parts:
                if start == part.opened_at:
                    memory.epoch_changed(EpochOpened(part.number, Sample(part.base)))
                while part.opened_at < now <= part.heard_to and events[part.number][:1]:
                    if events[part.number][0][0] > now:
                        break
                    memory.diarized(part.number, events[part.number].pop(0)[1], Sample(now))
                if now == part.heard_to:
                    memory.epoch_changed(EpochClosed(part.number, Sample(now)))
            observed = detector.observe(Sample(start), pcm)
            memory.hear(pcm, observed)
            room.merger.feed(observed)
            room.merger.advance(Sample(now))
            await asyncio.sleep(BLOCK / RATE_HZ)
        running.cancel()
    await memory.finish(3.0)
    room.merger.close()
    room.merger.advance(Sample(meeting.duration))
    return judged(meeting, parts, room.merger, printer.count)


def judged(meeting: VoiceMeeting, parts: list[Part], merger: Merger, prints: int) -> Result:
    """Compare who was taken for whom with who is who."""
    persons: dict[SpeakerNumber, set[str]] = defaultdict(set)
    known: dict[str, set[SpeakerNumber | None]] = defaultdict(set)
    returning = joined = too_little = 0
    for part in parts:
        spoke = alone(meeting, part.base, part.heard_to)
        for person, label in part.labels.items():
            speaker = merger.speaker(part.number, label)
            if speaker is not None:
                persons[speaker].add(person)
            if spoke.get(person, 0) < SPOKE:
                too_little += spoke.get(person, 0) > 0
                continue
            if known[person]:
                returning += 1
                joined += speaker in known[person]
            known[person].add(speaker)
    wrong = sum(len(people) - 1 for people in persons.values())
    return Result(len(meeting.speakers), returning, joined, wrong, too_little, prints)


def main() -> int:
    """Print the table; give the exit code."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    directory = Path(sys.argv[1]) if sys.argv[1:] else MEETINGS
    meetings = sorted(path.stem for path in directory.glob("*.json")) if sys.argv[1:] else names("I")
    titles = ("voices", "returning", "joined", "wrong", "missed", "too little", "prints")
    print("meeting  " + "".join(f"{title:>{len(title) + 2}}" for title in titles))
    results: list[Result] = []
    for name in meetings:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            one = runner.run(play(load(name, directory)))
        results.append(one)
        missed = one.returning - one.joined
        figures = (one.voices, one.returning, one.joined, one.wrong, missed, one.too_little, one.prints)
        line = "".join(f"{figure:{len(title) + 2}}" for title, figure in zip(titles, figures, strict=True))
        print(f"{name:9}{line}", flush=True)
    returning, joined = sum(one.returning for one in results), sum(one.joined for one in results)
    wrong = sum(one.wrong for one in results)
    share = joined / returning if returning else 0.0
    print(f"joined {100 * share:.1f} % of {returning} returning voices in {len(results)} meetings, {wrong} wrong joins")
    return 0 if share >= LEAST_JOINED and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())

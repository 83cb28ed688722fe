"""Who is recognised by voice after the diarizer's connection broke: whole sessions over fakes, in virtual time."""

import asyncio
from collections.abc import Sequence

import pytest
import structlog

from minuted_daemon.core.events import (
    Epoch,
    EpochClosed,
    EpochOpened,
    SpeakerEnded,
    SpeakerNumber,
    SpeakersMatched,
    SpeakerStarted,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.core.voice.activity import VoiceDetector
from minuted_daemon.errors import MinutedError, Rejected, Unavailable
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.service.merge.speaker_reid import MOST_FAILURES, SpeakerReid
from minuted_daemon.service.views import StartRequest
from tests.fakes_service.diarizer import FakeDiarizer, Spoken
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time
from tests.fakes_service.voices import SILENCE, FakePrinter, spoken

BROKE = Unavailable("CLOSED_1011", "the vendor closed the connection")
ADA, BEN, EVE = 1, 2, 3

MEETING = spoken(
    (1.0, SILENCE), (4.0, ADA), (1.0, SILENCE), (4.0, BEN), (2.0, SILENCE), (4.0, BEN), (1.0, SILENCE), (4.0, ADA),
    (1.0, SILENCE), (4.0, EVE), (6.0, SILENCE),
)  # fmt: skip
BREAK_S = 11.0
BEFORE = [("X", 1.0, 5.0), ("Y", 6.0, 10.0)]
AFTER = [("X", 12.0, 16.0), ("Y", 17.0, 21.0), ("Z", 22.0, 26.0)]
"""Behind the break `X` is somebody else."""


def house(printer: FakePrinter | None, script: Sequence[AudioBlock] = MEETING) -> House:
    made = House()
    made.capture.script = script
    made.diarizer.script = BEFORE
    made.voice_printer = printer
    return made


async def play(made: House, after: list[Spoken] = AFTER) -> list[str]:
    """Play a meeting whose diarizer breaks; give the speaker of each turn, by start, as last stored."""
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", device="file:/x.wav"))
        await asyncio.sleep(BREAK_S)
        made.diarizer.streams[0].break_now(BROKE)
        made.diarizer.script = after
        await made.ended(view.record.id)
    speakers = {speaker.id: speaker.label for speaker in await made.store.speakers(view.record.id)}
    turns = sorted(made.store.turns_known, key=lambda turn: turn.start)
    return [speakers[turn.speaker_id] if turn.speaker_id else "?" for turn in turns]


@virtual_time
async def test_returning_voices_keep_their_speaker_and_a_new_one_is_new() -> None:
    printer = FakePrinter()
    assert await play(house(printer)) == ["S1", "S2", "S2", "S1", "S5"]
    assert {voice for voice, _ in printer.heard} == {ADA, BEN}, "nobody is left whom EVE could be"


@virtual_time
async def test_without_a_printer_they_stay_apart() -> None:
    assert await play(house(None)) == ["S1", "S2", "S3", "S4", "S5"]


@virtual_time
async def test_nothing_is_printed_while_there_is_one_epoch() -> None:
    printer = FakePrinter()
    made = house(printer)
    made.diarizer.script = [*BEFORE, *AFTER]
    async with made.open():
        await made.run_file()
    assert printer.attempts == 0


@virtual_time
async def test_who_spoke_last_is_recognised_at_the_very_end() -> None:
    script = spoken((1.0, SILENCE), (4.0, ADA), (7.0, SILENCE), (4.0, ADA), (0.3, SILENCE))
    made = house(FakePrinter(), script)
    made.diarizer.script = [("X", 1.0, 5.0)]
    assert await play(made, [("Q", 12.0, 16.0)]) == ["S1", "S1"]


@virtual_time
async def test_a_moment_of_speech_is_no_evidence() -> None:
    printer = FakePrinter()
    script = spoken((1.0, SILENCE), (4.0, ADA), (7.0, SILENCE), (1.2, ADA), (6.0, SILENCE))
    made = house(printer, script)
    made.diarizer.script = [("X", 1.0, 5.0)]
    assert await play(made, [("Q", 12.0, 13.2)]) == ["S1", "S2"]
    assert printer.attempts == 0


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [(Rejected("ENGINE_MISSING", "not installed"), 1), (Unavailable("WORKER_DIED", "it died"), MOST_FAILURES)],
)
def test_a_printer_that_fails_is_asked_no_more(fault: MinutedError, attempts: int) -> None:
    @virtual_time
    async def run() -> None:
        printer = FakePrinter()
        printer.fault = fault
        assert await play(house(printer)) == ["S1", "S2", "S3", "S4", "S5"]
        assert printer.attempts == attempts

    run()


@virtual_time
async def test_a_printer_that_hangs_holds_nothing_up() -> None:
    printer = FakePrinter()
    printer.takes_s = 3600.0
    began_s = asyncio.get_running_loop().time()
    assert await play(house(printer)) == ["S1", "S2", "S3", "S4", "S5"]
    assert asyncio.get_running_loop().time() - began_s < 32.0 + 10.0


class Merge:
    """A merge that knows the labels it is told, and joins whom it is told to."""

    def __init__(self, speakers: dict[tuple[int, str], int]) -> None:
        self.speakers = speakers
        self.matches: list[SpeakersMatched] = []
        self.told: list[object] = []

    def epoch_changed(self, event: object) -> None:
        self.told.append(event)

    def diarized(self, epoch: Epoch, event: object, sent_to: Sample) -> None:
        self.told.append(event)

    def speaker(self, epoch: Epoch, label: str) -> SpeakerNumber | None:
        number = self.speakers.get((epoch, label))
        return None if number is None else SpeakerNumber(number)

    def epochs_of(self, speaker: SpeakerNumber) -> frozenset[Epoch]:
        return frozenset(Epoch(epoch) for (epoch, _), number in self.speakers.items() if number == speaker)

    def matched(self, match: SpeakersMatched) -> None:
        self.matches.append(match)
        self.join(match.newer, match.older)

    def join(self, newer: int, older: int) -> None:
        self.speakers = {key: older if number == newer else number for key, number in self.speakers.items()}


class Hearing:
    """Feeds a memory by hand."""

    def __init__(self, speakers: dict[tuple[int, str], int]) -> None:
        self.printer, self.merge, self.voice = FakePrinter(), Merge(speakers), VoiceDetector()
        self.memory = SpeakerReid(self.printer, FakeDiarizer(), self.merge, structlog.get_logger())
        self.at = 0
        self.base = 0

    def opens(self, epoch: int) -> None:
        self.base = self.at
        self.memory.epoch_changed(EpochOpened(Epoch(epoch), Sample(self.at)))

    def breaks(self, epoch: int) -> None:
        self.memory.epoch_changed(EpochClosed(Epoch(epoch), Sample(self.at)))

    def speaks(self, epoch: int, label: str, voice: int, length_s: float = 4.0) -> None:
        """The label speaks with this voice; then there is silence for as long as it takes to be sure of it."""
        start = self.at - self.base
        self.memory.diarized(Epoch(epoch), SpeakerStarted(label, start), Sample(self.at))
        self._hear(length_s, voice)
        self.memory.diarized(Epoch(epoch), SpeakerEnded(label, self.at - self.base), Sample(self.at))
        self._hear(4.0, SILENCE)

    def _hear(self, length_s: float, voice: int) -> None:
        for block in spoken((length_s, voice)):
            self.memory.hear(block.pcm, self.voice.observe(Sample(self.at), block.pcm))
            self.at += len(block.pcm)

    @property
    def joined(self) -> list[tuple[int, int]]:
        return [(match.newer, match.older) for match in self.merge.matches]


async def ran(hearing: Hearing) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(hearing.memory.run())
        await asyncio.sleep(20.0)
        running.cancel()


@virtual_time
async def test_the_merge_hears_all_of_the_diarizer() -> None:
    hearing = Hearing({})
    hearing.opens(1)
    hearing.speaks(1, "X", ADA)
    hearing.breaks(1)
    assert [type(event) for event in hearing.merge.told] == [EpochOpened, SpeakerStarted, SpeakerEnded, EpochClosed]


@virtual_time
async def test_a_label_without_a_turn_waits_for_its_first() -> None:
    hearing = Hearing({(1, "X"): 1})
    hearing.opens(1)
    hearing.speaks(1, "X", ADA)
    hearing.breaks(1)
    hearing.opens(2)
    hearing.speaks(2, "Q", ADA)
    await ran(hearing)
    assert hearing.joined == []
    hearing.merge.speakers[2, "Q"] = 2
    hearing.speaks(2, "Q", ADA, length_s=1.0)
    await ran(hearing)
    assert hearing.joined == [(2, 1)]


@virtual_time
async def test_whom_the_merge_joined_meanwhile_is_not_joined_again() -> None:
    hearing = Hearing({(1, "X"): 1, (2, "Q"): 2})
    hearing.opens(1)
    hearing.speaks(1, "X", ADA)
    hearing.breaks(1)
    hearing.opens(2)
    hearing.speaks(2, "Q", ADA)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(hearing.memory.run())
        await asyncio.sleep(0.3)  # the second print is being made
        assert hearing.printer.attempts == 2
        hearing.merge.join(2, 1)
        await asyncio.sleep(20.0)
        running.cancel()
    assert hearing.joined == []


@virtual_time
async def test_a_voice_that_was_missed_once_is_found_by_way_of_a_third_epoch() -> None:
    hearing = Hearing({(1, "X"): 1, (2, "Q"): 2, (3, "R"): 3})
    for epoch, label, length_s in ((1, "X", 4.0), (2, "Q", 1.0), (3, "R", 4.0)):
        hearing.opens(epoch)
        hearing.speaks(epoch, label, ADA, length_s)
        hearing.breaks(epoch)
        await ran(hearing)
    assert hearing.joined == [(3, 1)], "of 1 s of speech nothing is made"


@virtual_time
async def test_the_cost_of_many_breaks_is_bounded() -> None:
    speakers = {(epoch, label): 2 * epoch + offset for epoch in range(1, 41) for offset, label in enumerate("XY")}
    hearing = Hearing(speakers)
    for epoch in range(1, 41):
        hearing.opens(epoch)
        hearing.speaks(epoch, "X", ADA)
        hearing.speaks(epoch, "Y", BEN)
        hearing.breaks(epoch)
        await ran(hearing)
    assert set(hearing.merge.speakers.values()) == {2, 3}
    assert len(hearing.memory._clips.voices) <= 4, "the last epoch's are not put together yet"
    assert len(hearing.printer.heard) <= 40 * 6

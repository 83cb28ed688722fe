"""A room in which the daemon dies, and the one in which it goes on: with what was stored, and what was noted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from minuted_daemon.core.diarization.epochs import OpenEpoch
from minuted_daemon.core.events import (
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    SpeakerNumber,
    SpeakerStarted,
    TranscriberReady,
    TurnState,
)
from minuted_daemon.core.merge.merger import MergeInput, Merger, MergeSettings, Resumption
from minuted_daemon.core.samples import BLOCK, Sample
from tests.support.merge_room import Answer, Room, Said, prompt, s

STATE_EVERY = s(20)


@dataclass(frozen=True)
class Told:
    """An event of a diarizer's, or one about its connection, and how far the session had heard."""

    heard: int
    feed: Callable[[Merger], None]


class NotedRoom(Room):
    """Notes what is fed of the diarizer's, and every 20 s how things stand."""

    def __init__(self, words: Iterable[Said], length_s: float, answer: Answer = prompt) -> None:
        super().__init__(words, length_s, answer, diarized=False)
        self.notes: list[Told] = []
        self.states: list[tuple[int, Sequence[OpenEpoch]]] = []
        self.now = 0
        self.feed(EpochOpened(Epoch(1), Sample(0)))

    def feed(self, event: MergeInput) -> None:
        self.merger.feed(event)
        self.notes.append(Told(self.now, lambda merger: merger.feed(event)))

    def tell(self, arrival: int, event: DiarizerEvent, epoch: int = 1) -> None:
        def act() -> None:
            sent_to = Sample(min(self.now, self.length))
            self.merger.feed_diarization(Epoch(epoch), event, sent_to)
            self.notes.append(Told(self.now, lambda merger: merger.feed_diarization(Epoch(epoch), event, sent_to)))

        self._push(arrival, act)

    def epoch_opens(self, at_s: float, epoch: int) -> None:
        self.at(at_s, lambda: self.feed(EpochOpened(Epoch(epoch), Sample(s(at_s)))))

    def takes_over(self, at_s: float, epoch: int) -> None:
        self.at(at_s, lambda: self.feed(EpochTookOver(Epoch(epoch), Sample(s(at_s)))))

    def run_to(self, until: int) -> None:
        while self.now < until:
            self.step(BLOCK, audio=True)
            if self.now % STATE_EVERY == 0:
                self.states.append((self.now, self.merger.open_epochs()))


@dataclass(frozen=True)
class Death:
    """What is there of a room when the daemon died in it: what was stored, and what was noted."""

    at: int
    stored: Sequence[TurnState]
    notes: Sequence[Told]
    states: Sequence[tuple[int, Sequence[OpenEpoch]]]
    names: dict[tuple[Epoch, str], SpeakerNumber]
    generation: int
    audio: Sequence[tuple[int, int]]

    @classmethod
    def of(cls, room: NotedRoom) -> "Death":
        merger = room.merger
        generation = max(room.sent, default=0)
        audio = [found for turn in room.finals if (found := merger.audio_of(turn.number)) is not None]
        return cls(room.now, room.finals, room.notes, room.states, dict(merger.names), generation, audio)


def resumed(death: Death, room: Room, begin: int) -> Room:
    """Go on in `room` at the moment of death, with the audio from `begin` on."""
    past = [(turn.start, turn.end) for turn in death.stored if turn.end > begin]
    stored = [turn.speaker or 0 for turn in death.stored]
    speakers = max([0, *stored, *death.names.values()])
    resumption = Resumption(Sample(begin), past, speakers, death.generation, death.names, death.audio)
    room.merger = Merger(MergeSettings(), resumption)
    room.now = begin
    since, usage = max((state for state in death.states if state[0] <= begin), default=(0, ()))
    for epoch in usage:
        room.merger.feed(EpochOpened(epoch.number, Sample(epoch.base)))
        for label, start in epoch.active.items():
            room.merger.feed_diarization(epoch.number, SpeakerStarted(label, start - epoch.base), Sample(since))
    # What was noted at the very moment is in the state.
    notes = [note for note in death.notes if note.heard > since or not usage]
    while room.now < death.at:
        while notes and notes[0].heard <= room.now:
            notes.pop(0).feed(room.merger)
        room.step(BLOCK, audio=True)
    for note in notes:
        note.feed(room.merger)
    for epoch in room.merger.open_epochs():
        room.merger.feed(EpochClosed(epoch.number, Sample(death.at)))
    room.merger.feed(TranscriberReady())
    return room

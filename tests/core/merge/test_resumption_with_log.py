"""A merge that goes on with what the diarizer was noted to have said: the crash costs no words and no names."""

import random

import pytest

from minuted_daemon.core.diarization.epochs import Epochs
from minuted_daemon.core.diarization.identity import Identity
from minuted_daemon.core.diarization.timeline import Span, Voice
from minuted_daemon.core.events import (
    Attribution,
    Epoch,
    EpochOpened,
    SpeakerEnded,
    SpeakerNumber,
    SpeakerStarted,
    TurnState,
)
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.core.transcription.stored_turns import StoredTurns
from minuted_daemon.core.voice.activity import VoiceTrack
from tests.support.merge_meeting import Meeting, Weather
from tests.support.merge_room import Room, s
from tests.support.resumed_room import Death, NotedRoom, resumed

NEWS_S = 1.0
"""What the diarizer had not told yet when the daemon died is not known, and what was said then may be anybody's."""
CHANGED_OVER_S = (-3.0, 2.0, 8.0, 14.0)
"""So long before the daemon's death another connection took over; it had stood by for 6 s."""


class Scene:
    """A meeting that runs through, and the same one with a daemon that dies in the middle, at any moment."""

    def __init__(self, seed: int, changes_over: bool = False, bad: bool = False) -> None:
        self.rng = random.Random(seed)
        self.meeting = Meeting(seed, length_s=40)
        self.died_s = self.rng.uniform(6, 36)
        over_s = self.died_s - self.rng.choice(CHANGED_OVER_S) if changes_over else None
        self.whole = self._room(seed, over_s, bad)
        self.whole.run()
        before = self._room(seed, over_s, bad)
        before.run_to(s(self.died_s) // BLOCK * BLOCK)
        self.death = Death.of(before)
        # A session keeps the audio that is still needed, and some more.
        since = min(before.merger.retain_from, self.death.at - s(self.rng.uniform(3, 30)))
        self.begin = max(0, since) // BLOCK * BLOCK
        self.after = resumed(self.death, Room(self.meeting.words, 40, diarized=False), self.begin)
        self._tell_behind()
        self.after.run_on()

    def _room(self, seed: int, over_s: float | None, bad: bool) -> NotedRoom:
        weather = Weather(seed, bad)
        room = NotedRoom(self.meeting.words, self.meeting.length_s, weather.answer)
        weather.tell(room, self.meeting)
        if over_s is not None:
            since_s = max(0.5, over_s - 6)
            room.epoch_opens(since_s, 2)
            room.takes_over(over_s, 2)
            self._hears(room, "x", since_s, 2)
        return room

    def _hears(self, room: Room, prefix: str, since_s: float, epoch: int) -> None:
        base = s(since_s)
        for who, start_s, end_s in self.meeting.segments:
            if s(end_s) > base:
                start = max(s(start_s), base)
                room.tell(start + s(0.3), SpeakerStarted(prefix + who, start - base), epoch)
                room.tell(s(end_s + 0.3), SpeakerEnded(prefix + who, s(end_s) - base), epoch)

    def _tell_behind(self) -> None:
        self.after.merger.feed(EpochOpened(Epoch(3), Sample(self.death.at)))
        self._hears(self.after, "", self.death.at / 16_000, 3)

    @property
    def turns(self) -> list[TurnState]:
        return [*self.death.stored, *self.after.finals]

    def assert_every_word_once(self) -> None:
        words = [word for turn in self.turns for word in turn.text.split() if word != "again"]
        assert len(words) == len(set(words)), "told twice"
        told = {word for turn in self.whole.finals for word in turn.text.split()}
        assert not {word.text for word in self.meeting.words if word.start >= self.begin} & told - set(words), "lost"


def holders(turns: list[TurnState]) -> dict[str, int | None]:
    """Word by word, whose it is."""
    return {word: turn.speaker for turn in turns for word in turn.text.split()}


@pytest.mark.parametrize("changes_over", [False, True])
@pytest.mark.parametrize("seed", range(16))
def test_a_crash_costs_no_word_and_no_name(seed: int, changes_over: bool) -> None:
    scene = Scene(seed, changes_over)
    scene.assert_every_word_once()
    expected, found = holders(scene.whole.finals), holders(scene.turns)
    until = scene.death.at - s(NEWS_S)
    sure = [word.text for word in scene.meeting.words if scene.begin <= word.start and word.end <= until]
    assert {word: found[word] for word in sure} == {word: expected[word] for word in sure}
    behind = {turn.speaker for turn in scene.after.finals if turn.start >= scene.death.at and turn.speaker is not None}
    assert not behind & set(scene.death.names.values()), "labels of another epoch are somebody else's"
    assert all(turn.attribution is not Attribution.UNKNOWN for turn in scene.after.finals if turn.end <= until)


@pytest.mark.parametrize("seed", [*range(8), 61])
def test_nor_does_it_where_events_are_late_doubled_or_lost(seed: int) -> None:
    Scene(1000 + seed, changes_over=seed % 2 == 1, bad=True).assert_every_word_once()


@pytest.mark.parametrize("seed", range(4))
def test_a_resumed_merge_is_the_same_each_time(seed: int) -> None:
    assert Scene(seed, True).after.outputs == Scene(seed, True).after.outputs


def test_speech_behind_a_stored_turn_is_left_and_what_was_stored_is_not() -> None:
    past = StoredTurns(s(1), [(s(2), s(3)), (s(3.2), s(5))])
    spans = [Span(Voice(1), s(0.5), s(4), 1), Span(Voice(2), s(4.5), None, 2), Span(Voice(3), s(3.05), s(3.15), 3)]
    left = [(span.voice, span.start, span.end) for span in past.left(spans, 0, VoiceTrack())]
    assert left == [(1, s(1), s(2)), (2, s(5), None)], "the cut in a pause is nobody's either"
    past.forget(s(6))
    assert past.left(spans, 0, VoiceTrack()) == spans
    assert past.spans(0) == []


def test_what_one_speaker_was_called_in_several_epochs_goes_on_as_one_voice() -> None:
    one, two = SpeakerNumber(1), SpeakerNumber(2)
    names = {(Epoch(1), "A"): one, (Epoch(1), "B"): two, (Epoch(2), "A"): two, (Epoch(2), "B"): one}
    epochs = Epochs(Identity(speakers=2), names)
    assert epochs.names == names
    assert epochs.of_speaker(one) == {1, 2}
    assert not epochs.match(one, two), "an epoch told them apart"
    epochs.opened(EpochOpened(Epoch(2), Sample(0)))
    epochs.apply(Epoch(2), SpeakerStarted("A", 100))
    epochs.apply(Epoch(2), SpeakerStarted("C", 200))
    second, third = epochs.spans(0)
    assert second.voice == epochs.voice(Epoch(1), "B"), "as in the epoch before"
    assert epochs.names == names, "nobody has had a turn"
    assert (epochs.open()[0].active, epochs.open()[0].since) == ({"A": 100, "C": 200}, 0)
    assert third.voice != second.voice

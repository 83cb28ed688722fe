"""No word is ever taken for silence: until a final turn has it, the merge says that it is not decided."""

import pytest

from minuted_daemon.core.events import TextCompleted, TranscriberLost, TranscriberReady, UtteranceId
from minuted_daemon.core.merge.merger import MergeSettings
from minuted_daemon.core.samples import Sample
from tests.support.merge_meeting import Meeting, Weather
from tests.support.merge_room import Answer, Room, Said, prompt, run_of_words, s


class WatchedRoom(Room):
    """Looks at what is pending after every step."""

    most = 0
    longest_tail = 0

    def step(self, size: int, audio: bool) -> None:
        super().step(size, audio)
        heard = Sample(min(self.now, self.length))
        pending = self.merger.pending(heard)
        assert all(0 <= start < end <= heard for start, end in pending)
        finals = [(turn.start, turn.end) for turn in self.finals]
        for word in self.words:
            middle = (word.start + word.end) // 2
            if middle < heard:
                known = any(start <= middle < end for start, end in [*pending, *finals])
                assert known, f"{word.text} counts as silence at {self.now / 16_000:.1f} s"
        self.most = max(self.most, len(pending))
        if audio and pending:
            self.longest_tail = max(self.longest_tail, heard - min(start for start, _ in pending))


@pytest.mark.parametrize(("seed", "bad"), [*((seed, False) for seed in range(8)), (10, True), (23, True)])
def test_no_word_of_a_random_meeting_counts_as_silence(seed: int, bad: bool) -> None:
    meeting, weather = Meeting(seed), Weather(seed, bad)
    room = WatchedRoom(meeting.words, meeting.length_s, weather.answer, partials=True)
    weather.tell(room, meeting)
    room.run()
    assert room.merger.pending(Sample(room.length)) == []


def late(utterance: UtteranceId, text: str, at: int) -> list[tuple[int, object]]:
    return [(at + s(6.0 if utterance % 2 else 0.5), TextCompleted(utterance, text))]


def conversation() -> list[Said]:
    return [
        *run_of_words("a", 1.0, 5.0),
        *run_of_words("b", 5.3, 9.0),
        *run_of_words("x", 12.0, 12.8),  # nobody is told to have said it
        *run_of_words("a", 15.0, 21.0),
        *run_of_words("c", 40.0, 44.0),
    ]


@pytest.mark.parametrize("answer", [prompt, late], ids=["prompt answers", "late answers"])
@pytest.mark.parametrize("lag_s", [0.3, 2.5], ids=["prompt news", "late news"])
def test_every_word_is_pending_until_it_is_final(answer: Answer, lag_s: float) -> None:
    room = WatchedRoom(conversation(), 50.0, answer)
    room.speaks("A", 1.0, 4.9, lag_s)
    room.speaks("B", 5.3, 8.9, lag_s)
    room.speaks("A", 15.0, 20.9, lag_s)
    room.speaks("C", 40.0, 43.9, lag_s)
    room.run()
    assert room.merger.settled
    assert room.merger.pending(Sample(room.length)) == []
    assert room.most > 0


def test_the_turn_that_still_grows_is_pending_with_its_pauses() -> None:
    room = WatchedRoom([*run_of_words("a", 1.0, 5.0), *run_of_words("a", 5.7, 9.0)], 12.0)
    room.speaks("A", 1.0, 9.0)
    told: list[list[tuple[int, int]]] = []
    room.at(8.0, lambda: told.append(room.merger.pending(Sample(room.now))))
    room.run()
    ((start, end),) = told[0]
    assert start <= s(1.0)
    assert end == s(8.0)


def test_in_quiet_weather_little_is_pending() -> None:
    room = WatchedRoom(conversation(), 50.0)
    room.speaks("A", 1.0, 4.9)
    room.speaks("B", 5.3, 8.9)
    room.speaks("A", 15.0, 20.9)
    room.speaks("C", 40.0, 43.9)
    room.run()
    assert room.longest_tail < s(10.0)


def test_an_outage_leaves_pending_what_was_said_in_it_and_no_more() -> None:
    room = WatchedRoom(run_of_words("w", 1.0, 55.0), 60.0)
    room.speaks("A", 1.0, 54.9)
    room.at(10.0, lambda: room.merger.feed(TranscriberLost()))
    told: list[list[tuple[int, int]]] = []
    room.at(49.9, lambda: told.append(room.merger.pending(Sample(room.now))))
    room.at(50.0, lambda: room.merger.feed(TranscriberReady()))
    room.run()
    assert min(start for start, _ in told[0]) > s(0.5)
    assert sum(end - start for start, end in told[0]) == pytest.approx(s(45.0), abs=s(10.0))
    assert room.merger.pending(Sample(room.length)) == []


def test_without_a_diarizer_and_without_a_transcriber() -> None:
    room = WatchedRoom(conversation(), 50.0, settings=MergeSettings(transcribes=False), diarized=False)
    room.run()
    assert room.merger.pending(Sample(room.length)) == []


def test_what_was_not_listened_to_yet_is_pending() -> None:
    room = Room([], 10.0).run()
    assert room.merger.pending(Sample(s(12.0))) == [(s(10.0), s(12.0))]

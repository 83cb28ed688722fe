"""A transcriber that fails at every utterance is told from an utterance that it cannot make anything of."""

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.core.events import (
    Commit,
    SpeakerEnded,
    SpeakerStarted,
    TextCompleted,
    TextFailed,
    TextSource,
    TranscriberFaltered,
    TranscriberLost,
    TranscriberReady,
    TranscriberRecovered,
    TurnRevised,
    UtteranceId,
)
from minuted_daemon.core.samples import RATE_HZ, samples
from minuted_daemon.core.transcription.breaker import Breaker, BreakerLimits
from tests.bench.weather import punctual
from tests.fakes.meeting import Meeting, load_meeting
from tests.support.merge_room import Room, Said, assert_every_word_once, run_of_words, s
from tests.support.watched_queue import WatchedQueue, turn

OUTAGE_S = (45.0, 105.0)
Bad = Callable[[str], bool]


def fails(bad: Bad, from_s: float = 0.0, to_s: float = 1e9, reason: str = "SERVER_ERROR") -> Callable[..., object]:
    """Fail at what is committed within the time and is `bad`."""

    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        failed = s(from_s) <= at < s(to_s) and bad(text)
        return [(at + s(0.7), TextFailed(utterance, reason) if failed else TextCompleted(utterance, text))]

    return answer


def told(room: Room) -> list[tuple[float, object]]:
    return [
        (now / RATE_HZ, one) for now, one in room.outputs if isinstance(one, TranscriberFaltered | TranscriberRecovered)
    ]


def meeting_room(meeting: Meeting, answer: Callable[..., object]) -> Room:
    words = [Said(word.text, word.start, word.end) for word in meeting.words]
    room = Room(words, meeting.duration / RATE_HZ, answer)  # type: ignore[arg-type]
    for one in punctual(meeting, 0.3, random.Random(1)).told:
        room.tell(one.arrival, (SpeakerStarted if one.starts else SpeakerEnded)(one.label, one.at))
    return room.run()


@pytest.mark.parametrize(("name", "start_s"), [("IB4010", 2634.5), ("ES2011d", 921.5), ("IS1008c", 800.0)])
def test_a_minute_in_which_everything_fails_costs_little_and_changes_nothing(name: str, start_s: float) -> None:
    meeting = load_meeting(name, start_s, 180.0)
    well = meeting_room(meeting, fails(lambda _: False))
    room = meeting_room(meeting, fails(lambda _: True, *OUTAGE_S))
    assert_every_word_once(room)
    assert room.lines() == well.lines()
    assert {one.text_source for one in room.finals} == {TextSource.COMPLETED}
    assert room.sent_samples <= 1.3 * well.sent_samples
    (opened_s, opened), (closed_s, closed) = told(room)
    assert isinstance(opened, TranscriberFaltered)
    assert opened.reason == "SERVER_ERROR"
    assert isinstance(closed, TranscriberRecovered)
    assert opened_s < OUTAGE_S[0] + 20
    assert closed_s < OUTAGE_S[1] + 16


def test_a_monologue_in_which_everything_fails_costs_little() -> None:
    words = run_of_words("w", 1, 178)

    def room(to_s: float) -> Room:
        room = Room(words, 180, fails(lambda _: True, 60, to_s))  # type: ignore[arg-type]
        room.speaks("A", 1, 178)
        return room.run()

    failing = room(120)
    assert_every_word_once(failing)
    assert failing.sent_samples <= 1.3 * room(60).sent_samples


def test_a_turn_that_fails_alone_is_given_up_and_nothing_is_told() -> None:
    words = [word for n in range(10) for word in run_of_words(f"t{n}w", 1 + 3 * n, 3 + 3 * n)]
    room = Room(words, 60, fails(lambda text: "t2w0" in text))  # type: ignore[arg-type]
    for n in range(10):
        room.speaks("AB"[n % 2], 1 + 3 * n, 3 + 3 * n)
    room.run()
    assert [one.text_source for one in room.finals].count(TextSource.NONE) == 1
    assert len(room.of(Commit)) == 10 + 3
    assert not told(room)


def test_a_long_turn_that_fails_alone_in_silence_is_given_up() -> None:
    room = Room(run_of_words("a", 1, 11), 60, fails(lambda _: True))  # type: ignore[arg-type]
    room.speaks("A", 1, 11)
    room.run()
    assert [one.text_source for one in room.finals] == [TextSource.NONE]
    assert len(room.of(Commit)) == 4
    assert room.merger.settled
    assert not told(room)


def test_coughs_that_nobody_can_understand_keep_no_speech_waiting_and_are_given_up() -> None:
    coughs = [Said(f"cough{n}", s(1 + n), s(1.6 + n)) for n in range(4)]
    talk = [word for n in range(20) for word in run_of_words(f"t{n}w", 12 + 3 * n, 14 + 3 * n)]
    room = Room([*coughs, *talk], 80, fails(lambda text: "cough" in text, reason="AUDIO_UNINTELLIGIBLE"))  # type: ignore[arg-type]
    for n in range(4):
        room.speaks("AB"[n % 2], 1 + n, 1.6 + n)
    for n in range(20):
        room.speaks("AB"[n % 2], 12 + 3 * n, 14 + 3 * n)
    room.run(drain_s=120)
    assert sorted(word for one in room.finals for word in one.text.split()) == sorted(word.text for word in talk)
    assert room.merger.settled, "the coughs are given up"
    closed_s = next(at_s for at_s, one in told(room) if isinstance(one, TranscriberRecovered))
    assert closed_s < 18, "the first turn is tried at once"


def test_a_turn_that_was_given_up_before_the_fault_was_known_gets_its_text_after_all() -> None:
    words = [word for n in range(5) for word in run_of_words(f"t{n}w", 1 + 30 * n, 3 + 30 * n)]
    room = Room(words, 150, fails(lambda _: True, 0, 60))  # type: ignore[arg-type]
    for n in range(5):
        room.speaks("AB"[n % 2], 1 + 30 * n, 3 + 30 * n)
    room.run()
    assert_every_word_once(room)
    assert {one.text_source for one in room.finals} == {TextSource.COMPLETED}
    assert len(room.of(TurnRevised)) == 2


def test_an_hour_of_failures_is_not_paid() -> None:
    words = [word for n in range(120) for word in run_of_words(f"t{n}w", 1 + 30 * n, 6 + 30 * n)]
    room = Room(words, 3610, fails(lambda _: True))  # type: ignore[arg-type]
    for n in range(120):
        room.speaks("AB"[n % 2], 1 + 30 * n, 6 + 30 * n)
    room.run(drain_s=1)
    assert room.sent_samples <= s(180), "of twelve minutes: one second for each turn, and what it took to know"
    assert len(room.finals) <= 1, "the audio waits, but of the first, which was alone"
    assert room.merger.retain_from <= s(40)
    assert [type(one) for _, one in told(room)] == [TranscriberFaltered]


def test_a_new_connection_is_tried_at_once() -> None:
    words = [word for n in range(10) for word in run_of_words(f"t{n}w", 1 + 3 * n, 3 + 3 * n)]
    room = Room(words, 60, fails(lambda _: True, 0, 24.0))  # type: ignore[arg-type]
    for n in range(10):
        room.speaks("AB"[n % 2], 1 + 3 * n, 3 + 3 * n)
    room.at(25, lambda: room.merger.feed(TranscriberLost()))
    room.at(26, lambda: room.merger.feed(TranscriberReady()))
    room.run()
    assert_every_word_once(room)
    assert 26 < told(room)[-1][0] < 28


def test_answers_that_stay_away_are_failures_too_where_nothing_was_said() -> None:
    def answer(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        return [] if at < s(60) else [(at + s(0.7), TextCompleted(utterance, text))]

    words = [word for n in range(30) for word in run_of_words(f"t{n}w", 1 + 3 * n, 3 + 3 * n)]
    room = Room(words, 100, answer)
    for n in range(30):
        room.speaks("AB"[n % 2], 1 + 3 * n, 3 + 3 * n)
    room.run()
    assert_every_word_once(room)
    assert [one.reason for _, one in told(room) if isinstance(one, TranscriberFaltered)] == ["NO_ANSWER"]


@given(
    st.lists(
        st.sampled_from(("failed", "answered", "lost", "ready", "lost beside", "new", "withdraw", "tick")), max_size=60
    )
)
def test_whatever_comes_the_lane_goes_on(events: list[str]) -> None:
    """Once all is well again every turn that is left gets its text, and nothing is sent twice at once."""
    transcription = WatchedQueue(breaker=Breaker(BreakerLimits(turns=2, audio=samples(3.0))))
    transcription.ready()
    turns = [turn(n, 3.0 * n, length_s=0.5 * n) for n in range(1, 4)]
    for one in turns:
        transcription.submit(one)
    owed: list[UtteranceId] = []
    now = samples(20.0)

    def tick(length_s: float = 1.0) -> None:
        nonlocal now
        now += samples(length_s)
        owed.extend(command.utterance for command in transcription.step(now) if isinstance(command, Commit))

    for event in events:
        if event in ("failed", "answered") and owed:
            utterance = owed.pop(0)
            if event == "failed":
                transcription.failed(utterance, "SERVER_ERROR")
            else:
                transcription.completed(utterance, "text")
        elif event == "lost":
            transcription.lost()
        elif event == "lost beside":
            transcription.lost(makes_up=True)
        elif event == "ready":
            transcription.ready()
        elif event == "new":
            turns.append(turn(len(turns) + 1, now / RATE_HZ))
            transcription.submit(turns[-1])
        elif event == "withdraw" and transcription.holds(turns[-1]):
            transcription.withdraw(turns[-1])
            turns[-1].gone = True
        tick()
    transcription.ready()
    transcription.ready(makes_up=True)
    for _ in range(1300):
        tick()
        while owed:
            transcription.completed(owed.pop(), "text")
        if transcription.idle:
            break
    assert transcription.idle
    assert all(one in transcription.answered for one in turns if not one.gone)
    assert len(transcription.answered) == len({one.number for one in transcription.answered})


def test_two_turns_open_it_only_with_much_audio() -> None:
    breaker = Breaker(BreakerLimits(turns=3, audio=samples(2.5), careful=samples(2.5)))
    assert not breaker.failed(turn(1, 0), "A", 0)
    assert not breaker.failed(turn(1, 0), "A", 0), "the same one again"
    assert not breaker.failed(turn(2, 1), "B", 0)
    assert breaker.failed(turn(3, 2, length_s=0.2), "B", 0)
    assert breaker.answered() == 4
    assert not breaker.failed(turn(1, 0, length_s=3), "A", 0)
    assert breaker.holds_up, "careful"
    assert breaker.failed(turn(2, 3, length_s=0.2), "A", 0)

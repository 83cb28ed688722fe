"""When a connection is of no use, and when it only seems so."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from minuted_daemon.core.diarization.event_check import LIMITS, PROBATION, CheckLimits, Complaint, EventCheck
from minuted_daemon.core.diarization.event_clock import MOST_EARLY, MOST_LATE, EventClock
from minuted_daemon.core.diarization.voice_log import LENGTH, VoiceLog
from minuted_daemon.core.events import DiarizerNews, MessageUnusable, SpeakerEnded, SpeakerRelabelled, SpeakerStarted
from minuted_daemon.core.samples import FRAME, samples
from tests.fakes.meeting import Meeting, synthetic_meeting
from tests.support.diarized_talk import Talk, voice_of

UNKNOWN = MessageUnusable("messages of type diarization_segment")
BROKEN = MessageUnusable("diarization_speaker_start with a missing timestamp (fields: speaker, time)", is_event=True)
NEVER = 10_000.0


@cache
def meeting() -> tuple[Meeting, NDArray[np.bool_]]:
    made = synthetic_meeting(11, speakers=3, minutes=6)
    return made, voice_of(made)


class Room:
    """Voice and news by the second, on a connection that began 7 s into the session."""

    def __init__(self, limits: CheckLimits = LIMITS) -> None:
        self.voice = VoiceLog()
        self.check = EventCheck(self.voice, samples(7), limits)
        self.now = 0

    def goes_on(self, for_s: int, voice: bool = True, sure: bool = False, news: MessageUnusable | None = None) -> None:
        for _ in range(for_s):
            self.voice.put(samples(7) + self.now, np.full(100, voice), sure)
            self.now += samples(1)
            if news is not None:
                assert self.check.feed(news, self.now) == []

    def starts(self, label: str = "A") -> None:
        assert self.check.feed(SpeakerStarted(label, self.now), self.now)

    def ends(self, label: str = "A") -> None:
        assert self.check.feed(SpeakerEnded(label, self.now), self.now)

    @property
    def complaint(self) -> Complaint | None:
        return self.check.complaint(self.now)


# --- what cannot be used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("news", [UNKNOWN, BROKEN])
def test_people_speak_for_20_s_and_nothing_could_be_used(news: MessageUnusable) -> None:
    room = Room()
    room.goes_on(19, news=news)
    room.goes_on(60, voice=False, news=news)
    assert room.complaint is None
    room.goes_on(1, news=news)
    assert room.complaint is Complaint.GARBLED
    assert room.check.unusable == {news.kind: 80}
    assert room.check.voiced_s == 20


def test_a_connection_on_probation_is_given_up_sooner() -> None:
    room = Room(PROBATION)
    room.goes_on(10, news=UNKNOWN)
    assert room.complaint is Complaint.GARBLED


def test_one_message_alone_is_less_to_go_by() -> None:
    room = Room()
    room.goes_on(1, news=BROKEN)
    room.goes_on(38)
    assert room.complaint is None
    room.goes_on(1)
    assert room.complaint is Complaint.GARBLED


def test_silence_of_the_room_is_no_fault() -> None:
    room = Room()
    room.goes_on(3600, voice=False, news=UNKNOWN)
    assert room.complaint is None


def test_what_always_comes_beside_good_events_does_no_harm() -> None:
    room = Room()
    for _ in range(5):
        room.starts()
        room.goes_on(2, news=UNKNOWN)
        room.ends()
    room.goes_on(300, news=UNKNOWN)
    assert room.check.unusable == {}
    assert room.complaint is None


def test_events_that_lose_a_field_are_never_taken_for_harmless() -> None:
    room = Room()
    for _ in range(5):
        room.starts()
        room.goes_on(2, news=BROKEN)
        room.ends()
    room.goes_on(20, news=BROKEN)
    assert room.complaint is Complaint.GARBLED


def test_who_is_said_to_speak_may_go_on_for_long() -> None:
    room = Room()
    room.starts()
    room.goes_on(39, news=UNKNOWN)
    assert room.complaint is None
    room.goes_on(1, news=UNKNOWN)
    assert room.complaint is Complaint.GARBLED


def test_who_has_paused_and_is_still_said_to_speak_is_no_excuse() -> None:
    room = Room()
    room.starts()
    room.goes_on(10, news=UNKNOWN)
    room.goes_on(1, voice=False)
    room.goes_on(9, news=UNKNOWN)
    assert room.complaint is None
    room.goes_on(1, news=UNKNOWN)
    assert room.complaint is Complaint.GARBLED


def test_of_who_is_said_to_speak_the_end_may_be_what_cannot_be_used() -> None:
    room = Room()
    room.starts()
    room.goes_on(20, news=BROKEN)
    assert room.complaint is Complaint.GARBLED


def test_ends_alone_tell_nobody_who_speaks() -> None:
    room = Room()
    for second in range(20):
        room.goes_on(1, news=UNKNOWN)
        room.ends(f"A{second}")
    assert room.complaint is Complaint.GARBLED


def test_a_flood_of_kinds_is_bounded() -> None:
    room = Room()
    for number in range(10_000):
        room.check.feed(MessageUnusable(f"messages of type x{number}"), number)
    assert len(room.check.unusable) == 9
    assert sum(room.check.unusable.values()) == 10_000
    for number in range(1_000):
        room.check.feed(MessageUnusable(f"messages of type y{number}"), 20_000)
        room.check.feed(SpeakerStarted("A", 20_000), 20_000)
    assert len(room.check._harmless) <= 70


# --- who says nothing -------------------------------------------------------------------------------------------------


def test_a_new_connection_that_says_nothing_while_people_surely_speak() -> None:
    room = Room()
    room.goes_on(19, sure=True)
    assert room.complaint is None
    room.goes_on(1, sure=True)
    assert room.complaint is Complaint.SILENT
    assert room.check.sure


def test_energy_is_less_to_go_by() -> None:
    room = Room()
    room.goes_on(29)
    assert room.complaint is None
    room.goes_on(1)
    assert room.complaint is Complaint.SILENT
    assert not room.check.sure


def test_noise_now_and_then_does_not_add_up() -> None:
    room = Room()
    for _ in range(200):
        room.goes_on(2)
        room.goes_on(8, voice=False)
        assert room.complaint is None


def test_a_connection_that_has_worked_is_not_given_up_for_music() -> None:
    room = Room()
    room.starts()
    room.ends()
    room.goes_on(600)
    assert room.complaint is None
    room.goes_on(59, sure=True)
    assert room.complaint is None
    room.goes_on(1, sure=True)
    assert room.complaint is Complaint.SILENT


def test_a_model_that_takes_voice_back_takes_back_what_was_counted() -> None:
    room = Room()
    room.goes_on(29)
    room.voice.put(samples(7), np.zeros(2900, np.bool_), sure=True)
    room.goes_on(29)
    assert room.complaint is None


# --- times ------------------------------------------------------------------------------------------------------------


def test_what_was_said_before_it_was_understood_is_not_lost() -> None:
    plain = Talk(*meeting()).play(60)
    talk = Talk(*meeting(), clock=EventClock(1e3)).play(60)
    assert talk.check.clock == EventClock(1e3)
    first = talk.heard[0][0]
    assert first < samples(40)
    assert [event for _, event in talk.heard] == [event for _, event in plain.heard]


def test_a_proven_clock_counts_at_once() -> None:
    talk = Talk(*meeting(), clock=EventClock(1e3))
    talk.check.expect((EventClock(1e3),), ())
    talk.play(20)
    assert [event for _, event in talk.heard] == [event for _, event in Talk(*meeting()).play(20).heard]


def test_a_clock_that_comes_to_its_senses_is_believed_again() -> None:
    talk = Talk(*meeting(), clock=EventClock(1e3)).play(60)
    sent = samples(60)
    for n in range(12):
        at = sent + samples(2 * n)
        talk.voice.put(at, np.arange(200) < 100)
        talk.say(SpeakerStarted("A", at), at + samples(0.3))
    assert talk.heard[-1][1] == SpeakerStarted("A", at)


def test_times_that_are_no_clock_are_garbled_after_20_s_and_those_of_one_wait_for_proof() -> None:
    room, patient = Room(), Room()
    rng = np.random.default_rng(1)
    for second in range(1, 21):
        room.goes_on(1)
        patient.goes_on(1)
        assert room.check.feed(SpeakerStarted("A", int(rng.integers(1 << 40))), samples(second)) == []
        assert patient.check.feed(SpeakerStarted("A", samples(1000 * second)), samples(second)) == []
    assert room.complaint is Complaint.GARBLED
    assert patient.complaint is None, "voice without a break proves nothing yet"
    patient.goes_on(40)
    assert patient.complaint is Complaint.GARBLED


def test_changes_of_mind_pass() -> None:
    room = Room()
    event = SpeakerRelabelled("A", "B", 0, 1600)
    assert room.check.feed(event, 3200) == [(event, 3200)]


labels = st.sampled_from(["A", "B", "C"])
times = st.one_of(st.integers(0, samples(60)), st.integers(0, 1 << 80))
anything = st.one_of(
    st.builds(SpeakerStarted, labels, times),
    st.builds(SpeakerEnded, labels, times),
    st.builds(MessageUnusable, st.sampled_from("abc"), st.booleans()),
)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(anything, st.integers(0, 3), st.booleans()), max_size=120))
def test_whatever_is_said_only_what_can_be_right_is_given(said: list[tuple[DiarizerNews, int, bool]]) -> None:
    rooms = Room(), Room()
    for news, for_s, voice in said:
        given_by = []
        for number, room in enumerate(rooms):
            room.goes_on(for_s, voice)
            given_by.append(room.check.feed(news, room.now))
            for _ in range(number):
                assert room.complaint == room.complaint, "looking changes nothing"
        assert given_by[0] == given_by[1]
        for event, sent in given_by[0]:
            assert isinstance(event, SpeakerStarted | SpeakerEnded)
            assert 0 <= event.at <= sent + MOST_EARLY
            assert sent - event.at <= MOST_LATE
    assert rooms[0].complaint == rooms[1].complaint
    assert len(rooms[0].check._waiting) <= 64


# --- the log of voice -------------------------------------------------------------------------------------------------


def test_the_log_holds_two_minutes_wherever_it_begins() -> None:
    log = VoiceLog()
    for second in range(1_000, 1_300):
        log.put(samples(second), np.arange(100) < 30)
    assert log.end == samples(1_300)
    assert log.spoken(0, log.end) == LENGTH * 3 // 10
    assert log.total == 300 * 30
    assert log.between(samples(1_299), samples(1_301)).sum() == 30
    assert len(log.between(samples(1_299), samples(1_301))) == 200


def test_what_is_told_again_counts_once_and_holes_are_silent() -> None:
    log = VoiceLog()
    log.put(0, np.ones(100, np.bool_))
    log.put(samples(5), np.ones(100, np.bool_))
    assert (log.total, log.spoken(0, samples(6))) == (200, samples(2))
    log.put(samples(0.5), np.zeros(50, np.bool_), sure=True)
    assert (log.total, log.total_sure) == (150, 0)
    log.put(0, np.ones(200, np.bool_), sure=True)
    assert (log.total, log.total_sure) == (300, 200)
    log.put(samples(500), np.ones(FRAME, np.bool_))
    assert log.spoken(0, samples(400)) == 0
    log.put(0, np.ones(100, np.bool_))  # too old
    assert log.total == 300 + FRAME

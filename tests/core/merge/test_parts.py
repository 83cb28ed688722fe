"""The merge's parts on their own: floor, timeline, hold-back, voice."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minuted_daemon.core.diarization.timeline import UNCLAIMED, Span, Timeline, Voice
from minuted_daemon.core.events import TurnNumber
from minuted_daemon.core.merge.floor import RESTART, hold_floor
from minuted_daemon.core.merge.hold_back import HoldBack
from minuted_daemon.core.merge.segmentation import join
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples, wide
from minuted_daemon.core.transcription.commit_ranges import CommitRanges
from minuted_daemon.core.transcription.turn import Turn
from minuted_daemon.core.voice.activity import VoiceDetector, VoiceTrack
from tests.bench.reference import floor, joined
from tests.fakes.meeting import Segment
from tests.support.merge_room import s

# --- floor ------------------------------------------------------------------------------------------------------------


@st.composite
def activity(draw: st.DrawFn) -> list[Segment]:
    """Overlapping speech of up to four people; one speaker's segments neither overlap nor touch."""
    segments = []
    for speaker in "ABCD"[: draw(st.integers(1, 4))]:
        at = draw(st.integers(0, 40))
        for _ in range(draw(st.integers(0, 6))):
            length = draw(st.integers(1, 40))
            segments.append(Segment(speaker, at * 800, (at + length) * 800))  # multiples of 50 ms
            at += length + draw(st.integers(1, 30))
    return segments


@example([Segment("B", 0, 800), Segment("C", 0, 800), Segment("D", 0, 800), Segment("D", 1600, 2400)])
@given(activity())
def test_the_floor_and_its_turns_are_those_of_the_rules(segments: list[Segment]) -> None:
    ordered = sorted(segments, key=lambda segment: segment.start)
    voices = {speaker: Voice(number) for number, speaker in enumerate("ABCD", 1)}
    spans = [Span(voices[x.speaker], x.start, x.end, order) for order, x in enumerate(ordered)]
    end = max((x.end for x in segments), default=0) + 1
    stretches = hold_floor(spans, 0, end, None, final=True)
    ours = [(turn.start, turn.end, turn.voice) for turn in join(stretches, end, end, samples(0.8), final=True)]
    truth = [(turn.start, turn.end, voices[turn.speaker]) for turn in joined(floor(segments))]
    assert ours == truth


@given(activity(), st.integers(0, 60))
def test_what_is_decided_stays_decided(segments: list[Segment], tenths: int) -> None:
    # A floor up to a horizon is the beginning of the floor up to any later one, where restarts are told of in time.
    ordered = sorted(segments, key=lambda segment: segment.start)
    spans = [Span(Voice(ord(x.speaker)), x.start, x.end, order) for order, x in enumerate(ordered)]
    end = max((x.end for x in segments), default=0) + RATE_HZ
    horizon = tenths * BLOCK
    known = [
        Span(x.voice, x.start, x.end if x.end is not None and x.end < horizon else None, x.order)
        for x in spans
        if x.start < horizon + RESTART
    ]
    early = [x for x in hold_floor(known, 0, horizon, None) if not x.open]
    whole = hold_floor(spans, 0, max(end, horizon), None, final=True)
    assert early == whole[: len(early)]


# --- timeline ---------------------------------------------------------------------------------------------------------


@given(st.permutations(range(8)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    told = [(True, 1.0), (False, 2.0), (True, 2.5), (False, 3.5), (True, 3.6), (False, 4.0), (True, 6.0), (False, 7.0)]
    timeline = Timeline()
    for index in order:
        is_start, at = told[index]
        (timeline.start if is_start else timeline.end)(Voice(1), s(at))
    spans = [(span.start, span.end) for span in timeline.spans(0)]
    assert spans == [(s(1), s(2)), (s(2.5), s(3.5)), (s(3.6), s(4)), (s(6), s(7))]


def test_forgetting_keeps_what_is_open() -> None:
    timeline = Timeline()
    timeline.start(Voice(1), s(1))
    timeline.end(Voice(1), s(2))
    timeline.start(Voice(1), s(3))
    timeline.forget(s(100))
    assert [(span.start, span.end) for span in timeline.spans(0)] == [(s(3), None)]


# --- hold-back --------------------------------------------------------------------------------------------------------


def test_the_hold_back_starts_at_half_a_second_and_waits_for_evidence() -> None:
    hold_back = HoldBack(None, 0.3)
    for _ in range(10):
        hold_back.observe(s(0.9))
    hold_back.advance(s(10))
    assert hold_back.length == s(0.5)


def test_the_hold_back_grows_at_once_and_shrinks_slowly() -> None:
    hold_back = HoldBack(None, 0.3)
    for _ in range(200):
        hold_back.observe(s(1.2))
    hold_back.advance(s(60))
    assert hold_back.length == s(1.2)
    for _ in range(200):
        hold_back.observe(s(0.3))
    hold_back.advance(s(61))
    assert hold_back.length == s(1.2)
    hold_back.advance(s(121))
    assert hold_back.length == s(1.1)
    hold_back.advance(s(122))
    assert hold_back.length == s(1.1)


def test_outliers_are_left_out_and_a_fixed_hold_back_stays() -> None:
    following, fixed = HoldBack(None, 0.3), HoldBack(0.7, 0.3)
    for _ in range(200):
        following.observe(s(5))
        fixed.observe(s(1.5))
    following.advance(s(60))
    fixed.advance(s(60))
    assert (following.length, fixed.length) == (s(0.5), s(0.7))


# --- voice ------------------------------------------------------------------------------------------------------------


def noise(rng: np.random.Generator, db: float, length: int) -> np.ndarray:
    return rng.normal(0, 32768 * 10 ** (db / 20), length)


def test_speech_over_room_noise_is_voice_at_any_level_of_either() -> None:
    for room_db, speech_db in ((-70, -45), (-60, -20), (-45, -25)):
        rng = np.random.default_rng(1)
        pcm = noise(rng, room_db, s(8))
        pcm[s(5) : s(6)] += noise(rng, speech_db, s(1))
        detector, track = VoiceDetector(), VoiceTrack()
        for at in range(0, len(pcm), BLOCK):
            track.append(detector.observe(Sample(at), pcm[at : at + BLOCK].clip(-32768, 32767).astype(np.int16)))
        voiced = np.zeros(s(8) // 160, dtype=bool)
        for start, end in track.runs(0, s(8), voiced=True):
            voiced[start // 160 : end // 160] = True
        assert voiced[500:600].mean() > 0.95, (room_db, speech_db)
        assert voiced[300:500].mean() < 0.05, (room_db, speech_db)


def test_a_fan_that_starts_is_room_noise_soon() -> None:
    rng = np.random.default_rng(2)
    pcm = np.concatenate([noise(rng, -70, s(5)), noise(rng, -50, s(60))]).astype(np.int16)
    detector, track = VoiceDetector(), VoiceTrack()
    for at in range(0, len(pcm), BLOCK):
        track.append(detector.observe(Sample(at), pcm[at : at + BLOCK]))
    assert track.last_voiced < s(60)


def test_digital_silence_is_no_voice_and_teaches_nothing() -> None:
    rng = np.random.default_rng(3)
    detector = VoiceDetector()
    for at in range(0, s(10), BLOCK):
        assert not detector.observe(Sample(at), np.zeros(BLOCK, dtype=np.int16)).voiced.any()
    loud = noise(rng, -20, BLOCK).astype(np.int16)
    assert detector.observe(Sample(s(10)), loud).voiced.all()
    quiet = noise(rng, -62, BLOCK).astype(np.int16)
    assert not detector.observe(Sample(s(10.1)), quiet).voiced.any()


@settings(max_examples=30)
@given(st.integers(1, 400), st.integers(0, 10**6))
def test_the_track_remembers_the_last_minute(blocks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    from minuted_daemon.core.events import VoiceObserved

    track, all_voiced = VoiceTrack(), []
    for number in range(blocks):
        voiced = rng.random(10) < 0.5
        all_voiced.extend(voiced)
        track.append(VoiceObserved(Sample(number * BLOCK), voiced, np.zeros(10, dtype=np.float32)))
    since = max(0, blocks * BLOCK - s(60))
    told = np.zeros(len(all_voiced), dtype=bool)
    for start, end in track.runs(since, blocks * BLOCK, voiced=True):
        told[start // 160 : end // 160] = True
    assert told[since // 160 :].tolist() == all_voiced[since // 160 :]


def test_neighbouring_ranges_stay_neighbours_at_24_khz() -> None:
    for at in range(1000):
        assert wide(at + 1) - wide(at) in (1, 2)


# --- book -------------------------------------------------------------------------------------------------------------


def test_a_turn_whose_audio_begins_behind_its_start_is_before_those_that_begin_later() -> None:
    """Its start was in somebody's commit already, so its audio reaches into where the next one begins."""
    commits = CommitRanges()
    for number, (start, end, first, last) in enumerate([(0, 10, 0, 30), (12, 20, 30, 50)], 1):
        commits.add(Turn(TurnNumber(number), UNCLAIMED, start, end, first, last, first, closed=True))
    assert commits.around(22) == (50, None)
    assert commits.around(11) == (30, 30)

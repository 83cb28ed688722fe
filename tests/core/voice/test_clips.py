"""Clips of clean speech: cut exactly, the best are kept, and never too many."""

import numpy as np

from minuted_daemon.core.diarization.solo_speech import REACH
from minuted_daemon.core.events import Epoch
from minuted_daemon.core.samples import BLOCK, samples
from minuted_daemon.core.voice.clips import MOST_SPEECH, MOST_VOICES, Clip, Clips, VoiceClips, best_of

ONE, TWO = Epoch(1), Epoch(2)


def clip(start_s: float, length_s: float) -> Clip:
    start = samples(start_s)
    return Clip(start, (np.arange(start, start + samples(length_s)) % 30_000).astype(np.int16))


def hearing(length_s: float) -> VoiceClips:
    clips = VoiceClips()
    for start in range(0, samples(length_s), BLOCK):
        clips.hear(start, (np.arange(start, start + BLOCK) % 30_000).astype(np.int16))
    return clips


def test_a_clip_is_cut_to_the_sample() -> None:
    clips = hearing(4.0)
    clips.keep((ONE, "A"), 16_123, 30_777)
    kept = clips.voices[ONE, "A"]
    assert kept.speech == 30_777 - 16_123
    assert np.array_equal(kept.pcm(), (np.arange(16_123, 30_777) % 30_000).astype(np.int16))


def test_what_is_no_longer_there_is_left_out_and_what_may_be_asked_for_is_there() -> None:
    clips = hearing(60.0)
    now = samples(60.0)
    clips.keep((ONE, "A"), now - REACH - 2 * BLOCK, now - REACH + BLOCK)
    assert clips.voices == {}
    clips.keep((ONE, "A"), now - REACH, now - REACH + BLOCK)
    assert clips.voices[ONE, "A"].speech == BLOCK


def test_the_longest_are_kept_and_of_equal_ones_the_oldest() -> None:
    clips = Clips()
    for start in range(8):
        clips.add(clip(3.0 * start, 2.5))
    clips.add(clip(90.0, 1.0))
    assert clips.speech == MOST_SPEECH
    assert [kept.start for kept in clips] == [samples(3.0 * start) for start in range(4)]
    assert clips.last == samples(9.0)


def test_short_ones_give_way_to_long_ones() -> None:
    clips = Clips()
    for start in range(15):
        clips.add(clip(start, 0.6))
    for start in range(20, 24):
        clips.add(clip(3.0 * start, 2.5))
    assert {len(kept.pcm) for kept in clips} == {samples(2.5)}


def test_a_change_of_mind_moves_what_was_kept() -> None:
    clips = hearing(6.0)
    for start_s in (1.0, 3.0):
        clips.keep((ONE, "A"), samples(start_s), samples(start_s + 1.0))
    clips.relabel((ONE, "A"), (ONE, "B"), samples(2.9), samples(4.1))
    clips.relabel((ONE, "nobody"), (ONE, "C"), 0, samples(6.0))
    assert {key: voice.pcm()[0] for key, voice in clips.voices.items()} == {
        (ONE, "A"): 16_000,
        (ONE, "B"): 48_000 % 30_000,
    }


def test_voices_that_are_one_share_what_is_kept_of_one() -> None:
    clips = hearing(6.0)
    for number, key in enumerate([(ONE, "A"), (TWO, "X"), (TWO, "Y")]):
        clips.keep(key, samples(2.0 + number), samples(2.5 + number))
    clips.join([(ONE, "A"), (TWO, "X")])
    assert set(clips.voices) == {(ONE, "A"), (TWO, "Y")}
    assert [kept.start for kept in clips.voices[ONE, "A"]] == [samples(2.0), samples(3.0)]
    assert best_of([]).speech == 0


def test_many_voices_are_bounded_and_the_best_known_stay() -> None:
    clips = hearing(6.0)
    clips.keep((ONE, "known"), samples(1.0), samples(4.0))
    for number in range(3 * MOST_VOICES):
        clips.keep((ONE, f"L{number}"), samples(2.0) + number, samples(2.5) + number)
    assert len(clips.voices) == MOST_VOICES
    assert (ONE, "known") in clips.voices
    assert (ONE, f"L{3 * MOST_VOICES - 1}") in clips.voices
    assert (ONE, "L0") not in clips.voices


def test_what_is_to_be_forgotten_is_in_no_clip_and_cannot_be_cut_any_more() -> None:
    clips = hearing(4.0)
    clips.keep((ONE, "A"), samples(0.5), samples(1.5))
    clips.keep((ONE, "A"), samples(2.5), samples(3.5))
    clips.forget(samples(1.0), samples(2.0))
    assert [clip.start for clip in clips.voices[ONE, "A"]] == [samples(2.5)]
    assert clips.voices[ONE, "A"].speech == samples(1.0)
    clips.keep((TWO, "B"), samples(1.2), samples(1.8))
    assert not clips.voices[TWO, "B"].pcm().any()

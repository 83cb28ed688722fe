import numpy as np

from minuted_daemon.adapters.local.worker.diarization.powerset import Stretch
from minuted_daemon.adapters.local.worker.diarization.speaker_change import LOOK, VoiceChanges

S = 16_000
WINDOW_START = 10 * S
ADA = np.array([1.0, 0.0, 0.0], dtype=np.float32)
BEN = np.array([0.2, 0.98, 0.0], dtype=np.float32)


def look(changes: VoiceChanges, segment: int, end_s: float, voice: np.ndarray) -> bool:
    end = int(end_s * S)
    return changes.observe(segment, end - LOOK, end, voice)


def wave(quiet_at_s: float) -> np.ndarray:
    sound = np.full(10 * S, 0.1, dtype=np.float32)
    quiet = int(quiet_at_s * S) - WINDOW_START
    sound[quiet - 800 : quiet + 800] = 0.0
    return sound


def test_another_voice_than_before_is_a_change() -> None:
    changes = VoiceChanges()
    assert not look(changes, 1, 12.0, ADA)
    assert not look(changes, 1, 12.5, ADA)
    assert not look(changes, 1, 13.5, 0.9 * ADA + 0.4 * BEN)
    assert look(changes, 1, 14.5, BEN)


def test_what_overlaps_with_the_newest_look_is_nothing_to_compare_with() -> None:
    changes = VoiceChanges()
    assert not look(changes, 1, 12.0, ADA)
    assert not look(changes, 1, 12.5, BEN)


def test_segments_do_not_mix() -> None:
    changes = VoiceChanges()
    assert not look(changes, 1, 12.0, ADA)
    assert not look(changes, 2, 14.0, BEN)
    changes.keep({2}, WINDOW_START)
    assert not look(changes, 1, 16.0, BEN)  # forgotten


def test_a_look_needs_enough_speech_in_one_place() -> None:
    changes = VoiceChanges()
    speech = np.arange(2 * LOOK)
    newest = changes.newest(speech)
    assert newest is not None
    np.testing.assert_array_equal(newest, speech[-LOOK:])
    assert changes.newest(speech[: LOOK - 1]) is None
    assert changes.newest(2 * speech) is None  # every other sample only


def test_a_segment_is_cut_where_it_is_quiet_and_stays_cut_in_later_windows() -> None:
    changes = VoiceChanges()
    changes.change(12 * S, round(14.5 * S), wave(quiet_at_s=14.3), WINDOW_START)
    for track, start in ((1, 12 * S), (2, 12 * S + 300)):  # the next window sees it a little differently
        other = Stretch(0, 11 * S, 15 * S)
        first, second, third = changes.apply([other, Stretch(track, start, 17 * S)])
        assert first == other
        assert (second.track, second.start, third.track, third.end) == (track, start, track, 17 * S)
        assert second.end == third.start
        assert abs(second.end - 14.3 * S) < 0.06 * S


def test_a_cut_at_the_edge_of_a_stretch_is_none() -> None:
    changes = VoiceChanges()
    changes.change(12 * S, round(14.5 * S), wave(quiet_at_s=14.3), WINDOW_START)
    shown = [Stretch(0, 12 * S, round(14.3 * S)), Stretch(1, round(14.25 * S), 17 * S)]
    assert changes.apply(shown) == shown
    changes.keep(set(), 15 * S)
    assert changes.apply([Stretch(0, 12 * S, 17 * S)]) == [Stretch(0, 12 * S, 17 * S)]

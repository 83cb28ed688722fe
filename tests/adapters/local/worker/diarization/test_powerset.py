import numpy as np

from minuted_daemon.adapters.local.worker.diarization import powerset
from minuted_daemon.adapters.local.worker.diarization.powerset import STEP, WINDOW, activity, frame_centres, stretches

FRAMES = 589


def active(*runs: tuple[int, int, int], level: float = 0.9) -> np.ndarray:
    result = np.zeros((FRAMES, 3), dtype=np.float32)
    for track, first, last in runs:
        result[first:last, track] = level
    return result


def test_overlap_classes_count_for_both_speakers() -> None:
    probabilities = np.full((1, 7), 1e-9, dtype=np.float32)
    probabilities[0, 2], probabilities[0, 4], probabilities[0, 6] = 0.2, 0.5, 0.3  # B, AB, BC
    np.testing.assert_allclose(activity(np.log(probabilities)), [[0.5, 1.0, 0.3]], atol=1e-6)


def test_a_run_of_frames_lies_where_its_frames_are_centred() -> None:
    (found,) = stretches(active((1, 100, 200)), 16_000)
    centres = frame_centres(FRAMES, 16_000)
    assert (found.track, found.start, found.end) == (1, centres[100], centres[200])


def test_hysteresis_holds_through_a_dip_but_not_through_silence() -> None:
    dipping = active((0, 100, 300))
    dipping[200:220, 0] = 0.45
    assert len(stretches(dipping, 0)) == 1
    assert not stretches(active((0, 100, 300), level=0.45), 0)


def test_short_pauses_are_bridged_and_long_ones_are_not() -> None:
    gap = powerset.BRIDGED // STEP
    assert len(stretches(active((0, 100, 200), (0, 200 + gap, 300)), 0)) == 1
    assert len(stretches(active((0, 100, 200), (0, 202 + gap, 300)), 0)) == 2


def test_too_short_speech_is_left_out() -> None:
    least = -(-powerset.SHORTEST // STEP)
    assert not stretches(active((0, 100, 100 + least - 1)), 0)
    assert stretches(active((0, 100, 100 + least)), 0)


def test_the_edges_of_window_and_stream() -> None:
    (found,) = stretches(active((2, 0, FRAMES)), -40_000)
    assert (found.start, found.end) == (0, WINDOW - 40_000)
    assert stretches(active((2, 0, 20)), -40_000) == []


def test_in_order_of_start() -> None:
    found = stretches(active((0, 300, 400), (1, 100, 200), (2, 350, 380)), 0)
    assert [s.track for s in found] == [1, 0, 2]

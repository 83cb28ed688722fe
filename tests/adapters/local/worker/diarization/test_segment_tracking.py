from minuted_daemon.adapters.local.worker.diarization.powerset import Stretch
from minuted_daemon.adapters.local.worker.diarization.segment_tracking import Changes, SegmentTracker

S = 16_000


def window(
    tracker: SegmentTracker, now_s: float, *shown: tuple[int, float, float], look_ahead_s: float = 1.3
) -> Changes:
    stretches = [Stretch(track, int(start * S), int(end * S)) for track, start, end in shown]
    return tracker.update(stretches, int((now_s - 10) * S), int((now_s - look_ahead_s) * S))


def spans(segments: tuple) -> list[tuple[float, float]]:
    return [(segment.start / S, segment.end / S) for segment in segments]


def test_a_start_is_told_when_the_horizon_passes_it_and_an_end_likewise() -> None:
    tracker = SegmentTracker()
    assert window(tracker, 2.0, (0, 1.0, 2.0)) == Changes()
    begun = window(tracker, 2.5, (0, 1.0, 2.5))
    assert spans(begun.opened) == [(1.0, 1.2)]
    assert not begun.closed
    assert window(tracker, 3.0, (0, 1.0, 3.0)) == Changes()
    assert window(tracker, 3.5, (0, 1.0, 2.5)) == Changes()  # its end is seen, but not behind the horizon yet
    ended = window(tracker, 4.0, (0, 1.0, 2.5))
    assert ended.closed == begun.opened
    assert spans(ended.closed) == [(1.0, 2.5)]
    assert ended.closed[0].settled


def test_windows_that_number_their_speakers_anew_tell_nothing_twice() -> None:
    tracker = SegmentTracker()
    opened, closed = [], []
    for half in range(2, 30):
        now = half / 2
        order = (0, 1) if half % 2 else (1, 0)
        shown = [(order[0], 1.0, min(now, 4.0)), (order[1], 3.5, min(now, 7.0)), (order[0], 8.0, min(now, 9.5))]
        changes = window(tracker, now, *(s for s in shown if s[1] < s[2] and s[2] > now - 10))
        opened += spans(changes.opened)
        closed += spans(changes.closed)
    assert [start for start, _ in opened] == [1.0, 3.5, 8.0]
    assert closed == [(1.0, 4.0), (3.5, 7.0), (8.0, 9.5)]
    assert not tracker.open


def test_jitter_of_boundaries_tells_nothing() -> None:
    tracker = SegmentTracker()
    window(tracker, 5.0, (0, 1.0, 3.0))
    for now, start, end in ((5.5, 0.9, 3.1), (6.0, 1.05, 3.3), (6.5, 1.0, 2.9)):
        assert window(tracker, now, (1, start, end)) == Changes()


def test_what_goes_on_without_a_pause_behind_a_settled_segment_is_told_from_its_end_on() -> None:
    tracker = SegmentTracker()
    window(tracker, 5.0, (0, 1.0, 3.0))
    later = window(tracker, 6.0, (2, 1.0, 6.0))
    assert spans(later.opened) == [(3.0, 4.7)]


def test_a_change_of_speaker_found_late_ends_the_open_segment_where_it_was() -> None:
    tracker = SegmentTracker()
    (first,) = window(tracker, 4.0, (1, 1.0, 4.0)).opened
    window(tracker, 4.5, (1, 1.0, 4.5))
    late = window(tracker, 5.0, (1, 1.0, 2.2), (0, 2.4, 5.0))
    assert late.closed == (first,)
    assert spans(late.closed) == [(1.0, 2.2)]
    assert spans(late.opened) == [(2.4, 3.7)]


def test_overlapping_speech_is_two_segments() -> None:
    tracker = SegmentTracker()
    window(tracker, 4.0, (0, 1.0, 4.0))
    both = window(tracker, 5.0, (0, 1.0, 5.0), (1, 3.0, 5.0))
    assert spans(both.opened) == [(3.0, 3.7)]
    assert len(tracker.open) == 2


def test_speech_that_later_windows_do_not_bear_out_is_given_up() -> None:
    tracker = SegmentTracker()
    window(tracker, 3.0, (0, 1.0, 3.0))
    (given_up,) = window(tracker, 3.5).closed
    assert not given_up.settled
    assert not given_up.open


def test_speech_longer_than_the_window_stays_one_segment() -> None:
    tracker = SegmentTracker()
    opened = 0
    for half in range(2, 60):
        now = half / 2
        opened += len(window(tracker, now, (half % 3, max(0.5, now - 10), now)).opened)
    assert opened == 1
    (closed,) = window(tracker, 32.0, (0, 22.0, 29.8)).closed
    assert spans((closed,)) == [(0.5, 29.8)]


def test_closing_ends_what_is_open() -> None:
    tracker = SegmentTracker()
    (opened,) = window(tracker, 3.0, (0, 1.0, 3.0)).opened
    assert tracker.close().closed == (opened,)
    assert tracker.close() == Changes()

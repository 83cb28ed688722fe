from minuted_daemon.adapters.local.worker.diarization.diarizer_events import Announcer
from minuted_daemon.adapters.local.worker.diarization.segment_tracking import Changes, Segment
from minuted_daemon.core.events import SpeakerEnded, SpeakerRelabelled, SpeakerStarted


def opened(number: int, start: int, end: int) -> Segment:
    return Segment(number, start, end, None)


def end(segment: Segment, at: int, settled: bool = True) -> Segment:
    segment.end, segment.open, segment.settled = at, False, settled
    return segment


def test_starts_and_ends_in_order_with_ends_first() -> None:
    announcer = Announcer()
    first, second = opened(0, 1_000, 9_000), opened(1, 20_000, 25_000)
    assert announcer.announce(Changes((first,)), {0: 0}) == [SpeakerStarted("A0", 1_000)]
    told = announcer.announce(Changes((second,), (end(first, 20_000),)), {0: 0, 1: 1})
    assert told == [SpeakerEnded("A0", 20_000), SpeakerStarted("A1", 20_000)]


def test_one_label_in_two_segments_at_once_is_told_as_one() -> None:
    announcer = Announcer()
    first, second = opened(0, 1_000, 9_000), opened(1, 8_000, 9_000)
    labels = {0: 0, 1: 0}
    assert announcer.announce(Changes((first,)), labels) == [SpeakerStarted("A0", 1_000)]
    assert announcer.announce(Changes((second,)), labels) == []
    assert announcer.announce(Changes((), (end(first, 12_000),)), labels) == []
    assert announcer.announce(Changes((), (end(second, 11_000),)), labels) == [SpeakerEnded("A0", 12_000)]
    third = opened(2, 11_500, 14_000)  # jitter: the label's timeline does not go back
    assert announcer.announce(Changes((third,)), labels | {2: 0}) == [SpeakerStarted("A0", 12_000)]


def test_a_better_label_of_an_open_segment_is_told_when_it_has_ended() -> None:
    announcer = Announcer()
    segment = opened(0, 1_000, 9_000)
    announcer.announce(Changes((segment,)), {0: 0})
    assert announcer.announce(Changes(), {0: 3}) == []
    assert announcer.announce(Changes((), (end(segment, 30_000),)), {0: 3}) == [
        SpeakerEnded("A0", 30_000),
        SpeakerRelabelled("A0", "A3", 1_000, 30_000),
    ]
    assert announcer.announce(Changes(), {0: 3}) == []
    assert announcer.announce(Changes(), {0: 1}) == [SpeakerRelabelled("A3", "A1", 1_000, 30_000)]
    assert announcer.announce(Changes(), {}) == []  # frozen


def test_a_settled_segment_takes_over_what_was_given_up_in_its_place() -> None:
    announcer = Announcer()
    wrong = opened(0, 10_000, 20_000)
    announcer.announce(Changes((wrong,)), {0: 0})
    right = end(opened(1, 8_000, 30_000), 30_000)
    told = announcer.announce(Changes((right,), (end(wrong, 20_000, settled=False), right)), {0: 0, 1: 1})
    assert told == [
        SpeakerEnded("A0", 20_000),
        SpeakerStarted("A1", 20_000),
        SpeakerEnded("A1", 30_000),
        SpeakerRelabelled("A0", "A1", 10_000, 20_000),
    ]

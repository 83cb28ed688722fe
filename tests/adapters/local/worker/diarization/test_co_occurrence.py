from minuted_daemon.adapters.local.worker.diarization.co_occurrence import CoOccurrence


def test_segments_of_different_local_speakers_are_apart() -> None:
    co_occurrence = CoOccurrence()
    for tracks in ([(1, 0), (2, 1), (3, 0)], [(1, 2), (2, 0), (3, 2)]):  # windows number their speakers anew
        co_occurrence.observe(tracks)
    assert co_occurrence.apart() == [(1, 2), (2, 3)]


def test_windows_that_contradict_each_other_say_nothing() -> None:
    co_occurrence = CoOccurrence()
    for tracks in ([(1, 0), (2, 1)], [(1, 0), (2, 0)], [(1, 0), (2, 1)]):
        co_occurrence.observe(tracks)
    assert co_occurrence.apart() == []
    for _ in range(3):
        co_occurrence.observe([(2, 1), (1, 0)])
    assert co_occurrence.apart() == [(1, 2)]


def test_segments_that_are_not_kept_are_forgotten() -> None:
    co_occurrence = CoOccurrence()
    co_occurrence.observe([(1, 0), (2, 1), (3, 2)])
    co_occurrence.keep({1, 3})
    assert co_occurrence.apart() == [(1, 3)]

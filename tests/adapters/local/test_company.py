from minuted_daemon.adapters.local.company import Company


def test_segments_of_different_local_speakers_are_apart() -> None:
    company = Company()
    for tracks in ([(1, 0), (2, 1), (3, 0)], [(1, 2), (2, 0), (3, 2)]):  # windows number their speakers anew
        company.observe(tracks)
    assert company.apart() == [(1, 2), (2, 3)]


def test_windows_that_contradict_each_other_say_nothing() -> None:
    company = Company()
    for tracks in ([(1, 0), (2, 1)], [(1, 0), (2, 0)], [(1, 0), (2, 1)]):
        company.observe(tracks)
    assert company.apart() == []
    for _ in range(3):
        company.observe([(2, 1), (1, 0)])
    assert company.apart() == [(1, 2)]


def test_segments_that_are_not_kept_are_forgotten() -> None:
    company = Company()
    company.observe([(1, 0), (2, 1), (3, 2)])
    company.keep({1, 3})
    assert company.apart() == [(1, 3)]

import numpy as np

from minuted_daemon.adapters.local.worker.diarization.co_occurrence import CoOccurrence
from minuted_daemon.adapters.local.worker.diarization.voice_clustering import FREEZE, VoiceClusters, average_linkage

S = 16_000
RNG = np.random.default_rng(4)
PEOPLE = np.linalg.qr(RNG.normal(size=(192, 6)))[0].T.astype(np.float32)


def voice(person: int, noise: float = 0.5) -> np.ndarray:
    vector = PEOPLE[person] + noise * RNG.normal(size=192).astype(np.float32) / np.sqrt(192)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def say(clusters: VoiceClusters, number: int, person: int, at_s: float, length_s: float = 2.0, **more: bool) -> int:
    start = int(at_s * S)
    speech = int(length_s * S)
    clusters.put(number, start, start + speech, voice(person), speech, **more)
    return clusters.labels()[number]


def test_voices_get_labels_in_order_and_keep_them() -> None:
    clusters = VoiceClusters()
    told = [say(clusters, n, person, 3.0 * n) for n, person in enumerate([0, 1, 0, 2, 1, 0])]
    assert told == [0, 1, 0, 2, 1, 0]
    assert list(clusters.labels().values()) == told


def test_two_clusters_that_turn_out_to_be_one_voice_are_joined_under_the_older_one() -> None:
    clusters = VoiceClusters()
    between = (PEOPLE[0] + PEOPLE[1]) / np.sqrt(2)
    clusters.put(0, 0, 4 * S, PEOPLE[0], 4 * S)
    clusters.put(1, 5 * S, 7 * S, PEOPLE[1], 2 * S)
    assert clusters.labels() == {0: 0, 1: 1}
    clusters.put(2, 8 * S, 9 * S, between, S)
    clusters.put(1, 5 * S, 7 * S, between, 2 * S)
    assert clusters.labels() == {0: 0, 1: 0, 2: 0}


def test_short_speech_founds_no_cluster() -> None:
    clusters = VoiceClusters()
    say(clusters, 0, 0, 0.0)
    assert say(clusters, 1, 1, 3.0, length_s=1.0) == 0
    assert say(clusters, 2, 1, 5.0, length_s=1.3) == 1
    assert clusters.labels()[1] == 1  # now there is somebody it is like


def test_a_tentative_voice_founds_a_cluster_only_if_it_is_like_nobody() -> None:
    clusters = VoiceClusters()
    clusters.put(0, 0, 3 * S, PEOPLE[0], 3 * S)
    likely = 0.4 * PEOPLE[0] + np.sqrt(1 - 0.16) * PEOPLE[1]
    clusters.put(1, 4 * S, 6 * S, likely, 2 * S, tentative=True)
    assert clusters.labels()[1] == 0
    clusters.put(1, 4 * S, 8 * S, likely, 4 * S)
    assert clusters.labels()[1] == 1
    assert clusters.labels()[0] == 0  # the guess does not take the label along
    clusters.put(2, 9 * S, 11 * S, PEOPLE[2], 2 * S, tentative=True)
    assert clusters.labels()[2] == 2


def test_who_speaks_at_the_same_time_is_not_one_person() -> None:
    clusters = VoiceClusters()
    clusters.put(0, 0, 3 * S, PEOPLE[0], 3 * S)
    clusters.put(1, S, 4 * S, PEOPLE[0], 3 * S)
    assert len(set(clusters.labels().values())) == 2


def told_apart(*pairs: tuple[int, int]) -> VoiceClusters:
    co_occurrence = CoOccurrence()
    for segment, other in pairs:
        co_occurrence.observe([(segment, 0), (other, 1)])
    return VoiceClusters(co_occurrence)


def test_alike_voices_of_different_local_speakers_are_two_people() -> None:
    alike = 0.6 * PEOPLE[0] + 0.8 * PEOPLE[1]
    for pairs, expected in (((), {0: 0, 1: 0}), (((0, 1),), {0: 0, 1: 1})):
        clusters = told_apart(*pairs)
        clusters.put(0, 0, 3 * S, PEOPLE[0], 3 * S)
        clusters.put(1, 4 * S, 6 * S, alike, 2 * S)
        assert clusters.labels() == expected


def test_one_voice_is_one_person_whatever_the_segmentation_says_about_one_pair() -> None:
    clusters = told_apart((1, 2))
    for number in range(4):
        say(clusters, number, 0, 3.0 * number)
    assert set(clusters.labels().values()) == {0}


def test_a_short_or_tentative_voice_is_not_who_it_was_told_apart_from() -> None:
    alike = 0.55 * PEOPLE[0] + 0.45 * PEOPLE[1]
    for speech, tentative in ((S // 2, False), (2 * S, True)):
        for pairs, expected in (((), 0), (((0, 2),), 1)):
            clusters = told_apart(*pairs)
            say(clusters, 0, 0, 0.0, 3.0)
            say(clusters, 1, 1, 4.0, 3.0)
            clusters.put(2, 8 * S, 8 * S + speech, alike, speech, tentative=tentative)
            assert clusters.labels()[2] == expected, (speech, pairs)


def test_voices_that_were_hardly_ever_heard_are_forgotten() -> None:
    clusters = VoiceClusters(most_frozen=3)
    for number, person in enumerate([0, 0, 1, 1, 2, 2, 3, 4, 5]):
        say(clusters, number, person, 400.0 * number)
    assert clusters.size <= 3 + 1
    assert say(clusters, 9, 0, 4_000.0) == 0
    assert say(clusters, 10, 3, 4_400.0) > 5


def test_a_frozen_speaker_is_recognized_and_their_segments_are_forgotten() -> None:
    clusters = VoiceClusters()
    say(clusters, 0, 0, 0.0)
    say(clusters, 1, 1, 3.0)
    say(clusters, 2, 2, 400.0)
    assert set(clusters.labels()) == {2}
    assert clusters.labels()[2] == 2
    assert say(clusters, 3, 1, 403.0) == 1
    assert say(clusters, 4, 0, 406.0) == 0


def test_frozen_speakers_are_never_joined() -> None:
    clusters = VoiceClusters()
    clusters.put(0, 0, 2 * S, PEOPLE[0], 2 * S)
    clusters.put(1, 3 * S, 5 * S, PEOPLE[1], 2 * S)
    clusters.put(2, 400 * S, 402 * S, (PEOPLE[0] + PEOPLE[1]) / np.sqrt(2), 2 * S)
    clusters.put(3, 403 * S, 405 * S, PEOPLE[0], 2 * S)
    clusters.put(4, 406 * S, 408 * S, PEOPLE[1], 2 * S)
    labels = clusters.labels()
    assert (labels[3], labels[4]) == (0, 1)


def test_a_step_costs_no_more_after_an_hour() -> None:
    clusters = VoiceClusters()
    sizes, wrong = [], 0
    for number in range(450):  # one hour, a turn every 8 s, four people
        wrong += say(clusters, number, number % 4, 8.0 * number) != number % 4
        sizes.append(clusters.size)
    assert wrong == 0
    assert max(sizes) <= FREEZE / (8 * S) + 2 + 4
    assert max(sizes[400:]) <= max(sizes[:100])


def test_a_lively_meeting_freezes_early() -> None:
    clusters = VoiceClusters(most_voices=20)
    for number in range(60):
        assert say(clusters, number, number % 3, 1.5 * number) == number % 3
    assert clusters.size <= 20 + 1 + 3


def test_average_linkage_weighs_groups_by_their_size() -> None:
    distances = np.array([[0.0, 0.1, 0.6], [0.1, 0.0, 0.2], [0.6, 0.2, 0.0]])
    alone = average_linkage(distances, np.array([1.0, 1.0, 1.0]), 0.45)
    assert sorted(map(sorted, alone)) == [[0, 1, 2]]  # (0.6 + 0.2) / 2
    heavy = average_linkage(distances, np.array([9.0, 1.0, 1.0]), 0.45)
    assert sorted(map(sorted, heavy)) == [[0, 1], [2]]  # (9 * 0.6 + 0.2) / 10


def test_average_linkage_respects_what_must_stay_apart() -> None:
    distances = np.array([[0.0, np.inf, 0.1], [np.inf, 0.0, 0.1], [0.1, 0.1, 0.0]])
    groups = average_linkage(distances, np.ones(3), 1.0)
    assert len(groups) == 2
    assert not any({0, 1} <= set(group) for group in groups)

import numpy as np

from minuted_daemon.adapters.local.worker.decode_queue import (
    LONGEST_PIECE,
    DecodeQueue,
    pieces,
    readable,
    without_loops,
)
from minuted_daemon.core.samples import samples


def audio(seconds: float) -> np.ndarray:
    return np.ones(samples(seconds), dtype=np.int16)


def order(queue: DecodeQueue) -> list[tuple[int, int, bool]]:
    jobs = []
    while (job := queue.next_job()) is not None:
        jobs.append((job.stream, job.utterance, job.final))
    return jobs


def test_final_texts_come_before_partials_and_streams_take_turns() -> None:
    queue = DecodeQueue()
    for stream in (1, 2, 3):
        queue.open(stream)
    queue.append(3, 30, audio(2.0))
    for utterance in (10, 11, 12):
        queue.append(1, utterance, audio(1.0))
        queue.commit(1, utterance)
    queue.append(2, 20, audio(1.0))
    queue.commit(2, 20)
    assert order(queue) == [(1, 10, True), (2, 20, True), (1, 11, True), (1, 12, True), (3, 30, False)]


def test_a_partial_is_made_of_what_is_there_and_not_again_before_there_is_enough_more() -> None:
    queue = DecodeQueue()
    queue.open(1)
    queue.append(1, 1, audio(0.5))
    assert queue.next_job() is None
    for _ in range(5):
        queue.append(1, 1, audio(0.3))
    job = queue.next_job()
    assert job is not None
    assert len(job.pcm) == samples(0.5) + 5 * samples(0.3)
    assert queue.next_job() is None
    queue.append(1, 1, audio(0.4))
    assert queue.next_job() is None
    queue.append(1, 1, audio(0.2))
    assert queue.next_job() is not None


def test_partials_of_long_utterances_are_rarer() -> None:
    def partials(length_s: int) -> int:
        queue = DecodeQueue()
        queue.open(1)
        made = 0
        for _ in range(length_s * 10):
            queue.append(1, 1, audio(0.1))
            made += queue.next_job() is not None
        return made

    assert partials(4) >= 5
    assert partials(20) - partials(10) <= 5


def test_what_was_cleared_or_closed_is_not_recognized() -> None:
    queue = DecodeQueue()
    queue.open(1)
    queue.open(2)
    queue.append(1, 1, audio(2.0))
    queue.clear(1, 1)
    queue.append(2, 1, audio(2.0))
    queue.commit(2, 1)
    queue.close(2)
    queue.append(2, 2, audio(2.0))
    queue.commit(2, 2)
    assert queue.next_job() is None


def test_a_commit_without_audio_is_answered() -> None:
    queue = DecodeQueue()
    queue.open(1)
    queue.commit(1, 5)
    job = queue.next_job()
    assert job is not None
    assert (job.utterance, job.final, len(job.pcm)) == (5, True, 0)
    assert pieces(job.pcm) == []


def test_long_audio_is_cut_where_it_is_quiet_and_nothing_is_lost() -> None:
    rng = np.random.default_rng(0)
    pcm = rng.integers(-8_000, 8_000, samples(40.0)).astype(np.int16)
    pcm[samples(20.0) : samples(20.2)] = 0
    cut = pieces(pcm)
    assert len(cut) == 2
    assert max(map(len, cut)) <= LONGEST_PIECE
    assert samples(20.0) <= len(cut[0]) <= samples(20.2)
    np.testing.assert_array_equal(np.concatenate(cut), pcm)


def test_loops_are_cut_down_and_speech_is_left_alone() -> None:
    assert without_loops("so " + "I think so, " * 9 + "yes") == "so I think so, yes"
    assert without_loops("you " * 40) == "you"
    assert without_loops("no no no, that is fine. No, no.") == "no no no, that is fine. No, no."
    assert without_loops("") == ""


def test_what_the_model_makes_of_noise_is_no_text() -> None:
    assert readable("You") == ""
    assert readable("You?") == "You?"
    assert readable("You are right.") == "You are right."


def test_todays_spelling() -> None:
    assert readable("To-morrow, or to-night? The two-day trip.") == "Tomorrow, or tonight? The two-day trip."

"""Two ways to the transcriber: the present and, beside it, what makes up for an outage. Each may break by itself."""

from minuted_daemon.core.events import Append, TextSource
from minuted_daemon.core.samples import samples
from minuted_daemon.core.transcription.turn import Turn
from tests.support.watched_queue import WatchedQueue, begun, turn

OUTAGE = samples(60.0)


def queue_with_a_past(count: int = 3) -> tuple[WatchedQueue, list[Turn]]:
    """Return a queue whose connection came up after an outage, with turns to make up for."""
    transcription = WatchedQueue()
    past = [turn(n, 2.0 * n) for n in range(1, count + 1)]
    for one in past:
        transcription.submit(one)
    transcription.advance(OUTAGE, OUTAGE)
    transcription.ready()
    return transcription, past


def test_the_past_is_sent_beside_the_present_oldest_first() -> None:
    transcription, _ = queue_with_a_past()
    transcription.submit(turn(9, 59.0))
    commands = transcription.step(OUTAGE + 1600)
    assert begun(commands) == [(1, 59.0, False), (2, 2.0, True), (3, 4.0, True)]
    assert begun(transcription.step(OUTAGE + samples(1.0)))[0][1:] == (6.0, True)


def test_until_there_is_a_connection_for_the_past_it_waits_and_nothing_is_held_against_it() -> None:
    transcription, past = queue_with_a_past()
    assert begun(transcription.step(OUTAGE + 1600)), "asks for one"
    for second in range(1, 200):
        transcription.lost(makes_up=True)
        assert transcription.step(OUTAGE + samples(second)) == []
    assert [one.misses for one in past] == [0, 0, 0]
    transcription.ready(makes_up=True)
    assert [start_s for _, start_s, _ in begun(transcription.step(OUTAGE + samples(201.0)))] == [2.0, 4.0]


def test_what_was_not_answered_is_asked_for_again_in_its_order_however_often_a_connection_breaks() -> None:
    transcription, past = queue_with_a_past()
    transcription.step(OUTAGE + 1600)
    for second in range(1, 6):
        transcription.lost(makes_up=True)
        transcription.ready(makes_up=True)
        commands = transcription.step(OUTAGE + samples(second))
        assert begun(commands)[0][1:] == (2.0, True)
    utterance = begun(commands)[0][0]
    transcription.completed(utterance, "at last")
    assert (transcription.answered, past[0].text) == ([past[0]], "at last")


def test_where_the_first_breaks_what_was_asked_beside_is_still_answered() -> None:
    transcription, past = queue_with_a_past(1)
    present = turn(9, 59.5)
    transcription.submit(present)
    commands = transcription.step(OUTAGE + 1600)
    numbers = {makes_up: utterance for utterance, _, makes_up in begun(commands)}
    transcription.lost()
    transcription.completed(numbers[True], "the past")
    transcription.completed(numbers[False], "too late")
    assert transcription.answered == past
    transcription.ready()
    assert [command.start for command in transcription.step(OUTAGE + 3200) if isinstance(command, Append)] == [
        present.start
    ]


def test_a_second_attempt_goes_the_way_of_the_first() -> None:
    transcription, past = queue_with_a_past()
    first = begun(transcription.step(OUTAGE + 1600))[0][0]
    transcription.failed(first)
    transcription.failed(first)
    again = [one for second in range(1, 25) for one in begun(transcription.step(OUTAGE + samples(second)))]
    assert (2.0, True) in [(start_s, makes_up) for _, start_s, makes_up in again]
    assert past[0].utterance != first


def test_nobody_waits_for_the_past_as_for_the_present() -> None:
    transcription, past = queue_with_a_past(1)
    transcription.step(OUTAGE + 1600)
    transcription.step(OUTAGE + samples(29.0))
    assert past[0].misses == 0
    transcription.step(OUTAGE + samples(31.0))
    assert past[0].misses == 1


def test_without_a_second_connection_the_first_serves_for_both() -> None:
    transcription, past = queue_with_a_past()
    transcription.step(OUTAGE + 1600)
    transcription.serve_both()
    for second in range(1, 4):
        commands = transcription.step(OUTAGE + samples(second))
        assert all(not makes_up for *_, makes_up in begun(commands))
    assert all(one.utterance is not None for one in past)
    transcription.lost()
    transcription.ready()
    assert begun(transcription.step(OUTAGE + samples(5.0)))[0][1:] == (2.0, False)


def test_what_is_shed_has_no_text_wherever_it_waits() -> None:
    transcription, past = queue_with_a_past()
    transcription.lost(makes_up=True)
    transcription.shed(samples(5.0))
    assert transcription.answered == past[:2]
    assert {one.text_source for one in transcription.answered} == {TextSource.NONE}
    transcription.ready(makes_up=True)
    assert [start_s for _, start_s, _ in begun(transcription.step(OUTAGE + 1600))] == [6.0]

"""Two ways to the transcriber: the present and, beside it, what makes up for an outage. Each may break by itself."""

from minuted_daemon.core.diarization.timeline import UNCLAIMED
from minuted_daemon.core.events import Append, Clear, Commit, TextSource, TurnNumber, UtteranceId
from minuted_daemon.core.samples import RATE_HZ, samples
from minuted_daemon.core.transcription.queue import TranscriptionQueue
from minuted_daemon.core.transcription.turn import Turn

OUTAGE = samples(60.0)


def turn(number: int, start_s: float, *, closed: bool = True, length_s: float = 1.0) -> Turn:
    start, end = samples(start_s), samples(start_s + length_s)
    return Turn(TurnNumber(number), UNCLAIMED, start, end, start, end, 0, closed=closed)


def lane_with_a_past(count: int = 3) -> tuple[TranscriptionQueue, list[Turn]]:
    """A lane whose connection came up behind an outage, with turns to make up for."""
    transcription = TranscriptionQueue()
    past = [turn(n, 2.0 * n) for n in range(1, count + 1)]
    for one in past:
        transcription.submit(one)
    transcription.advance(OUTAGE, OUTAGE)
    transcription.ready()
    return transcription, past


def step(transcription: TranscriptionQueue, now: int) -> list[Append | Commit | Clear]:
    transcription.advance(now, now)
    commands = list(transcription.commands)
    transcription.commands.clear()
    return commands


def begun(commands: list[Append | Commit | Clear]) -> list[tuple[UtteranceId, float, bool]]:
    return [(one.utterance, one.start / RATE_HZ, one.makes_up) for one in commands if isinstance(one, Append)]


def test_the_past_is_sent_beside_the_present_oldest_first() -> None:
    transcription, _ = lane_with_a_past()
    transcription.submit(turn(9, 59.0))
    commands = step(transcription, OUTAGE + 1600)
    assert begun(commands) == [(1, 59.0, False), (2, 2.0, True), (3, 4.0, True)]
    assert begun(step(transcription, OUTAGE + samples(1.0)))[0][1:] == (6.0, True)


def test_until_there_is_a_connection_for_the_past_it_waits_and_nothing_is_held_against_it() -> None:
    transcription, past = lane_with_a_past()
    assert begun(step(transcription, OUTAGE + 1600)), "asks for one"
    for second in range(1, 200):
        transcription.lost(makes_up=True)
        assert step(transcription, OUTAGE + samples(second)) == []
    assert [one.misses for one in past] == [0, 0, 0]
    transcription.ready(makes_up=True)
    assert [start_s for _, start_s, _ in begun(step(transcription, OUTAGE + samples(201.0)))] == [2.0, 4.0]


def test_what_was_not_answered_is_asked_for_again_in_its_order_however_often_a_connection_breaks() -> None:
    transcription, past = lane_with_a_past()
    step(transcription, OUTAGE + 1600)
    for second in range(1, 6):
        transcription.lost(makes_up=True)
        transcription.ready(makes_up=True)
        commands = step(transcription, OUTAGE + samples(second))
        assert begun(commands)[0][1:] == (2.0, True)
    utterance = begun(commands)[0][0]
    transcription.completed(utterance, "at last")
    assert (transcription.answered, past[0].text) == ([past[0]], "at last")


def test_where_the_first_breaks_what_was_asked_beside_is_still_answered() -> None:
    transcription, past = lane_with_a_past(1)
    present = turn(9, 59.5)
    transcription.submit(present)
    commands = step(transcription, OUTAGE + 1600)
    numbers = {makes_up: utterance for utterance, _, makes_up in begun(commands)}
    transcription.lost()
    transcription.completed(numbers[True], "the past")
    transcription.completed(numbers[False], "too late")
    assert transcription.answered == past
    transcription.ready()
    assert [command.start for command in step(transcription, OUTAGE + 3200) if isinstance(command, Append)] == [
        present.start
    ]


def test_a_second_attempt_goes_the_way_of_the_first() -> None:
    transcription, past = lane_with_a_past()
    first = begun(step(transcription, OUTAGE + 1600))[0][0]
    transcription.failed(first)
    transcription.failed(first)
    again = [one for second in range(1, 25) for one in begun(step(transcription, OUTAGE + samples(second)))]
    assert (2.0, True) in [(start_s, makes_up) for _, start_s, makes_up in again]
    assert past[0].utterance != first


def test_nobody_waits_for_the_past_as_for_the_present() -> None:
    transcription, past = lane_with_a_past(1)
    step(transcription, OUTAGE + 1600)
    step(transcription, OUTAGE + samples(29.0))
    assert past[0].misses == 0
    step(transcription, OUTAGE + samples(31.0))
    assert past[0].misses == 1


def test_without_a_second_connection_the_first_serves_for_both() -> None:
    transcription, past = lane_with_a_past()
    step(transcription, OUTAGE + 1600)
    transcription.serve_both()
    for second in range(1, 4):
        commands = step(transcription, OUTAGE + samples(second))
        assert all(not makes_up for *_, makes_up in begun(commands))
    assert all(one.utterance is not None for one in past)
    transcription.lost()
    transcription.ready()
    assert begun(step(transcription, OUTAGE + samples(5.0)))[0][1:] == (2.0, False)


def test_what_is_shed_has_no_text_wherever_it_waits() -> None:
    transcription, past = lane_with_a_past()
    transcription.lost(makes_up=True)
    transcription.shed(samples(5.0))
    assert transcription.answered == past[:2]
    assert {one.text_source for one in transcription.answered} == {TextSource.NONE}
    transcription.ready(makes_up=True)
    assert [start_s for _, start_s, _ in begun(step(transcription, OUTAGE + 1600))] == [6.0]

"""What the live benches say of a session is worked out by hand here."""

from collections.abc import Sequence

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from minuted import Session, Speaker, StreamTurnsResponse, Turn, TurnState
from tests.bench.live_joins import joins
from tests.bench.live_shown import Onlooker, finals_late_s, quantile, right_when_shown, shown_late_s
from tests.e2e.following import Seen
from tests.e2e.live_run import Played
from tests.fakes.meeting import RATE_HZ, Meeting, Segment, meeting_of

SPANS = [("a", 0, 4), ("b", 5, 9), ("a", 10, 14), ("b", 15, 19), ("a", 20, 24), ("b", 25, 29)]
MEETING = meeting_of("judged", [Segment(who, a * RATE_HZ, b * RATE_HZ) for who, a, b in SPANS], 30 * RATE_HZ)
SESSION = "01J"
BEGAN_AT = 1_000.0
"""Wall time of the first sample."""


def text_of(start_s: float, end_s: float) -> str:
    return " ".join(word.text for word in MEETING.words_between(round(start_s * RATE_HZ), round(end_s * RATE_HZ)))


def turn(number: int, label: str, start_s: float, end_s: float, text: str | None = None, partial: bool = False) -> Turn:
    return Turn(
        id=f"t{number}",
        session_id=SESSION,
        seq=0 if partial else number + 1,
        speaker=Speaker(label=label) if label else None,
        text=text_of(start_s, end_s) if text is None else text,
        state=TurnState.TURN_STATE_PARTIAL if partial else TurnState.TURN_STATE_FINAL,
        start_offset=Duration(nanos=round(start_s * 1e9) % 10**9, seconds=int(start_s)),
        end_offset=Duration(nanos=round(end_s * 1e9) % 10**9, seconds=int(end_s)),
        start_time=Timestamp(seconds=int(BEGAN_AT + start_s), nanos=round(start_s * 1e9) % 10**9),
    )


def played(turns: Sequence[Turn], meeting: Meeting = MEETING) -> Played:
    return Played(meeting, Session(id=SESSION), turns, Seen())


def labelled(*labels: str) -> Played:
    return played([turn(n, label, a, b) for n, (label, (_, a, b)) in enumerate(zip(labels, SPANS, strict=True))])


def streams(*spans: tuple[float, float]) -> dict[str, object]:
    heard = [[round(start_s * RATE_HZ), round(end_s * RATE_HZ)] for start_s, end_s in spans]
    return {"connections": [{"span": span, "hears": [MEETING.name]} for span in heard]}


BOTH = streams((0, 20), (9.5, 30))
"""Both streams hear all of the turns at 10 and 15."""


def test_everybody_keeps_the_label() -> None:
    found = joins(labelled("S1", "S2", "S1", "S2", "S1", "S2"), BOTH)
    assert (found.wrong, found.kept, found.lost) == ([], [(1, "a"), (1, "b")], [])
    assert {label: set(people) for label, people in found.labels.items()} == {"S1": {"a"}, "S2": {"b"}}


def test_a_label_with_turns_of_two_people_is_a_wrong_join() -> None:
    found = joins(labelled("S1", "S2", "S1", "S2", "S2", "S3"), BOTH)
    assert found.wrong == [("S2", "a")]
    assert found.lost == [(1, "a"), (1, "b")]


def test_whoever_was_silent_while_both_streams_heard_may_come_back_under_another_label() -> None:
    changed = labelled("S1", "S2", "S1", "S2", "S3", "S2")
    assert joins(changed, streams((0, 20), (14.5, 30))).lost == []
    assert joins(changed, streams((0, 20), (13.5, 30))).lost == []  # half a second
    assert joins(changed, streams((0, 20), (12.5, 30))).lost == [(1, "a")]


def test_a_word_is_right_if_it_was_under_its_speaker_when_it_was_first_shown() -> None:
    words, times = text_of(0, 4).split(), iter((1002.0, 1003.0, 1006.0))
    onlooker = Onlooker(clock=lambda: next(times))
    # The first word is shown under another label, the second under nobody's; the rest only when it is final.
    onlooker.take(StreamTurnsResponse(turn=turn(0, "S2", 0, 4, words[0], partial=True)))
    onlooker.take(StreamTurnsResponse(turn=turn(0, "", 0, 4, " ".join(words[:2]), partial=True)))
    onlooker.take(StreamTurnsResponse(turn=turn(0, "S1", 0, 4)))
    one = labelled("S1", "S2", "S1", "S2", "S1", "S2")
    assert right_when_shown(one, onlooker) == pytest.approx((len(words) - 2) / len(MEETING.words))

    # The stand-in needed 0.25 s for each word; the connection was there from the beginning.
    ends_at = [BEGAN_AT + MEETING.by_text[word].end / RATE_HZ for word in words]
    openai = {
        "connections": [{"number": 1, "opened_at": BEGAN_AT - 2}],
        "commits": [
            {"connection": 1, "spans": [[MEETING.name, 0, 4]], "words": words, "completed_at": 1005.5},
            {"connection": 1, "spans": [[MEETING.name, 0, 4]], "words": words, "completed_at": 1007.0},
        ],
        "deltas": [
            {"meeting": MEETING.name, "word": word, "heard_at": at + 0.5, "sent_at": at + 0.75}
            for word, at in zip(words, ends_at, strict=True)
        ],
    }
    late = {word: late_s for late_s, word in shown_late_s(one, onlooker, openai, 0.5)}
    assert late[words[0]] == pytest.approx(1002.0 - ends_at[0] - 0.75)
    assert late[words[1]] == pytest.approx(1003.0 - ends_at[1] - 0.75)
    assert late[words[-1]] == pytest.approx(1006.0 - ends_at[-1] - 0.75)
    assert finals_late_s([one], onlooker, openai) == [0.5]

    # What was due before the connection had caught up is nobody's fault.
    openai["connections"] = [{"number": 1, "opened_at": ends_at[1] + 0.5 - 1.0}]
    assert words[1] not in {word for _, word in shown_late_s(one, onlooker, openai, 0.5)}


def test_quantiles_are_of_what_was_measured() -> None:
    hundred = [float(number) for number in range(100)]
    assert [quantile(hundred, share) for share in (0, 0.5, 0.99, 1)] == [0, 50, 99, 99]
    assert quantile([], 0.5) == 0

"""The state behind a watch: cursors, notices, pauses."""

import grpc
import pytest

from minuted.errors import Error
from minuted.following import LONGEST_PAUSE_S, Following, Interrupted
from minuted.messages import CaughtUp, Heartbeat, Session, StreamTurnsResponse, Turn

AWAY = Error(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "away", {})


def test_the_cursor_follows_what_is_received() -> None:
    following = Following("boardroom", None, partials=True)
    assert not following.request().HasField("after_seq")
    following.received(StreamTurnsResponse(caught_up=CaughtUp(seq=0)))
    assert following.request().after_seq == 0
    assert following.request().HasField("after_seq")
    for response, cursor in (
        (StreamTurnsResponse(turn=Turn(seq=4)), 4),
        (StreamTurnsResponse(turn=Turn(seq=0)), 4),  # a partial
        (StreamTurnsResponse(heartbeat=Heartbeat(seq=9)), 9),
        (StreamTurnsResponse(session=Session(seq=10)), 10),
        (StreamTurnsResponse(), 10),  # of a kind this client does not know
    ):
        following.received(response)
        assert following.request().after_seq == cursor
    assert following.request().session == "boardroom"
    assert following.request().include_partials


def test_an_interruption_is_told_once() -> None:
    following = Following("", 3, partials=False)
    following.received(StreamTurnsResponse(turn=Turn(seq=5)))
    assert following.broke(AWAY) == Interrupted(AWAY, 5)
    assert following.broke(AWAY) is None
    following.received(StreamTurnsResponse(caught_up=CaughtUp(seq=5)))
    assert following.broke(AWAY) == Interrupted(AWAY, 5)


def test_what_cannot_succeed_is_not_tried_again() -> None:
    with pytest.raises(Error):
        Following("", 3, partials=False).broke(AWAY)  # never was connected
    following = Following("", 3, partials=False)
    following.received(StreamTurnsResponse(turn=Turn(seq=5)))
    gone = Error(grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND", "gone", {})
    with pytest.raises(Error) as caught:
        following.broke(gone)
    assert caught.value is gone


def test_pauses_grow_and_have_an_end() -> None:
    following = Following("", 3, partials=False)
    following.received(StreamTurnsResponse(turn=Turn(seq=5)))
    longest = 0.0
    for _ in range(2000):
        following.broke(AWAY)
        longest = max(longest, following.pause_s())
        assert 0 < following.pause_s() <= LONGEST_PAUSE_S
    assert longest > LONGEST_PAUSE_S / 2

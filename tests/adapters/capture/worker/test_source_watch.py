"""What counts as the wrong microphone."""

import pytest

from minuted_daemon.adapters.capture.worker.pulse import Recording, ServerAwayError
from minuted_daemon.adapters.capture.worker.source_watch import Origin


class FakeServer:
    """A sound server that records from what the test says; None is no stream, an exception is raised."""

    def __init__(self, source: str, default: str = "desk") -> None:
        self.answer: Recording | ServerAwayError | None = Recording(source, default)

    def recording(self) -> Recording | None:
        if isinstance(self.answer, ServerAwayError):
            raise self.answer
        return self.answer


def reason(origin: Origin) -> str:
    fault = origin.check()
    return "" if fault is None else fault.reason


def test_the_first_source_is_home_and_any_other_is_a_fault() -> None:
    server = FakeServer("desk")
    origin = Origin(server, home="", follows=False)
    assert origin.home == ""
    assert reason(origin) == ""
    assert origin.home == "desk"
    server.answer = Recording("desk", "door")
    assert reason(origin) == ""
    server.answer = Recording("door", "desk")
    assert reason(origin) == "DEVICE_MOVED"


def test_a_worker_that_replaces_another_must_come_from_the_same_source() -> None:
    assert reason(Origin(FakeServer("desk"), home="desk", follows=False)) == ""
    assert reason(Origin(FakeServer("door"), home="desk", follows=False)) == "DEVICE_MOVED"


@pytest.mark.parametrize(
    ("asked", "source", "said"),
    [
        ("desk", "desk", ""),
        ("desk", "door", "DEVICE_MOVED"),
        ("room", "room.monitor", ""),
        ("room", "desk", "DEVICE_MOVED"),
        ("362", "desk", ""),
        ("", "desk", ""),
    ],
)
def test_a_stream_that_was_given_another_source_than_it_asked_for_is_a_fault(
    asked: str, source: str, said: str
) -> None:
    server = FakeServer(source)
    server.answer = Recording(source, "desk", asked)
    assert reason(Origin(server, home="", follows=False)) == said


@pytest.mark.parametrize("now", [Recording("desk", "door"), Recording("door", "desk"), Recording("door", "door")])
def test_a_stream_that_follows_ends_with_any_change(now: Recording) -> None:
    server = FakeServer("desk")
    origin = Origin(server, home="", follows=True)
    assert reason(origin) == ""
    server.answer = now
    assert reason(origin) == "DEFAULT_CHANGED"


def test_a_server_that_puts_a_follower_elsewhere_from_the_start_is_not_argued_with() -> None:
    origin = Origin(FakeServer("door", default="desk"), home="", follows=True)
    assert [reason(origin), reason(origin)] == ["", ""]


def test_a_stream_the_server_does_not_know_is_not_judged_unless_it_did() -> None:
    server = FakeServer("desk")
    server.answer = None
    origin = Origin(server, home="", follows=False)
    assert reason(origin) == ""
    server.answer = Recording("desk", "desk")
    assert reason(origin) == ""
    server.answer = None
    assert reason(origin) == "DEVICE_ENDED"


def test_a_server_that_does_not_answer_ends_the_stream() -> None:
    server = FakeServer("desk")
    server.answer = ServerAwayError("the sound server does not answer")
    assert reason(Origin(server, home="", follows=False)) == "DEVICE_ENDED"

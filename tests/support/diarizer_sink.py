"""A sink that keeps what a link or connection tells it, for tests to look at."""

from minuted_daemon.core.records import Link


class Sink:
    def __init__(self) -> None:
        self.events: list[object] = []
        self.healths: list[Link] = []
        self.sent_to: list[int] = []

    def epoch_changed(self, event: object) -> None:
        self.events.append(event)

    def diarized(self, epoch: object, event: object, sent_to: int) -> None:
        self.events.append(event)
        self.sent_to.append(sent_to)

    def transcribed(self, event: object) -> None:
        self.events.append(event)

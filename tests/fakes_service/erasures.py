"""The audio, as a list of what was asked of it."""

from minuted_daemon.core.records import SessionId
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError


class FakeAudio:
    """`fault` is raised by everything as long as it is there."""

    def __init__(self) -> None:
        self.erased: list[tuple[SessionId, Sample, Sample]] = []
        self.deleted: list[SessionId] = []
        self.fault: StoreError | None = None

    async def erase(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        if self.fault is not None:
            raise self.fault
        self.erased.append((session_id, start, end))

    async def delete(self, session_id: SessionId) -> None:
        if self.fault is not None:
            raise self.fault
        self.deleted.append(session_id)

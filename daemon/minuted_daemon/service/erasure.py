"""Deleting and redacting: what people want forgotten leaves the minutes, the audio and the memory, crash or no crash.

The store is told first, and keeps the request in the same transaction: from that moment on no one reads what is to go,
nothing that is still under way is stored, and the request is carried out to the end, also by the daemon's next life.
Then the audio goes, then what is left in the files.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import structlog

from minuted_daemon.core.records import IntervalRecord, Record, SessionId, SessionRecord, TurnRecord
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.errors import Invalid, NotFound, StoreError, WrongState
from minuted_daemon.ports.store import ErasureRequest, Store
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.views import Redaction, Stretch

T = TypeVar("T")

AGAIN_S = 30.0
"""How long to wait before trying again to finish what could not be finished."""

_log = structlog.get_logger()


def within(stretch: Stretch, heard: Sample) -> tuple[Sample, Sample]:
    """Return what of a session that has heard so much is meant. Raises Invalid (NOTHING_TO_REDACT) if it is nothing."""
    if stretch.last is not None:
        start, end = max(0, heard - stretch.last), int(heard)
    else:
        start, end = stretch.start, heard if stretch.end is None else min(stretch.end, heard)
    if end <= start:
        message = f"there is nothing to redact: the session has come no further than {seconds(heard):.1f} s"
        raise Invalid("NOTHING_TO_REDACT", message)
    return Sample(start), Sample(end)


class Audio(Protocol):
    """Where sessions' audio is kept: see ports.Spools, of which this is a part."""

    async def erase(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        """Have no sample of [start, end) left."""
        ...

    async def delete(self, session_id: SessionId) -> None:
        """Remove all audio of the session."""
        ...


class Erasure:
    """One for the daemon. Nothing here may be cancelled by the client that asked for it: see Registry."""

    def __init__(self, store: Store, publisher: ChangePublisher, hub: Hub, audio: Audio) -> None:
        self._store = store
        self._publisher = publisher
        self._hub = hub
        self._audio = audio
        # Scrubbing the files twice at once would gain nothing.
        self._one_at_a_time = asyncio.Lock()
        self._unfinished = asyncio.Event()
        self._unfinished.set()

    async def delete(self, record: SessionRecord) -> None:
        """Remove an ended session. Raises StoreError, WrongState (SESSION_LIVE), NotFound (SESSION_NOT_FOUND)."""
        await self._begun(self._publisher.delete(record.id, record.name))
        await self._finish(ErasureRequest(record.id, record.name))

    async def redact(
        self, interval: IntervalRecord, session_name: str, forget: Callable[[Sample, Sample], None] | None
    ) -> Redaction:
        """Forget what was said in the interval; `forget` makes a live session do its part.

        Raises StoreError: then what is left is done later; if the request could not be stored, nothing is forgotten.
        """
        stored = await self._begun(self._publisher.redact(interval, session_name))
        if forget is not None:
            forget(interval.start, interval.end)
        return await self._finish(ErasureRequest(interval.session_id, session_name, interval), stored)

    async def asked(self, session_id: SessionId) -> Sequence[IntervalRecord]:
        """Return the stretches of a session that are to go, and may not be gone yet; none where that cannot be told."""
        try:
            pending = await self._store.erasures()
        except StoreError:  # `run` tells of it
            return []
        return [one.interval for one in pending if one.session_id == session_id and one.interval is not None]

    async def run(self) -> None:
        """Finish what an earlier life of the daemon left, and later what could not be finished at once; for ever."""
        while True:
            await self._unfinished.wait()
            self._unfinished.clear()
            try:
                for request in await self._store.erasures():
                    await self._go_on(request)
                await self._erase()
            except StoreError as error:
                self._delayed(error)
            if self._unfinished.is_set():
                await asyncio.sleep(AGAIN_S)

    async def _go_on(self, request: ErasureRequest) -> None:
        """Never raises StoreError: what cannot be finished for one session must not hold up the others."""
        _log.info("erasure_resumed", session_id=request.session_id)
        try:
            try:
                await self._finish(request)
            except WrongState:  # an older version ended before it could refuse
                await self._store.erased(request)
        except StoreError as error:
            self._delayed(error, session_id=request.session_id)

    def _delayed(self, error: StoreError, **facts: str) -> None:
        self._unfinished.set()
        _log.warning("erasure_delayed", reason=error.reason, again_in_s=AGAIN_S, **facts)

    async def _begun(self, first_step: Coroutine[Any, Any, T]) -> T:
        try:
            return await first_step
        except StoreError:  # it may have been stored all the same
            self._unfinished.set()
            raise

    async def _finish(self, request: ErasureRequest, stored: Sequence[Record] = ()) -> Redaction:
        """`stored`: what the first step of a redaction has changed."""
        try:
            left = await self._take_out(request, stored)
            await self._erase()
            await self._store.erased(request)
        except StoreError:
            self._unfinished.set()
            raise
        _log.info("erasure_finished", session_id=request.session_id, whole=request.interval is None, turns=left.turns)
        return left

    async def _take_out(self, request: ErasureRequest, stored: Sequence[Record]) -> Redaction:
        nothing = Redaction(Sample(0), Sample(0), 0)
        try:
            if request.interval is None:
                await self._deleted(request)
            else:
                return await self._redacted(request.interval, request.session_name, stored)
        except NotFound:
            pass  # deleted since
        await self._audio.delete(request.session_id)
        self._hub.forget(request.session_id)
        return nothing

    async def _deleted(self, request: ErasureRequest) -> None:
        """It is told already, unless an older version ended before the store had been asked."""
        await self._store.session(request.session_id)
        await self._publisher.delete(request.session_id, request.session_name)

    async def _redacted(self, interval: IntervalRecord, session_name: str, stored: Sequence[Record]) -> Redaction:
        start, end = interval.start, interval.end
        turns: set[str] = set()
        stored = stored or await self._publisher.redact(interval, session_name)
        while stored:
            turns |= {record.id for record in stored if isinstance(record, TurnRecord)}
            for record in stored:
                if isinstance(record, IntervalRecord):
                    start, end = record.start, record.end
            self._hub.forget(interval.session_id)
            stored = await self._publisher.redact(interval, session_name)
        await self._audio.erase(interval.session_id, start, end)
        return Redaction(start, end, len(turns))

    async def _erase(self) -> None:
        async with self._one_at_a_time:
            await self._store.erase()

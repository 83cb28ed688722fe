"""Connections to a transcriber, one after another, for one track of utterances: the present, or what catches up.

Nothing is dropped here. A connection is renewed before the vendor ends it: from then on new utterances begin on the
fresh one, while the old one still hears out the utterance that was begun on it and answers what it was sent. When the
connection breaks that new utterances go to, the merger is told and asks again for all that is unanswered.

When to connect again is decided in transcriber_link.py.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import structlog

from minuted_daemon.core.events import (
    Append,
    Command,
    TextFailed,
    TextGrew,
    TranscriberEvent,
    TranscriberLost,
    TranscriberReady,
    TranscriberRefused,
    UtteranceId,
)
from minuted_daemon.errors import Unavailable, VendorError
from minuted_daemon.service.connections.transcriber_connection import TranscriberConnection, TranscriberOpener
from minuted_daemon.service.task_groups import single_error_group

RENEW_MARGIN_S = 300.0
"""A connection is renewed so long before its end, or a quarter of its lifetime if that is shorter."""
SHORTEST_LIFETIME_S = 2.0
"""A connection that is said to end sooner is not renewed but left to its end: such a renewal would be a storm."""
RENEW_AGAIN_S = 10.0
"""After a renewal that failed, or a quarter of the margin if that is shorter."""
HANDOVER_DEADLINE_S = 15.0
"""So long before the end of the connection, or a quarter of what it has left when it is renewed, an utterance that is
still open on it begins again on the fresh one. What was committed may be answered to the very end."""
ANSWER_S = 2.0
"""So long an answer takes at most, as a rule: what could only be committed later than that would be asked for twice."""


class TranscriptionSink(Protocol):
    """What is told of connections and of what the transcriber says."""

    def transcribed(self, event: TranscriberEvent | TranscriberReady | TranscriberLost | TranscriberRefused) -> None:
        """The transcriber said something, or its connection changed."""
        ...


class RenewingTranscriber:
    """Takes the commands of one track. Without a connection they are void: the merger is told so, and asks again."""

    def __init__(
        self,
        opener: TranscriberOpener,
        sink: TranscriptionSink,
        log: structlog.stdlib.BoundLogger,
        catch_up_idle_s: float | None = None,
    ) -> None:
        """`catch_up_idle_s`: it catches up after an outage, and is closed after so long without work; None: it is live.

        A live connection is kept for ever.
        """
        self.wanted = asyncio.Event()
        """Set when an utterance is begun while there is no connection."""
        self._opener = opener
        self._sink = sink
        self._log = log
        self._catch_up_idle_s = catch_up_idle_s
        self._connection: TranscriberConnection | None = None  # where utterances begin
        self._superseded: list[TranscriberConnection] = []
        self._begun_again: set[UtteranceId] = set()  # with no word of the second attempt yet
        self._worked_s = 0.0

    @property
    def _catches_up(self) -> bool:
        return self._catch_up_idle_s is not None

    def submit(self, command: Command) -> None:
        """Hand over the next command; never waits."""
        if not isinstance(command, Append):
            self._begun_again.discard(command.utterance)
        connection = next(
            (connection for connection in self._superseded if connection.open_utterance == command.utterance),
            self._connection,
        )
        if connection is not None:
            self._worked_s = asyncio.get_running_loop().time()
            connection.submit(command)
        elif isinstance(command, Append):
            self.wanted.set()

    async def connect(self, opened: Callable[[], None]) -> None:
        """Serve over one connection and those that replace it without a break, until there was no work for long enough.

        `opened` is called once it is there. Raises VendorError when it cannot be opened, or breaks.
        """
        connection = self._connection = await self._opener.open()
        self.wanted.clear()
        self._worked_s = asyncio.get_running_loop().time()
        self._sink.transcribed(TranscriberReady(self._catches_up, self._opener.repeats))
        opened()
        try:
            async with single_error_group() as group:
                group.create_task(self._serve(connection))
                group.create_task(self._renew(connection, group))
                del connection  # this frame stays as long as all those that follow it
                if self._catch_up_idle_s is not None:
                    group.create_task(self._wait_idle(self._catch_up_idle_s))
        except _IdleTimeout:
            return
        except Exception:
            self._lose()
            raise
        finally:
            self._connection = None
            self._superseded.clear()

    async def _wait_idle(self, after_s: float) -> None:
        """Wait until there was nothing to do for a while; then raise."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(1.0, self._worked_s + after_s - loop.time()))
            busy = self._connection is None or not self._connection.idle.is_set() or self._superseded
            if not busy and loop.time() - self._worked_s >= after_s:
                self._connection = None  # at once: what is begun from now on needs another one
                raise _IdleTimeout

    async def _serve(self, connection: TranscriberConnection) -> None:
        """Send and receive until the connection breaks or, once superseded, has nothing left to do."""
        try:
            async with single_error_group() as group:
                group.create_task(connection.send())
                group.create_task(self._receive(connection))
                group.create_task(self._drain(connection))
        except _Drained:
            self._hand_over(connection)
        except Exception as error:
            if connection is self._connection:
                # Told at once: closing may take its time.
                self._lose()
            if not isinstance(error, VendorError) or connection not in self._superseded:
                raise
            self._log.warning("superseded_link_lost", role="transcriber", reason=error.reason)
            self._hand_over(connection)
        finally:
            await connection.stream.close()

    async def _receive(self, connection: TranscriberConnection) -> None:
        async for event in connection.stream.events():
            connection.answered(event)
            if isinstance(event, TextGrew) and event.utterance in self._begun_again:
                self._begun_again.discard(event.utterance)
                event = replace(event, replaces=True)  # what the first attempt said is said again
            self._sink.transcribed(event)
        raise Unavailable("STREAM_ENDED", "the transcriber ended the connection")

    async def _renew(self, connection: TranscriberConnection, group: asyncio.TaskGroup) -> None:
        """Replace each connection in time by a fresh one."""
        while (fresh := await self._successor(connection)) is not None:
            self._log.info(
                "link_renewed",
                role="transcriber",
                in_mid_turn=connection.open_utterance is not None,
                unanswered=len(connection.unanswered),
            )
            self._superseded.append(connection)
            self._connection = fresh
            connection.superseded.set()
            group.create_task(self._serve(fresh))
            connection = fresh

    async def _successor(self, connection: TranscriberConnection) -> TranscriberConnection | None:
        """Wait until the connection is to be renewed, and give the fresh one; None if it cannot be."""
        lifetime_s = connection.stream.expires_in_s
        if lifetime_s is None or lifetime_s < SHORTEST_LIFETIME_S:
            return None
        margin_s = min(RENEW_MARGIN_S, lifetime_s / 4)
        await asyncio.sleep(lifetime_s - margin_s)
        while True:
            try:
                return await self._opener.open()
            except VendorError as error:
                # Also for a refusal: the present connection still serves.
                self._log.warning("renewal_failed", role="transcriber", reason=error.reason)
                await asyncio.sleep(min(RENEW_AGAIN_S, margin_s / 4))

    async def _drain(self, connection: TranscriberConnection) -> None:
        """Wait until the connection is superseded and has nothing left to do, or no time left to do it; then raise."""
        await connection.superseded.wait()
        left_s = connection.stream.expires_in_s
        if not await _idle(connection, None if left_s is None else left_s - _handover_deadline_s(left_s)):
            self._begin_again(connection)
            await _idle(connection, connection.stream.expires_in_s)
        raise _Drained

    def _begin_again(self, connection: TranscriberConnection) -> None:
        """Move the utterance that is open on a superseded connection to the one that utterances begin on now."""
        # Only one utterance is open at a time, so the fresh connection has none of its own yet.
        for stretch in connection.take_back_open():
            self._begun_again.add(stretch.utterance)
            if self._connection is not None:
                self._connection.submit(stretch)

    def _hand_over(self, connection: TranscriberConnection) -> None:
        """A superseded connection is over: what it has not finished is to be done again."""
        if connection not in self._superseded or self._connection is None:
            return
        self._superseded.remove(connection)
        self._begin_again(connection)
        for utterance in connection.unanswered:
            self._sink.transcribed(TextFailed(utterance, "CONNECTION_ENDED"))

    def _lose(self) -> None:
        if self._connection is not None:
            self._connection = None
            self._superseded.clear()
            self._begun_again.clear()
            self._sink.transcribed(TranscriberLost(self._catches_up))


class _IdleTimeout(Exception):
    """There was nothing to do for a while."""


class _Drained(Exception):
    """A superseded connection has nothing left to do, or no time left to do it."""


def _handover_deadline_s(left_s: float) -> float:
    return min(HANDOVER_DEADLINE_S, max(left_s / 4, min(ANSWER_S, left_s / 2)))


async def _idle(connection: TranscriberConnection, within_s: float | None) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await connection.idle.wait()
    except TimeoutError:
        return False
    return True

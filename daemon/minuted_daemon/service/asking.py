"""One connection over which stretches of retained audio are asked for, one after another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from minuted_daemon.core.events import Append, Commit, TextCompleted, TextFailed, UtteranceId
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.core.turn import SHORTEST_COMMIT
from minuted_daemon.errors import Unavailable
from minuted_daemon.ports import Spool, TranscriberStream
from minuted_daemon.service.links import one_fault
from minuted_daemon.service.transcriber_line import CATCH_UP, TranscriberLine

ANSWER_S = 30.0
"""So long an answer is waited for: nobody else waits for it."""
LEFT_S = 5.0
"""With less than this left of a connection, behind the sending, no more is asked over it."""


class Asking:
    """At most four times as fast as real time, with one question at a time."""

    def __init__(self, stream: TranscriberStream, spool: Spool) -> None:
        self._stream = stream
        self._line = TranscriberLine(stream, spool)
        self._awaited: dict[UtteranceId, asyncio.Future[str | None]] = {}
        self._asked = 0

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        """Send and receive inside this block; the stream stays open behind it.

        Raises what the stream raises as soon as it does, and Unavailable (STREAM_ENDED, SEND_STALLED, or why the spool
        cannot be read).
        """
        async with one_fault() as group:
            tasks = [group.create_task(self._line.send()), group.create_task(self._receive())]
            yield
            for task in tasks:
                task.cancel()

    def has_time_for(self, length: int) -> bool:
        """Whether the connection lasts long enough for so many samples. The first question is always asked."""
        left_s = self._stream.expires_in_s
        return left_s is None or not self._asked or left_s > seconds(length) / CATCH_UP + LEFT_S

    async def text(self, utterance: UtteranceId, start: Sample, end: Sample) -> str | None:
        """Give the text of [start, end); None if the transcriber gave up on it, or gave no answer in time."""
        self._asked += 1
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._awaited[utterance] = answer
        self._line.submit(Append(utterance, start, end))
        self._line.submit(Commit(utterance, max(0, SHORTEST_COMMIT - (end - start))))
        try:
            async with asyncio.timeout(seconds(end - start) / CATCH_UP + ANSWER_S):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._awaited.pop(utterance, None)

    async def _receive(self) -> None:
        async for event in self._stream.events():
            self._line.answered(event)
            if isinstance(event, TextCompleted | TextFailed) and event.utterance in self._awaited:
                answer = self._awaited.pop(event.utterance)
                answer.set_result(event.text if isinstance(event, TextCompleted) else None)
        raise Unavailable("STREAM_ENDED", "the transcriber ended the connection")

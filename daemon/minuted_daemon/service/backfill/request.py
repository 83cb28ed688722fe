"""One connection over which stretches of retained audio are asked for, one after another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from minuted_daemon.core.events import Append, Commit, TextCompleted, TextGrew, TranscriberEvent, UtteranceId
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.core.transcription.turn import SHORTEST_COMMIT
from minuted_daemon.core.words import grown
from minuted_daemon.errors import Unavailable
from minuted_daemon.ports.engines import TranscriberStream
from minuted_daemon.ports.spool import Spool
from minuted_daemon.service.connections.transcriber_connection import CATCH_UP, TranscriberConnection
from minuted_daemon.service.task_groups import single_error_group

ANSWER_S = 30.0
"""So long an answer is waited for: no one waits for it."""
LEFT_S = 5.0
"""With less than this left of a connection, after the sending, no more is asked over it."""


@dataclass(slots=True)
class Answer:
    """What a question brought. `text`: the final one, None without; `said`: what came before it.

    `reason`: why the transcriber gave up on it, UPPER_SNAKE; empty where it did not.
    """

    text: str | None = None
    said: str = ""
    reason: str = ""

    def take(self, event: TranscriberEvent) -> bool:
        """The transcriber said something of it; return whether that was all."""
        if isinstance(event, TextGrew):
            self.said = event.text if event.replaces else grown(self.said, event.text)
        elif isinstance(event, TextCompleted):
            self.text = event.text
        else:
            self.reason = event.reason
        return not isinstance(event, TextGrew)


class BackfillConnection:
    """At most four times as fast as real time, with one question at a time."""

    def __init__(self, stream: TranscriberStream, spool: Spool) -> None:
        self._stream = stream
        self._line = TranscriberConnection(stream, spool)
        self._awaited: dict[UtteranceId, tuple[Answer, asyncio.Event]] = {}
        self._asked = 0

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        """Send and receive inside this block; the stream stays open after it.

        Raises what the stream raises as soon as it does, and Unavailable (STREAM_ENDED, SEND_STALLED, or why the spool
        cannot be read).
        """
        async with single_error_group() as group:
            tasks = [group.create_task(self._line.send()), group.create_task(self._receive())]
            yield
            for task in tasks:
                task.cancel()

    def has_time_for(self, length: int) -> bool:
        """Return whether the connection lasts long enough for so many samples. The first question is always asked."""
        left_s = self._stream.expires_in_s
        return left_s is None or not self._asked or left_s > seconds(length) / CATCH_UP + LEFT_S

    async def text(self, utterance: UtteranceId, start: Sample, end: Sample) -> Answer:
        """Return what the transcriber says of [start, end), as far as it came in time."""
        self._asked += 1
        answer, there = self._awaited[utterance] = Answer(), asyncio.Event()
        self._line.submit(Append(utterance, start, end))
        self._line.submit(Commit(utterance, max(0, SHORTEST_COMMIT - (end - start))))
        try:
            async with asyncio.timeout(seconds(end - start) / CATCH_UP + ANSWER_S):
                await there.wait()
        except TimeoutError:
            pass
        finally:
            self._awaited.pop(utterance, None)
        return answer

    async def _receive(self) -> None:
        async for event in self._stream.events():
            self._line.answered(event)
            if event.utterance in self._awaited:
                answer, there = self._awaited[event.utterance]
                if answer.take(event):
                    del self._awaited[event.utterance]
                    there.set()
        raise Unavailable("STREAM_ENDED", "the transcriber ended the connection")

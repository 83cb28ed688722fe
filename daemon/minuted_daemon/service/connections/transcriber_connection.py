"""One connection to a transcriber: a queue of commands in front of it, and what it has not answered.

Which connection an utterance goes to is decided in transcriber_link.py, when one is replaced in transcriber_renewal.py.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import (
    Append,
    Clear,
    Command,
    Commit,
    TextCompleted,
    TextFailed,
    TranscriberEvent,
    UtteranceId,
)
from minuted_daemon.core.samples import RATE_HZ, Sample, samples, seconds
from minuted_daemon.errors import StoreError, Unavailable
from minuted_daemon.ports.engines import Transcriber, TranscriberStream
from minuted_daemon.ports.spool import Spool
from minuted_daemon.service.task_groups import deadline

OPEN_LIMIT_S = 25.0
SEND_LIMIT_S = 10.0
PIECE = samples(0.2)
"""Audio is sent in pieces of at most so many samples."""
CATCH_UP = 4.0
"""Retained audio is sent at most so many times as fast as real time."""
BURST_S = 0.25
"""Time in hand: so long after a pause, sending is not slowed down."""
QUEUE_COMMANDS = 1_000
"""Commands that may wait for a slow connection (ranges, not audio). When it is full, the connection is broken: the
merger then asks again for what is unanswered, and the audio is still in the spool."""


class TranscriberConnection:
    """Takes commands without waiting and sends them in order. Nothing is sent unless `send` runs."""

    def __init__(self, stream: TranscriberStream, spool: Spool) -> None:
        self.stream = stream
        self.idle = asyncio.Event()
        """Set while nothing waits, no utterance is open and no answer is awaited."""
        self.idle.set()
        self.superseded = asyncio.Event()
        """Set once new utterances begin on another connection."""
        self.open_utterance: UtteranceId | None = None
        """The utterance that was begun here and is neither committed nor cleared."""
        self._spool = spool
        self._commands: deque[Command] = deque()
        self._waiting = asyncio.Event()
        self._ranges: list[Append] = []
        self._unanswered: dict[UtteranceId, None] = {}
        self._full = False
        self._paced_to_s = 0.0

    @property
    def unanswered(self) -> Sequence[UtteranceId]:
        """The utterances that were committed here and not answered, in order."""
        return tuple(self._unanswered)

    def submit(self, command: Command) -> None:
        """Put a command after the others; neighbouring ranges that wait become one."""
        self.idle.clear()
        self._waiting.set()
        self._note(command)
        last = self._commands[-1] if self._commands else None
        if isinstance(command, Append) and isinstance(last, Append) and _adjoin(last, command):
            self._commands[-1] = replace(last, end=command.end)
            return
        if isinstance(command, Clear):
            while isinstance(last, Append) and last.utterance == command.utterance:
                self._commands.pop()
                last = self._commands[-1] if self._commands else None
        if len(self._commands) >= QUEUE_COMMANDS:
            self._full = True
        else:
            self._commands.append(command)

    def take_back_open(self) -> Sequence[Append]:
        """Return the audio of the utterance that is open here, sent or not; it goes on elsewhere."""
        ranges, self._ranges = self._ranges, []
        self._commands = deque(command for command in self._commands if command.utterance != self.open_utterance)
        self.open_utterance = None
        self._note_idle()
        return ranges

    def answered(self, event: TranscriberEvent) -> None:
        """The connection said something."""
        if isinstance(event, TextCompleted | TextFailed):
            self._unanswered.pop(event.utterance, None)
            self._note_idle()

    async def send(self) -> None:
        """Send what is submitted, until cancelled.

        Raises Unavailable (SEND_STALLED, or why the spool cannot be read), and what the stream raises.
        """
        while True:
            if not self._commands:
                self._waiting.clear()
                await self._waiting.wait()
            if self._full:
                raise Unavailable("SEND_STALLED", f"the transcriber let {QUEUE_COMMANDS} commands wait")
            command = self._commands.popleft()
            audio = await self._audio(command)
            async with deadline(SEND_LIMIT_S, "SEND_STALLED", f"the transcriber took nothing for {SEND_LIMIT_S:.0f} s"):
                await self._send(command, audio)
            self._note_idle()

    def _note(self, command: Command) -> None:
        if not isinstance(command, Append):
            self.open_utterance = None
            self._ranges.clear()
            if isinstance(command, Commit):
                self._unanswered[command.utterance] = None
        elif self.open_utterance != command.utterance:
            self.open_utterance = command.utterance
            self._ranges = [command]
        elif _adjoin(self._ranges[-1], command):
            self._ranges[-1] = replace(self._ranges[-1], end=command.end)
        else:
            self._ranges.append(command)

    async def _audio(self, command: Command) -> NDArray[np.int16]:
        """Return what a command has to say, and put the rest of a long one back."""
        if isinstance(command, Append):
            middle = Sample(min(command.end, command.start + PIECE))
            if middle < command.end:
                self._commands.appendleft(replace(command, start=middle))
            await self._pace(middle - command.start)
            try:
                return (await self._spool.read(command.start, middle, self.stream.rate_hz)).pcm
            except StoreError as error:
                raise Unavailable(error.reason, error.message) from error
        pad = command.pad if isinstance(command, Commit) else 0
        return np.zeros(pad * self.stream.rate_hz // RATE_HZ, np.int16)

    async def _send(self, command: Command, audio: NDArray[np.int16]) -> None:
        if len(audio):
            await self.stream.append(command.utterance, audio)
        if isinstance(command, Commit):
            await self.stream.commit(command.utterance)
        elif isinstance(command, Clear):
            await self.stream.clear(command.utterance)

    async def _pace(self, count: int) -> None:
        now_s = asyncio.get_running_loop().time()
        self._paced_to_s = max(self._paced_to_s, now_s - BURST_S) + seconds(count) / CATCH_UP
        if self._paced_to_s > now_s:
            await asyncio.sleep(self._paced_to_s - now_s)

    def _note_idle(self) -> None:
        if not self._commands and self.open_utterance is None and not self._unanswered:
            self.idle.set()


@dataclass(frozen=True, slots=True)
class TranscriberOpener:
    """Opens one session's connections to its transcriber, always in the same languages, with the same audio."""

    transcriber: Transcriber
    languages: Sequence[str]
    spool: Spool

    @property
    def repeats(self) -> bool:
        """Return whether the transcriber says the same of the same audio each time."""
        return self.transcriber.capabilities.repeats

    async def open(self) -> TranscriberConnection:
        """Connect once. Raises VendorError."""
        async with deadline(
            OPEN_LIMIT_S, "OPEN_TIMEOUT", f"the transcriber did not answer within {OPEN_LIMIT_S:.0f} s"
        ):
            stream = await self.transcriber.open(self.languages)
        return TranscriberConnection(stream, self.spool)


def _adjoin(first: Append, second: Append) -> bool:
    return first.utterance == second.utterance and first.end == second.start

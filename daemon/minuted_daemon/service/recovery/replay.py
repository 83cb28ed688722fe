"""Feeds a session's spooled audio again after a crash, together with what was noted of its speakers.

The merge is brought to where it was when the daemon died, but for what is stored. The diarizer's link has no part in
it: what was noted is fed in its place.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from minuted_daemon.core.diarization.epochs import OpenEpoch
from minuted_daemon.core.events import Epoch, EpochClosed, EpochOpened, EpochTookOver, SpeakerStarted
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.spool import Spool
from minuted_daemon.service.merge.pipeline import Pipeline
from minuted_daemon.service.recovery.log import EpochNoted, EventNoted, Noted, StateNoted
from minuted_daemon.service.recovery.state import Resumed

BLOCKS_READ = 20
BLOCKS_AT_ONCE = 5
"""So many blocks are looked at before other tasks get their turn: some milliseconds."""


class Replay:
    """One for a session that goes on; `run` it before anything else is heard."""

    def __init__(
        self,
        resumed: Resumed,
        spool: Spool,
        pipeline: Pipeline,
        forget: Callable[[Sample, Sample], None],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`forget` makes the session forget a stretch that was redacted."""
        self._resumed = resumed
        self._spool = spool
        self._pipeline = pipeline
        self._driver = pipeline.driver
        self._sink = pipeline.diarization
        self._forget = forget
        self._log = log
        self._redacted = deque(sorted(resumed.redacted, key=lambda stretch: stretch[1]))
        self._noted, self._state = self._from_state()
        self._known: set[Epoch] = set()
        self._behind: dict[Epoch, int] = {}

    def redact(self, start: Sample, end: Sample) -> None:
        """[start, end) is to be taken out while this is under way: now, and once all of it is looked at."""
        if start < self._driver.heard:
            self._forget(start, min(end, self._driver.heard))
        self._redacted = deque(sorted([*self._redacted, (start, end)], key=lambda stretch: stretch[1]))

    async def run(self) -> None:
        """Return when all is as it was, and what the diarizer said is over. A disk that fails raises nothing."""
        with self._driver.replaying():
            if self._state is not None:
                self._feed(self._state)
            try:
                await self._listen()
            except StoreError as error:
                self._log.error("spool_not_read", reason=error.reason)
            self._catch_up(None)
        for epoch in self._driver.open_epochs():
            # It had been sent all but what was on its way to it.
            heard_to = max(epoch.base, self._resumed.heard - self._behind.get(epoch.number, 0))
            self._sink.epoch_changed(EpochClosed(epoch.number, Sample(heard_to)))
        self._driver.checkpoint()

    def _from_state(self) -> tuple[deque[Noted], StateNoted | None]:
        """Return what was noted after the last checkpoint that is older than the audio, and that checkpoint."""
        noted = self._resumed.recollection.noted
        begin = self._resumed.merge.begin
        states = ((at, one) for at, one in enumerate(noted) if isinstance(one, StateNoted) and one.heard <= begin)
        at, state = max(states, key=lambda found: found[0], default=(-1, None))
        return deque(noted[at + 1 :]), state

    async def _listen(self) -> None:
        begin, end = self._resumed.merge.begin, self._resumed.heard
        for start in range(begin, end, BLOCKS_READ * BLOCK):
            until = min(start + BLOCKS_READ * BLOCK, end)
            pcm = (await self._spool.read(Sample(start), Sample(until), RATE_HZ)).pcm
            for low, high in self._redacted:  # it may not be erased yet
                pcm[max(low - start, 0) : max(high - start, 0)] = 0
            for at in range(start, until, BLOCK):
                self._pipeline.hear_again(Sample(at), pcm[at - start : at - start + BLOCK])
                self._catch_up(Sample(at + BLOCK))
                if at // BLOCK % BLOCKS_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _catch_up(self, heard: Sample | None) -> None:
        """Feed what had been noted by then; None means all there is."""
        while self._noted and (heard is None or self._noted[0].heard <= heard):
            self._feed(self._noted.popleft())
        while self._redacted and (heard is None or self._redacted[0][1] <= heard):
            self._forget(*self._redacted.popleft())

    def _feed(self, noted: Noted) -> None:
        match noted:
            case EpochNoted():
                self._known.add(noted.event.epoch)
                self._sink.epoch_changed(noted.event)
            case EventNoted():
                self._behind[noted.epoch] = max(0, noted.heard - noted.sent_to)
                self._sink.diarized(noted.epoch, noted.event, noted.sent_to)
            case StateNoted():
                for epoch in noted.epochs:
                    if epoch.number not in self._known:
                        self._introduce(epoch)

    def _introduce(self, epoch: OpenEpoch) -> None:
        """Feed a connection whose beginning is not known any more."""
        self._known.add(epoch.number)
        beside = bool(self._driver.open_epochs())
        self._sink.epoch_changed(EpochOpened(epoch.number, Sample(epoch.base)))
        if beside and epoch.since is not None:
            self._sink.epoch_changed(EpochTookOver(epoch.number, Sample(epoch.since)))
        for label, start in epoch.active.items():
            self._sink.diarized(epoch.number, SpeakerStarted(label, start - epoch.base), Sample(start))

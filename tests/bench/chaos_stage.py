"""Where one fault is played: a daemon of its own, both vendors' stand-ins, one session, and all who watch it."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import minuted
from minuted import AsyncClient, Interrupted, LinkHealth, Session, Turn
from tests.bench.small_disk import small_disk
from tests.e2e.daemon_process import DaemonProcess, short_place
from tests.e2e.following import Seen
from tests.e2e.live_run import PYANNOTE_KNOBS
from tests.fakes.meeting import Meeting, write_wav
from tests.fakes.processes import StandInProcess, openai_standin, pyannote_standin

SESSION = "room"
LOOK_EVERY_S = 0.25
_WELL = (
    LinkHealth.LINK_HEALTH_UNSPECIFIED,
    LinkHealth.LINK_HEALTH_UP,
    LinkHealth.LINK_HEALTH_OFF,
    LinkHealth.LINK_HEALTH_CONNECTING,
)


@dataclass
class Witness(Seen):
    """Notes when each turn was first final, and first attributed, and checks that a revision has one seq for ever."""

    final_at: dict[str, float] = field(default_factory=dict)
    attributed_at: dict[str, float] = field(default_factory=dict)
    seq_of: dict[tuple[str, int], int] = field(default_factory=dict)

    def take(self, event: "minuted.StreamTurnsResponse | Interrupted") -> None:
        super().take(event)
        if isinstance(event, Interrupted):
            return
        kind, now = event.WhichOneof("event"), time.time()
        if kind != "turn" or event.turn.id not in self.finals:
            return
        turn = event.turn
        self.final_at.setdefault(turn.id, now)
        if turn.speaker.label:
            self.attributed_at.setdefault(turn.id, now)
        seq = self.seq_of.setdefault((turn.id, turn.revision), turn.seq)
        assert seq == turn.seq, f"turn {turn.id} was told again under another number"


@dataclass
class Stage:
    """What a fault has to do with. `notes` are shortcomings the fault itself saw; `told` what the session said of it.

    `told` is for people: reasons of links that were not up, and of a session that could not store.
    """

    meeting: Meeting
    daemon: DaemonProcess
    openai: StandInProcess
    pyannote: StandInProcess
    client: AsyncClient
    witness: Witness
    seed: int = 0
    began_at: float = 0.0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    """Told of everything the witness sees."""
    notes: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def vendor(self, name: str) -> StandInProcess:
        """The stand-in of this name."""
        return self.openai if name == "openai" else self.pyannote

    async def order(self, vendor: str, **order: Any) -> None:
        """Tell a stand-in to behave otherwise; see StandInProcess.control."""
        await asyncio.to_thread(self.vendor(vendor).control, **order)

    def take(self, session: Session) -> None:
        """Note what a session says of itself."""
        links = (session.capture_link, session.diarizer_link, session.transcriber_link, session.spool_link)
        reasons = [link.reason for link in links if link.health not in _WELL] + [session.failure.reason]
        self.told += [reason for reason in reasons if reason and reason not in self.told]

    async def session(self) -> Session:
        """The session as the daemon has it, also just after a restart."""
        while True:
            try:
                async with self.daemon.client() as client:
                    return await client.session(SESSION)
            except minuted.Unreachable:
                await asyncio.sleep(LOOK_EVERY_S)

    async def turns(self) -> list[Turn]:
        """The final turns as ListTurns gives them."""
        async with self.daemon.client() as client:
            return [turn async for turn in client.turns(SESSION)]


@asynccontextmanager
async def staged(meeting: Meeting, disk: str = "", seed: int = 0) -> AsyncIterator[Stage]:
    """Set the stage, with the session not yet started. `disk` is the size of a state directory in memory."""
    with ExitStack() as stack:
        place = stack.enter_context(short_place())
        if disk:
            stack.enter_context(small_disk(place / "state", disk))
        openai = stack.enter_context(openai_standin([meeting]))
        pyannote = stack.enter_context(pyannote_standin([meeting], knobs=PYANNOTE_KNOBS))
        # A frozen process would not end.
        stack.callback(_thaw, openai, pyannote)
        write_wav(place / f"{SESSION}.wav", meeting)
        vendors = {"openai": {"base_url": openai.base_url}, "pyannote": {"base_url": pyannote.base_url}}
        daemon = DaemonProcess(place, vendors, log_level="info")
        async with daemon, daemon.client() as client:
            yield Stage(meeting, daemon, openai, pyannote, client, Witness(), seed)


async def start(stage: Stage) -> None:
    """Start the session; its first sample is heard about now."""
    stage.began_at = time.time()
    await stage.client.start(SESSION, device=f"file:{recording(stage)}")


def recording(stage: Stage) -> Path:
    """The meeting as a file."""
    return stage.daemon.place / f"{SESSION}.wav"


async def watch(stage: Stage) -> None:
    """See everything, from the first change on, for ever."""
    async with aclosing(stage.client.watch(after=0)) as stream:
        async for event in stream:
            stage.witness.take(event)
            async with stage.changed:
                stage.changed.notify_all()


async def look(stage: Stage) -> None:
    """See how the session is, for ever, over restarts of the daemon."""
    while True:
        with contextlib.suppress(minuted.Error):
            async for session in stage.client.watch_sessions():
                stage.take(session)
        await asyncio.sleep(LOOK_EVERY_S)


def _thaw(*vendors: StandInProcess) -> None:
    for vendor in vendors:
        with contextlib.suppress(ProcessLookupError):
            os.kill(vendor.process.pid, signal.SIGCONT)

"""What is redacted or deleted is gone: from the lists, the streams, the audio, and from the bytes of every file."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import minuted
from minuted import (
    AsyncClient,
    Interrupted,
    Interval,
    IntervalKind,
    RedactSessionResponse,
    Session,
    SessionState,
    Turn,
    TurnState,
)
from tests.e2e.daemon_process import DaemonProcess, run_daemon
from tests.e2e.live_run import PYANNOTE_KNOBS
from tests.fakes.meeting import RATE_HZ, Meeting, load_meeting, write_wav
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LENGTH_S = 28
ROOM = load_meeting("IB4003", 1035.0, LENGTH_S)
OTHER = load_meeting("ES2011d", 939.5, 12)
LIVE_AT_S, LIVE_LAST_S = 12.0, 5.0
ENDED_S = (17.0, 22.0)
MARGIN_S = 0.5
"""Around a redaction: where a word lies is known to the turn, and its audio goes with whole words."""


@dataclass
class Subscriber:
    """Turns with words as they are now, also growing ones, and what else is told of sessions and intervals."""

    turns: dict[str, Turn] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    states: list[tuple[str, SessionState]] = field(default_factory=list)
    told: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self, client: AsyncClient, after: int) -> None:
        async with aclosing(client.watch(after=after)) as stream:
            async for event in stream:
                assert not isinstance(event, Interrupted)
                kind = event.WhichOneof("event")
                if kind == "turn" and event.turn.state == TurnState.TURN_STATE_RETRACTED:
                    self.turns.pop(event.turn.id, None)
                elif kind == "turn":
                    self.turns[event.turn.id] = event.turn
                elif kind == "interval":
                    self.intervals[event.interval.id] = event.interval
                elif kind == "session":
                    self.states.append((event.session.id, event.session.state))
                async with self.told:
                    self.told.notify_all()

    @property
    def words(self) -> set[str]:
        return {word for turn in self.turns.values() for word in turn.text.split()}

    async def until(self, seen: Callable[["Subscriber"], bool]) -> None:
        async with asyncio.timeout(30), self.told:
            await self.told.wait_for(lambda: seen(self))


@asynccontextmanager
async def subscribed(client: AsyncClient, after: int = 0) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(subscriber.follow(client, after))
        yield subscriber
        following.cancel()


def left_in_files(folder: Path, words: Collection[str]) -> dict[str, list[str]]:
    """Return the words that are in the bytes of any file, log and shared memory of the database included."""
    any_of = re.compile(b"(?:" + b"|".join(word.encode() for word in sorted(words)) + b")(?![0-9])")
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and (there := set(any_of.findall(path.read_bytes()))):
            found[path.name] = sorted(word.decode() for word in there)
    return found


def said_between(room: Meeting, start_s: float, end_s: float) -> set[str]:
    return {word.text for word in room.words if word.start > start_s * RATE_HZ and word.end < end_s * RATE_HZ}


def span_s(left: RedactSessionResponse) -> tuple[float, float]:
    return left.start_offset.ToNanoseconds() / 1e9, left.end_offset.ToNanoseconds() / 1e9


async def session_once(client: AsyncClient, session: str, so: Callable[[Session], bool]) -> Session:
    """Wait until a session is so."""
    async with asyncio.timeout(60):
        while True:
            told = await client.session(session)
            if so(told):
                return told
            await asyncio.sleep(0.1)


async def words_listed(client: AsyncClient, session: str) -> set[str]:
    return {word async for turn in client.turns(session) for word in turn.text.split()}


async def kept_audio(daemon: DaemonProcess, session: Session) -> tuple[NDArray[np.int16], int]:
    """Return the audio that is kept, and its rate, once the spool is finished."""
    async with asyncio.timeout(15):
        while True:
            if not [path for path in (daemon.state_dir / "spool").rglob("*") if session.id in str(path)]:
                break
            await asyncio.sleep(0.1)
    (path,) = (daemon.state_dir / "audio").glob(f"{session.id}*")
    audio: NDArray[np.int16]
    audio, rate_hz = soundfile.read(path, dtype="int16")
    return audio, rate_hz


async def test_what_is_redacted_and_what_is_deleted_is_gone(place: Path) -> None:
    for room, name in ((ROOM, "room"), (OTHER, "other")):
        await asyncio.to_thread(write_wav, place / f"{name}.wav", room)
    with pyannote_standin([ROOM, OTHER], knobs=PYANNOTE_KNOBS) as pyannote, openai_standin([ROOM, OTHER]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            await client.start("other", device=f"file:{place}/other.wav")
            session = await client.start("room", device=f"file:{place}/room.wav", keep_audio=True)
            async with subscribed(client) as seen:
                # The last seconds of a session that goes on.
                await session_once(client, session.id, lambda one: one.duration.ToNanoseconds() >= LIVE_AT_S * 1e9)
                live = await client.redact(session.id, last_s=LIVE_LAST_S)
                start_s, end_s = span_s(live)
                assert end_s >= LIVE_AT_S
                assert end_s - start_s >= LIVE_LAST_S - 0.1
                gone = said_between(ROOM, start_s + MARGIN_S, end_s - MARGIN_S)
                assert len(gone) > 5, "somebody spoke there"
                assert left_in_files(daemon.state_dir, gone) == {}
                assert not gone & await words_listed(client, session.id)
                await seen.until(lambda told: not gone & told.words)

                told = await session_once(
                    client, session.id, lambda one: one.state == SessionState.SESSION_STATE_STOPPED
                )
                assert not gone & seen.words, "nothing of it comes later"
                behind = said_between(ROOM, end_s + 1.0, LENGTH_S)
                assert behind <= await words_listed(client, session.id), "what is said behind it is minuted"
                audio, rate_hz = await kept_audio(daemon, told)
                assert len(audio) == pytest.approx(LENGTH_S * rate_hz, abs=0.2 * rate_hz)
                assert not audio[round(start_s * rate_hz) : round(end_s * rate_hz)].any()
                assert np.abs(audio[round((end_s + 1.0) * rate_hz) :]).max() > 1000

                # An interval of a session that has ended.
                also = await client.redact(session.id, start_s=ENDED_S[0], end_s=ENDED_S[1])
                start_s, end_s = span_s(also)
                more = said_between(ROOM, start_s + MARGIN_S, end_s - MARGIN_S)
                assert len(more) > 5
                gone |= more
                assert left_in_files(daemon.state_dir, gone) == {}
                assert not gone & await words_listed(client, session.id)
                await seen.until(lambda told: not gone & told.words)
                audio, rate_hz = await kept_audio(daemon, told)
                assert not audio[round(start_s * rate_hz) : round(end_s * rate_hz)].any()
                muted = [one for one in seen.intervals.values() if one.reason == "REDACTED"]
                assert [one.kind for one in muted] == [IntervalKind.INTERVAL_KIND_MUTED] * 2
                assert {span_of(one) for one in muted} == {span_s(live), span_s(also)}
                covered = (await client.session(session.id)).coverage.muted.ToNanoseconds() / 1e9
                assert covered == pytest.approx(sum(high - low for low, high in map(span_of, muted)), abs=0.01)

                # All of it.
                kept = await words_listed(client, session.id)
                assert kept
                assert left_in_files(daemon.state_dir, kept)
                await client.delete(session.id)
                await seen.until(lambda told: told.states[-1] == (session.id, SessionState.SESSION_STATE_DELETED))
            assert left_in_files(daemon.state_dir, set(ROOM.by_text)) == {}
            assert [path for path in daemon.state_dir.rglob("*") if session.id in path.name] == []
            with pytest.raises(minuted.Error) as unknown:
                await client.session(session.id)
            assert unknown.value.reason == "SESSION_NOT_FOUND"
            assert set(OTHER.by_text) <= await words_listed(client, "other"), "the other one stays"
            async with subscribed(client) as late:
                await late.until(lambda told: (session.id, SessionState.SESSION_STATE_DELETED) in told.states)
            assert not set(ROOM.by_text) & late.words
            assert not set(ROOM.by_text) & set(daemon.log.split())


def span_of(interval: Interval) -> tuple[float, float]:
    return interval.start_offset.ToNanoseconds() / 1e9, interval.end_offset.ToNanoseconds() / 1e9

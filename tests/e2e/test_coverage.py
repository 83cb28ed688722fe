"""The ledger of a live session through an outage of its transcriber: what was said is text or pending."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from minuted import AsyncClient, Coverage, Session, SessionState
from tests.e2e.daemon_process import environment, run_daemon
from tests.fakes.meeting import RATE_HZ, Meeting, load_meeting, write_wav
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LENGTH_S = 24
SLACK_S = 1.5
"""Pauses and edges that the meeting's annotation counts as speech."""


def parts_s(told: Coverage) -> dict[str, float]:
    lost = {loss.reason: loss.duration for loss in told.lost}
    parts = {"text": told.text, "silence": told.silence, "muted": told.muted, "pending": told.pending, **lost}
    return {name: length.ToNanoseconds() / 1e9 for name, length in parts.items()}


def assert_adds_up(session: Session) -> None:
    told = session.coverage
    lengths = [told.text, told.silence, told.muted, told.pending, *(loss.duration for loss in told.lost)]
    assert sum(length.ToNanoseconds() for length in lengths) == session.duration.ToNanoseconds()


def spoken_s(room: Meeting, until_s: float) -> float:
    """How long anybody spoke, up to there."""
    total = reached = 0.0
    for segment in room.segments:
        start, end = max(segment.start / RATE_HZ, reached), min(segment.end / RATE_HZ, until_s)
        total += max(0.0, end - start)
        reached = max(reached, end)
    return total


async def watched(client: AsyncClient, room: Meeting, outage_from_s: float, begin_outage: asyncio.Event) -> list[float]:
    """Ask again and again until the session has ended; give how much was pending each time."""
    pending: list[float] = []
    while True:
        session = await client.session("boardroom")
        assert_adds_up(session)
        heard_s = session.duration.ToNanoseconds() / 1e9
        parts = parts_s(session.coverage)
        silent_s = heard_s - spoken_s(room, heard_s)
        assert parts["silence"] <= silent_s + SLACK_S, f"speech counts as silence at {heard_s} s: {parts}"
        pending.append(parts["pending"])
        if heard_s >= outage_from_s:
            begin_outage.set()
        if session.state == SessionState.SESSION_STATE_STOPPED:
            return pending
        await asyncio.sleep(0.3)


async def test_speech_is_text_or_pending_and_never_silence(place: Path) -> None:
    room = load_meeting("IB4010", 2825.5, LENGTH_S)
    await asyncio.to_thread(write_wav, place / "room.wav", room)
    with pyannote_standin([room]) as pyannote, openai_standin([room]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            begin_outage = asyncio.Event()
            await client.start("boardroom", device=f"file:{place}/room.wav")
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(watched(client, room, 8.0, begin_outage))
                await begin_outage.wait()
                await asyncio.to_thread(openai.outage, 8.0)
            session = await client.session("boardroom")
            command = [
                sys.executable,
                "-m",
                "minutectl",
                "--address",
                daemon.address,
                "sessions",
                "--coverage",
                "--json",
            ]
            shown = await asyncio.to_thread(subprocess.check_output, command, env=environment({}), timeout=15)
    assert max(watching.result()) > 5.0, "what was said in the outage is pending meanwhile"
    parts = parts_s(session.coverage)
    assert {name: length_s for name, length_s in parts.items() if name not in ("text", "silence")} == {
        "muted": 0.0,
        "pending": 0.0,
    }
    assert parts["text"] == pytest.approx(spoken_s(room, LENGTH_S), abs=SLACK_S)
    (line,) = shown.splitlines()
    assert json.loads(line)["coverage"]["text"] == session.coverage.text.ToJsonString()

"""A session that begins with the daemon, before its microphone is there: it waits, and hears it within seconds."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from minuted import Interrupted, SessionState
from minuted.v1.sessions_pb2 import LinkHealth
from tests.e2e.daemon_process import run_daemon
from tests.fakes.meeting import load_meeting, render
from tests.fakes.processes import openai_standin, pyannote_standin
from tests.rig.fixtures import Rig
from tests.rig.hearing import workers_of, zombies_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

ABSENT_S = 5.0
FIRST_TURN_S = 5.0
SLACK_S = 1.0
"""The machine may be busy with other things."""
MEETING = load_meeting("ES2011b", 616, 24)
"""One speech, with a second's pause in the middle."""


@pytest.fixture
def talking(rig_plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig with a microphone at which somebody speaks all the time."""
    speech = tmp_path / "speech.s16"
    speech.write_bytes(render(MEETING).tobytes())
    rig = Rig(rig_plugin, tmp_path, speech=speech)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(rig.configuration))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/no-server")
    return rig


async def test_a_microphone_that_comes_later_than_its_session_is_heard_at_once(talking: Rig, place: Path) -> None:
    talking.talker.unplug()
    boardroom = {"device": "talker", "autostart": True}
    with pyannote_standin([MEETING]) as pyannote, openai_standin([MEETING]) as openai:
        async with (
            run_daemon(place, pyannote.base_url, openai.base_url, **{"sessions.boardroom": boardroom}) as daemon,
            daemon.client() as client,
        ):
            async with asyncio.timeout(10), aclosing(client.watch_sessions()) as changes:
                async for session in changes:
                    if session.state == SessionState.SESSION_STATE_RUNNING:
                        break
            link = session.capture_link
            assert (link.health, link.reason) == (LinkHealth.LINK_HEALTH_DOWN, "DEVICE_ABSENT")
            assert session.degraded
            await asyncio.sleep(ABSENT_S)
            async with asyncio.timeout(20), aclosing(client.watch(partials=True)) as stream:
                talking.talker.plug_in()
                plugged_s = time.monotonic()
                words: list[str] = []
                while not words:
                    event = await anext(stream)
                    words = [] if isinstance(event, Interrupted) else event.turn.text.split()
            first_s = time.monotonic() - plugged_s
            print(f"first words {first_s:.1f} s after the microphone")
            assert first_s < FIRST_TURN_S + SLACK_S
            assert set(words) <= MEETING.by_text.keys()
            session = await client.session("boardroom")
            assert session.capture_link.health == LinkHealth.LINK_HEALTH_UP
            assert len(workers_of(daemon.pid)) == 1
            assert zombies_of(daemon.pid) == []

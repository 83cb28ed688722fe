"""A room whose vendors are reached through a proxy only: every word is there, and all of it went that way."""

import asyncio
from pathlib import Path

import pytest

from minuted import LinkHealth
from tests.e2e.daemon_process import KEYS, DaemonProcess
from tests.e2e.live_run import EXCERPTS, PYANNOTE_KNOBS, play
from tests.fakes.meeting import load_meeting
from tests.fakes.processes import openai_standin, pyannote_standin
from tests.fakes.proxy import ProxyStandIn, http_proxy

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LOGIN = ("room", "geheim-4711")


async def test_a_meeting_through_a_proxy(place: Path) -> None:
    name, start_s = EXCERPTS[0]
    rooms = [load_meeting(name, start_s, 12)]
    with pyannote_standin(rooms, knobs=PYANNOTE_KNOBS) as pyannote, openai_standin(rooms) as openai:
        async with http_proxy(ProxyStandIn(login=LOGIN)) as proxy:
            vendors = {"pyannote": {"base_url": pyannote.base_url}, "openai": {"base_url": openai.base_url}}
            way = {"http_proxy": f"http://{LOGIN[0]}:{LOGIN[1]}@127.0.0.1:{proxy.port}"}
            async with DaemonProcess(place, vendors, {**KEYS, **way}) as daemon, daemon.client() as client:
                (played,) = await play(client, rooms, place)
                score = played.score
                assert (score.words_lost, score.words_repeated, score.unknown) == (0, 0, 0)
                assert len(proxy.asked) >= 3
                # From here on it wants another password; the links say so, whoever asks, and nothing shows the old one.
                proxy.login = ("room", "new")
                session = await client.start("after", device=f"file:{place}/room-0.wav")
                while not session.transcriber_link.reason or not session.diarizer_link.reason:
                    await asyncio.sleep(0.1)
                    session = await client.session("after")
                for link in (session.diarizer_link, session.transcriber_link):
                    assert link.health == LinkHealth.LINK_HEALTH_DOWN
                    assert link.reason == "PROXY_AUTH_REQUIRED"
                    assert f"127.0.0.1:{proxy.port} (http_proxy)" in link.detail
                    assert LOGIN[1] not in link.detail
    assert LOGIN[1] not in daemon.log
    assert "PROXY_AUTH_REQUIRED" in daemon.log

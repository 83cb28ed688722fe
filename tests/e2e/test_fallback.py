"""Both vendors refuse for good, and the session may fall back: the offline engine does what it does when it is asked
for itself, although the session's audio is kept at OpenAI's rate.
"""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from minuted import LinkHealth, SessionState
from tests.e2e.daemon_process import run_daemon
from tests.e2e.following import ended, follow
from tests.e2e.standup import RECORDING, error_rate, shown, speakers
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def test_the_offline_engine_takes_over_and_says_so(place: Path) -> None:
    unpaid = [{"at": "post", "do": "status", "status": 402, "times": 0}]
    bad_key = [{"at": "upgrade", "do": "status", "status": 401, "times": 0}]
    sessions = {"boardroom": {"fallback": "local", "languages": ["en", "de"]}}
    with pyannote_standin([], script=unpaid) as pyannote, openai_standin([], script=bad_key) as openai:
        async with (
            run_daemon(
                place,
                pyannote.base_url,
                openai.base_url,
                **{f"sessions.{name}": keys for name, keys in sessions.items()},
            ) as daemon,
            daemon.client() as client,
        ):
            await client.start("boardroom", device=f"file:{RECORDING}")
            async with asyncio.timeout(30), aclosing(client.watch_sessions()) as changes:
                async for session in changes:
                    links = (session.diarizer_link, session.transcriber_link)
                    if all(link.health == LinkHealth.LINK_HEALTH_UP for link in links):
                        break
            assert [link.reason for link in links] == ["FELL_BACK", "FELL_BACK"]
            assert session.degraded
            assert (session.diarizer, session.transcriber, session.fallback) == ("pyannote", "openai", "local")
            assert "The local transcriber knows only en, and will get de wrong." in links[1].detail
            await follow(client, ended())
            session = await client.session("boardroom")
            turns = [turn async for turn in client.turns("boardroom")]
    assert session.state == SessionState.SESSION_STATE_STOPPED
    assert session.diarizer_sent.ToNanoseconds() == session.transcriber_sent.ToNanoseconds() == 0
    assert speakers([turn for turn in turns if turn.speaker.label]) == ["S1", "S2", "S3"], shown(turns)
    assert error_rate(turns) <= 0.12, shown(turns)

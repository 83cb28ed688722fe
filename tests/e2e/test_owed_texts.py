"""A transcriber that comes back when its sessions have ended, or the daemon has: their texts come, each once."""

import asyncio
from pathlib import Path

import pytest

from minuted import AsyncClient, LinkHealth, Session, SessionState, TextSource
from tests.bench.scoring import score
from tests.e2e.daemon_process import DaemonProcess, run_daemon
from tests.e2e.following import ENDED, Seen, follow
from tests.e2e.live_run import EXCERPTS, PYANNOTE_KNOBS, scored
from tests.fakes.meeting import Meeting, load_meeting, write_wav
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

LENGTH_S = 14
FROM_S = 5.0
DRAIN_S = 20.0
"""So long an ended session waits for its texts."""
REFUSED = LinkHealth.LINK_HEALTH_REFUSED


def all_told(seen: Seen) -> bool:
    """Until a session has ended and no turn lacks its text."""
    over = any(session.state in ENDED for session in seen.sessions.values())
    return over and all(turn.text_source == TextSource.TEXT_SOURCE_COMPLETED for turn in seen.finals.values())


def some_lack_text(seen: Seen) -> bool:
    over = any(session.state in ENDED for session in seen.sessions.values())
    return over and any(turn.text_source != TextSource.TEXT_SOURCE_COMPLETED for turn in seen.finals.values())


async def assert_whole(client: AsyncClient, room: Meeting, before: Seen, after: Seen) -> None:
    """Every word is there once, in the turns that were there before, and the ledger says so."""
    turns = [turn async for turn in client.turns("room")]
    ours = score(room, scored(turns))
    assert (ours.words_lost, ours.words_repeated, ours.words_foreign) == (0, 0, 0)
    assert turns == after.turns
    for turn in turns:
        told = before.finals[turn.id]
        assert (turn.speaker, turn.start_offset, turn.end_offset) == (told.speaker, told.start_offset, told.end_offset)
        assert turn.revision == told.revision + (told.text_source != TextSource.TEXT_SOURCE_COMPLETED)
    assert not pending_s(await client.session("room"))
    assert not (await client.session("room")).coverage.lost


def pending_s(session: Session) -> float:
    return session.coverage.pending.ToTimedelta().total_seconds()


async def lost_s(client: AsyncClient) -> float:
    session = await client.session("room")
    return sum(loss.duration.ToTimedelta().total_seconds() for loss in session.coverage.lost)


async def no_spool(daemon: DaemonProcess) -> None:
    async with asyncio.timeout(5.0):
        while True:
            if not list((daemon.state_dir / "spool").iterdir()):
                return
            await asyncio.sleep(0.05)


async def test_a_session_that_was_stopped_gets_its_texts_when_the_transcriber_is_back(place: Path) -> None:
    room = load_meeting(*EXCERPTS[0], LENGTH_S)
    with pyannote_standin([room], knobs=PYANNOTE_KNOBS) as pyannote, openai_standin([room]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            write_wav(place / "room.wav", room)
            await client.start("room", device=f"file:{place}/room.wav")
            await asyncio.sleep(FROM_S)
            await asyncio.to_thread(openai.outage, LENGTH_S - FROM_S + DRAIN_S + 4.0)
            before = await follow(client, some_lack_text)
            session = await client.session("room")
            assert session.state == SessionState.SESSION_STATE_STOPPED
            assert pending_s(session) > 1.0
            assert await lost_s(client) == 0
            after = await follow(client, all_told)
            await assert_whole(client, room, before, after)
            await no_spool(daemon)
            assert after.seqs[-1] > max(before.seqs)


async def test_what_sigterm_left_is_told_at_the_next_start(place: Path) -> None:
    room = load_meeting(*EXCERPTS[2], LENGTH_S)
    with pyannote_standin([room], knobs=PYANNOTE_KNOBS) as pyannote, openai_standin([room]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon:
            async with daemon.client() as client:
                write_wav(place / "room.wav", room)
                await client.start("room", device=f"file:{place}/room.wav")
                await asyncio.sleep(FROM_S)
                await asyncio.to_thread(openai.outage, 60.0)
                await asyncio.sleep(LENGTH_S - FROM_S + 1.5)
            await daemon.stop()
            await daemon.start()
            async with daemon.client() as client:
                before = await follow(client, some_lack_text)
                assert pending_s(await client.session("room")) > 1.0
                await asyncio.to_thread(openai.outage, 0.0)
                # Killed in the middle of it: what is stored stays, what is not comes again.
                await follow(client, lambda seen: sum(turn.revision > 0 for turn in seen.finals.values()) >= 2)
            daemon.kill()
            await daemon.start()
            async with daemon.client() as client:
                after = await follow(client, all_told)
                await assert_whole(client, room, before, after)
            await no_spool(daemon)


async def test_a_refused_session_that_is_killed_goes_on_and_gets_what_it_was_owed(place: Path) -> None:
    room = load_meeting(*EXCERPTS[3], LENGTH_S)
    with pyannote_standin([room], knobs=PYANNOTE_KNOBS) as pyannote, openai_standin([room]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon:
            async with daemon.client() as client:
                write_wav(place / "room.wav", room)
                fault = {"at": "upgrade", "do": "status", "status": 403, "times": 0}
                await asyncio.to_thread(openai.control, faults=[fault])
                await client.start("room", device=f"file:{place}/room.wav")
                await asyncio.sleep(LENGTH_S - 2.0)
                refused = await client.session("room")
                assert refused.transcriber_link.health == REFUSED
                assert pending_s(refused) > 1.0
            daemon.kill()
            await asyncio.to_thread(openai.control, clear_faults=True)
            await daemon.start()
            async with daemon.client() as client:
                after = await follow(client, all_told)
                ours = score(room, scored(after.turns))
                assert (ours.words_lost, ours.words_repeated, ours.words_foreign) == (0, 0, 0)
            await no_spool(daemon)


async def test_a_refusal_for_good_in_mid_turn_is_made_up_for_once_it_is_mended(place: Path) -> None:
    room = load_meeting(*EXCERPTS[1], LENGTH_S)
    merge = {"freeze_s": 1.0}  # the spool would have let go of the audio long before the end
    with pyannote_standin([room], knobs=PYANNOTE_KNOBS) as pyannote, openai_standin([room]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url, merge=merge) as daemon:
            async with daemon.client() as client:
                write_wav(place / "room.wav", room)
                await client.start("room", device=f"file:{place}/room.wav")
                await asyncio.sleep(FROM_S)
                fault = {"at": "upgrade", "do": "status", "status": 402, "times": 0}
                await asyncio.to_thread(openai.control, faults=[fault], break_={"do": "reset"})
                await asyncio.sleep(3.0)
                live = await client.session("room")
                assert live.transcriber_link.health == REFUSED
                assert live.coverage.pending
                assert await lost_s(client) == 0
                before = await follow(client, some_lack_text)
            await daemon.stop()
            await asyncio.to_thread(openai.control, clear_faults=True)
            await daemon.start()
            async with daemon.client() as client:
                after = await follow(client, all_told)
                await assert_whole(client, room, before, after)
            await no_spool(daemon)
            assert daemon.log.count("backfill_delayed") <= 1, "a refusal is not asked about again and again"

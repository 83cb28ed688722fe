"""Who subscribes when makes no difference: all end with the same final turns, whatever the daemon goes through."""

from pathlib import Path

import pytest

from minuted import AsyncClient, Session, SessionState, Turn
from tests.e2e.daemon_process import run_daemon
from tests.e2e.following import Seen, ended, follow, turns_so_far
from tests.fakes.meeting import Meeting, load_meeting, write_wav
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOM = load_meeting("ES2011d", 939.5, 12)


async def listed(client: AsyncClient, session: str) -> dict[str, Turn]:
    return {turn.id: turn async for turn in client.turns(session, page_size=3)}


def recording(place: Path, meeting: Meeting = ROOM) -> str:
    path = place / f"{meeting.name}.wav"
    if not path.exists():
        write_wav(path, meeting)
    return f"file:{path}"


async def all_ever(client: AsyncClient, count: int) -> Seen:
    """What somebody gets who comes late and wants everything, of so many ended sessions."""
    return await follow(client, ended(count))


async def test_early_and_late_subscribers_and_the_list_agree_also_after_a_restart(place: Path) -> None:
    with pyannote_standin([ROOM]) as pyannote, openai_standin([ROOM]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon:
            async with daemon.client() as client:

                async def start() -> None:
                    await client.start("room", device=recording(place))

                early = await follow(client, ended(), partials=True, caught_up=start)
                late = await all_ever(client, 1)
                seqs_late = late.seqs
                turns = await listed(client, "room")
                store_id = (await client.info()).store_id
            assert early.partials > 0
            assert len(turns) >= 5
            assert early.finals == late.finals == turns
            assert {word for turn in turns.values() for word in turn.text.split()} == set(ROOM.by_text)

            await daemon.stop()
            await daemon.start()
            async with daemon.client() as client:
                again = await all_ever(client, 1)
                assert again.finals == turns
                assert again.seqs == seqs_late
                assert await listed(client, "room") == turns
                info = await client.info()
                assert info.store_id == store_id
                assert info.highest_seq == max(seqs_late)
                assert next(iter(again.sessions.values())).state == SessionState.SESSION_STATE_STOPPED


async def test_a_watch_goes_on_over_sigterm_and_sees_every_turn_once(place: Path) -> None:
    """A session that SIGTERM cuts short settles first; a watch from before sees that, and the next daemon's session."""
    with pyannote_standin([ROOM]) as pyannote, openai_standin([ROOM]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            await client.start("room", device=recording(place))
            seen = await follow(client, turns_so_far(2), "room")
            first = seen.seqs[-1]
            await daemon.stop()
            await daemon.start()
            async with daemon.client() as fresh:
                past = await fresh.session("room")
                assert past.state == SessionState.SESSION_STATE_STOPPED
                settled = await listed(fresh, "room")
            rest = await follow(client, ended(), "room", after=first, seen=seen)
            assert rest.finals == settled
            assert len(settled) >= 2
            # What was heard is there to its last second, each word once.
            words = [word for turn in settled.values() for word in turn.text.split()]
            heard = past.duration.ToNanoseconds() / 1e9
            due = {word.text for word in ROOM.words if word.end < (heard - 0.3) * 16000}
            assert len(words) == len(set(words))
            assert due <= set(words)


async def test_kill_9_loses_no_stored_turn_and_renumbers_none(place: Path) -> None:
    with pyannote_standin([ROOM]) as pyannote, openai_standin([ROOM]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            await client.start("room", device=recording(place))
            before = await follow(client, turns_so_far(3), "room")
            daemon.kill()
            await daemon.start()
            async with daemon.client() as fresh:
                assert before.finals.items() <= (await listed(fresh, "room")).items()
                replay = await follow(fresh, ended())
                after = await listed(fresh, "room")
                assert before.finals.items() <= after.items()
                assert replay.finals == after
                assert_continues(before, replay, await fresh.session("room"))
                # The same watch goes on where it was, and a session after it gets higher numbers only.
                rest = await follow(client, ended(), "room", after=before.seqs[-1], seen=before)
                assert rest.finals == after
                highest = (await fresh.info()).highest_seq
                again = await fresh.start("room", device=recording(place))
                assert again.id != replay.turns[0].session_id
                assert again.seq > highest
                await fresh.stop("room")


def assert_continues(before: Seen, replay: Seen, session: Session) -> None:
    assert session.state in (SessionState.SESSION_STATE_FAILED, SessionState.SESSION_STATE_STOPPED)
    for turn in before.turns:
        assert replay.finals[turn.id].seq == turn.seq
        assert turn.seq in replay.seqs

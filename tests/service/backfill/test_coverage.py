"""What is told of an ended session's audio while the rest of a turn's text is still asked for."""

from pathlib import Path

from minuted_daemon.core.coverage import NO_TEXT
from minuted_daemon.core.records import IntervalId, IntervalKind, IntervalRecord
from minuted_daemon.ports.store import REDACTED
from tests.adapters.spool.rooms import ONE
from tests.support.backfill_desk import ADA, BEGUN, BOB, LAST, ROOM, SAID, a_desk, fill

WHOLE = BEGUN.end - BEGUN.start


async def test_a_turn_that_has_the_first_part_of_its_text_is_pending_until_the_rest_came(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "I would rather wait.") as desk:
        await fill(desk, SAID, BEGUN)
        told = await desk.coverage()
        assert (told.pending, told.text) == (WHOLE, SAID.end - SAID.start)
        await desk.finished()
        told = await desk.coverage()
        assert (told.pending, told.text) == (0, SAID.end - SAID.start + WHOLE)


async def test_once_the_rest_is_given_up_the_part_that_came_is_its_text(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "", "") as desk:
        await fill(desk, BEGUN)
        assert (await desk.coverage()).pending == WHOLE
        await desk.finished()
        told = await desk.coverage()
        assert (told.pending, told.text) == (0, WHOLE)


async def test_without_its_audio_it_has_all_the_text_it_will_get(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await desk.store.write([ROOM, ADA, BOB, BEGUN])
        told = await desk.coverage()
        assert (told.pending, told.text) == (0, WHOLE)


async def test_beside_what_was_redacted_nothing_is_asked_for(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await fill(desk, BEGUN, LAST)
        taken_out = IntervalRecord(
            IntervalId("01REDACTED"), ONE, IntervalKind.MUTED, BEGUN.end, LAST.start, 1.8e9, REDACTED
        )
        await desk.store.write([taken_out])
        told = await desk.coverage()
        assert (told.pending, told.text, told.lost) == (0, WHOLE, {REDACTED: LAST.end - LAST.start})
        await desk.finished()
        assert desk.oracle.asked == []
        assert NO_TEXT not in (await desk.coverage()).lost

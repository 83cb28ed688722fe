"""What ended sessions are owed: over a real database and a real spool, with a transcriber that says what it is told."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minuted_daemon.adapters.spool.session_spool import SessionSpool
from minuted_daemon.adapters.spool.spools import Bounds
from minuted_daemon.core.coverage import NO_TEXT
from minuted_daemon.core.events import Attribution, Evidence, SuspectReason, TextSource
from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    Record,
    Seq,
    SessionSettings,
    StoredTurn,
    TurnId,
    TurnLife,
)
from minuted_daemon.core.samples import RATE_HZ, Sample, samples
from minuted_daemon.core.transcription.turn import LEAD, TAIL
from minuted_daemon.errors import MinutedError, NotFound, StoreError
from minuted_daemon.ports.store import REDACTED
from tests.adapters.spool.rooms import ONE, TWO, all_of, hear
from tests.support.backfill_desk import (
    BEGUN,
    DOWN,
    GONE,
    HEARD_S,
    LAST,
    NO_CREDIT,
    OWED,
    ROOM,
    SAID,
    SOON,
    Desk,
    a_desk,
    fill,
    turn,
)


async def fill_a_segment(spool: SessionSpool) -> None:
    """Hear until another segment begins: one is shed as a whole."""
    while len(spool.held) < 2:
        await hear(spool, 10.0)


def outlive_the_first(desk: Desk, spool: SessionSpool) -> None:
    """The first segment becomes too old, the second does not."""
    desk.house.clock.pass_s(50.0)
    spool.held[0].born_s -= 60.0
    desk.spools.tend()


async def changes(desk: Desk, after: Seq) -> list[Any]:
    return list(await desk.store.changes(after, await desk.store.highest_seq(), ONE, 100))


async def test_texts_come_as_revisions_and_nothing_else_changes(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "I would.", "I would rather wait.", "Fine.") as desk:
        await fill(desk, SAID, OWED, BEGUN, LAST)
        audio, _ = await all_of(desk.spools.open(ONE), 0, samples(HEARD_S))
        seq = await desk.store.highest_seq()
        before = {one.id: one for one in await desk.turns()}
        await desk.finished()
        told = [one.turn for one in await changes(desk, seq) if isinstance(one, StoredTurn)]
        assert [(one.id, one.text, one.revision) for one in told] == [
            (OWED.id, "I would.", 1),
            (BEGUN.id, "I would rather wait.", 1),
            (LAST.id, "Fine.", 1),
        ]
        for one in told:
            old = before[one.id]
            new: dict[str, Any] = {"text": one.text, "seq": one.seq, "revision": 1, "generation": one.generation}
            assert one == replace(old, text_source=TextSource.COMPLETED, **new)
            assert one.generation is not None
            assert one.generation > 13, "above all that were given out"
        assert (await desk.turns())[0] == before[SAID.id]
        ranges = [
            (OWED.start, OWED.end + TAIL),  # what was said before has its text
            (BEGUN.start - LEAD, BEGUN.end + TAIL),
            (LAST.start - LEAD, LAST.end + TAIL),
        ]
        for heard, (start, end) in zip(desk.oracle.asked, ranges, strict=True):
            assert np.array_equal(heard, audio[start * 3 // 2 : end * 3 // 2])
        assert (await desk.store.session(ONE)).transcriber_sent == 100
        assert not desk.holds("I would rath\0")


async def test_a_text_that_comes_late_is_judged_like_any_other(tmp_path: Path) -> None:
    answers = "Thank you for watching!", "I would rather wait.", "I would rather wait for all of the others. Fine."
    async with a_desk(tmp_path, *answers) as desk:
        tap, word = Evidence(samples(0.1), samples(0.2)), Evidence(samples(0.5), samples(0.5))
        await fill(desk, SAID, replace(OWED, evidence=tap), replace(BEGUN, evidence=word), LAST)
        await desk.finished()
        assert [(one.text, one.suspect) for one in await desk.turns()] == [
            (SAID.text, None),
            (answers[0], SuspectReason.BOILERPLATE),
            (answers[1], None),
            (answers[2], SuspectReason.CUMULATIVE),
        ]


async def test_subscribers_are_told_with_the_speakers(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await fill(desk, SAID, OWED)
        told = asyncio.Event()
        seen: list[StoredTurn] = []

        async def listen() -> None:
            async for change in desk.hub.subscribe(ONE, await desk.store.highest_seq(), False):
                item = getattr(change, "item", None)
                if isinstance(item, StoredTurn):
                    seen.append(item)
                    told.set()

        listening = desk.group.create_task(listen())
        await desk.finished()
        await told.wait()
        listening.cancel()
        assert [(one.turn.id, one.session_name, one.speakers[0].label) for one in seen] == [
            (OWED.id, "boardroom", "S2")
        ]


async def test_nothing_owed_needs_no_connection(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await fill(desk, SAID)
        await desk.finished()
        assert desk.oracle.attempts_s == []


async def test_without_a_transcriber_nothing_is_owed(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await fill(desk, OWED)
        await desk.store.write([replace(ROOM, settings=SessionSettings("default", "local", "none"))])
        await desk.finished()
        assert desk.oracle.attempts_s == []


NOBODYS = replace(OWED, speaker_id=None, attribution=Attribution.UNKNOWN)


async def test_an_answer_without_a_word_takes_a_turn_back_that_nobody_claims(tmp_path: Path) -> None:
    async with a_desk(tmp_path, " ... ", "Fine.") as desk:
        await fill(desk, SAID, NOBODYS, LAST)
        seq = await desk.store.highest_seq()
        await desk.finished()
        assert await desk.texts() == ["Shall we begin?", "Fine."]
        lives = [one.turn.life for one in await changes(desk, seq) if isinstance(one, StoredTurn)]
        assert lives == [TurnLife.RETRACTED, TurnLife.FINAL]


@pytest.mark.parametrize("wordless", ["", " ... ", "♪"])
async def test_a_claimed_turn_is_asked_for_once_more_and_stays(tmp_path: Path, wordless: str) -> None:
    async with a_desk(tmp_path, wordless, "Fine.", wordless) as desk:
        await fill(desk, SAID, OWED, LAST)
        await desk.finished()
        assert await desk.texts() == ["Shall we begin?", "", "Fine."]
        assert len(desk.oracle.asked) == 3
        assert (await desk.coverage()).lost == {NO_TEXT: OWED.end - OWED.start}


async def test_the_second_answer_may_have_the_words(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "", "I would.") as desk:
        await fill(desk, SAID, OWED)
        await desk.finished()
        assert await desk.texts() == ["Shall we begin?", "I would."]


async def test_a_transcriber_that_repeats_itself_is_asked_once(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "") as desk:
        desk.oracle.capabilities = replace(desk.oracle.capabilities, repeats=True)
        await fill(desk, OWED)
        await desk.finished()
        assert [one.text_source for one in await desk.turns()] == [TextSource.NONE]
        assert len(desk.oracle.asked) == 1


@pytest.mark.parametrize(("answer", "attempts"), [("", 2), (None, 1 + len(SOON))])
async def test_what_was_said_before_an_answer_that_brings_none_is_kept(
    tmp_path: Path, answer: Any, attempts: int
) -> None:
    """The fake says `u1 ` and so on as it hears: with nobody to claim the turn, that is what was heard of it."""
    async with a_desk(tmp_path, *[answer] * attempts) as desk:
        desk.oracle.partials = True
        await fill(desk, SAID, NOBODYS)
        await desk.finished()
        turns = await desk.turns()
        assert [one.text_source for one in turns] == [TextSource.COMPLETED, TextSource.PROVISIONAL]
        assert turns[1].text.startswith("u")
        assert len(desk.oracle.asked) == attempts


async def test_a_transcriber_that_fails_at_everything_is_tried_with_one_turn_at_a_time(tmp_path: Path) -> None:
    turns = [turn(n, 1.0 + n, 1.6 + n) for n in range(2, 10)]
    async with a_desk(tmp_path, *[None] * 5, trial_wait_s=0.02, others_first_s=1.0) as desk:
        await fill(desk, SAID, *turns)
        await desk.finished()
        assert all(text.startswith(("text", "Shall")) for text in await desk.texts())
        assert len(await desk.texts()) == 9
        assert len(desk.oracle.asked) == 5 + 8
        assert len(desk.oracle.streams) >= 3, "one connection for each trial"


async def test_words_that_were_told_are_not_taken_back_by_silence(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "", "") as desk:
        await fill(desk, BEGUN)
        await desk.finished()
        assert await desk.texts() == [BEGUN.text]


async def test_a_turn_whose_audio_has_a_hole_is_not_taken_back(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "", "") as desk:
        await fill(desk, SAID, heard_s=12.3)
        spool = desk.spools.open(ONE)
        spool.skip(Sample(samples(12.5)))
        await hear(spool, 3.0)
        await desk.store.write([OWED])
        await desk.finished()
        assert [one.text_source for one in await desk.turns()] == [TextSource.COMPLETED, TextSource.NONE]
        assert (await desk.coverage()).lost == {NO_TEXT: OWED.end - OWED.start}


async def test_a_turn_with_no_audio_at_all_is_not_asked_for(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await fill(desk, SAID, heard_s=12.0)
        spool = desk.spools.open(ONE)
        spool.skip(Sample(samples(13.0)))
        await hear(spool, 2.0)
        await desk.store.write([OWED])
        await desk.finished()
        assert desk.oracle.asked == []
        assert (await desk.coverage()).lost == {NO_TEXT: OWED.end - OWED.start}


@pytest.mark.parametrize("fault", [NO_CREDIT, DOWN])
async def test_a_refusal_is_not_for_good(tmp_path: Path, fault: MinutedError) -> None:
    async with a_desk(tmp_path, "I would.") as desk:
        desk.oracle.refusals = [fault] * 2
        await fill(desk, SAID, OWED)
        assert (await desk.coverage()).pending == OWED.end - OWED.start
        await desk.finished()
        assert await desk.texts() == ["Shall we begin?", "I would."]
        assert len(desk.oracle.attempts_s) == 3
        assert (await desk.coverage()).text == OWED.end - SAID.start


async def test_a_key_that_is_missing_is_waited_for(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await fill(desk, OWED)
        await desk.store.write([replace(ROOM, settings=SessionSettings("default", "local", "missing"))])
        desk.finishing.begin(ONE)
        await desk.key_wanted.wait()
        assert (await desk.coverage()).pending == OWED.end - OWED.start
        desk.owing.stop()
        await desk.finishing.stop(1.0)
        assert ONE in desk.spools.spools, "the next start goes on"


async def test_a_connection_that_breaks_costs_no_text(tmp_path: Path) -> None:
    async with a_desk(tmp_path, DOWN, "Fine.", "I would.", again_s=(1.2,)) as desk:
        await fill(desk, SAID, OWED, LAST)
        await desk.finished()
        assert await desk.texts() == ["Shall we begin?", "I would.", "Fine."], "the others do not wait for one"
        assert len(desk.oracle.streams) == 3
        assert all(stream.closed for stream in desk.oracle.streams)


@pytest.mark.parametrize("answer", [None, DOWN])
async def test_a_turn_that_gets_no_answer_is_given_up_after_some_attempts(tmp_path: Path, answer: Any) -> None:
    async with a_desk(tmp_path, *[answer] * 9) as desk:
        await fill(desk, SAID, OWED)
        desk.finishing.begin(ONE)
        while ONE in desk.spools.spools:
            await asyncio.sleep(0.02)
            assert (await desk.coverage()).text == SAID.end - SAID.start
        assert len(desk.oracle.asked) == 1 + len(SOON)
        assert (await desk.coverage()).lost == {NO_TEXT: OWED.end - OWED.start}


async def test_a_connection_is_replaced_before_it_expires(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.oracle.lifetime_s = 5.0
        await fill(desk, SAID, OWED, BEGUN, LAST)
        await desk.finished()
        assert [one.text_source for one in await desk.turns()] == [TextSource.COMPLETED] * 4
        assert len(desk.oracle.streams) == 3
        assert desk.oracle.most_at_once == 1


async def test_it_is_asked_no_faster_than_four_times_real_time(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await fill(desk, turn(1, 11.0, 14.0), turn(2, 14.0, 18.0))
        began_s = asyncio.get_running_loop().time()
        await desk.finished()
        assert asyncio.get_running_loop().time() - began_s >= 7.0 / 4 - 0.3


async def test_sessions_are_served_one_after_another(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        await fill(desk, SAID, OWED, LAST)
        other = replace(OWED, id=TurnId("01OTHER"), session_id=TWO, speaker_id=None)
        await desk.store.write([replace(ROOM, id=TWO, name="lab"), other])
        await hear(desk.spools.open(TWO), 15.0)
        desk.finishing.begin(TWO)
        await desk.finished()
        while TWO in desk.spools.spools:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        assert desk.oracle.most_at_once == 1
        assert len(desk.oracle.asked) == 3
        assert (await desk.store.owed_turns(TWO, 10, None)).items == []


async def test_killed_between_answer_and_store_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "I would.", "lost on the way") as desk:
        await fill(desk, SAID, OWED, LAST)
        written = asyncio.Event()
        revise = desk.store.revise

        async def killed(record: Any) -> Sequence[Record]:
            if record.id == LAST.id:
                written.set()
                await asyncio.Event().wait()
            return await revise(record)

        desk.store.revise = killed  # type: ignore[method-assign]
        desk.finishing.begin(ONE)
        await written.wait()
        await desk.finishing.cancel_and_wait(ONE)
    async with a_desk(tmp_path, "Fine.") as desk:
        assert await desk.texts() == ["Shall we begin?", "I would.", ""]
        await desk.finishing.finalize_leftovers(())
        await desk.finished()
        assert await desk.texts() == ["Shall we begin?", "I would.", "Fine."]
        assert [one.revision for one in await desk.turns()] == [0, 1, 1]
        assert len(desk.oracle.asked) == 1


async def test_a_store_that_fails_is_waited_for(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "I would.", "I would!") as desk:
        await fill(desk, SAID, OWED)
        revise, faults = desk.store.revise, [StoreError("DISK_FULL", "the disk is full")]

        async def failing(record: Any) -> Sequence[Record]:
            if faults:
                raise faults.pop()
            return await revise(record)

        desk.store.revise = failing  # type: ignore[method-assign]
        await desk.finished()
        assert await desk.texts() == ["Shall we begin?", "I would!"]


async def test_nothing_is_stored_of_a_session_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "a secret") as desk:
        await fill(desk, SAID, OWED, LAST)
        seq: list[Seq] = []

        async def delete() -> None:
            seq.append((await desk.store.delete_session(ONE)).seq)

        desk.oracle.before_answer = delete
        await desk.finished()
        assert not desk.holds("a secret")
        assert await desk.store.highest_seq() == seq[0], "nothing is told behind the deletion"
        with pytest.raises(NotFound):
            await desk.store.session(ONE)
        assert len(desk.oracle.asked) == 1


async def test_nothing_is_stored_of_what_is_redacted_meanwhile(tmp_path: Path) -> None:
    async with a_desk(tmp_path, "a secret", "Fine.") as desk:
        await fill(desk, SAID, OWED, LAST)
        where = Sample(OWED.start + 1_000), OWED.end
        interval = IntervalRecord(IntervalId("01GONE"), ONE, IntervalKind.MUTED, *where, 1.8e9, reason=REDACTED)

        async def redact() -> None:
            desk.oracle.before_answer = None
            desk.owing.forget(ONE, *where)
            while await desk.store.redact(interval):
                pass
            await desk.spools.erase(ONE, *where)

        desk.oracle.before_answer = redact
        await desk.finished()
        assert not desk.holds("a secret")
        assert await desk.texts() == ["Shall we begin?", "", "Fine."], "what is left of the turn is owed no words"
        assert len(desk.oracle.asked) == 2
        assert list((await desk.coverage()).lost) == [REDACTED]


async def test_deleting_waits_for_nothing_that_is_owed(tmp_path: Path) -> None:
    async with a_desk(tmp_path, GONE) as desk:
        await fill(desk, SAID, OWED)
        desk.finishing.begin(ONE)
        await desk.oracle.was_asked.wait()
        async with asyncio.timeout(2.0):
            await desk.finishing.cancel_and_wait(ONE)
        assert desk.oracle.streams[0].closed
        await desk.spools.delete(ONE)
        desk.finishing.begin(ONE)
        async with asyncio.timeout(2.0):
            await desk.finishing.stop(10.0)  # at once: nothing is under way


async def test_shed_audio_is_lost_and_the_rest_is_still_asked_for(tmp_path: Path) -> None:
    async with a_desk(tmp_path, bounds=Bounds(10**12, 100.0)) as desk:
        desk.oracle.refusals = [DOWN]
        await fill(desk, SAID, OWED)
        desk.house.clock.pass_s(70.0)
        spool = desk.spools.open(ONE)
        await fill_a_segment(spool)
        late = turn(5, spool.end / RATE_HZ - 2.0, spool.end / RATE_HZ - 1.5)
        await desk.store.write([replace(ROOM, heard=spool.end), late])
        assert (await desk.coverage()).pending == OWED.end - OWED.start + late.end - late.start
        outlive_the_first(desk, spool)
        told = await desk.coverage()
        assert (told.pending, told.lost) == (late.end - late.start, {NO_TEXT: OWED.end - OWED.start})
        await desk.finished()
        assert len(desk.oracle.asked) == 1
        assert [one.text_source for one in await desk.turns()] == [
            TextSource.COMPLETED,
            TextSource.NONE,
            TextSource.COMPLETED,
        ]
        assert (await desk.coverage()).lost == {"SPOOL_AGED": OWED.end - OWED.start}


async def test_why_a_text_will_not_come_is_told_while_others_are_waited_for(tmp_path: Path) -> None:
    async with a_desk(tmp_path, bounds=Bounds(10**12, 100.0)) as desk:
        desk.oracle.refusals = [DOWN] * 1000
        await fill(desk, SAID, OWED, BEGUN)
        spool = desk.spools.open(ONE)
        await fill_a_segment(spool)
        late = [turn(5 + n, spool.end / RATE_HZ - 2.0 + n, spool.end / RATE_HZ - 1.5 + n) for n in range(2)]
        await desk.store.write([replace(ROOM, heard=spool.end), *late])
        desk.finishing.begin(ONE)
        before = await desk.store.highest_seq()
        outlive_the_first(desk, spool)
        async with asyncio.timeout(10.0), aclosing(desk.hub.subscribe(ONE, before, False)) as stream:
            async for change in stream:
                if isinstance(getattr(change, "item", None), IntervalRecord):
                    break
        await asyncio.sleep(0.2)  # some more attempts
        told = [one for one in await changes(desk, before) if isinstance(one, IntervalRecord)]
        assert [(one.kind, one.start, one.end, one.start_wall_s) for one in told] == [
            (IntervalKind.LOST, of.start, of.end, of.start_wall_s) for of in (OWED, BEGUN)
        ], "each once"
        sums = await desk.coverage()
        assert sums.lost == {"SPOOL_AGED": OWED.end - OWED.start}
        assert sums.text == SAID.end - SAID.start + BEGUN.end - BEGUN.start, "the first part of a text is one"
        assert sums.pending == sum(one.end - one.start for one in late)


async def test_the_daemons_end_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    async with a_desk(tmp_path, GONE) as desk:
        await fill(desk, SAID, OWED)
        desk.finishing.begin(ONE)
        await desk.oracle.was_asked.wait()
        desk.owing.stop()
        async with asyncio.timeout(2.0):
            await desk.finishing.stop(5.0)
        assert ONE in desk.spools.spools
        desk.finishing.begin(ONE)  # a session that ends behind that
        async with asyncio.timeout(2.0):
            await desk.finishing.stop(5.0)
        assert ONE in desk.spools.spools
        assert len(desk.oracle.asked) == 1

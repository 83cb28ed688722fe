"""Gates in front of the vendors: who asks, how often, and what those who wait hear. Over fakes in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import structlog

from minuted_daemon.core.records import Health, Link
from minuted_daemon.errors import MinutedError, Rejected, Unavailable
from minuted_daemon.service.connections.diarizer_link import DiarizerLink
from minuted_daemon.service.connections.transcriber_connection import TranscriberOpener
from minuted_daemon.service.connections.transcriber_link import TranscriberLink
from minuted_daemon.service.engines.failover import EngineSlot, FailoverDiarizer, FailoverTranscriber
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.retries.gate import ASKED_AGAIN_S, Door, Gates, Retries
from tests.fakes_service.diarizer import FakeDiarizer, FakeDiarizerStream
from tests.fakes_service.spools import FakeSpool
from tests.fakes_service.transcriber import FakeTranscriber, FakeTranscriberStream
from tests.fakes_service.virtual_time import virtual_time, wall_s

DEAD = Rejected("KEY_REJECTED", "The key is no good.")
ODD = Rejected("CONFIG_REJECTED", "No such language.")
DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")
AGAIN_S = 600.0
HOUR_S = 3600.0
ANSWER_S = 0.2


def gates(random: float = 0.5) -> Gates:
    return Gates(lambda: random, wall_s, AGAIN_S)


def ask(door: Door, answer: MinutedError | None = None) -> str:
    """Ask, and be answered so; give what became of it."""
    try:
        with door.asking():
            if answer is not None:
                raise answer
    except MinutedError as error:
        return "held" if answer is None else error.reason
    return "accepted"


class Nobody:
    """Wants to know nothing."""

    def epoch_changed(self, event: object) -> None: ...
    def diarized(self, *_: object) -> None: ...
    def transcribed(self, event: object) -> None: ...


class SlowDiarizer(FakeDiarizer):
    async def open(self) -> FakeDiarizerStream:
        await asyncio.sleep(ANSWER_S)
        return await super().open()


class SlowTranscriber(FakeTranscriber):
    async def open(self, languages: Sequence[str]) -> FakeTranscriberStream:
        await asyncio.sleep(ANSWER_S)
        return await super().open(languages)


class Sessions:
    """The links of many sessions, without their audio."""

    def __init__(self, count: int) -> None:
        self.gates = gates()
        self.diarizer, self.transcriber = SlowDiarizer(), SlowTranscriber()
        self.told: list[Link] = [Link(Health.OFF)] * (2 * count)
        self.group: asyncio.TaskGroup
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self, number: int) -> None:
        doors = self.gates.door("diarizer", "pyannote"), self.gates.door("transcriber", "openai", ("en",))
        log = structlog.get_logger()
        heard = FailoverDiarizer(EngineSlot("diarizer", self.diarizer, None, EngineUsage(), log, doors[0]))
        link = DiarizerLink(
            heard, Retries(lambda: 0.5, doors[0]), Nobody(), lambda told: self._tell(2 * number, told), log
        )
        written = FailoverTranscriber(
            EngineSlot("transcriber", self.transcriber, None, EngineUsage(), log, doors[1]), ("en",)
        )
        other = TranscriberLink(
            TranscriberOpener(written, ("en",), FakeSpool()),
            Retries(lambda: 0.5, doors[1]),
            Nobody(),
            lambda told: self._tell(2 * number + 1, told),
            log,
        )
        self.tasks.append(self.group.create_task(link.run()))
        self.tasks.append(self.group.create_task(other.run()))

    def _tell(self, place: int, link: Link) -> None:
        self.told[place] = link


@asynccontextmanager
async def live(count: int, *, refused: int = 0) -> AsyncIterator[Sessions]:
    made = Sessions(count)
    made.diarizer.refusals, made.transcriber.refusals = [DEAD] * refused, [DEAD] * refused
    async with asyncio.TaskGroup() as group:
        made.group = group
        stop = asyncio.current_task()
        assert stop is not None
        for number in range(count):
            made.begin(number)
        yield made
        for task in made.tasks:
            task.cancel()


# --- one gate ---------------------------------------------------------------------------------------------------------


@virtual_time
async def test_who_comes_while_it_is_refused_is_told_so_and_asks_nothing() -> None:
    all_of_them = gates()
    one, other = (all_of_them.door("transcriber", "openai") for _ in range(2))
    assert ask(one, DEAD) == "KEY_REJECTED"
    with pytest.raises(Rejected) as told, other.asking():
        pytest.fail("it asked")
    assert (told.value.reason, told.value.message) == (DEAD.reason, DEAD.message)
    assert told.value.retry_after_s is not None
    assert AGAIN_S <= told.value.retry_after_s <= 1.1 * AGAIN_S
    await asyncio.sleep(AGAIN_S * 1.05)
    assert ask(other) == "accepted"
    assert not one.shut


@virtual_time
async def test_one_asks_for_all_at_a_time() -> None:
    all_of_them = gates()
    one, other = (all_of_them.door("transcriber", "openai") for _ in range(2))
    ask(one, DEAD)
    await asyncio.sleep(AGAIN_S * 1.05)
    with one.asking():
        assert ask(other) == "held"
    assert ask(other) == "accepted"


@virtual_time
async def test_who_gives_up_asking_leaves_it_to_the_others() -> None:
    all_of_them = gates()
    one, other = (all_of_them.door("transcriber", "openai") for _ in range(2))
    ask(one, DEAD)
    await asyncio.sleep(AGAIN_S * 1.05)
    with pytest.raises(asyncio.CancelledError), one.asking():
        raise asyncio.CancelledError
    await asyncio.sleep(1.0)
    assert ask(other, DOWN) == "VENDOR_DOWN"
    assert other.shut
    await asyncio.sleep(2.0)
    assert ask(one) == "accepted"


@virtual_time
async def test_settings_that_are_refused_shut_out_only_those_who_have_them() -> None:
    all_of_them = gates()
    odd, plain = (all_of_them.door("transcriber", "openai", (language,)) for language in ("tlh", "en"))
    assert ask(odd, ODD) == "CONFIG_REJECTED"
    assert ask(plain) == "accepted"
    assert ask(odd) == "held"
    assert ask(plain, DEAD) == "KEY_REJECTED"
    assert ask(all_of_them.door("transcriber", "openai", ("de",))) == "held"
    assert ask(all_of_them.door("diarizer", "pyannote")) == "accepted"


@virtual_time
async def test_a_connection_that_is_refused_after_all_shuts_the_gate() -> None:
    door = gates().door("transcriber", "openai")
    assert ask(door) == "accepted"
    with pytest.raises(Rejected) as told, door.using():
        raise DEAD
    assert told.value.retry_after_s is not None
    assert told.value.retry_after_s < 2.0, "it had worked before"


@virtual_time
async def test_somebody_may_hurry_it_once_in_ten_seconds() -> None:
    door = gates().door("transcriber", "openai")
    assert not door.hurry(), "nothing is refused"
    ask(door, DEAD)
    assert not door.hurry(), "it was asked just now"
    await asyncio.sleep(ASKED_AGAIN_S)
    assert door.hurry()
    assert ask(door, DEAD) == "KEY_REJECTED"
    assert not door.hurry()
    assert ask(door) == "held"


# --- many sessions ----------------------------------------------------------------------------------------------------


@virtual_time
async def test_64_sessions_with_a_dead_key_for_an_hour_ask_once_every_ten_minutes_in_all() -> None:
    async with live(64, refused=10_000) as made:
        await asyncio.sleep(HOUR_S)
        for engine in (made.diarizer, made.transcriber):
            first = engine.attempts_s[0]
            later = [at for at in engine.attempts_s if at > first + 5.0]
            assert len(engine.attempts_s) - len(later) <= 64, "those that were under way at once"
            assert len(later) <= HOUR_S / AGAIN_S
            assert all(after - before >= AGAIN_S for before, after in pairwise(later))
        assert all(link == Link(Health.REFUSED, DEAD.reason, DEAD.message) for link in made.told)
        now_s = wall_s()
        for link in made.told:
            assert link.since_s == pytest.approx(now_s - HOUR_S, abs=1.0)
            assert link.next_s is not None
            assert now_s - 10.0 <= link.next_s <= now_s + 1.1 * AGAIN_S


@virtual_time
async def test_sessions_that_start_while_the_key_is_refused_ask_nothing() -> None:
    async with live(1, refused=10_000) as made:
        await asyncio.sleep(1.0)
        made.told *= 64
        for number in range(1, 64):
            made.begin(number)
        await asyncio.sleep(60.0)
        assert len(made.diarizer.attempts_s) == len(made.transcriber.attempts_s) == 1
        assert {link.health for link in made.told} == {Health.REFUSED}


@virtual_time
async def test_once_it_is_accepted_all_come_back_one_after_another() -> None:
    async with live(64, refused=64) as made:
        await asyncio.sleep(AGAIN_S * 1.2)
        assert {link.health for link in made.told} == {Health.UP}
        assert len(made.diarizer.attempts_s) == 128


@virtual_time
async def test_a_slip_on_a_reconnect_is_over_in_seconds_and_asks_little() -> None:
    async with live(16) as made:
        await asyncio.sleep(30.0)
        asked = len(made.diarizer.attempts_s)
        made.diarizer.refusals = [DEAD] * 17
        for stream in made.diarizer.streams:
            stream.break_now(DOWN)
        await asyncio.sleep(8.0)
        assert {link.health for link in made.told} == {Health.UP}
        assert len(made.diarizer.attempts_s) - asked <= 16 + 1 + 16

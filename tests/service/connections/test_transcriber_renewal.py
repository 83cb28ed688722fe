"""A transcriber's connections renewed in time: utterances stay where they began, and nothing is lost, said twice or
asked for needlessly. Over a fake engine, in virtual time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from minuted_daemon.core.events import (
    Append,
    Clear,
    Commit,
    TextCompleted,
    TextFailed,
    TextGrew,
    TranscriberLost,
    TranscriberReady,
    UtteranceId,
)
from minuted_daemon.core.records import Health, Link
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.errors import Rejected, Unavailable
from minuted_daemon.service.connections.transcriber_connection import TranscriberOpener
from minuted_daemon.service.connections.transcriber_link import TranscriberLink
from minuted_daemon.service.retries.gate import Retries
from tests.fakes_service.capture import block
from tests.fakes_service.spools import FakeSpool
from tests.fakes_service.transcriber import FakeTranscriber
from tests.fakes_service.virtual_time import virtual_time

DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")
ONE, TWO, THREE = UtteranceId(1), UtteranceId(2), UtteranceId(3)


class Room:
    """A link, what it told, and a clock that its spool fills up to."""

    def __init__(self, engine: FakeTranscriber) -> None:
        self.engine = engine
        self.events: list[object] = []
        self.healths: list[Link] = []
        spool = FakeSpool()
        for n in range(600):
            spool.append(block(True, n))
        self.link = TranscriberLink(
            TranscriberOpener(engine, (), spool),
            Retries(lambda: 0.5),
            self,
            self.healths.append,
            structlog.get_logger(),
        )
        self.began_s = asyncio.get_running_loop().time()

    def transcribed(self, event: object) -> None:
        self.events.append(event)

    async def at(self, second: float) -> None:
        await asyncio.sleep(self.began_s + second - asyncio.get_running_loop().time())

    async def speak(self, utterance: UtteranceId, start_s: float, end_s: float, *, commit: bool = True) -> None:
        """Speech as it is heard, committed at its end."""
        place = start_s
        while place < end_s:
            until = min(end_s, place + 0.1)
            await self.at(until)
            self.link.submit(Append(utterance, Sample(samples(place)), Sample(samples(until))))
            place = until
        if commit:
            self.link.submit(Commit(utterance, pad=0))

    @property
    def answers(self) -> list[object]:
        return [event for event in self.events if isinstance(event, TextCompleted | TextFailed)]

    @property
    def connection(self) -> list[object]:
        return [event for event in self.events if isinstance(event, TranscriberReady | TranscriberLost)]


@asynccontextmanager
async def room(lifetime_s: float) -> AsyncIterator[Room]:
    engine = FakeTranscriber()
    engine.partials = False
    engine.lifetime_s = lifetime_s
    made = Room(engine)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.link.run())
        await asyncio.sleep(0.01)
        yield made
        task.cancel()


def heard_s(engine: FakeTranscriber) -> list[tuple[int, UtteranceId, float]]:
    """Each connection's number, what it committed, and how much of it was heard there."""
    return [
        (number, utterance, round(len(stream.heard(utterance)) / 24_000, 2))
        for number, stream in enumerate(engine.streams)
        for utterance in stream.committed
    ]


@virtual_time
async def test_an_utterance_stays_on_the_connection_it_began_on_and_the_next_begins_on_the_fresh_one() -> None:
    async with room(20.0) as made:
        await made.speak(ONE, 13.0, 17.0)  # the fresh connection is there at 15
        await made.speak(TWO, 17.0, 18.5)
        assert not made.engine.streams[0].closed or made.answers, "it has an answer to give"
        await made.at(25.0)
    assert heard_s(made.engine) == [(0, ONE, 4.0), (1, TWO, 1.5)]
    assert made.answers == [TextCompleted(ONE, "u1 heard 4000 ms"), TextCompleted(TWO, "u2 heard 1500 ms")]
    assert made.connection == [TranscriberReady()], "the merger does not notice"
    assert [told.health for told in made.healths] == [Health.CONNECTING, Health.UP], "nobody does"


@virtual_time
async def test_the_old_connection_is_closed_as_soon_as_it_owes_nothing() -> None:
    async with room(20.0) as made:
        await made.speak(ONE, 14.0, 16.0)
        await made.at(16.2)
        assert not made.engine.streams[0].closed
        await made.at(16.4)
        assert made.engine.streams[0].closed
        assert len(made.engine.streams) == 2


@virtual_time
async def test_an_idle_connection_changes_at_once() -> None:
    async with room(20.0) as made:
        await made.at(15.1)
        assert [stream.closed for stream in made.engine.streams] == [True, False]
        await made.at(30.1)
        assert [stream.closed for stream in made.engine.streams] == [True, True, False]


@virtual_time
async def test_the_change_is_a_quarter_of_the_lifetime_or_five_minutes_before_the_end() -> None:
    for lifetime_s, expected_s in ((20.0, 15.0), (3600.0, 3300.0)):
        async with room(lifetime_s) as made:
            await made.at(expected_s + 1.0)
        assert made.engine.attempts_s[1] - made.engine.attempts_s[0] == pytest.approx(expected_s, abs=0.1)


@virtual_time
async def test_only_what_is_still_open_at_the_very_end_begins_again() -> None:
    async with room(20.0) as made:
        await made.speak(ONE, 12.0, 14.5)
        await made.speak(TWO, 14.5, 23.0)
        await made.at(27.0)
    assert heard_s(made.engine) == [(0, ONE, 2.5), (1, TWO, 8.5)]
    assert 3.3 < len(made.engine.streams[0].heard(TWO)) / 24_000 < 3.7, "until an answer would come too late"
    assert made.answers == [TextCompleted(ONE, "u1 heard 2500 ms"), TextCompleted(TWO, "u2 heard 8500 ms")]
    assert made.engine.streams[0].open == TWO, "half of it went to the old connection first"
    assert made.connection == [TranscriberReady()]


@virtual_time
async def test_a_partial_that_begins_again_replaces_what_was_shown() -> None:
    async with room(20.0) as made:
        await made.speak(ONE, 14.5, 19.5, commit=False)
        fresh = made.engine.streams[1]
        for word in ("again", " and"):
            fresh.say(TextGrew(ONE, word))
        await made.at(20.0)
    assert [event for event in made.events if isinstance(event, TextGrew)] == [
        TextGrew(ONE, "again", replaces=True),
        TextGrew(ONE, " and"),
    ]


@virtual_time
async def test_what_is_never_answered_is_asked_for_again_alone() -> None:
    async with room(20.0) as made:
        made.engine.answers = False
        await made.speak(ONE, 13.0, 14.0)
        await made.at(15.1)
        made.engine.answers = True
        await made.speak(TWO, 15.1, 16.1)
        await made.at(18.0)
        assert made.answers == [TextCompleted(TWO, "u2 heard 1000 ms")]
        await made.at(19.9)
        assert not made.engine.streams[0].closed, "it may answer to the very end"
        await made.at(20.1)
        assert made.answers[1:] == [TextFailed(ONE, "CONNECTION_ENDED")]
        assert made.engine.streams[0].closed


@virtual_time
async def test_a_superseded_connection_that_breaks_costs_only_what_it_had_not_finished() -> None:
    async with room(20.0) as made:
        made.engine.answer_after_s = 2.0
        await made.speak(ONE, 13.0, 14.5)
        await made.speak(TWO, 14.5, 15.5, commit=False)
        made.engine.streams[0].break_now(DOWN)
        await made.speak(TWO, 15.5, 16.5)
        await made.at(20.0)
    assert made.answers == [TextFailed(ONE, "CONNECTION_ENDED"), TextCompleted(TWO, "u2 heard 2000 ms")]
    assert made.connection == [TranscriberReady()]
    assert [told.health for told in made.healths] == [Health.CONNECTING, Health.UP]


@virtual_time
async def test_the_fresh_connection_breaks_while_the_old_one_is_still_there() -> None:
    async with room(20.0) as made:
        await made.speak(ONE, 14.5, 15.5, commit=False)
        made.engine.streams[1].break_now(DOWN)
        await made.at(16.5)
        assert made.connection == [TranscriberReady(), TranscriberLost(), TranscriberReady()]
        assert [stream.closed for stream in made.engine.streams] == [True, True, False]
        await made.speak(TWO, 16.5, 17.5)
        await made.at(18.0)
    assert made.answers == [TextCompleted(TWO, "u2 heard 1000 ms")]


@virtual_time
async def test_an_utterance_can_be_taken_back_on_the_old_connection() -> None:
    async with room(20.0) as made:
        await made.speak(ONE, 14.5, 15.5, commit=False)
        made.link.submit(Clear(ONE))
        await made.speak(TWO, 15.5, 16.5)
        await made.at(18.0)
    assert made.engine.streams[0].cleared == [ONE]
    assert heard_s(made.engine) == [(1, TWO, 1.0)]


@virtual_time
async def test_a_failed_renewal_is_tried_again_while_the_old_connection_serves() -> None:
    async with room(20.0) as made:
        await made.at(14.9)
        made.engine.refusals = [DOWN, DOWN]
        await made.speak(ONE, 15.0, 16.0)
        await made.speak(TWO, 18.0, 19.0)
        await made.at(20.0)
    assert heard_s(made.engine) == [(0, ONE, 1.0), (1, TWO, 1.0)]
    assert made.connection == [TranscriberReady()]


@virtual_time
async def test_a_renewal_that_is_refused_leaves_the_old_connection_to_serve_to_its_end() -> None:
    async with room(20.0) as made:
        await made.at(14.9)
        made.engine.refusals = [Rejected("QUOTA_EXHAUSTED", "no credit")] * 99
        await made.speak(ONE, 16.0, 17.0)
        await made.at(19.9)
        made.engine.streams[0].break_now(Unavailable("SESSION_EXPIRED", "the end"))
        await made.at(25.0)
    assert made.answers == [TextCompleted(ONE, "u1 heard 1000 ms")]
    assert made.healths[-1] == Link(Health.REFUSED, "QUOTA_EXHAUSTED", "no credit")


@virtual_time
async def test_a_renewal_that_is_refused_once_is_tried_again() -> None:
    async with room(20.0) as made:
        await made.at(14.9)
        made.engine.refusals = [Rejected("KEY_REJECTED", "a slip")]
        await made.speak(ONE, 18.0, 22.0)
        await made.at(24.0)
    assert made.answers == [TextCompleted(ONE, "u1 heard 4000 ms")]
    assert made.connection == [TranscriberReady()]


@virtual_time
async def test_what_was_committed_is_answered_on_a_connection_whose_open_utterance_has_moved_on() -> None:
    async with room(20.0) as made:
        made.engine.answer_after_s = 4.5
        await made.speak(ONE, 13.0, 14.9)
        await made.speak(TWO, 14.9, 20.0)
        await made.at(26.0)
    assert made.answers == [TextCompleted(ONE, "u1 heard 1900 ms"), TextCompleted(TWO, "u2 heard 5100 ms")]
    assert made.connection == [TranscriberReady()]


@pytest.mark.parametrize(("lifetime_s", "sent_s"), [(12.0, (52.0, 52.0)), (4.0, (53.0, 70.0))])
@virtual_time
async def test_continuous_speech_over_many_connections(lifetime_s: float, sent_s: tuple[float, float]) -> None:
    async with room(lifetime_s) as made:
        for n in range(40):
            await made.speak(UtteranceId(n + 1), n * 1.3, (n + 1) * 1.3)
        await made.at(55.0)
    engine = made.engine
    assert len(engine.streams) >= 52 / lifetime_s
    assert made.answers == [TextCompleted(UtteranceId(n + 1), f"u{n + 1} heard 1300 ms") for n in range(40)]
    samples_sent = sum(len(pcm) for stream in engine.streams for one in stream.audio.values() for pcm in one)
    assert sent_s[0] <= samples_sent / 24_000 <= sent_s[1], "only utterances longer than what is left are sent twice"
    assert made.connection == [TranscriberReady()]

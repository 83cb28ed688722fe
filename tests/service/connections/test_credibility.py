"""What a session makes of a diarizer whose events cannot be used, or only once they are understood; virtual time."""

import asyncio
from collections.abc import Callable

import pytest
import structlog
from structlog.testing import capture_logs

from minuted_daemon.core.events import Attribution, DiarizerNews, MessageUnusable, SpeakerEnded, SpeakerStarted
from minuted_daemon.core.records import Health, Link, SessionState
from minuted_daemon.core.samples import RATE_HZ
from minuted_daemon.errors import Garbled, Unavailable
from minuted_daemon.ports.engines import DiarizerCapabilities
from minuted_daemon.service.connections.diarizer_link import DiarizerLink
from minuted_daemon.service.retries.gate import Retries
from minuted_daemon.service.views import Links, StartRequest
from tests.fakes_service.capture import audio
from tests.fakes_service.diarizer import FakeDiarizer, FakeDiarizerStream
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time

Change = Callable[[FakeDiarizerStream, DiarizerNews], DiarizerNews | None]

LENGTHS_S = [2.1, 3.4, 1.2, 2.8, 1.7, 4.0, 2.3, 1.5, 3.1, 2.6]
PAUSES_S = [0.7, 0.9, 1.3, 0.6, 1.1, 0.8, 1.5]
UNKNOWN = MessageUnusable("messages of type segment.start")


def turns_s(length_s: float) -> list[tuple[str, float, float]]:
    """Who speaks, from, to: three people, one after the other, with pauses that are never alike."""
    found, at_s = [], 1.0
    while at_s < length_s - 6:
        n = len(found)
        found.append(("ABC"[n % 3], at_s, at_s + LENGTHS_S[n % 10]))
        at_s = round(at_s + LENGTHS_S[n % 10] + PAUSES_S[n % 7], 3)
    return found


class Mad(FakeDiarizer):
    """Its streams say everything as `change` makes it; None: not at all."""

    def __init__(self, change: Change, length_s: float) -> None:
        super().__init__(turns_s(length_s))
        self.capabilities = DiarizerCapabilities("pyannote", 0.3, checked=True)
        self.change = change

    async def open(self) -> FakeDiarizerStream:
        stream = await super().open()
        put = stream._events.put_nowait

        def changed(news: object) -> None:
            if isinstance(news, SpeakerStarted | SpeakerEnded):
                news = self.change(stream, news)
                if news is None:
                    return
            put(news)  # type: ignore[arg-type]

        stream._events.put_nowait = changed  # type: ignore[method-assign,assignment]
        return stream


def timed(per_s: float, zero_s: Callable[[FakeDiarizerStream], float] = lambda _: 0.0) -> Change:
    """Times in another unit, on another base."""

    def change(stream: FakeDiarizerStream, news: DiarizerNews) -> DiarizerNews:
        assert isinstance(news, SpeakerStarted | SpeakerEnded)
        return type(news)(news.label, round((news.at + zero_s(stream) * RATE_HZ) * per_s))

    return change


def house(change: Change, length_s: float) -> tuple[House, Mad]:
    made, diarizer = House(), Mad(change, length_s)
    stretches, at_s = [], 0.0
    for _, start_s, end_s in diarizer.script:
        stretches += [(round(start_s - at_s, 3), False), (round(end_s - start_s, 3), True)]
        at_s = end_s
    made.capture.script = audio(*stretches, (1.0, False))
    made.diarizer = diarizer
    return made, diarizer


async def links_over(made: House, seconds: float) -> list[tuple[float, Link]]:
    """How the diarizer's link was, each time that it changed, by the second of the session."""
    seen: list[tuple[float, Link]] = []
    for tenth in range(round(seconds * 10)):
        links: Links | None = (await made.registry.view("standup")).links
        assert links is not None
        if not seen or seen[-1][1] != links.diarizer:
            seen.append((tenth / 10, links.diarizer))
        await asyncio.sleep(0.1)
    return seen


def unknown(made: House, from_s: float) -> int:
    late = [turn for turn in made.store.turns_known if turn.start > from_s * RATE_HZ]
    assert late
    return sum(turn.attribution is Attribution.UNKNOWN for turn in late)


async def run(made: House, seconds: float, fallback: str = "none") -> list[tuple[float, Link]]:
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav", fallback=fallback))
        seen = await links_over(made, seconds)
        await made.ended(view.record.id)
    return seen


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (timed(1e3), "milliseconds since the stream began"),
        (timed(1.0, lambda _: 1_764_600_000.0), "seconds since 1970"),
        (timed(16_000.0, lambda _: 77.7), "samples with 77.7 s at the stream's begin"),
    ],
    ids=["milliseconds", "unix", "samples that ran on"],
)
@virtual_time
async def test_another_clock_is_understood_said_once_and_costs_no_names(change: Change, said: str) -> None:
    made, diarizer = house(change, 150.0)
    with capture_logs() as logs:
        seen = await run(made, 100.0)
    converted = [link for _, link in seen if link.reason == "TIMES_CONVERTED"]
    assert seen[-1][1] == converted[0] == Link(Health.UP, "TIMES_CONVERTED", converted[0].detail)
    assert f"tells times in {said}, which its protocol does not know" in converted[0].detail
    assert {link.health for _, link in seen[1:]} == {Health.UP}
    assert len(diarizer.streams) == 1
    assert unknown(made, 12.0) == 0
    (told,) = [entry for entry in logs if entry["event"] == "diarizer_times_converted"]
    assert told["log_level"] == "warning"


@virtual_time
async def test_a_clock_that_runs_on_behind_a_reconnection_is_understood() -> None:
    def run_on(stream: FakeDiarizerStream) -> float:
        return sum(other.sent for other in made.diarizer.streams[: made.diarizer.streams.index(stream)]) / RATE_HZ

    made, _ = house(timed(1.0, run_on), 220.0)
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(40.0)
        made.diarizer.streams[0].break_now(Unavailable("CLOSED_1011", "lost"))
        seen = await links_over(made, 120.0)
        await made.ended(view.record.id)
    assert seen[-1][1].reason == "TIMES_CONVERTED"
    assert len(made.diarizer.streams) == 2
    assert unknown(made, 60.0) == 0


@pytest.mark.parametrize(
    "change", [timed(1e3), timed(1.0, lambda stream: 1.7e9 + (stream.base or 0) / RATE_HZ)], ids=["stream", "unix"]
)
@virtual_time
async def test_a_proven_clock_is_known_behind_a_reconnection(change: Change) -> None:
    made, diarizer = house(change, 150.0)
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(60.0)
        diarizer.streams[0].break_now(Unavailable("CLOSED_1011", "lost"))
        seen = await links_over(made, 40.0)
        await made.ended(view.record.id)
    assert seen[-1][1].reason == "TIMES_CONVERTED"
    assert len(diarizer.streams) == 2
    assert unknown(made, 65.0) == 0


@virtual_time
async def test_a_clock_that_counts_audio_alone_is_proved_again_behind_each_reconnection() -> None:
    def run_on(stream: FakeDiarizerStream) -> float:
        return sum(other.sent for other in diarizer.streams[: diarizer.streams.index(stream)]) / RATE_HZ

    made, diarizer = house(timed(1.0, run_on), 260.0)
    true_starts = [round(start_s * RATE_HZ) for _, start_s, _ in diarizer.script]
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        for stream in range(2):
            await asyncio.sleep(70.0)
            diarizer.streams[stream].break_now(Unavailable("CLOSED_1011", "lost"))
        await made.ended(view.record.id)
    assert len(diarizer.streams) == 3
    late = [turn.start for turn in made.store.turns_known if turn.start > 200 * RATE_HZ and turn.speaker_id]
    assert len(late) > 5
    assert all(min(abs(start - true) for true in true_starts) < RATE_HZ / 5 for start in late)


@virtual_time
async def test_what_cannot_be_used_is_told_and_new_connections_come_slower_and_slower() -> None:
    made, diarizer = house(lambda _stream, _news: UNKNOWN, 330.0)
    with capture_logs() as logs:
        seen = await run(made, 310.0)
    at_s, first = next((at_s, link) for at_s, link in seen if link.reason == "EVENTS_GARBLED")
    assert 20.0 < at_s < 40.0
    assert first.health is Health.DOWN
    assert "None of pyannote's events could be used in 20 s" in first.detail
    assert "x messages of type segment.start" in first.detail
    assert all(link.health is Health.DOWN for at, link in seen if at > at_s), "it is not UP because it is connected"
    waits_s = [later - at for at, later in zip(diarizer.attempts_s, diarizer.attempts_s[1:], strict=False)]
    assert len(waits_s) >= 4
    assert waits_s[1] < waits_s[0]
    assert waits_s[2] >= 60
    assert waits_s[3] >= 120
    assert len([entry for entry in logs if entry["event"] == "diarizer_events_unusable"]) == 1
    assert {turn.attribution for turn in made.store.turns_known} == {Attribution.UNKNOWN}


@virtual_time
async def test_one_connection_that_went_mad_is_replaced_and_all_is_well() -> None:
    made, diarizer = house(lambda stream, news: UNKNOWN if stream is diarizer.streams[0] else news, 120.0)
    seen = await run(made, 90.0)
    assert [link.reason for _, link in seen if link.reason] == ["EVENTS_GARBLED", "EVENTS_GARBLED"]
    assert seen[-1][1] == Link(Health.UP)
    assert len(diarizer.streams) == 2
    assert unknown(made, seen[-1][0]) == 0


@virtual_time
async def test_the_second_connection_of_no_use_is_the_last_where_another_engine_may_take_over() -> None:
    made, diarizer = house(lambda _stream, _news: UNKNOWN, 150.0)
    made.missing = {}
    made.local_diarizer = FakeDiarizer(diarizer.script, lag_s=1.0)
    made.local_diarizer.now = diarizer.now  # type: ignore[method-assign]
    seen = await run(made, 100.0, fallback="local")
    assert seen[-1][1].health is Health.UP
    assert seen[-1][1].reason == "FELL_BACK"
    assert seen[-1][1].detail.endswith("The local diarizer serves instead.")
    assert len(diarizer.streams) == 2
    assert unknown(made, seen[-1][0]) == 0


@virtual_time
async def test_a_connection_that_ends_over_nonsense_alone_does_not_make_the_link_up() -> None:
    nonsense = Garbled("BAD_ANSWER", "pyannote keeps sending nonsense.")
    made, diarizer = house(lambda _stream, _news: None, 60.0)
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        await asyncio.sleep(10.0)
        diarizer.streams[0].break_now(nonsense)
        seen = await links_over(made, 5.0)
        diarizer.change = lambda _stream, news: news
        seen += await links_over(made, 10.0)
        await made.ended(view.record.id)
    reasons = [(link.health, link.reason) for _, link in seen]
    assert (Health.UP, "") not in reasons[1:-1]
    assert reasons[1] == (Health.DOWN, "BAD_ANSWER")
    assert reasons[-1] == (Health.UP, "")


@virtual_time
async def test_music_in_an_empty_room_is_no_fault() -> None:
    made, diarizer = House(), Mad(lambda _stream, news: news, 0.0)
    diarizer.script = turns_s(60.0)
    stretches, at_s = [], 0.0
    for _, start_s, end_s in diarizer.script:
        stretches += [(round(start_s - at_s, 3), False), (round(end_s - start_s, 3), True)]
        at_s = end_s
    beats = [(0.3, True), (0.2, False)] * 500
    made.capture.script = audio(*stretches, *beats)
    made.diarizer = diarizer
    seen = await run(made, 280.0)
    assert {link for _, link in seen} <= {Link(Health.CONNECTING), Link(Health.UP)}
    assert len(diarizer.streams) == 1


@virtual_time
async def test_who_says_nothing_at_all_is_told_of_and_tried_again() -> None:
    made, diarizer = house(lambda _stream, _news: None, 240.0)
    seen = await run(made, 220.0)
    at_s, told = next((at_s, link) for at_s, link in seen if link.reason == "EVENTS_MISSING")
    assert 30 < at_s < 60
    assert "pyannote has reported no speaker in 30 s in which there was voice" in told.detail
    assert {link.reason for at, link in seen if at > at_s} == {"EVENTS_MISSING"}
    assert {link.health for at, link in seen if at > at_s + 1} == {Health.UP, Health.DOWN}, "it may be music"
    assert len(diarizer.streams) == 3


@virtual_time
async def test_music_before_anybody_came_costs_few_connections_and_no_engine() -> None:
    made, diarizer = House(), Mad(lambda _stream, news: news, 0.0)
    made.missing = {}
    made.local_diarizer = FakeDiarizer()
    made.capture.script = audio(*[(0.3, True), (0.2, False)] * 1_200)
    made.diarizer = diarizer
    await run(made, 1.0, fallback="local")
    assert len(diarizer.streams) <= 4, "in ten minutes"
    assert made.local_diarizer.streams == []


@virtual_time
async def test_what_is_no_event_never_reaches_the_merge_of_an_engine_that_is_trusted() -> None:
    made, diarizer = house(lambda _stream, news: news, 20.0)
    diarizer.capabilities = DiarizerCapabilities("local", 0.3)
    async with made.open() as registry:
        view = await registry.start(StartRequest("standup", "file:/x.wav"))
        for _ in range(10):
            await asyncio.sleep(1.0)
            diarizer.streams[0].say(UNKNOWN)
        await made.ended(view.record.id)
    assert unknown(made, 0.0) == 0
    assert made.store.sessions_known[-1].state is SessionState.STOPPED


@virtual_time
async def test_an_engine_that_is_trusted_is_not_checked() -> None:
    engine = FakeDiarizer()
    healths: list[Link] = []
    link = DiarizerLink(engine, Retries(lambda: 0.5), None, healths.append, structlog.get_logger())  # type: ignore[arg-type]
    assert link._credibility.opened(0) is None  # type: ignore[arg-type]
    assert link._credibility.link == Link(Health.UP)

"""The engine against the vendor's stand-in, which runs in a process of its own and checks what it is sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from minuted_daemon.adapters.openai.engine import OpenAITranscriber
from minuted_daemon.adapters.openai.settings import Hints
from minuted_daemon.adapters.openai.stream import OpenAIStream
from minuted_daemon.core.events import TextCompleted, TextFailed, TextGrew, TranscriberEvent, UtteranceId
from minuted_daemon.errors import Rejected, Unavailable, VendorError
from tests.fakes.meeting import Meeting, render, synthetic_meeting
from tests.fakes.processes import StandInProcess, openai_standin

KEY = "sk-5510"
SLOW = {"commit_ack_s": 0.03, "out_of_order": 0.0, "early_item_id_differs": False, "expires_s": 3600.0}
U = UtteranceId


@pytest.fixture(scope="module")
def meeting() -> Meeting:
    return synthetic_meeting(5, speakers=3, minutes=0.25)


@pytest.fixture(scope="module")
def process(meeting: Meeting) -> Iterator[StandInProcess]:
    with openai_standin([meeting], knobs={"key": KEY, "update_ack_s": 0.02, "completed_s": [0.1, 0.3]}) as running:
        yield running


@pytest.fixture
def standin(process: StandInProcess) -> Iterator[StandInProcess]:
    process.control(clear_faults=True, knobs=SLOW)
    yield process
    process.control(clear_faults=True, knobs=SLOW)


@asynccontextmanager
async def transcriber(
    standin: StandInProcess, model: str = "gpt-live-transcribe", key: str = KEY
) -> AsyncIterator[OpenAITranscriber]:
    engine = OpenAITranscriber(standin.base_url, key, model, Hints(("en",), ("Ada <x>",), "minimal"))
    try:
        yield engine
    finally:
        await engine.close()


def cuts(meeting: Meeting, count: int) -> list[tuple[int, int]]:
    """Stretches of about 2 s that do not cut a word."""
    found, start = [], 0
    for word in meeting.words:
        clear = all(other.start >= word.end or other.end <= word.end for other in meeting.words)
        if clear and word.end - start >= 32_000 and len(found) < count:
            found.append((start, word.end))
            start = word.end
    return found


def words_in(meeting: Meeting, start: int, end: int) -> set[str]:
    return {word.text for word in meeting.words if start <= word.start and word.end <= end}


async def speak(stream: OpenAIStream, meeting: Meeting, stretches: Sequence[tuple[int, int]], pace: float) -> None:
    pcm = render(meeting, 24_000)
    for number, (start, end) in enumerate(stretches, start=1):
        for at in range(start * 3 // 2, end * 3 // 2, 2400):
            await stream.append(U(number), pcm[at : min(at + 2400, end * 3 // 2)])
            await asyncio.sleep(pace)
        await stream.commit(U(number))


async def until_answered(stream: OpenAIStream, count: int) -> list[TranscriberEvent]:
    told, finals = [], 0
    async for event in stream.events():
        told.append(event)
        finals += not isinstance(event, TextGrew)
        if finals == count:
            break
    return told


@pytest.mark.parametrize(
    ("model", "knobs"),
    [
        ("gpt-live-transcribe", {}),
        ("gpt-live-transcribe", {"early_item_id_differs": True, "out_of_order": 0.5}),
        ("gpt-live-transcribe", {"commit_ack_s": 0.6, "out_of_order": 0.5}),
        ("gpt-realtime-whisper", {"out_of_order": 0.5}),
        ("gpt-transcribe", {"out_of_order": 0.5}),
    ],
)
async def test_every_utterance_gets_its_own_words(
    standin: StandInProcess, meeting: Meeting, model: str, knobs: Mapping[str, object]
) -> None:
    standin.control(knobs=knobs)
    stretches = cuts(meeting, 4)
    assert len(stretches) == 4
    async with transcriber(standin, model) as engine, asyncio.TaskGroup() as tasks:
        stream = await engine.open(())
        reading = tasks.create_task(until_answered(stream, 4))
        await speak(stream, meeting, stretches, pace=0.03)
        told = await reading
        assert stream.counts.get("error", 0) == 0
        await stream.close()
    finals = {event.utterance: event.text for event in told if isinstance(event, TextCompleted)}
    for number, (start, end) in enumerate(stretches, start=1):
        own = words_in(meeting, start, end)
        assert own
        assert set(finals[U(number)].split()) == own
        grown = "".join(e.text for e in told if isinstance(e, TextGrew) and e.utterance == number).split()
        assert set(grown) <= own
        assert len(grown) == len(set(grown))
        assert grown or "early_item_id_differs" in knobs


@pytest.mark.parametrize(
    ("fault", "event"),
    [
        ({"do": "failed", "code": "audio_unintelligible"}, TextFailed(U(1), "AUDIO_UNINTELLIGIBLE")),
        ({"do": "refused", "code": "server_error"}, TextFailed(U(1), "SERVER_ERROR")),
    ],
)
async def test_a_failed_commit_leaves_the_next_one_alone(
    standin: StandInProcess, meeting: Meeting, fault: dict[str, object], event: TranscriberEvent
) -> None:
    standin.control(faults=[{"at": "commit", **fault}])
    stretches = cuts(meeting, 2)
    async with transcriber(standin) as engine:
        stream = await engine.open(())
        await speak(stream, meeting, stretches[:1], pace=0)
        assert (await until_answered(stream, 1))[-1] == event
        pcm = render(meeting, 24_000)[stretches[1][0] * 3 // 2 : stretches[1][1] * 3 // 2]
        await stream.append(U(2), pcm)
        await stream.commit(U(2))
        last = (await until_answered(stream, 1))[-1]
        assert isinstance(last, TextCompleted)
        assert set(last.text.split()) == words_in(meeting, *stretches[1])
        await stream.close()


async def test_a_text_that_comes_twice_comes_once(standin: StandInProcess, meeting: Meeting) -> None:
    standin.control(faults=[{"at": "commit", "do": "twice"}])
    async with transcriber(standin) as engine:
        stream = await engine.open(())
        await speak(stream, meeting, cuts(meeting, 2), pace=0)
        finals = [event.utterance for event in await until_answered(stream, 2) if isinstance(event, TextCompleted)]
        assert sorted(finals) == [1, 2]
        await stream.close()


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ({"at": "commit", "do": "never_committed"}, Unavailable, "COMMIT_LOST"),
        ({"at": "commit", "do": "failed", "code": "insufficient_quota"}, Rejected, "QUOTA_EXHAUSTED"),
        ({"at": "stream", "do": "close", "code": 1011}, Unavailable, "CLOSED_1011"),
        ({"at": "stream", "do": "reset"}, Unavailable, "CLOSED_1006"),
        ({"at": "stream", "do": "expire", "how": "error"}, Unavailable, "SESSION_EXPIRED"),
        ({"at": "stream", "do": "expire", "how": "close"}, Unavailable, "SESSION_EXPIRED"),
    ],
)
async def test_faults_in_use(
    standin: StandInProcess, meeting: Meeting, fault: dict[str, object], kind: type[VendorError], reason: str
) -> None:
    standin.control(faults=[fault])
    async with transcriber(standin) as engine:
        stream = await engine.open(())
        with suppress(VendorError):
            await speak(stream, meeting, cuts(meeting, 1), pace=0.01)
        with pytest.raises(kind) as caught:
            await until_answered(stream, 2)
        assert caught.value.reason == reason
        await stream.close()


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ({"at": "upgrade", "do": "status", "status": 401}, Rejected, "KEY_REJECTED"),
        ({"at": "upgrade", "do": "status", "status": 429, "retry_after": 2}, Unavailable, "RATE_LIMITED"),
        ({"at": "upgrade", "do": "status", "status": 503}, Unavailable, "VENDOR_DOWN"),
        ({"at": "upgrade", "do": "reset"}, Unavailable, "VENDOR_DOWN"),
        ({"at": "update", "do": "never"}, Unavailable, "CONFIG_TIMEOUT"),
        ({"at": "update", "do": "reject", "times": 4}, Rejected, "CONFIG_REJECTED"),
    ],
)
async def test_faults_at_the_opening(
    standin: StandInProcess, fault: dict[str, object], kind: type[VendorError], reason: str
) -> None:
    standin.control(faults=[fault])
    async with transcriber(standin) as engine:
        with pytest.raises(kind) as caught:
            await engine.open(())
        assert caught.value.reason == reason
        stream = await engine.open(())
        await stream.close()


async def test_a_refused_option_costs_the_option_only(standin: StandInProcess) -> None:
    param = "session.audio.input.transcription.keywords"
    standin.control(faults=[{"at": "update", "do": "reject", "param": param}])
    async with transcriber(standin) as engine:
        stream = await engine.open(())
        await stream.close()


async def test_a_wrong_key(standin: StandInProcess) -> None:
    async with transcriber(standin, key="sk-0000") as engine:
        with pytest.raises(Rejected) as caught:
            await engine.open(())
    assert caught.value.reason == "KEY_REJECTED"


async def test_a_short_life_is_told(standin: StandInProcess) -> None:
    standin.control(knobs={"expires_s": 30.0})
    async with transcriber(standin) as engine:
        stream = await engine.open(())
        assert 25 < (stream.expires_in_s or 0) <= 31
        await stream.close()

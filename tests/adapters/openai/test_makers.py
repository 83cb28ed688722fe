"""Servers that speak the same protocol, each against a stand-in that follows its own documents; OpenAI unchanged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from minuted_daemon.adapters.openai.dialects import authentication, socket_url
from minuted_daemon.adapters.openai.engine import OpenAITranscriber
from minuted_daemon.adapters.openai.settings import Hints
from minuted_daemon.core.events import TextCompleted, TextGrew, TranscriberEvent, UtteranceId
from minuted_daemon.errors import Rejected
from minuted_daemon.ports.engines import TranscriberStream
from tests.adapters.openai.scripted import KEY, U
from tests.fakes.openai_makers import Maker, azure, maker, speaches, vllm

SECOND = np.ones(24_000, dtype=np.int16)


@asynccontextmanager
async def opened(state: Maker, model: str, hints: Hints, query: str = "") -> AsyncIterator[TranscriberStream]:
    engine = OpenAITranscriber(state.base_url + query, KEY, model, hints)
    stream = await engine.open()
    try:
        yield stream
    finally:
        await stream.close()


async def said(stream: TranscriberStream, *seconds: float) -> dict[UtteranceId, str]:
    """Say utterances of these lengths, the first by itself, the others without waiting for a text; give their texts."""
    texts: dict[UtteranceId, str] = {}
    events = stream.events()
    for number, length_s in enumerate(seconds):
        await stream.append(U(number), SECOND[: round(length_s * 24_000)])
        await stream.commit(U(number))
        if number == 0:
            texts |= await completed(events)
    while len(texts) < len(seconds):
        texts |= await completed(events)
    return texts


async def completed(events: AsyncIterator[TranscriberEvent]) -> dict[UtteranceId, str]:
    async for event in events:
        if isinstance(event, TextCompleted):
            return {event.utterance: event.text}
        assert isinstance(event, TextGrew)
    raise AssertionError("no text")


async def test_speaches() -> None:
    hints = Hints(("de-DE",), ("Ada",), "low", "", "A meeting.")
    async with (
        maker(speaches, "/v1", "model") as state,
        opened(state, "Systran/faster-whisper-small", hints) as stream,
    ):
        texts = await said(stream, 1.0, 0.5, 0.25, 0.75)
        assert texts == {0: "24000", 1: "12000", 2: "6000", 3: "18000"}
        assert state.query == {"model": "Systran/faster-whisper-small", "intent": "transcription"}
        assert state.headers["authorization"] == f"Bearer {KEY}"
        (update,) = state.updates
        assert update["session"] == {
            "turn_detection": None,
            "input_audio_transcription": {
                "model": "Systran/faster-whisper-small",
                "language": "de",
                "prompt": "A meeting.",
            },
        }
        assert "keywords" in stream.remarks["HINTS_LEFT_OUT"]


async def test_azures_preview() -> None:
    hints = Hints(("de",), noise_reduction="far_field")
    async with (
        maker(azure, "/openai", "api-version") as state,
        opened(state, "our-gpt-4o-transcribe", hints, "?api-version=2025-04-01-preview") as stream,
    ):
        assert await said(stream, 1.0) == {0: "24000"}
        assert state.query == {"api-version": "2025-04-01-preview", "intent": "transcription"}
        (update,) = state.updates
        assert update["session"] == {
            "input_audio_format": "pcm16",
            "turn_detection": None,
            "input_audio_transcription": {"model": "our-gpt-4o-transcribe", "language": "de"},
            "input_audio_noise_reduction": {"type": "far_field"},
        }


async def test_vllm() -> None:
    async with (
        maker(vllm, "/v1", "model") as state,
        opened(state, "mistralai/Voxtral-Mini", Hints(("de",))) as stream,
    ):
        # One after the other without a pause, and one that is taken back: no sample is lost or glued to another's.
        texts: dict[UtteranceId, str] = {}

        async def read() -> None:
            async for event in stream.events():
                if isinstance(event, TextCompleted):
                    texts[event.utterance] = event.text
                if len(texts) == 2:
                    return

        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            for number, length in ((0, 24_000), (1, 4_800), (2, 12_000)):
                await stream.append(U(number), SECOND[:length])
                await (stream.clear if number == 1 else stream.commit)(U(number))
        assert {number: round(int(text), -2) for number, text in texts.items()} == {0: 16_000, 2: 8_000}
        assert state.updates == [{"type": "session.update", "model": "mistralai/Voxtral-Mini"}]
        assert state.other == []
        assert stream.remarks == {"HINTS_LEFT_OUT": "mistralai/Voxtral-Mini takes no language."}
        assert stream.seconds_sent == pytest.approx(1.7)  # type: ignore[attr-defined]


async def test_vllm_without_the_model() -> None:
    async with (
        maker(vllm, "/v1", "model") as state,
        opened(state, "mistralai/Other", Hints()) as stream,
    ):
        with pytest.raises(Rejected) as caught:
            await completed(stream.events())
    assert caught.value.reason == "CONFIG_REJECTED"


@pytest.mark.parametrize(
    ("base_url", "model", "url"),
    [
        (
            "https://api.openai.com/v1",
            "gpt-live-transcribe",
            "wss://api.openai.com/v1/realtime?intent=transcription",
        ),
        (
            "https://eu.api.openai.com/v1",
            "gpt-live-transcribe",
            "wss://eu.api.openai.com/v1/realtime?intent=transcription",
        ),
        (
            "https://r.openai.azure.com/openai?api-version=2025-04-01-preview",
            "mine",
            "wss://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&intent=transcription",
        ),
        (
            "https://r.openai.azure.com/openai/v1",
            "mine",
            "wss://r.openai.azure.com/openai/v1/realtime?intent=transcription",
        ),
        (
            "http://127.0.0.1:8000/v1",
            "Systran/small",
            "ws://127.0.0.1:8000/v1/realtime?intent=transcription&model=Systran%2Fsmall",
        ),
        (
            "http://[::1]:8000/v1?model=whisper&intent=conversation",
            "whisper-1",
            "ws://[::1]:8000/v1/realtime?model=whisper&intent=conversation",
        ),
    ],
)
def test_the_address(base_url: str, model: str, url: str) -> None:
    assert socket_url(base_url, model) == url


def test_the_key_is_shown_as_the_maker_wants_it() -> None:
    assert authentication("https://api.openai.com/v1", "k") == {"Authorization": "Bearer k"}
    assert authentication("https://r.openai.azure.com/openai/v1", "k") == {"api-key": "k"}
    assert authentication("https://r.openai.azure.com/openai/v1", "eyJ0eXAi") == {"Authorization": "Bearer eyJ0eXAi"}
    assert authentication("https://azure.com.evil.example", "k") == {"Authorization": "Bearer k"}

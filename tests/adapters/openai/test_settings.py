import json

import pytest

from minuted_daemon.adapters.openai.settings import session_update, transcription_fields, without_refused

LANGUAGES, KEYWORDS = ("de", "en"), ("Ada", "net<work>\r\n  plan", "<>", "")


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("gpt-live-transcribe", {"languages": ["de", "en"], "keywords": ["Ada", "net work plan"], "delay": "low"}),
        (
            "gpt-live-transcribe-2026-07-01",
            {"languages": ["de", "en"], "keywords": ["Ada", "net work plan"], "delay": "low"},
        ),
        ("gpt-realtime-whisper", {"language": "de", "delay": "low"}),
        ("gpt-transcribe", {"languages": ["de", "en"], "keywords": ["Ada", "net work plan"]}),
        ("gpt-4o-transcribe", {"language": "de"}),
        ("whisper-1", {"language": "de"}),
    ],
)
def test_each_model_gets_what_it_takes(model: str, fields: dict[str, object]) -> None:
    assert transcription_fields(model, LANGUAGES, KEYWORDS, "low") == fields


def test_what_is_not_set_is_not_sent() -> None:
    assert transcription_fields("gpt-live-transcribe", (), ("<>",), None) == {}


def test_the_update_turns_turn_detection_off_by_name() -> None:
    sent = json.loads(session_update("gpt-live-transcribe", {"delay": "low"}, "config_1"))
    assert (sent["type"], sent["event_id"], sent["session"]["type"]) == ("session.update", "config_1", "transcription")
    given = sent["session"]["audio"]["input"]
    assert given["format"] == {"type": "audio/pcm", "rate": 24000}
    assert "turn_detection" in given
    assert given["turn_detection"] is None
    assert given["transcription"] == {"model": "gpt-live-transcribe", "delay": "low"}


@pytest.mark.parametrize(
    ("param", "message", "left"),
    [
        ("session.audio.input.transcription.delay", "no", {"languages", "keywords"}),
        ("session.audio.input.transcription.keywords[0]", "the delay is wrong", {"languages", "delay"}),
        ("", "keywords may not contain that", {"languages", "delay"}),
        ("", "invalid value", set()),
        ("session.audio.input.transcription", "invalid value", set()),
        ("session.audio.input.transcription.model", "the delay", {"languages", "keywords", "delay"}),
        ("session.audio.input.transcription.language", "", {"languages", "keywords", "delay"}),
    ],
)
def test_a_refused_option_is_found(param: str, message: str, left: set[str]) -> None:
    fields = transcription_fields("gpt-live-transcribe", LANGUAGES, KEYWORDS, "low")
    assert set(without_refused(fields, param, message)) == left

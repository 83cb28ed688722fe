"""Which hints a model is sent, and what becomes of those that the vendor refuses."""

import json

import pytest

from minuted_daemon.adapters.openai.codec import Refused
from minuted_daemon.adapters.openai.configuration import Configuration
from minuted_daemon.adapters.openai.dialects import Dialect
from minuted_daemon.adapters.openai.languages import vendor_language
from minuted_daemon.adapters.openai.settings import Hints, fitted
from minuted_daemon.errors import Rejected

KEYWORDS = ("Ada", "net<work>\r\n  plan", "<>", "", "Ada")
ALL = Hints(("de", "en"), KEYWORDS, "low", "far_field", "A board meeting.")
TRANSCRIPTION = "session.audio.input.transcription"


@pytest.mark.parametrize(
    ("model", "names", "left_out"),
    [
        ("gpt-live-transcribe", {"languages", "keywords", "delay", "prompt", "noise_reduction"}, set()),
        ("gpt-live-transcribe-2026-07-01", {"languages", "keywords", "delay", "prompt", "noise_reduction"}, set()),
        ("gpt-realtime-whisper", {"delay", "noise_reduction"}, {"languages", "keywords", "prompt"}),
        ("gpt-transcribe", {"languages", "keywords", "prompt", "noise_reduction"}, {"delay"}),
        ("gpt-4o-transcribe", {"prompt", "noise_reduction"}, {"languages", "keywords", "delay"}),
        ("gpt-4o-transcribe-diarize", {"noise_reduction"}, {"languages", "keywords", "delay", "prompt"}),
        ("whisper-1", {"prompt", "noise_reduction"}, {"languages", "keywords", "delay"}),
        ("Systran/faster-whisper-small", {"prompt", "noise_reduction"}, {"languages", "keywords", "delay"}),
    ],
)
def test_each_model_gets_what_it_takes_and_the_rest_is_said(model: str, names: set[str], left_out: set[str]) -> None:
    fit = fitted(model, ALL)
    assert set(fit.fields) == names
    assert set(fit.remarks) == left_out
    assert not any("Ada" in remark for remark in fit.remarks.values())


def test_keywords_lose_what_the_vendor_refuses() -> None:
    assert fitted("gpt-live-transcribe", ALL).fields["keywords"] == ["Ada", "net work plan"]
    assert fitted("gpt-live-transcribe", Hints(keywords=("<>",))).fields == {}
    many = fitted("gpt-live-transcribe", Hints(keywords=(*(f"word{n}" for n in range(600)), "x" * 201)))
    assert len(many.fields["keywords"]) == 500  # type: ignore[arg-type]
    assert "101 of 601" in many.remarks["keywords"]


@pytest.mark.parametrize(
    ("languages", "model", "fields"),
    [
        (("pt-BR", "en-GB", "en"), "gpt-live-transcribe", {"languages": ["pt", "en"]}),
        (
            ("zh-Hant-HK", "zh-TW", "zh-Hans", "zh"),
            "gpt-live-transcribe",
            {"languages": ["zh-hk", "zh-tw", "zh-cn", "zh"]},
        ),
        (("de",), "gpt-realtime-whisper", {"language": "de"}),
        (("en-US", "en-GB"), "gpt-realtime-whisper", {"language": "en"}),
        (("zh-TW",), "whisper-1", {"language": "zh"}),
        (("de", "en"), "gpt-realtime-whisper", {}),
        (("english", "xx", "de"), "gpt-transcribe", {"languages": ["de"]}),
        ((), "gpt-transcribe", {}),
    ],
)
def test_languages_are_said_as_the_vendor_wants_them(
    languages: tuple[str, ...], model: str, fields: dict[str, object]
) -> None:
    assert fitted(model, Hints(languages)).fields == fields


@pytest.mark.parametrize(
    ("code", "wanted"),
    [("deu", "de"), ("ger", "de"), ("iw", "he"), ("yue", "yue"), ("EN", "en"), ("sr_Latn", "sr"), ("xx", None)],
)
def test_a_language_code(code: str, wanted: str | None) -> None:
    assert vendor_language(code, regions=True) == wanted


def test_a_prompt_is_cut_at_the_vendors_limit_between_words() -> None:
    fit = fitted("gpt-live-transcribe", Hints(prompt="minutes " * 200))
    assert len(str(fit.fields["prompt"])) <= 1024
    assert str(fit.fields["prompt"]).endswith("minutes")
    assert "prompt" in fit.remarks


# --- refusals


def refused(param: str = "", message: str = "no", code: str = "invalid_value", **facts: str | None) -> Refused:
    return Refused(code, "invalid_request_error", param, message, **facts)  # type: ignore[arg-type]


def asked(configuration: Configuration) -> dict[str, object]:
    given: dict[str, object] = json.loads(configuration.message("config_1"))["session"]["audio"]["input"]
    transcription = dict(given["transcription"])  # type: ignore[call-overload]
    assert given["format"] == {"type": "audio/pcm", "rate": 24000}
    assert "turn_detection" in given
    assert given["turn_detection"] is None
    if "noise_reduction" in given:
        transcription["noise_reduction"] = given["noise_reduction"]
    del transcription["model"]
    return transcription


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (refused(f"{TRANSCRIPTION}.delay"), "delay"),
        (refused(f"{TRANSCRIPTION}.prompt", code="unknown_parameter"), "prompt"),
        (refused("session.audio.input.noise_reduction.type"), "noise_reduction"),
        (refused(f"{TRANSCRIPTION}.keywords", "the delay is wrong"), "keywords"),
        (refused("", "keywords may not contain that"), "keywords"),
        (refused("", "invalid value"), "keywords"),
        (refused(TRANSCRIPTION, "invalid value"), "keywords"),
    ],
)
def test_a_refusal_costs_what_it_names_and_nothing_else(error: Refused, lost: str) -> None:
    configuration = Configuration("gpt-live-transcribe", ALL, Dialect.CURRENT)
    before = asked(configuration)
    assert configuration.refused(error, "config_1") is None
    assert asked(configuration) == {name: value for name, value in before.items() if name != lost}
    assert configuration.dropped == [lost]


def test_one_language_or_keyword_that_is_refused_leaves_the_others() -> None:
    configuration = Configuration(
        "gpt-live-transcribe", Hints(("de", "haw", "yue", "en", "ceb"), ("Ada", "Bob", "Eve")), Dialect.CURRENT
    )
    for error in (
        refused(f"{TRANSCRIPTION}.languages[1]"),
        refused(f"{TRANSCRIPTION}.languages", "Invalid language 'yue'."),
        refused("", "Unsupported language 'ceb'."),
        refused(f"{TRANSCRIPTION}.keywords[0]", code="string_above_max_length"),
    ):
        assert configuration.refused(error, "config_1") is None
    assert asked(configuration) == {"languages": ["de", "en"], "keywords": ["Bob", "Eve"]}
    assert not any("Ada" in remark for remark in configuration.remarks)


def test_too_many_keywords_are_shortened_not_lost() -> None:
    hints = Hints(keywords=tuple(f"word{n}" for n in range(300)))
    configuration = Configuration("gpt-live-transcribe", hints, Dialect.CURRENT)
    said = "Invalid 'keywords': array too long. Expected an array with maximum length 100, but got length 300 instead."
    assert configuration.refused(refused(f"{TRANSCRIPTION}.keywords", said, "array_above_max_length"), "c") is None
    assert asked(configuration)["keywords"] == [f"word{n}" for n in range(100)]
    assert (
        configuration.refused(refused(f"{TRANSCRIPTION}.keywords", "too many", "array_above_max_length"), "c") is None
    )
    assert len(asked(configuration)["keywords"]) == 50  # type: ignore[arg-type]


def test_a_prompt_that_is_too_long_is_shortened() -> None:
    configuration = Configuration("gpt-live-transcribe", Hints(prompt="minutes " * 100), Dialect.CURRENT)
    said = "Expected a string with maximum length 200, but got a string with length 799 instead."
    assert configuration.refused(refused(f"{TRANSCRIPTION}.prompt", said, "string_above_max_length"), "c") is None
    assert 190 < len(str(asked(configuration)["prompt"])) <= 200


def test_however_the_vendor_refuses_it_ends_with_no_hint_at_all() -> None:
    for message in ("no", "keywords languages prompt delay", "maximum 3 entries"):
        for param in ("", *(f"{TRANSCRIPTION}.{name}" for name in ("keywords", "languages", "languages[0]", "prompt"))):
            configuration = Configuration("gpt-live-transcribe", ALL, Dialect.CURRENT)
            for _ in range(40):
                if configuration.refused(refused(param, message), "config_1") is not None:
                    break
            else:
                pytest.fail("it goes on for ever")


def test_a_deployment_of_any_name_may_be_a_model_that_takes_one_language() -> None:
    configuration = Configuration("our-whisper", Hints(("de",)), Dialect.CURRENT)
    assert configuration.refused(refused(f"{TRANSCRIPTION}.languages"), "config_1") is None
    assert asked(configuration) == {"language": "de"}


def test_a_refused_model_is_refused() -> None:
    configuration = Configuration("gpt-live-transcribe", ALL, Dialect.CURRENT)
    assert isinstance(configuration.refused(refused(f"{TRANSCRIPTION}.model", "the delay"), "config_1"), Rejected)

"""The rules that the configuration and a request share."""

import pytest

from minuted_daemon.config.values import language
from minuted_daemon.core.session_rules import device_problem, file_path, is_language


@pytest.mark.parametrize("code", ["en", "pt-BR", "en-u-hc-h12", "zh-Hant-x-a", "de-CH-1996"])
def test_a_language_code_is_taken_from_a_request_and_from_the_configuration(code: str) -> None:
    assert is_language(code)
    assert language(code) == code


@pytest.mark.parametrize("code", ["", "e", "english please", "en_GB", "en-"])
def test_what_is_no_language_code_is_refused_by_both(code: str) -> None:
    assert not is_language(code)
    with pytest.raises(ValueError, match="is not a language code"):
        language(code)


def test_a_recording_is_named_by_an_absolute_path() -> None:
    assert (file_path("file:/srv/a.wav"), file_path("default")) == ("/srv/a.wav", "")
    assert device_problem("default") == device_problem("file:/srv/a.wav") == ""
    assert "absolute path" in device_problem("file:a.wav")
    assert "control characters" in device_problem("a\nb")

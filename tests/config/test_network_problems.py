"""What of the way to the vendors cannot work is told by `minuted check`, with the setting's or the variable's name."""

from pathlib import Path

import pytest

from minuted_daemon.cli import main

PASSWORD = "geheim-4711"


@pytest.fixture(autouse=True)
def _a_machine_with_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for module in ("config.settings", "config.sources"):
        monkeypatch.setattr(f"minuted_daemon.{module}.DEFAULT_FILE", tmp_path / "etc" / "minuted.toml")
    monkeypatch.setenv("MINUTED_DAEMON__STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HTTPS_PROXY", f"https://u:{PASSWORD}@proxy.example:3128x", "address such as"),
        ("https_proxy", f"gopher://u:{PASSWORD}@proxy.example", "kind of proxy"),
        ("ALL_PROXY", f"socks5://u:{PASSWORD}@proxy.example:70000", "port"),
        ("HTTPS_PROXY", f"http://u:{PASSWORD}@", "address such as"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "there is no file /nowhere/ca.pem"),
        ("SSL_CERT_DIR", "/nowhere", "there is no directory /nowhere"),
        ("MINUTED_NETWORK__PROXY", f"ftp://u:{PASSWORD}@proxy.example", "kind of proxy"),
        ("MINUTED_NETWORK__CA_FILE", "/nowhere/ca.pem", "there is no file /nowhere/ca.pem"),
        ("MINUTED_NETWORK__CA_FILE", __file__, "holds no certificates"),
        ("MINUTED_OPENAI__BASE_URL", f"https://api.example/v1?api_key={PASSWORD}", "no key in its query"),
        ("MINUTED_OPENAI__NOISE_REDUCTION", "table", "near_field or far_field"),
    ],
)
def test_what_cannot_work_is_refused(
    variable: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["check"]) == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert variable in line or variable.removeprefix("MINUTED_").lower().replace("__", ".") in line
    assert PASSWORD not in line


@pytest.mark.parametrize(
    ("environ", "warned", "summed_up"),
    [
        ({"HTTPS_PROXY": f"http://u:{PASSWORD}@p.test:3128"}, "", "through the proxy p.test:3128 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://p.test:3128", "NO_PROXY": ".openai.com"}, "", ""),
        ({"MINUTED_NETWORK__PROXY": "none", "HTTPS_PROXY": "gopher://x"}, "", ""),
        ({"NO_PROXY": "*", "HTTPS_PROXY": "gopher://x"}, "", ""),
        ({"HTTP_PROXY": "gopher://x"}, "", ""),
        (
            {"MINUTED_OPENAI__BASE_URL": "http://127.0.0.1:8000/v1", "http_proxy": "http://p.test:3128"},
            "put 127.0.0.1 into NO_PROXY",
            "127.0.0.1 through the proxy p.test:3128 (http_proxy)",
        ),
        (
            {"MINUTED_OPENAI__BASE_URL": "http://127.0.0.1:8000/v1", "HTTP_PROXY": "http://p.test:3128"},
            "HTTP_PROXY (in the environment): is not read",
            "",
        ),
        ({"OPENAI_CUSTOM_HEADERS": "Authorization: x"}, "OPENAI_CUSTOM_HEADERS (in the environment): is not read", ""),
        ({"MINUTED_OPENAI__BASE_URL": "https://r.openai.azure.com"}, "openai.base_url: an address at Azure", ""),
        (
            {"MINUTED_OPENAI__MODEL": "gpt-realtime-whisper", "MINUTED_OPENAI__LANGUAGES": "de,en"},
            "openai.languages: gpt-realtime-whisper takes one language",
            "",
        ),
    ],
)
def test_what_may_surprise_is_said(
    environ: dict[str, str],
    warned: str,
    summed_up: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert main(["check"]) == 0
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == bool(warned)
    assert warned in told.err
    assert summed_up in told.out
    assert summed_up or "network:" not in told.out
    assert PASSWORD not in told.out + told.err


def test_without_a_key_no_proxy_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("HTTPS_PROXY", "gopher://x")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    assert main(["check"]) == 0

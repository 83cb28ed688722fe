"""Which proxy a URL is reached through: curl's rules as a table, and curl itself asked where it is installed."""

import re
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest

from minuted_daemon.config.proxies import Proxies, excepts, parse_proxy

A, B, C = "http://127.0.0.1:9", "http://127.0.0.1:19", "http://127.0.0.1:29"
PORTS = {9: "A", 19: "B", 29: "C"}

# What the environment says, a URL, and the proxy.
CHOICES: list[tuple[dict[str, str], str, str | None]] = [
    ({}, "https://example.com/", None),
    ({"https_proxy": A}, "https://example.com/", "A"),
    ({"HTTPS_PROXY": A}, "https://example.com/", "A"),
    ({"https_proxy": A, "HTTPS_PROXY": B}, "https://example.com/", "A"),
    ({"https_proxy": "", "HTTPS_PROXY": B}, "https://example.com/", "B"),
    ({"https_proxy": "127.0.0.1:9"}, "https://example.com/", "A"),
    ({"http_proxy": A}, "https://example.com/", None),
    ({"http_proxy": A}, "http://example.com/", "A"),
    ({"HTTP_PROXY": A}, "http://example.com/", None),
    ({"HTTP_PROXY": A, "ALL_PROXY": B}, "http://example.com/", "B"),
    ({"all_proxy": A, "HTTPS_PROXY": B}, "https://example.com/", "B"),
    ({"all_proxy": A, "ALL_PROXY": B}, "https://example.com/", "A"),
    ({"http_proxy": A}, "http://127.0.0.1/", "A"),
    ({"http_proxy": A}, "http://localhost/", "A"),
    ({"https_proxy": A, "NO_PROXY": "*"}, "https://example.com/", None),
    ({"https_proxy": A, "no_proxy": "other", "NO_PROXY": "example.com"}, "https://example.com/", "A"),
    ({"https_proxy": A, "no_proxy": "", "NO_PROXY": "example.com"}, "https://example.com/", None),
]
# A NO_PROXY, a host, and whether it covers it.
EXCEPTIONS: list[tuple[str, str, bool]] = [
    ("example.com", "example.com", True),
    ("example.com", "EXAMPLE.com", True),
    ("example.com", "a.example.com", True),
    (".example.com", "a.example.com", True),
    (".example.com", "example.com", True),
    ("example.com.", "example.com", True),
    ("example.com", "a.example.com.", True),
    ("ple.com", "example.com", False),
    ("a.example.com", "example.com", False),
    ("other.com,example.com", "example.com", True),
    ("other.com, example.com", "example.com", True),
    (",,example.com", "example.com", True),
    ("10.0.0.1", "10.0.0.1", True),
    ("10.0.0.0/8", "10.1.2.3", True),
    ("10.0.0.0/16", "10.1.2.3", False),
    ("10.1.2.3/0", "10.9.9.9", False),
    ("10.0.0.0/33", "10.0.0.0", False),
    ("10.0.0.0/8", "10.example.com", False),
    ("::1", "::1", True),
    ("fd00::/8", "fe00::1", False),
    ("127.0.0.1", "localhost", False),
]


def letter(proxies: Proxies, url: str) -> str | None:
    chosen = proxies.chosen(url)
    return None if chosen is None else PORTS[chosen.port]


@pytest.mark.parametrize(("environ", "url", "proxy"), CHOICES)
def test_the_proxy_is_curls_for_requests_and_sockets(environ: dict[str, str], url: str, proxy: str | None) -> None:
    assert letter(Proxies("", environ), url) == proxy
    assert letter(Proxies("", environ), "ws" + url.removeprefix("http")) == proxy


@pytest.mark.parametrize(("no_proxy", "host", "covered"), EXCEPTIONS)
def test_no_proxy_covers_what_curl_says(no_proxy: str, host: str, covered: bool) -> None:
    assert excepts(no_proxy, host, 443) is covered


@pytest.mark.parametrize(
    ("no_proxy", "host", "covered"),
    [
        ("example.com:443", "example.com", True),
        ("example.com:8443", "example.com", False),
        ("[::1]", "::1", True),
        ("[::1]:443", "::1", True),
        ("[::1]:80", "::1", False),
        ("[fd00::]/8", "fd00::1", True),
        ("fd00::/8", "fd00::1", True),  # curl too, but for older versions
        ("other.com example.com", "example.com", True),
        ("*.example.com", "a.example.com", True),
        ("other.com,*", "example.com", True),
        ("[", "example.com", False),
    ],
)
def test_no_proxy_takes_forms_that_others_take(no_proxy: str, host: str, covered: bool) -> None:
    assert excepts(no_proxy, host, 443) is covered


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_agrees() -> None:
    hosts = [(no_proxy, f"[{host}]" if ":" in host else host) for no_proxy, host, _ in EXCEPTIONS]
    cases = [(environ, url) for environ, url, _ in CHOICES]
    cases += [({"https_proxy": A, "NO_PROXY": no_proxy}, f"https://{host}/") for no_proxy, host in hosts]
    wrong = [(environ, url) for environ, url in cases if asked_curl(environ, url) != letter(Proxies("", environ), url)]
    assert wrong == []


def asked_curl(environ: dict[str, str], url: str) -> str | None:
    """Tell which proxy curl would use: nothing listens there, and every name is this machine's."""
    name = urlsplit(url).hostname or ""
    port = 443 if url.startswith("https") else 80
    known = [] if ":" in name else ["--resolve", f"{name}:{port}:127.0.0.1"]
    told = subprocess.run(
        [shutil.which("curl") or "", "-gsv", "--max-time", "0.3", *known, url],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    tried = re.search(r"connect to .*? port (\d+)", told)
    assert tried, told
    return PORTS.get(int(tried.group(1)))


@pytest.mark.parametrize(
    ("value", "scheme", "host", "port", "user", "password"),
    [
        ("proxy.example", "http", "proxy.example", 1080, None, None),
        ("proxy.example:3128/", "http", "proxy.example", 3128, None, None),
        ("HTTP://u%40x:p%3Aw@[::1]:3128", "http", "::1", 3128, "u@x", "p:w"),
        ("https://proxy.example", "https", "proxy.example", 443, None, None),
        ("socks5h://u@proxy.example", "socks5h", "proxy.example", 1080, "u", ""),
        ("socks://proxy.example:9", "socks4", "proxy.example", 9, None, None),
        ("http://user:p@ss@proxy.example:8", "http", "proxy.example", 8, "user", "p@ss"),
    ],
)
def test_a_proxys_address(
    value: str, scheme: str, host: str, port: int, user: str | None, password: str | None
) -> None:
    proxy = parse_proxy(value, "HTTPS_PROXY")
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)
    assert (proxy.user, proxy.password) == (user, password)
    assert proxy.shown.endswith(f":{port} (HTTPS_PROXY)")
    assert password is None or not password or password not in f"{proxy!r}{proxy.shown}"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("gopher://u:geheim@proxy.example", "kind of proxy"),
        ("http://u:geheim@proxy.example:99999", "port"),
        ("http://u:geheim@", "address such as"),
        ("http://u:geheim@a b", "address such as"),
    ],
)
def test_an_unusable_address_is_told_without_its_password(value: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^HTTPS_PROXY .*{told}") as caught:
        Proxies("", {"HTTPS_PROXY": value}).chosen("https://example.com")
    assert "geheim" not in str(caught.value)


def test_the_setting_wins_over_the_variables_but_for_no_proxy() -> None:
    environ = {"https_proxy": A, "NO_PROXY": "a.test"}
    assert letter(Proxies(B, environ), "https://b.test") == "B"
    assert letter(Proxies(B, environ), "wss://a.test") is None
    assert Proxies("none", environ).chosen("https://b.test") is None

"""Addresses as people write them: clients and the daemon's `listen` read the same forms, and name what a slip meant."""

from pathlib import Path

import pytest

from minuted import InvalidAddress
from minuted.address import target
from minuted_daemon.config.listen import listen


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:///run/a.sock", "unix:/run/a.sock"),
        ("127.0.0.1:7310", "127.0.0.1:7310"),
        ("localhost:65535", "localhost:65535"),
        ("tcp:127.0.0.1:7310", "127.0.0.1:7310"),
        ("tcp://127.0.0.1:7310", "127.0.0.1:7310"),
        ("[::1]:7310", "[::1]:7310"),
        ("::1:7310", "[::1]:7310"),
    ],
)
def test_both_sides_read_the_same(written: str, meant: str) -> None:
    assert listen(written) == meant
    assert target(written) == meant


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("/run/minuted/minuted.sock", "unix:/run/minuted/minuted.sock"),
        ("./minuted.sock", "unix:./minuted.sock"),
        ("minuted.sock", "unix:minuted.sock"),
        ("unix://tmp/a.sock", "unix:/tmp/a.sock"),
        ("unix://localhost/tmp/a.sock", "two slashes"),
        ("unix:", "path"),
        ("unix:/run/minuted/", "directory"),
        ("unix:/" + "a" * 107, "107 bytes"),
        ("UNIX:/tmp/a.sock", "unix:/tmp/a.sock"),
        ("Tcp:127.0.0.1:7310", "tcp:127.0.0.1:7310"),
        ("http://127.0.0.1:7310", "127.0.0.1:7310"),
        ("https://room.example/minutes", "https://"),
        ("grpc://127.0.0.1:7310", "grpc://"),
        ("127.0.0.1", "port"),
        ("localhost", "port"),
        ("7310", "127.0.0.1:7310"),
        (":7310", "127.0.0.1:7310"),
        ("[::1]", "[::1]:7310"),
        ("::1", "[::1]:7310"),
        ("127.0.0.1:", "65535"),
        ("127.0.0.1:65536", "65535"),
        ("127.0.0.1:99999", "65535"),
        ("127.0.0.1:-1", "65535"),
        ("127.0.0.1:http", "65535"),
        ("127.0.0.1:7310/", "65535"),
        ("127.0.0.1:7310\n", "spaces"),
        (" 127.0.0.1:7310", "spaces"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(written: str, hint: str) -> None:
    with pytest.raises(InvalidAddress) as of_client:
        target(written)
    assert hint in str(of_client.value)
    with pytest.raises(ValueError, match=r"is no address|must be") as of_daemon:
        listen(written)
    assert hint in str(of_daemon.value)


@pytest.mark.parametrize("written", ["dns:///room.example:7310", "ipv4:127.0.0.1:7310", "unix-abstract:minuted"])
def test_what_grpc_alone_knows_is_left_to_it(written: str) -> None:
    assert target(written) == written


def test_a_client_finds_a_socket_beside_it_and_no_port_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert target("unix:a.sock") == "unix:a.sock"
    assert listen("unix:a.sock") == f"unix:{tmp_path}/a.sock"
    assert listen("127.0.0.1:0") == "127.0.0.1:0"
    with pytest.raises(InvalidAddress):
        target("127.0.0.1:0")


def test_the_path_of_a_socket_may_hold_anything() -> None:
    assert target("unix:/a b/100%/ü.sock") == "unix:/a%20b/100%25/%C3%BC.sock"

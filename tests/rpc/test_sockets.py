"""Where the server may listen, and that no two ever listen at one place."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from minuted.aio import AsyncClient
from minuted_daemon.addresses import TcpAddress, UnixAddress
from minuted_daemon.errors import ConfigError
from minuted_daemon.rpc.server import Server, start_server
from minuted_daemon.rpc.sockets import SocketClaim, parse
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from tests.fakes_service.store import MemoryStore
from tests.rpc.material import FakeCapture, FakeSessions


async def serve(*listen: str) -> Server:
    store = MemoryStore()
    hub = Hub(store)
    sessions = FakeSessions(store, ChangePublisher(store, hub))
    return await start_server(listen, sessions=sessions, store=store, hub=hub, capture=FakeCapture())


async def refused(*listen: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        await serve(*listen)
    return caught.value


async def answers(address: str) -> bool:
    async with AsyncClient(address) as client:
        return bool((await client.info()).version)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("unix:/run/a.sock", UnixAddress(Path("/run/a.sock"))),
        ("unix:///run/a.sock", UnixAddress(Path("/run/a.sock"))),
        ("127.0.0.1:7500", TcpAddress("127.0.0.1", 7500)),
        ("tcp:127.8.0.1:7500", TcpAddress("127.8.0.1", 7500)),
        ("tcp://localhost:0", TcpAddress("localhost", 0)),
        ("[::1]:7500", TcpAddress("::1", 7500)),
    ],
)
def test_addresses(text: str, meaning: object) -> None:
    assert parse(text) == meaning
    assert parse(str(meaning)) == meaning


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("unix:run/a.sock", "LISTEN_INVALID"),
        ("unix:", "LISTEN_INVALID"),
        ("unix:/run/", "LISTEN_INVALID"),
        ("unix://run/a.sock", "LISTEN_INVALID"),
        ("http://127.0.0.1:7500", "LISTEN_INVALID"),
        ("/run/a.sock", "LISTEN_INVALID"),
        ("unix:/" + "a" * 107, "SOCKET_PATH_TOO_LONG"),
        ("unix:/" + "ä" * 60, "SOCKET_PATH_TOO_LONG"),
        ("7500", "LISTEN_INVALID"),
        (":7500", "LISTEN_INVALID"),
        ("localhost:http", "LISTEN_INVALID"),
        ("localhost:65536", "LISTEN_INVALID"),
        ("0.0.0.0:7500", "TLS_REQUIRED"),
        ("[::]:7500", "TLS_REQUIRED"),
        ("192.168.1.2:7500", "TLS_REQUIRED"),
        ("room.example:7500", "TLS_REQUIRED"),
    ],
)
def test_unusable_addresses(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.reason == reason


async def test_all_addresses_are_served_and_told(tmp_path: Path) -> None:
    server = await serve(f"unix:{tmp_path}/a.sock", "127.0.0.1:0")
    assert server.addresses[0] == f"unix:{tmp_path}/a.sock"
    assert not server.addresses[1].endswith(":0")
    for address in server.addresses:
        assert await answers(address)
    await server.stop(1)


async def test_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "room%20 ü #1?.sock"
    server = await serve(f"unix:{path}")
    assert path.is_socket()
    assert await answers(f"unix:{path}")
    await server.stop(1)


async def test_a_proxy_meant_for_the_web_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server = await serve("127.0.0.1:0")
    assert await answers(server.addresses[0])
    await server.stop(1)


async def test_the_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    before = os.umask(0o022)
    try:
        server = await serve(f"unix:{path}")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    await server.stop(1)
    assert not path.exists()


async def test_a_live_socket_is_not_taken(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/a.sock"
    first = await serve(address)
    error = await refused(address)
    assert error.reason == "SOCKET_IN_USE"
    assert str(tmp_path / "a.sock") in error.message
    assert await answers(address)
    await first.stop(1)
    second = await serve(address)
    assert await answers(address)
    await second.stop(1)


async def test_a_socket_of_another_program_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert (await refused(f"unix:{path}")).reason == "SOCKET_IN_USE"
        assert path.exists()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = await serve(f"unix:{path}")
    assert await answers(f"unix:{path}")
    await server.stop(1)


async def test_what_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("mine")
    error = await refused(f"unix:{path}")
    assert error.reason == "SOCKET_UNUSABLE"
    assert path.read_text() == "mine"


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    error = await refused(f"unix:{tmp_path}/run/a.sock")
    assert error.reason == "SOCKET_UNUSABLE"
    assert str(tmp_path / "run") in error.message


async def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        error = await refused(f"127.0.0.1:{port}")
    assert error.reason == "ADDRESS_UNUSABLE"
    assert "in use" in error.message
    first = await serve("127.0.0.1:0")
    assert (await refused(first.addresses[0])).reason == "ADDRESS_UNUSABLE"
    await first.stop(1)


async def test_everything_wrong_is_told_at_once_and_nothing_stays_behind(tmp_path: Path) -> None:
    good = tmp_path / "a.sock"
    error = await refused(f"unix:{good}", "0.0.0.0:7500", f"unix:{tmp_path}/run/b.sock", "nonsense")
    assert len(error.problems) == 3
    assert not good.exists()
    server = await serve(f"unix:{good}")
    await server.stop(1)
    assert (await refused()).reason == "LISTEN_INVALID"


async def test_stop_is_idempotent(tmp_path: Path) -> None:
    server = await serve(f"unix:{tmp_path}/a.sock")
    await server.stop(1)
    successor = await serve(f"unix:{tmp_path}/a.sock")
    await server.stop(1)
    assert await answers(f"unix:{tmp_path}/a.sock")
    await successor.stop(1)


async def test_a_server_that_does_not_stop_is_left_behind(tmp_path: Path) -> None:
    place = UnixAddress(tmp_path / "one.sock")
    claim = SocketClaim(place)
    place.path.touch()
    server = Server(NeverStops(), Health(), Hub(MemoryStore()), [claim], [str(place)])  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        await server.stop(0.0, stuck_s=0.1)
    assert not place.path.exists(), "the next daemon may have it"


class Health:
    async def enter_graceful_shutdown(self) -> None:
        pass


class NeverStops:
    async def stop(self, grace: float | None) -> None:
        await asyncio.Event().wait()

"""The daemon as a whole, in this process: its directory, its start, its words to the service manager, its end."""

import asyncio
import gc
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from minuted.v1 import daemon_pb2, daemon_pb2_grpc, sessions_pb2, sessions_pb2_grpc
from minuted_daemon import app
from minuted_daemon.adapters.host.systemd import Notifier
from minuted_daemon.config.settings import Config, DaemonConfig, PyannoteConfig
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import ConfigError
from tests.adapters.storage.old_state import SECRET, make_old_state

WATCHED = """
import asyncio, gc, json, os, sys
from pathlib import Path
from minuted_daemon import app
from minuted_daemon.config.settings import load_config

async def main():
    config = load_config(None, os.environ)
    running = asyncio.create_task(app.run(config))
    while not Path(sys.argv[1]).exists():
        await asyncio.sleep(0.01)
        if running.done():
            running.result()
    at_start = gc.get_freeze_count(), len(gc.get_objects())
    while gc.get_freeze_count() < at_start[0] + 1_000:
        await asyncio.sleep(0.01)
    print(json.dumps([*at_start, gc.get_freeze_count(), len(gc.get_objects())]))
    running.cancel()
    await asyncio.wait({running})

asyncio.run(main())
"""
"""In a process of its own: in this one the engines may be there already."""

RECORDING = Path(__file__).parent / "audio" / "standup.wav"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="minuted-") as name:
        yield Path(name)


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """The daemon has the collector pass over what is there, which is also what other tests leave behind."""
    yield
    gc.unfreeze()


def config(place: Path, **sessions: SessionConfig) -> Config:
    return Config(
        daemon=DaemonConfig(listen=(f"unix:{place}/s",), state_dir=place / "deep" / "state"),
        # A vendor that nobody can reach.
        pyannote=PyannoteConfig(base_url="http://127.0.0.1:9", api_key="not-a-real-one"),
        sessions=sessions,
    )


@asynccontextmanager
async def running(settings: Config) -> AsyncIterator[grpc.aio.Channel]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(app.run(settings))
        async with grpc.aio.insecure_channel(settings.daemon.listen[0]) as channel:
            info = daemon_pb2_grpc.DaemonServiceStub(channel).GetInfo  # type: ignore[no-untyped-call]
            await info(daemon_pb2.GetInfoRequest(), wait_for_ready=True, timeout=10)
            yield channel
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await task


async def test_it_serves_and_ends_on_sigterm_with_its_sessions_stopped(place: Path) -> None:
    settings = config(place)
    async with running(settings) as channel:
        sessions = sessions_pb2_grpc.SessionServiceStub(channel)  # type: ignore[no-untyped-call]
        request = sessions_pb2.StartSessionRequest(
            name="standup", device=f"file:{RECORDING}", diarizer="pyannote", transcriber="none"
        )
        started = (await sessions.StartSession(request)).session
        assert started.state in (sessions_pb2.SESSION_STATE_STARTING, sessions_pb2.SESSION_STATE_RUNNING)
        directory = settings.daemon.state_dir
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert (directory / "minuted.db").exists()
    async with running(settings) as channel:
        sessions = sessions_pb2_grpc.SessionServiceStub(channel)  # type: ignore[no-untyped-call]
        request = sessions_pb2.GetSessionRequest(session="standup")
        session = (await sessions.GetSession(request)).session
        assert session.id == started.id
        assert session.state == sessions_pb2.SESSION_STATE_STOPPED
        assert session.duration.ToMilliseconds() >= 0


async def test_told_to_end_before_it_is_ready_it_begins_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = app.open_store

    async def told_meanwhile(url: str, state_dir: Path) -> object:
        os.kill(os.getpid(), signal.SIGTERM)
        return await opened(url, state_dir)

    monkeypatch.setattr(app, "open_store", told_meanwhile)
    monkeypatch.setattr(app, "Registry", None)
    async with asyncio.timeout(10):
        await app.run(config(place))
    monkeypatch.undo()
    async with running(config(place)):
        pass


async def test_what_an_older_version_left_goes_on_as_it_was(place: Path) -> None:
    """Also over one more restart, and what is paused stays paused."""
    settings = config(place)
    directory = settings.daemon.state_dir
    make_old_state(directory, time.time() - 60.0)
    for _ in range(2):
        async with running(settings) as channel:
            sessions = sessions_pb2_grpc.SessionServiceStub(channel)  # type: ignore[no-untyped-call]
            gone = [f"{SECRET}, {session}" for session in ("01DELETED", "01REDACTED")]
            while any(words in everything(directory) for words in gone):  # noqa: ASYNC110 - it is done in the background
                await asyncio.sleep(0.05)
            told = (await sessions.ListSessions(sessions_pb2.ListSessionsRequest())).sessions
            assert {session.id: sessions_pb2.SessionState.Name(session.state)[14:] for session in told} == {
                "01RUNNING": "RUNNING",
                "01PAUSED": "PAUSED",
                "01DRAINED": "RUNNING",
                "01DRAINING": "PAUSED",
                "01STOPPED": "STOPPED",
                "01REDACTED": "STOPPED",
            }
        assert {path.name for path in directory.glob("*.json")} == set()
        assert "01STOPPED" in everything(directory)


def everything(directory: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in directory.glob("minuted.db*"))


async def test_sessions_start_with_the_daemon(place: Path) -> None:
    one = SessionConfig(f"file:{RECORDING}", "pyannote", "none", autostart=True)
    async with running(config(place, standup=one)) as channel:
        sessions = sessions_pb2_grpc.SessionServiceStub(channel)  # type: ignore[no-untyped-call]
        watching = sessions.WatchSessions(sessions_pb2.WatchSessionsRequest())
        async for told in watching:
            if told.session.diarizer_link.health == sessions_pb2.LINK_HEALTH_DOWN:
                assert told.session.name == "standup"
                assert told.session.degraded
                assert told.session.state == sessions_pb2.SESSION_STATE_RUNNING
                break
        watching.cancel()


async def test_a_state_directory_serves_one_daemon(place: Path) -> None:
    settings = config(place)
    async with running(settings):
        with pytest.raises(ConfigError) as caught:
            await app.run(settings)
        assert caught.value.reason == "STATE_DIR_IN_USE"
        assert str(settings.daemon.state_dir) in caught.value.message


async def test_a_state_directory_that_cannot_be_is_named(place: Path) -> None:
    (place / "deep").write_text("a file")
    with pytest.raises(ConfigError) as caught:
        await app.run(config(place))
    assert caught.value.reason == "STATE_DIR_UNUSABLE"
    assert "deep" in caught.value.message


async def test_an_address_that_cannot_be_is_one_clear_error_and_lets_the_directory_go(place: Path) -> None:
    settings = config(place)
    (place / "s").mkdir()
    with pytest.raises(ConfigError, match="listen"):
        await app.run(settings)
    (place / "s").rmdir()
    async with running(settings):
        pass


async def test_the_service_manager_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(place / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        told: list[str] = []
        async with running(config(place)):
            while told.count("WATCHDOG=1") < 3:
                told.append((await asyncio.to_thread(manager.recv, 100)).decode())
        while not told[-1].startswith("STOPPING=1"):
            told.append(manager.recv(100).decode())
    assert told.count("READY=1\nSTATUS=Ready") == 1
    assert told[-1].startswith("STOPPING=1")


def test_without_a_service_manager_nothing_is_told() -> None:
    for environ in ({}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        notifier = Notifier(environ)
        notifier.ready()
        assert notifier.watchdog_s is None


def test_a_watchdog_of_another_process_is_not_ours() -> None:
    assert Notifier({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}).watchdog_s is None
    assert Notifier({"WATCHDOG_USEC": "2000000"}).watchdog_s == 2.0
    assert Notifier({"WATCHDOG_USEC": "many"}).watchdog_s is None


def test_an_abstract_socket_is_reached(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"minuted-test-{os.getpid()}"
        manager.bind("\0" + name)
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert manager.recv(100).startswith(b"READY=1")


def test_the_garbage_collector_passes_over_what_stays(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MINUTED_")} | {
        "MINUTED_DAEMON__STATE_DIR": str(tmp_path / "state"),
        "MINUTED_DAEMON__LISTEN": f"unix:{tmp_path}/minuted.sock",
        "OPENAI_API_KEY": "none",
    }
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path / "minuted.sock")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60.0,
        check=True,
    )
    frozen, left, frozen_later, left_later = json.loads(done.stdout.splitlines()[-1])
    assert frozen > 20 * left, "the daemon's own modules"
    assert frozen_later > 20 * left_later, "those of the engines as well, which are imported after the start"

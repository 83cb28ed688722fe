"""The daemon's start: fast, lean, and where it cannot be, one clear line for each reason and exit 78."""

import re
import sqlite3
from pathlib import Path

import pytest

from minuted import LinkHealth
from tests.e2e.daemon_process import DaemonProcess, descendants, refused_start, run_daemon
from tests.e2e.following import ended, follow
from tests.fakes.meeting import load_meeting, write_wav
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

CONFIG = 78
GENEROUS_S = 5.0
"""The promise is 1.5 s, which `make bench-footprint` measures; here the machine may be busy."""
OFFLINE = ("onnxruntime", "scipy", "moonshine", "kaldi_native_fbank")


def offline_libraries(pid: int) -> set[str]:
    """Which parts of the offline engine are mapped into a process or one of its descendants."""
    maps = "".join(Path(f"/proc/{one}/maps").read_text() for one in [pid, *descendants(pid)])
    return {name for name in OFFLINE if re.search(rf"/{name}[^\n]*\.so", maps)}


async def test_it_answers_soon_also_for_the_second_time(place: Path) -> None:
    daemon = DaemonProcess(place)
    async with daemon:
        first_s = daemon.ready_s
    async with daemon:
        second_s = daemon.ready_s
        async with daemon.client() as client:
            info = await client.info()
    print(f"GetInfo answered after {first_s:.2f} s on a new store, {second_s:.2f} s on an old one")
    assert max(first_s, second_s) < GENEROUS_S
    assert (info.auto_diarizer, info.auto_transcriber) == ("pyannote", "openai")


async def test_the_offline_engine_is_loaded_only_where_it_is_used(place: Path) -> None:
    room = load_meeting("ES2011d", 939.5, 4)
    write_wav(place / "room.wav", room)
    with pyannote_standin([room]) as pyannote, openai_standin([room]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            session = await client.start("room", device=f"file:{place}/room.wav")
            assert (session.diarizer, session.transcriber) == ("pyannote", "openai")
            await follow(client, ended(), "room")
            assert offline_libraries(daemon.pid) == set()

            await client.start("room", device=f"file:{place}/room.wav", diarizer="local", transcriber="none")
            async for session in client.watch_sessions():
                if session.diarizer_link.health == LinkHealth.LINK_HEALTH_UP:
                    break
            assert "onnxruntime" in offline_libraries(daemon.pid)
            await follow(client, ended(2), "room")


async def test_a_socket_or_state_directory_in_use_is_refused_and_its_owner_goes_on(place: Path) -> None:
    async with DaemonProcess(place) as owner:
        beside = place / "beside"
        beside.mkdir()
        same_socket = DaemonProcess(beside, {"daemon": {"listen": [owner.address]}})
        same_state = DaemonProcess(beside, {"daemon": {"state_dir": str(owner.state_dir)}})
        for second, named in ((same_socket, str(place / "minuted.sock")), (same_state, str(owner.state_dir))):
            code, lines = refused_start(second)
            assert code == CONFIG
            assert one_line(lines, named)
        async with owner.client() as client:
            assert (await client.info()).version
    # What was refused left nothing in the way.
    async with same_state:
        pass


async def test_a_state_directory_that_cannot_be_written_is_named(place: Path) -> None:
    daemon = DaemonProcess(place)
    daemon.state_dir.write_text("a file where the directory should be")
    code, lines = refused_start(daemon)
    assert code == CONFIG
    assert one_line(lines, str(daemon.state_dir))


async def test_a_database_of_a_newer_version_is_left_alone(place: Path) -> None:
    daemon = DaemonProcess(place)
    async with daemon:
        pass
    database = daemon.state_dir / "minuted.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    connection.close()
    before = database.read_bytes()
    code, lines = refused_start(daemon)
    assert code == CONFIG
    assert one_line(lines, "newer")
    assert str(database) in lines[0]
    assert database.read_bytes() == before


async def test_every_mistake_of_a_configuration_is_named_in_one_answer(place: Path) -> None:
    daemon = DaemonProcess(
        place,
        {"merge": {"join_gap": 0.5, "max_turn_s": -3}, "openai": {"base_url": "http://vendor.example/v1"}},
        environ={"MINUTED_SPOOL__MAX_GB": "much"},
    )
    code, lines = refused_start(daemon)
    assert code == CONFIG
    assert len(lines) == 4
    assert all(line.startswith("minuted: ") for line in lines)
    for named in ("join_gap", "max_turn_s", "base_url", "MINUTED_SPOOL__MAX_GB"):
        assert any(named in line for line in lines), named
    assert not daemon.state_dir.exists()


def one_line(lines: list[str], named: str) -> bool:
    """Return whether there is one line, for a person, that names what is wrong."""
    (line,) = lines
    return line.startswith("minuted: ") and named in line and "Traceback" not in line

"""What `minuted check` finds on this machine that would keep `minuted run` from starting."""

import os
from pathlib import Path

import pytest

from minuted_daemon.config.settings import Config, DaemonConfig, StorageConfig
from minuted_daemon.config.sources import DEFAULT_FILE
from minuted_daemon.config_check import inspect
from minuted_daemon.core.session_rules import SessionConfig


def problems(state_dir: Path, store: Path | None = None) -> tuple[str, ...]:
    """Return what is found; nothing may be made or changed by looking."""
    url = "" if store is None else f"sqlite:///{store}"
    return inspect(Config(daemon=DaemonConfig(state_dir=state_dir), storage=StorageConfig(url))).problems


def test_a_database_needs_its_directory(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "state", tmp_path / "absent" / "minuted.db")
    assert f"there is no directory {tmp_path}/absent" in problem
    assert problem.startswith("storage.url: ")
    (tmp_path / "absent").mkdir()
    assert problems(tmp_path / "state", tmp_path / "absent" / "minuted.db") == ()


@pytest.mark.parametrize("place", [".", "..", "../.."])
def test_what_run_makes_for_the_state_need_not_be_there(tmp_path: Path, place: str) -> None:
    state_dir = tmp_path / "srv" / "minuted" / "state"
    assert problems(state_dir, Path(os.path.normpath(state_dir / place)) / "minuted.db") == ()
    assert problems(state_dir) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "minuted.db")
    (problem,) = problems(tmp_path)
    assert "no regular file" in problem


def test_a_directory_is_no_socket(tmp_path: Path) -> None:
    config = Config(daemon=DaemonConfig(listen=(f"unix:{tmp_path}",), state_dir=tmp_path / "state"))
    (problem,) = inspect(config).problems
    assert problem.startswith(f"daemon.listen: {tmp_path} is a directory")
    assert f"unix:{tmp_path}/minuted.sock" in problem


def test_what_the_unit_hides_is_remarked_for_its_own_settings(tmp_path: Path) -> None:
    sessions = {"boardroom": SessionConfig(device="file:/home/ada/meeting.wav")}
    daemon = DaemonConfig(listen=("unix:/tmp/minuted.sock", "127.0.0.1:7310"), state_dir=tmp_path)

    def hidden(file: Path | None) -> list[str]:
        remarks = inspect(Config(daemon=daemon, sessions=sessions, file=file)).remarks
        return [remark.partition(":")[0] for remark in remarks if "minuted.service" in remark]

    assert hidden(DEFAULT_FILE) == ["daemon.listen", "sessions.boardroom.device"]
    assert hidden(tmp_path / "minuted.toml") == hidden(None) == []

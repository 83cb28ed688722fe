"""The command `minuted`: exit codes and clear lines."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import types
from pathlib import Path

import pytest

from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.cli import main
from minuted_daemon.errors import ConfigError, StoreError


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("config.settings", "config.sources"):
        monkeypatch.setattr(f"minuted_daemon.{module}.DEFAULT_FILE", tmp_path / "etc" / "minuted.toml")
    for name in list(os.environ):
        if name.startswith("MINUTED_") or name in ("OPENAI_API_KEY", "PYANNOTEAI_API_KEY", "CREDENTIALS_DIRECTORY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MINUTED_DAEMON__STATE_DIR", str(tmp_path / "state"))


def app_that(outcome: BaseException | None, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Put an app in the place of the real one, which ends as told; gives the configurations it was run with."""
    ran: list[object] = []

    async def run(config: object) -> None:
        ran.append(config)
        if outcome is not None:
            raise outcome

    module = types.ModuleType("minuted_daemon.app")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "minuted_daemon.app", module)
    monkeypatch.setattr("minuted_daemon.log.configure_logging", lambda _environ: None)
    return ran


def test_run_gives_the_app_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = app_that(None, monkeypatch)
    file = tmp_path / "m.toml"
    file.write_text("[merge]\njoin_gap_s = 0.5\n")
    assert main(["run", "--config", str(file)]) == 0
    assert [config.merge.join_gap_s for config in ran] == [0.5]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("outcome", "code", "lines"),
    [
        (ConfigError("STATE_DIR_LOCKED", "in use", ("first", "second")), 78, ["minuted: first", "minuted: second"]),
        (ExceptionGroup("x", [ConfigError("A", "one"), ConfigError("B", "two")]), 78, ["minuted: one", "minuted: two"]),
        (StoreError("DISK_FULL", "the disk is full"), 1, ["minuted: the disk is full"]),
    ],
)
def test_expected_failures_are_lines_without_a_traceback(
    outcome: BaseException,
    code: int,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app_that(outcome, monkeypatch)
    assert main(["run"]) == code
    assert capsys.readouterr().err.splitlines() == lines


def test_told_to_end_while_it_loads_it_ends_in_order(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(f'[daemon]\nlisten = ["unix:{tmp_path}/s"]\nstate_dir = "{tmp_path}/state"\n')
    program = (
        "import os, signal, sys\n"
        "from minuted_daemon import cli; from minuted_daemon.config import settings as config\n"
        "loaded = config.load_config\n"
        "def load_config(*given):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return loaded(*given)\n"
        "config.load_config = load_config\n"
        f"sys.exit(cli.main(['run', '--config', '{tmp_path}/m.toml']))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=18)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr


@pytest.mark.parametrize("bug", [ZeroDivisionError(), ExceptionGroup("x", [ConfigError("A", "one"), KeyError("k")])])
def test_a_bug_keeps_its_traceback(bug: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    app_that(bug, monkeypatch)
    with pytest.raises(type(bug)):
        main(["run"])


def test_run_with_a_wrong_configuration_never_comes_to_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = app_that(None, monkeypatch)
    monkeypatch.setenv("MINUTED_MERGE__JOIN_GAP_S", "x")
    monkeypatch.setenv("MINUTED_MERGE__HOLD_BAK", "x")
    assert main(["run"]) == 78
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert ran == []


def test_check_tells_what_would_be_used_and_creates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINUTED_SESSIONS__BOARDROOM__AUTOSTART", "true")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(["check"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("ok")
    assert "diarizer local, transcriber openai" in told.out
    assert "boardroom" in told.out
    assert "a-key-of-mine" not in told.out + told.err
    assert sorted(tmp_path.rglob("*")) == before


def test_check_tells_all_mistakes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MINUTED_MERGE__JOIN_GAP_S", "x")
    monkeypatch.setenv("MINUTED_OPENAI__DELAY", "y")
    assert main(["check"]) == 78
    told = capsys.readouterr()
    assert told.out == ""
    assert ["JOIN_GAP_S" in told.err, "DELAY" in told.err] == [True, True]


def test_check_warns_of_what_is_only_odd(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MINUTED_OPENAI__MODEL", "gpt-next")
    monkeypatch.setenv("MINUTED_SESSIONS__A__DIARIZER", "pyannote")
    assert main(["check"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all(line.startswith("minuted: warning: ") for line in told)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"TRANSCRIBER": "local", "LANGUAGES": "de,en-GB,pt-BR"}, "knows only en, and will get de, pt-BR wrong"),
        ({"LANGUAGES": "de"}, "and will get de wrong"),
        ({"LANGUAGES": "de", "FALLBACK": "local", "key": "k"}, "will get de wrong should it have to take over"),
        ({"LANGUAGES": "de", "key": "k"}, ""),
        ({"TRANSCRIBER": "local", "LANGUAGES": "en-GB"}, ""),
        ({"TRANSCRIBER": "none", "LANGUAGES": "de", "FALLBACK": "local"}, ""),
    ],
)
def test_check_tells_which_languages_the_offline_engine_does_not_know(
    settings: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv("OPENAI_API_KEY" if name == "key" else f"MINUTED_SESSIONS__A__{name}", value)
    assert main(["check"]) == 0
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == bool(told)
    assert told in "".join(warnings)


def test_check_looks_at_the_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINUTED_DAEMON__STATE_DIR", str(tmp_path / "file" / "state"))
    monkeypatch.setenv("MINUTED_STORAGE__URL", f"sqlite:///{tmp_path}")
    assert main(["check"]) == 78
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "is not a directory" in told[0]
    assert "is a directory" in told[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_check_sees_a_directory_that_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    monkeypatch.setenv("MINUTED_DAEMON__STATE_DIR", str(tmp_path / "closed" / "state"))
    assert main(["check"]) == 78
    assert "not writable" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], ["required: COMMAND"]),
        (["rnu"], ["'rnu'", "'run'"]),
        (["run", "extra"], ["unrecognized arguments: extra"]),
        (["run", "--confg"], ["unrecognized arguments: --confg"]),
        (["run", "--config"], ["--config: expected one argument"]),
        (["--config", "", "run"], ["--config: must be the name of a file"]),
        (["demo", "--config", "x"], ["unrecognized arguments: --config"]),
        (["--config", "x", "demo"], ["demo takes no --config"]),
        (["backup"], ["required: DEST"]),
        (["backup", ""], ["DEST: must be the name of a file"]),
        (["backup", "a", "b"], ["unrecognized arguments: b"]),
    ],
)
def test_a_mistake_in_the_command_line_is_told_in_one_line_after_the_usage(
    arguments: list[str], named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    told = capsys.readouterr()
    assert (left.value.code, told.out) == (2, "")
    assert told.err.startswith("usage: minuted")
    assert all(word in told.err.splitlines()[-1] for word in named), told.err


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_configuration_file_is_taken_before_and_after_the_command(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = app_that(None, monkeypatch)
    file = tmp_path / "m.toml"
    file.write_text("[merge]\njoin_gap_s = 0.5\n")
    option = ["--config", str(file)]
    assert main([*option, "run"] if place == "before" else ["run", *option]) == 0
    assert [config.merge.join_gap_s for config in ran] == [0.5]  # type: ignore[attr-defined]


def test_backup_copies_the_configured_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def create(path: Path) -> None:
        await (await open_store(f"sqlite:///{path}")).close()

    (tmp_path / "state").mkdir()
    elsewhere = tmp_path / "elsewhere.db"
    for number, database in enumerate((tmp_path / "state" / "minuted.db", elsewhere)):
        asyncio.run(create(database))
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE store SET highest_seq = ?", (number,))
        copy = tmp_path / f"copy-{number}.db"
        assert main(["backup", str(copy)]) == 0
        told = capsys.readouterr()
        assert told.out.startswith(f"{copy}: 0 sessions, 0 turns, all changes up to {number} (")
        assert told.err == ""
        monkeypatch.setenv("MINUTED_STORAGE__URL", f"sqlite:///{elsewhere}")


def test_a_backup_that_cannot_be_made_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backup", str(tmp_path / "copy.db")]) == 78  # there is no database
    monkeypatch.setenv("MINUTED_STORAGE__URL", "postgresql://minuted:hunter2@db/minuted")
    assert main(["backup", str(tmp_path / "copy.db")]) == 78
    (tmp_path / "here.db").touch()
    monkeypatch.setenv("MINUTED_STORAGE__URL", f"sqlite:///{tmp_path / 'here.db'}")
    assert main(["backup", str(tmp_path / "here.db")]) == 1  # it is not overwritten
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 3
    assert "hunter2" not in told


def test_help_and_version_need_none_of_the_daemons_packages() -> None:
    program = (
        "import sys; from minuted_daemon.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'structlog', 'numpy', 'grpc', 'asyncio.subprocess'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=10)
    assert told.stdout.endswith("\n[]\n") or "['asyncio.subprocess']" in told.stdout
    version = subprocess.run(
        [sys.executable, "-m", "minuted_daemon", "--version"], capture_output=True, text=True, check=True, timeout=10
    )
    assert version.stdout.startswith("minuted ")

"""The files of systemd/: valid, and true to the daemon's defaults."""

import dataclasses
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from minuted_daemon.config.settings import SETTINGS, Config, load_config
from minuted_daemon.core.session_rules import SessionConfig

SYSTEMD = Path(__file__).parents[2] / "systemd"


def unit(tmp_path: Path) -> Path:
    """Return a copy of the unit whose program is there."""
    copy = tmp_path / "minuted.service"
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", (SYSTEMD / "minuted.service").read_text()))
    return copy


def settings_of(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"(?m)^(\w+)=(.*)$", text):
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_is_valid(tmp_path: Path) -> None:
    # The exit code is 0 even for unknown settings; only standard error tells.
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_is_shut_in(tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=25", unit(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=15)
    assert told.returncode == 0, told.stdout


def test_the_unit_keeps_its_promises() -> None:
    settings = settings_of((SYSTEMD / "minuted.service").read_text())
    assert settings["ExecStart"] == ["/usr/bin/minuted run"]
    assert (settings["Type"], settings["NotifyAccess"]) == (["notify"], ["main"])
    assert "WatchdogSec" in settings
    assert (settings["StateDirectory"], settings["StateDirectoryMode"]) == (["minuted"], ["0700"])
    assert (settings["RuntimeDirectory"], settings["RuntimeDirectoryMode"]) == (["minuted"], ["0750"])
    assert (settings["Restart"], settings["RestartPreventExitStatus"]) == (["on-failure"], ["78"])
    assert settings["TimeoutStopSec"] == ["20"]
    # It must start without keys: each credential has a fallback.
    loaded = {value.partition(":")[0] for value in settings["LoadCredential"]}
    assert loaded == {"pyannoteai_api_key", "openai_api_key"}
    assert loaded == {value.partition(":")[0] for value in settings["SetCredential"]}
    # Sound devices stay reachable.
    assert not {"PrivateDevices", "PrivateUsers", "PrivateNetwork"} & set(settings)
    assert "char-alsa rw" in settings["DeviceAllow"]
    assert "AF_UNIX" in settings["RestrictAddressFamilies"][0]


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="systemd is not installed")
def test_the_user_can_be_made(tmp_path: Path) -> None:
    told = subprocess.run(
        ["systemd-sysusers", "--dry-run", f"--root={tmp_path}", SYSTEMD / "minuted.sysusers"],
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    assert told.returncode == 0, told.stderr


def test_the_example_is_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = load_config(SYSTEMD / "minuted.toml", {"MINUTED_DAEMON__STATE_DIR": str(tmp_path)})
    assert dataclasses.replace(config, file=None, daemon=Config().daemon) == Config()
    # `state_dir` itself, and the section of a session with its comment signs taken away:
    text = (SYSTEMD / "minuted.toml").read_text()
    tables = tomllib.loads(re.sub(r"(?m)^# (\[sessions.*|\w+ = .*)$", r"\1", text))
    assert {name: set(keys) for name, keys in tables.items() if name != "sessions"} == {
        name: set(keys) for name, keys in SETTINGS.items() if name != "sessions"
    }
    session = tables["sessions"]["boardroom"]
    assert set(session) == set(SETTINGS["sessions"])
    assert (
        SessionConfig(**{**session, **{key: tuple(session[key]) for key in ("languages", "channels")}})
        == SessionConfig()
    )
    assert tables["daemon"]["state_dir"] == str(Config().daemon.state_dir)

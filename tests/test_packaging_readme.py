"""The README tells the truth where a machine can tell: settings, paths, targets, commands."""

import re
import tomllib
from pathlib import Path

from minutectl.arguments import COMMANDS
from minuted_daemon.cli import COMMANDS as DAEMON_COMMANDS
from minuted_daemon.config import SETTINGS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]


def test_every_setting_is_told_with_its_default() -> None:
    # The example configuration is held to the code's defaults by a test of its own; sessions stand there as comments.
    example = (ROOT / "systemd" / "minuted.toml").read_text()
    head, _, sessions = example.partition("# [sessions.boardroom]")
    defaults = tomllib.loads(head)
    uncommented = re.findall(r'(?m)^# (\w+ = (?:".*"|\[.*\]|true|false))$', sessions)
    defaults["sessions"] = tomllib.loads("\n".join(uncommented))
    told = {
        tuple(key.strip("`").replace("sessions.NAME.", "sessions.").split(".")): tomllib.loads(f"it = {value[1:-1]}")[
            "it"
        ]
        for key, value, *_ in rows(section("Configuration"))[2:]
    }
    assert told == {(name, key): defaults[name][key] for name, keys in SETTINGS.items() for key in keys}


def test_every_file_to_edit_is_there() -> None:
    table = rows(section("To change X, edit Y"))[2:]
    paths = [path for _, where in table for path in re.findall(r"`([\w./-]+)`", where)]
    assert len(paths) > len(table)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_make_target_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z0-9-]+)", README.partition("\n## Limits")[0] + section("Figures")))
    assert {"demo", "test", "proto", "bench-attribution"} <= named
    assert [target for target in named if not re.search(rf"(?m)^{target}:", makefile)] == []


def test_every_command_is_told() -> None:
    told = section("Command line")
    assert [name for name in DAEMON_COMMANDS if f"`minuted {name}`" not in told] == []
    assert [name for name in COMMANDS if not re.search(rf"`{name}\b", told)] == []


def test_a_decision_is_short() -> None:
    decisions = CHANGELOG.partition("### Decisions\n")[2].strip().split("\n\n")
    assert len(decisions) > 5
    for decision in decisions:
        assert len(decision.splitlines()) <= 8
        assert all(word in decision for word in ("Context:", "Choice:", "Cost:", "Reversed by:")), decision

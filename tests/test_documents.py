"""The documents tell the truth where a machine can tell: settings, paths, links, commands, code, reasons."""

import ast
import inspect
import json
import re
import shlex
import subprocess
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

import minuted
from minutectl.arguments import COMMANDS, parse
from minuted_daemon import errors
from minuted_daemon.cli import COMMANDS as DAEMON_COMMANDS
from minuted_daemon.cli import parse as parse_daemon_command
from minuted_daemon.config.settings import SETTINGS, load_config
from tests import documents
from tests.documents import NAMES, ROOT, SETTINGS_DOCUMENT, blocks, read, rows, section

CHANGELOG = read("CHANGELOG.md")
SOURCE = "\n".join(path.read_text() for path in (ROOT / "daemon" / "minuted_daemon").rglob("*.py"))


def test_the_readme_is_short_and_says_where_to_read_on() -> None:
    assert len(read("README.md").splitlines()) <= 150
    assert [name for name in NAMES[1:] if f"]({name})" not in read("README.md")] == []


def test_the_table_of_settings_is_that_of_the_example() -> None:
    text = read(SETTINGS_DOCUMENT)
    assert text == documents.with_settings(text), "run: make docs"


def test_every_setting_is_told_with_its_meaning() -> None:
    told = {key.strip("`"): meaning for key, _, meaning in rows(documents.settings_table())[2:]}
    keys = {
        f"{name}.NAME.{key}" if name == "sessions" else f"{name}.{key}" for name, of in SETTINGS.items() for key in of
    }
    assert keys <= told.keys()
    assert [key for key, meaning in told.items() if len(meaning) < 10] == []


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    here = (ROOT / name).parent
    for target in re.findall(r"\]\(([^)]+)\)", read(name)):
        path, _, anchor = target.partition("#")
        file = (here / path) if path else ROOT / name
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"(?m)^#+ (.+)$", file.read_text())
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_every_file_to_edit_is_there() -> None:
    text = section("daemon/README.md", "To change X, edit Y") + section("clients/python/README.md", "The SDK")
    paths = re.findall(r"`(?!minuted\.)([\w./-]+(?:\.\w+|/))`", text)
    places = (ROOT, ROOT / "daemon" / "minuted_daemon", ROOT / "clients" / "python", ROOT / "clients/python/minuted")
    assert len(paths) > 30
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []


def test_every_room_is_told() -> None:
    """Every package of the daemon stands in the tables of rooms, and what stands there exists."""
    text = section("daemon/README.md", "Rooms")
    home = ROOT / "daemon" / "minuted_daemon"
    places = (home.parent, home, home / "service", home / "core", home / "adapters", home / "adapters" / "capture")
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", text)
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
    packages = {path.parent for floor in ("*", "*/*") for path in home.glob(f"{floor}/__init__.py")}
    told = {place / name.rstrip("/") for name in named for place in places}
    assert packages - told == set()


def test_every_make_target_is_there() -> None:
    makefile = read("Makefile")
    named = {target for name in NAMES for target in re.findall(r"`make ([a-z0-9-]+)", read(name))}
    named |= {command.split()[1] for _, command in documents.commands() if command.startswith("make ")}
    assert {"demo", "test", "proto", "docs", "bench-attribution"} <= named
    assert [target for target in named if not re.search(rf"(?m)^{target}:", makefile)] == []


def test_every_command_is_told() -> None:
    told = section(SETTINGS_DOCUMENT, "Commands")
    assert [name for name in DAEMON_COMMANDS if f"`minuted {name}" not in told] == []
    told = section("clients/python/README.md", "The command line")
    assert [name for name in COMMANDS if not re.search(rf"`{name}\b", told)] == []


@pytest.mark.parametrize(("document", "command"), list(documents.commands()))
def test_every_command_parses(document: str, command: str) -> None:
    for part in re.split(r" && | & ?", command):
        _check(part)


def _check(command: str) -> None:
    subprocess.run(["bash", "-n", "-c", command], check=True)
    program, *arguments = shlex.split(command)
    match program.rpartition("/")[2]:
        case "minutectl":
            assert parse(arguments, "").command in COMMANDS
        case "minuted":
            assert parse_daemon_command(arguments).command in DAEMON_COMMANDS
        case "python" if arguments[0] == "-m":
            assert find_spec(arguments[1])
            assert all((ROOT / path).exists() for path in arguments[2:] if path.startswith("tests/"))
        case "grpcurl":
            _check_grpcurl(arguments)
        case "install":
            assert all((ROOT / path).exists() for path in arguments if path.startswith("systemd/"))
        case other:
            assert other in SYSTEM_COMMANDS, command


SYSTEM_COMMANDS = {
    *("apt-get", "export", "kill", "ln", "make", "mkdir", "mv", "pip", "python3"),
    *("sleep", "systemctl", "systemd-sysusers"),
}


def _check_grpcurl(arguments: list[str]) -> None:
    """Hold a call to the contract: the method is there, and takes the message."""
    method = arguments[-1]
    if "/" not in method:
        assert Default().FindServiceByName(method)
        return
    service, _, name = method.partition("/")
    called = Default().FindServiceByName(service).FindMethodByName(name)
    message = arguments[arguments.index("-d") + 1] if "-d" in arguments else "{}"
    ParseDict(json.loads(message), GetMessageClass(called.input_type)())


@pytest.mark.parametrize("block", [block for block in blocks() if block.language == "python"])
def test_python_is_right(block: documents.Block) -> None:
    """It compiles, and what it calls of the client is there and takes these arguments."""
    tree = ast.parse(block.text)
    client = minuted.AsyncClient if "async with" in block.text else minuted.Client
    called = 0
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func.value) == "room"
        ):
            positional = [None] * len(node.args)
            named = {keyword.arg or "": None for keyword in node.keywords}
            inspect.signature(getattr(client, node.func.attr)).bind(None, *positional, **named)
            called += 1
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("minuted."):
            value: object = minuted
            for part in ast.unparse(node).split(".")[1:]:
                value = getattr(value, part)
    assert called


@pytest.mark.parametrize("block", [block for block in blocks() if block.language == "toml"])
def test_settings_are_right(block: documents.Block, tmp_path: Path) -> None:
    assert tomllib.loads(block.text)
    file = tmp_path / "minuted.toml"
    file.write_text(block.text)
    assert load_config(file, {})


@cache
def _calls() -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Call)]


def _reasons(errors_raised: set[str]) -> set[str]:
    """Return the reasons with which the daemon makes errors of these classes."""
    return {
        call.args[0].value
        for call in _calls()
        if isinstance(call.func, ast.Name)
        and call.func.id in errors_raised
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_every_reason_of_a_request_is_told() -> None:
    """What a client may have to handle stands in the contract's table; and what stands there is in the code."""
    raised = {error.__name__ for error in (*errors.RequestError.__subclasses__(), errors.DeviceError)}
    reason = re.compile(r"[A-Z]+(_[A-Z0-9]+)+")
    found = _reasons(raised)
    text = section("proto/README.md", "Errors")
    told = {word for word in re.findall(r"`([A-Z0-9_]+)`", text) if reason.fullmatch(word)}
    statuses = {row[0].strip("`") for row in rows(text)}
    only_while_running = {"FILE_DAMAGED"}  # ends a session: it stands in its `failure`
    assert found - told - only_while_running == set()
    assert [word for word in told - statuses if f'"{word}"' not in SOURCE] == []


def test_every_symptom_has_a_reason_that_is_there() -> None:
    told = re.findall(r"`([A-Z]+(?:_[A-Z0-9]+)+)`", section(SETTINGS_DOCUMENT, "Faults by symptom"))
    assert len(told) > 30
    assert [word for word in told if f'"{word}"' not in SOURCE] == []


def test_every_reason_of_a_link_has_a_symptom() -> None:
    """What an engine, a device or the configuration may fail with stands in the administrator's guide."""
    raised = {"Unavailable", "Rejected", "Garbled", "ConfigError", "Fault"}
    never_seen = {"STREAM_CLOSED", "ENDED"}  # of what this side has ended
    found = _reasons(raised)
    told = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", read(SETTINGS_DOCUMENT)))
    assert len(found) > 40
    assert found - told - never_seen == set()


def test_the_glossary_is_short() -> None:
    words = rows(section("daemon/README.md", "Glossary"))[2:]
    assert 10 < len(words) <= 40


def test_a_decision_is_short() -> None:
    decisions = CHANGELOG.partition("### Decisions\n")[2].strip().split("\n\n")
    assert len(decisions) > 5
    for decision in decisions:
        assert len(decision.splitlines()) <= 8
        assert all(word in decision for word in ("Context:", "Choice:", "Cost:", "Reversed by:")), decision

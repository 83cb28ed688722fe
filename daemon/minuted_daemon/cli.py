"""The command `minuted`: reads the command line, and turns a failed start into clear lines and an exit code."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from minuted_daemon.errors import ConfigError, MinutedError

if TYPE_CHECKING:
    from minuted_daemon.config.settings import Config

FAILED = 1
USAGE = 2
CONFIG = 78
INTERRUPTED = 130

COMMANDS = {
    "run": "capture and serve, until stopped",
    "check": "say whether `run` could, and everything that is wrong; change nothing",
    "backup": "copy the minutes into the file DEST, also while the daemon runs",
    "demo": "minute a recorded meeting, offline, and show it live",
}
_USAGE = "minuted run|check [--config FILE], minuted backup DEST [--config FILE], minuted demo"
_NO_VALUE = "\0"  # what --config gets where its value is missing; no path can be this


class UsageError(Exception):
    """The command line is wrong; `problems` names everything that is."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError([message])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give the exit code: 0 done, 1 failed, 2 usage, 78 configuration, 130 interrupted."""
    try:
        command, config_file, destination = _parse(sys.argv[1:] if arguments is None else arguments)
    except UsageError as error:
        _say(f"usage: {_USAGE}", *(f"minuted: {p}" for p in error.problems))
        return USAGE
    # gRPC's own remarks would stand between ours; it reads this once, when it is first imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        if command == "run":
            return _run(config_file)
        if command == "check":
            return _check(config_file)
        if destination is not None:
            return _backup(config_file, destination)
        return _demo()
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("minuted", "minuted_daemon", "minutectl", ""):
            raise
        _say(f"minuted: the package {package} is not installed; install minuted with its extra: minuted[daemon]")
        return CONFIG


def _parse(arguments: Sequence[str]) -> tuple[str, Path | None, Path | None]:
    """Return the command, the configuration file and where a backup goes.

    Raises UsageError that names every mistake.
    """
    parser = _Parser(
        prog="minuted",
        usage=_USAGE,
        description="Turns a meeting room's microphones into live, speaker-attributed minutes.",
        epilog="commands:\n" + "\n".join(f"  {name:<7} {text}" for name, text in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    text = "settings in TOML (else /etc/minuted/minuted.toml if it is there)"
    parser.add_argument("--config", metavar="FILE", nargs="?", const=_NO_VALUE, help=text)
    parser.add_argument("--version", action="version", version=f"minuted {_version()}")
    # The command is not an argument of the parser's, which would stop at the first mistake.
    found, rest = parser.parse_known_args(arguments)
    words = [word for word in rest if not word.startswith("-")]
    problems = []
    if not words:
        problems.append(f"a command is missing: {', '.join(COMMANDS)}")
    elif words[0] not in COMMANDS:
        near = get_close_matches(words[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        problems.append(f'there is no command "{words[0]}"; {hint}')
    taken = 2 if words[:1] == ["backup"] else 1
    if taken > len(words) > 0 or words[1:taken] == [""]:
        problems.append("backup needs the name of the file to write")
    problems += [f'"{word}" is one argument too many' for word in words[taken:]]
    for word in rest:
        if word.startswith("-"):
            near = get_close_matches(word, ("--config", "--version", "--help"), n=1)
            problems.append(f"unknown option {word}" + (f"; did you mean {near[0]}?" if near else ""))
    if found.config in (_NO_VALUE, ""):
        problems.append("--config needs the name of a file")
    elif found.config and words[:1] == ["demo"]:
        problems.append("demo takes no --config: it brings its own settings")
    if problems:
        raise UsageError(problems)
    return words[0], Path(found.config) if found.config else None, Path(words[1]) if taken == 2 else None


def _run(config_file: Path | None) -> int:
    with _sigterm_held_back():
        # Here and below, because --help and a wrong command line need none of it.
        from minuted_daemon.config.settings import load_config
        from minuted_daemon.log import configure_logging

        try:
            config = load_config(config_file, os.environ)
            configure_logging(os.environ)
            from minuted_daemon.app import run

            asyncio.run(run(config))
        except (MinutedError, BaseExceptionGroup) as error:
            return _failed(error)
    return 0


@contextmanager
def _sigterm_held_back() -> Iterator[None]:
    """Have SIGTERM wait until `run` takes it, and ends in order: loading the daemon takes more than a second."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _failed(error: BaseException) -> int:
    """Say why the daemon does not run. Raises the error if it is a bug, for its traceback."""
    expected = list(_leaves(error))
    if not all(isinstance(leaf, MinutedError) for leaf in expected):
        raise error
    problems = [
        problem for leaf in expected for problem in (leaf.problems if isinstance(leaf, ConfigError) else (str(leaf),))
    ]
    _say(*(f"minuted: {problem}" for problem in dict.fromkeys(problems)))
    return CONFIG if any(isinstance(leaf, ConfigError) for leaf in expected) else FAILED


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _check(config_file: Path | None) -> int:
    from minuted_daemon.config.settings import load_config
    from minuted_daemon.config_check import inspect

    try:
        config: Config = load_config(config_file, os.environ)
    except ConfigError as error:
        return _failed(error)
    found = inspect(config, os.environ)
    _say(*(f"minuted: warning: {remark}" for remark in found.remarks))
    if found.problems:
        _say(*(f"minuted: {problem}" for problem in found.problems))
        return CONFIG
    sys.stdout.write("".join(f"{line}\n" for line in found.summary))
    return 0


def _backup(config_file: Path | None, destination: Path) -> int:
    from minuted_daemon.adapters.storage.database.backup import back_up
    from minuted_daemon.adapters.storage.database.opener import database_path
    from minuted_daemon.config.settings import load_config

    try:
        config = load_config(config_file, os.environ)
        url = config.storage.url or f"sqlite:///{config.daemon.state_dir.absolute() / 'minuted.db'}"
        made = back_up(database_path(url), destination)
    except MinutedError as error:
        return _failed(error)
    counts = f"{made.sessions} sessions, {made.turns} turns, all changes up to {made.highest_seq}"
    sys.stdout.write(f"{destination}: {counts} ({made.file_bytes / 1_000_000:.1f} MB)\n")
    return 0


def _demo() -> int:
    from minuted_daemon.demo import Failed, demo

    try:
        return demo(Path("demo"))
    except Failed as error:
        _say(f"minuted: the demo failed: {error}")
        return FAILED


def _say(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(f"{line}\n")


def _version() -> str:
    try:
        return version("minuted")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())

"""The command `minuted`: reads the command line, and turns a failed start into clear lines and an exit code."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from minuted_daemon.errors import ConfigError, MinutedError, leaves

if TYPE_CHECKING:
    from minuted_daemon.config.settings import Config

FAILED = 1
CONFIG = 78
INTERRUPTED = 130

COMMANDS = {
    "run": "capture and serve, until stopped",
    "check": "say whether `run` could, and everything that is wrong; change nothing",
    "backup": "copy the minutes into the file DEST, also while the daemon runs",
    "demo": "minute a recorded meeting, offline, and show it live",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 failed, 2 usage, 78 configuration, 130 interrupted.

    Leaves with SystemExit after --help, --version and a mistake in the command line (2).
    """
    args = parse(sys.argv[1:] if arguments is None else arguments)
    # gRPC's own messages would stand between ours; it reads this once, when it is first imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        if args.command == "run":
            return _run(args.config)
        if args.command == "check":
            return _check(args.config)
        if args.command == "backup":
            return _backup(args.config, args.destination)
        return _demo()
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("minuted", "minuted_daemon", "minutectl", ""):
            raise
        _say(f"minuted: the package {package} is not installed; install minuted with its extra: minuted[daemon]")
        return CONFIG


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line: `command`, `config` (a path or None), and `destination` of a backup.

    Leaves with SystemExit: 0 after --help and --version, 2 after a mistake, which is reported on standard error.
    """
    text = "settings in TOML (else /etc/minuted/minuted.toml if it is there)"
    configured = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    configured.add_argument("--config", metavar="FILE", type=_file, help=text)
    parser = argparse.ArgumentParser(
        "minuted",
        description="Turns a meeting room's microphones into live, speaker-attributed minutes.",
        parents=[configured],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"minuted {_version()}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        parents = [] if name == "demo" else [configured]
        command = subparsers.add_parser(name, help=text, description=f"{text}.", parents=parents, allow_abbrev=False)
        if name == "backup":
            command.add_argument("destination", metavar="DEST", type=_file, help="the file to write")
    found = parser.parse_args(arguments, argparse.Namespace(config=None))
    if found.command == "demo" and found.config:
        parser.error("demo takes no --config: it brings its own settings")
    return found


def _file(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must be the name of a file")
    return Path(text)


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
    expected = list(leaves(error))
    if not all(isinstance(leaf, MinutedError) for leaf in expected):
        raise error
    problems = [
        problem for leaf in expected for problem in (leaf.problems if isinstance(leaf, ConfigError) else (str(leaf),))
    ]
    _say(*(f"minuted: {problem}" for problem in dict.fromkeys(problems)))
    return CONFIG if any(isinstance(leaf, ConfigError) for leaf in expected) else FAILED


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
        made = back_up(database_path(config.storage_url), destination)
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

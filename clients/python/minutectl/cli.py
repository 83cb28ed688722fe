"""The command `minutectl`: runs a command line, and reports a failure in one clear line and an exit code."""

import os
import stat
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from minutectl.arguments import parse

REFUSED = 1
USAGE = 2
UNREACHABLE = 69
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 refused, 2 usage, 69 no daemon, 130 interrupted.

    Leaves with SystemExit after --help, --version and a mistake in the command line (2).
    """
    if sys.stdout is None:  # closed by the process that started this one
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (for as long as the process lives)
    args = parse(sys.argv[1:] if arguments is None else arguments, _version())
    try:
        return _run(args)
    except KeyboardInterrupt:
        # Watching ends in no other way.
        return 0 if args.command in ("watch", "levels") else INTERRUPTED
    except BrokenPipeError:
        _forget_output()  # the reader has seen enough
        return 0
    except OSError as error:
        _forget_output()
        return _say(f"cannot write: {error.strerror or error}", REFUSED)


def _forget_output() -> None:
    """Drop what is still buffered: writing it at exit would raise once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(args: Namespace) -> int:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's own messages would stand between ours
    # Here, because --help and a wrong command line need none of it.
    import grpc

    from minutectl.commands import COMMANDS
    from minutectl.lines import plain
    from minuted import Error, Unreachable, connect
    from minuted.address import ADDRESS_VARIABLE, InvalidAddress, choose

    address = choose(args.address)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        with connect(args.address) as room:
            COMMANDS[args.command](room, args)
        sys.stdout.flush()
    except UnicodeEncodeError as error:  # of an argument, or of the working directory that a file's path begins with
        return _say(f'"{plain(ascii(error.object)[1:-1])}" is not text in UTF-8', USAGE)
    except InvalidAddress as error:
        where = "--address" if args.address else ADDRESS_VARIABLE
        return _say(plain(f"{where}: {error}"), USAGE)
    except Unreachable as error:
        return _say(plain(f"{error.message}{_cause(error.facts.get('detail', ''), address)}"), UNREACHABLE)
    except Error as error:
        unanswered = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        return _say(plain(error.message), UNREACHABLE if unanswered else REFUSED)
    return 0


def _say(line: str, code: int) -> int:
    sys.stderr.write(f"minutectl: {line}\n")
    return code


def _cause(detail: str, address: str) -> str:
    """Return the likely cause, from the socket's path and from gRPC's account of the failure."""
    if "Permission denied" in detail:
        return " (permission denied: join the group of its socket)"
    if not detail:
        return ""
    if address.startswith("unix:"):
        socket = Path(address.removeprefix("unix:"))
        try:
            mode = socket.stat().st_mode
        except OSError:
            return " (is it running?)"
        if stat.S_ISDIR(mode):
            return f" (that is a directory; name the socket in it: {address.rstrip('/')}/minuted.sock)"
        if not stat.S_ISSOCK(mode):
            return " (that is a file and no socket)"
    return " (is it running?)"


def _version() -> str:
    try:
        return version("minuted")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())

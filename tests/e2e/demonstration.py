"""`minuted demo` as its user runs it, and then the commands it names for reading the minutes again."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.json_format import Parse

from minuted import Session, Turn
from tests.e2e.daemon_process import READY_S, STOP_S, environment
from tests.e2e.quiet_network import quiet, unsuppressed, why_not_here

DEMO_S = 150.0
"""The recording lasts 63 s."""

_NOT_REACHABLE = 69
_READ_S = 30.0
_LINE = re.compile(r"(?P<at>\d\d:\d\d\.\d)  (?P<speaker>\S+)  (?P<text>\S.*)")


@dataclass(frozen=True)
class Demonstration:
    """What the demo printed, and what is read from its database by a daemon that was started on it again."""

    code: int
    output: str
    log: str
    turns: list[Turn]
    session: Session
    lookups: list[str] | None
    """The names it looked up; None where no network of its own could be made (see quiet_network.why_not_here)."""
    left_at_home: list[str]
    """The files that are in its home directory and among the temporary files afterwards."""

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The printed turns, (speaker, text)."""
        found = (_LINE.fullmatch(line) for line in self.output.splitlines())
        return [(line["speaker"], line["text"]) for line in found if line and line["speaker"] != "--"]


def demonstrate(place: Path) -> Demonstration:
    """Run the demo in a directory, then the two commands it ends with."""
    home, report = place / "home", place / "lookups"
    home.mkdir()
    command = [sys.executable, "-m", "minuted_daemon", "demo"]
    alone = why_not_here() is None
    done = subprocess.run(
        quiet(command, report) if alone else command,
        cwd=place,
        env=_at_home(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEMO_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    commands = [line.strip() for line in done.stdout.partition("To read them again:")[2].splitlines()]
    run = next(line.partition(" &")[0] for line in commands if " run --config " in line)
    read = next(line for line in commands if " turns " in line)
    with _running(shlex.split(run), place) as daemon:
        turns = _ask([*shlex.split(read), "--json"], place, daemon)
        *client, _, name = shlex.split(read)
        (session,) = (found for found in _ask([*client, "sessions", "--json"], place, daemon) if f'"{name}"' in found)
    return Demonstration(
        done.returncode,
        done.stdout,
        (place / "demo" / "minuted.log").read_text(),
        [Parse(line, Turn()) for line in turns],
        Parse(session, Session()),
        report.read_text().splitlines() if alone else None,
        [str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()],
    )


def _at_home(home: Path) -> dict[str, str]:
    """Return the environment of a user who has only this directory, for temporary files too."""
    kept = {name: text for name, text in unsuppressed(environment({})).items() if not name.startswith("XDG_")}
    return {**kept, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def _running(command: list[str], place: Path) -> Iterator["subprocess.Popen[bytes]"]:
    daemon = subprocess.Popen(command, cwd=place, env=environment({}), stdin=subprocess.DEVNULL)
    try:
        yield daemon
        daemon.terminate()
        assert daemon.wait(STOP_S) == 0
    finally:
        daemon.kill()
        daemon.wait()


def _ask(command: list[str], place: Path, daemon: "subprocess.Popen[bytes]") -> list[str]:
    """Return the lines that minutectl prints once the daemon answers."""
    deadline = time.monotonic() + READY_S
    while True:
        asked = subprocess.run(
            command, cwd=place, env=environment({}), capture_output=True, text=True, timeout=_READ_S, check=False
        )
        if asked.returncode != _NOT_REACHABLE:
            assert asked.returncode == 0, asked.stderr
            return asked.stdout.splitlines()
        assert daemon.poll() is None
        assert time.monotonic() < deadline, asked.stderr

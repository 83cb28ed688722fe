"""The real daemon as a subprocess, known from outside only: its command line, its socket, its log, its exit code."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import minuted
from minuted import AsyncClient
from tests.fakes.processes import ROOT

READY_S = 30.0
STOP_S = 15.0
KEYS = {"PYANNOTEAI_API_KEY": "pyannote-test", "OPENAI_API_KEY": "openai-test"}

_POLL_S = 0.01
_FAULTS = ("Traceback", "exception=", "_fault")


@dataclass
class DaemonProcess:
    """`minuted run` with a configuration in `place`, where its socket, its state and its log are too.

    `sections` are further sections of the configuration. After `kill` or `stop` it can be started again on the same
    state. What it logs must tell of no bug: `stop` sees to that.
    """

    place: Path
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(KEYS))
    log_level: str = "debug"
    process: "subprocess.Popen[bytes] | None" = None
    ready_s: float = 0.0
    """How long after its start it answered the first RPC."""

    @property
    def address(self) -> str:
        return f"unix:{self.place}/minuted.sock"

    @property
    def state_dir(self) -> Path:
        return self.place / "state"

    @property
    def log(self) -> str:
        """All it wrote to stdout and stderr, over all its starts."""
        path = self.place / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def client(self) -> AsyncClient:
        """A client of the SDK, to be closed by the caller (`async with`)."""
        return AsyncClient(self.address)

    def spawn(self) -> None:
        """Start the process and do not wait for it."""
        assert self.process is None
        with (self.place / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "minuted_daemon", "run", "--config", str(self.configuration())],
                cwd=ROOT,
                env=environment({"MINUTED_LOG_LEVEL": self.log_level, **self.environ}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def start(self) -> None:
        """Start the process and return once GetInfo was answered.

        Raises AssertionError if it ends or takes too long.
        """
        began = time.monotonic()
        self.spawn()
        assert self.process is not None
        while True:
            try:
                # Each time afresh: a channel that failed waits longer and longer before it tries again.
                if (self.place / "minuted.sock").exists():
                    async with self.client() as client:
                        await client.info()
                    break
            except minuted.Unreachable:
                pass
            assert self.process.poll() is None, f"exit {self.process.returncode}\n{self.log}"
            assert time.monotonic() - began < READY_S, f"no answer within {READY_S} s\n{self.log}"
            await asyncio.sleep(_POLL_S)
        self.ready_s = time.monotonic() - began

    async def stop(self) -> None:
        """Have it end by SIGTERM. Raises AssertionError if it does not end in time, with 0, and without a bug."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.process.wait, STOP_S)
        self.process = None
        assert code == 0, f"exit {code}\n{self.log}"
        faults = [line for line in self.log.splitlines() if any(word in line for word in _FAULTS)]
        assert not faults, "\n".join(faults)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone. Nothing happens if it is gone already."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_S)
            self.process = None

    def configuration(self) -> Path:
        """Write the configuration and give its file."""
        path = self.place / "minuted.toml"
        where = {"listen": [self.address], "state_dir": str(self.state_dir)}
        # The words of tests/fakes/meeting.py are bursts of noise, which a model does not take for speech.
        merge = {"voice_activity": "energy", **self.sections.get("merge", {})}
        sections = {**self.sections, "merge": merge, "daemon": {**where, **self.sections.get("daemon", {})}}
        lines: list[str] = []
        for name, keys in sections.items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
        path.write_text("\n".join(lines) + "\n")
        return path

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.kill()
            raise
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Stop it, unless the test has; after a failure just end it."""
        try:
            if kind is None and self.process is not None:
                await self.stop()
        finally:
            self.kill()


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process' environment without anything that would configure a daemon, and `more`."""
    vendors = {*KEYS, "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM", "NOTIFY_SOCKET"}
    kept = {
        name: text
        for name, text in os.environ.items()
        if "MINUTED_" not in name and name not in vendors and not name.lower().endswith("_proxy")
    }
    return {**kept, **more}


@contextmanager
def short_place() -> Iterator[Path]:
    """A directory whose path is short enough for a socket, as tmp_path is not everywhere."""
    with tempfile.TemporaryDirectory(prefix="minuted-e2e-") as name:
        yield Path(name)


@asynccontextmanager
async def run_daemon(
    place: Path, pyannote_url: str = "", openai_url: str = "", **sections: Mapping[str, Any]
) -> AsyncIterator[DaemonProcess]:
    """Run a daemon for the length of the block against these vendors; end it by SIGTERM and expect exit 0."""
    vendors = {name: {"base_url": url} for name, url in (("pyannote", pyannote_url), ("openai", openai_url)) if url}
    async with DaemonProcess(place, {**vendors, **sections}) as daemon:
        yield daemon


def refused_start(daemon: DaemonProcess) -> tuple[int, list[str]]:
    """Start a daemon that is not to come up; give its exit code and the lines it wrote to stderr.

    Raises subprocess.TimeoutExpired if it comes up after all.
    """
    done = subprocess.run(
        [sys.executable, "-m", "minuted_daemon", "run", "--config", str(daemon.configuration())],
        cwd=ROOT,
        env=environment(daemon.environ),
        capture_output=True,
        text=True,
        timeout=READY_S,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they did."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)

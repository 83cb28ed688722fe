"""Starts a stand-in in a process of its own, and ends it: at the end of the block, or when this process dies."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.meeting import Meeting

READY_S = 30.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class StandInProcess:
    """A running stand-in. `base_url` is what to configure; the calls below block for a moment."""

    base_url: str
    process: "subprocess.Popen[bytes]"

    @property
    def origin(self) -> str:
        """Scheme, host and port alone."""
        return self.base_url.removesuffix("/v1")

    def control(self, **order: Any) -> None:
        """Change `knobs`, add `faults`, `clear_faults`, start an `outage`; `break` is spelled `break_`.

        Raises httpx.HTTPStatusError if the stand-in does not understand.
        """
        if "break_" in order:
            order["break"] = order.pop("break_")
        httpx.post(f"{self.origin}/_control", json=order, timeout=10, trust_env=False).raise_for_status()

    def outage(self, for_s: float, mode: str = "reset", **more: Any) -> None:
        """Refuse everything from now on for some seconds."""
        self.control(outage={"for_s": for_s, "mode": mode, **more})

    def stats(self) -> dict[str, Any]:
        """What it saw so far."""
        answer = httpx.get(f"{self.origin}/_stats", timeout=10, trust_env=False)
        return dict(answer.raise_for_status().json())

    def usage(self) -> tuple[float, float]:
        """CPU seconds used so far, and resident memory in MB."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def pyannote_standin(
    meetings: Sequence[Meeting | str],
    *,
    knobs: Mapping[str, Any] | None = None,
    script: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    port: int = 0,
) -> Iterator[StandInProcess]:
    """Run tests.fakes.pyannote_server. Meetings that were loaded or synthesised, or their specs."""
    with _standin("tests.fakes.pyannote_server", meetings, knobs, script, seed, port) as process:
        yield process


@contextmanager
def openai_standin(
    meetings: Sequence[Meeting | str],
    *,
    knobs: Mapping[str, Any] | None = None,
    script: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
    port: int = 0,
) -> Iterator[StandInProcess]:
    """Run tests.fakes.openai_server."""
    with _standin("tests.fakes.openai_server", meetings, knobs, script, seed, port) as process:
        yield process


@contextmanager
def _standin(
    module: str,
    meetings: Sequence[Meeting | str],
    knobs: Mapping[str, Any] | None,
    script: Sequence[Mapping[str, Any]],
    seed: int,
    port: int,
) -> Iterator[StandInProcess]:
    specs = [meeting if isinstance(meeting, str) else meeting.spec for meeting in meetings]
    if not all(specs):
        raise ValueError("a meeting without a spec cannot be loaded by another process")
    command = [sys.executable, "-m", module, "--seed", str(seed), "--port", str(port)]
    command += ["--knobs", json.dumps(dict(knobs or {})), "--script", json.dumps(list(script)), "--meetings", *specs]
    # One thread: the arithmetic of a stand-in must not spread over the cores under test.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    assert process.stdin is not None
    late = threading.Timer(READY_S, process.kill)
    late.start()
    try:
        line = process.stdout.readline()
        late.cancel()
        if not line:
            raise RuntimeError(f"{module} did not start within {READY_S} s, or failed: exit {process.wait()}")
        yield StandInProcess(json.loads(line)["base_url"], process)
    finally:
        late.cancel()
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

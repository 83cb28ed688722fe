"""Processes for sound: started without a stop of the event loop, talked to, ended, and nothing left of them."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minuted_daemon.adapters.capture.child_process import ChildProcess
from tests.rig.hearing import zombies_of

LOADING_S = 1.0


def python(program: str) -> list[str]:
    return [sys.executable, "-S", "-c", program]


def descriptors() -> set[str]:
    return {str(path) for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def slow_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep children from loading: where their stderr goes is opened first, and it is a pipe that nobody reads yet."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(os, "devnull", str(pipe))
    reader = subprocess.Popen(python(f"import time; time.sleep({LOADING_S}); open({str(pipe)!r}).read()"))
    yield
    reader.wait()


def test_it_has_an_input_an_output_and_the_environment_it_was_given() -> None:
    program = "import os; os.write(1, os.read(0, 9) + os.environb[b'A'])"
    child = ChildProcess(python(program), {"A": "ä b"})
    child.write(b"hello ")
    child.close_input()
    child.close_input()
    assert child.wait(10.0)
    assert os.read(child.output, 1000).decode() == "hello ä b"
    child.reap()
    assert zombies_of(os.getpid()) == []


def test_it_inherits_nothing_that_is_open(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        child = ChildProcess(python("import os; print(sorted(os.listdir('/proc/self/fd'), key=int))"), {})
        assert child.wait(10.0)
    # Three, and the directory that is being listed.
    assert os.read(child.output, 1000) == b"['0', '1', '2', '3']\n"
    child.reap()


def test_what_it_says_of_itself_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    child = ChildProcess(python("import sys; sys.stderr.write('x' * 1_000_000)"), {})
    assert child.wait(10.0)
    child.reap()
    assert capfd.readouterr().err == ""


def test_one_that_does_not_end_is_killed() -> None:
    child = ChildProcess(python("import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"), {})
    child.close_input()
    assert not child.wait(0.0)
    began_s = time.monotonic()
    child.reap()
    assert time.monotonic() - began_s < 1.0
    child.kill()
    assert zombies_of(os.getpid()) == []


def test_a_program_that_is_not_there_is_an_error_and_leaves_nothing_open() -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        ChildProcess(["/no/such/program"], {})
    assert descriptors() == before
    assert zombies_of(os.getpid()) == []


@pytest.mark.usefixtures("slow_to_load")
async def test_the_event_loop_goes_on_until_the_child_has_loaded_its_program() -> None:
    began_s = time.monotonic()
    late_s = 0.0
    starting = asyncio.get_running_loop().run_in_executor(None, ChildProcess, python("pass"), {})
    while not starting.done():
        before_s = time.monotonic()
        await asyncio.sleep(0.01)
        late_s = max(late_s, time.monotonic() - before_s)
    assert time.monotonic() - began_s > LOADING_S / 2
    assert late_s < LOADING_S / 2
    (await starting).reap()

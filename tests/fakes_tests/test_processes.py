"""Stand-ins run in processes of their own, can be steered from another one, and never outlive it."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.fakes.meeting import meeting_of, synthetic_meeting
from tests.fakes.processes import ROOT, openai_standin, pyannote_standin

ORPHAN = """
import os, sys
from tests.fakes.processes import openai_standin
with openai_standin([]) as standin:
    print(standin.process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_both_start_and_are_steered() -> None:
    meeting = synthetic_meeting(1, 3, 0.2)
    with pyannote_standin([meeting]) as pyannote, openai_standin([meeting.spec], knobs={"key": "k"}) as openai:
        assert openai.base_url.endswith("/v1")
        for standin in (pyannote, openai):
            assert standin.stats()["live"] == 0
            assert standin.usage()[1] > 10
            with pytest.raises(httpx.HTTPStatusError):
                standin.control(knobs={"nonsense": 1})
        pyannote.control(knobs={"latency_s": 0.1}, faults=[{"at": "post", "do": "status", "status": 402}])
        assert httpx.post(f"{pyannote.base_url}/v1/live", trust_env=False).status_code == 402
        pyannote.outage(0.2, "status")
        assert httpx.post(f"{pyannote.base_url}/v1/live", trust_env=False).status_code == 503
        pid = pyannote.process.pid
    assert not Path(f"/proc/{pid}").exists()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_standin_dies_with_its_parent() -> None:
    parent = subprocess.run([sys.executable, "-c", ORPHAN], cwd=ROOT, stdout=subprocess.PIPE, check=False, timeout=15)
    pid = int(parent.stdout)
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_meeting_nobody_else_can_load_is_refused() -> None:
    with pytest.raises(ValueError, match="spec"), openai_standin([meeting_of("own", [], 100)]):
        pass

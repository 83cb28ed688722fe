"""The real process with the real network, on the voices of the recorded meeting."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from minuted_daemon.adapters.local import voiceprint
from minuted_daemon.adapters.local.voiceprint import LocalVoicePrinter
from minuted_daemon.core.samples import samples
from minuted_daemon.core.voice.matching import ALIKE, MARGIN
from minuted_daemon.errors import Rejected, Unavailable

STANDUP = Path(__file__).parents[2] / "audio" / "standup.wav"
EMMA, EMMA_AGAIN, MICHAEL = (0.8, 5.0), (10.6, 12.1), (6.0, 10.0)

pytestmark = pytest.mark.timeout(90)  # a real model on a shared machine


@pytest.fixture
def idle_s() -> float:
    """How long the printer keeps its process without work; a test that wants it otherwise is parametrized with it."""
    return 60.0


@pytest.fixture
async def printer(idle_s: float) -> AsyncIterator[LocalVoicePrinter]:
    made = LocalVoicePrinter(idle_s)
    yield made
    await made.close()


def standup(start_s: float, end_s: float) -> NDArray[np.int16]:
    pcm, _ = soundfile.read(STANDUP, dtype="int16", start=samples(start_s), stop=samples(end_s))
    return np.asarray(pcm)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


async def eventually(holds: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


async def test_one_voice_is_like_itself_and_unlike_another(
    printer: LocalVoicePrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-real-one")
    assert printer.worker_pid is None, "nothing runs before it is wanted"
    async with asyncio.TaskGroup() as group:  # prints wanted at once are made one after another
        asked = [group.create_task(printer.print(standup(*stretch))) for stretch in (EMMA, EMMA_AGAIN, MICHAEL)]
    emma, again, michael = (one for task in asked if (one := task.result()) is not None)
    assert np.linalg.norm(emma) == pytest.approx(1.0, abs=1e-5)
    assert emma @ again >= ALIKE
    assert emma @ michael < ALIKE - MARGIN
    assert again @ michael < ALIKE - MARGIN
    pid = printer.worker_pid
    assert pid is not None
    assert "API_KEY" not in environment(pid)
    await printer.close()
    assert gone(pid)
    await printer.close()


async def test_noise_is_nobodys_voice(printer: LocalVoicePrinter) -> None:
    rng = np.random.default_rng(3)
    brown = np.cumsum(rng.normal(0, 1, samples(3.0)))
    for noise in (rng.normal(0, 3_000, samples(2.0)), 3_000 * np.diff(brown, prepend=0.0) + 200 * brown / brown.std()):
        assert await printer.print(noise.astype(np.int16)) is None


@pytest.mark.parametrize("idle_s", [0.5])
async def test_a_process_that_dies_fails_its_print_and_the_next_starts_another_until_none_is_wanted(
    printer: LocalVoicePrinter,
) -> None:
    speech = standup(*EMMA)
    before = await printer.print(speech)
    pid = printer.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable, match="died") as caught:
        await printer.print(speech)
    assert caught.value.reason == "WORKER_DIED"
    after = await printer.print(speech)
    assert before is not None
    assert after is not None
    assert np.allclose(after, before, atol=1e-4)
    await eventually(lambda: printer.worker_pid is None)


async def test_a_print_given_up_is_not_taken_for_the_next_ones(printer: LocalVoicePrinter) -> None:
    async with asyncio.TaskGroup() as group:
        given_up = group.create_task(printer.print(standup(*MICHAEL)))
        await eventually(lambda: printer.worker_pid is not None)
        given_up.cancel()
    assert printer.worker_pid is None


async def test_without_the_network_it_is_refused_for_good(
    printer: LocalVoicePrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voiceprint, "local_engine_missing", lambda: "the Python packages onnxruntime")
    with pytest.raises(Rejected) as caught:
        await printer.print(standup(*EMMA))
    assert caught.value.reason == "ENGINE_MISSING"
    assert printer.worker_pid is None

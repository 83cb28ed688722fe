"""Each port's implementation and its fake, by turns."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.adapters.spool.spools import Bounds, open_spools
from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.core.samples import BLOCK
from minuted_daemon.ports.capture import Capture
from minuted_daemon.ports.spool import Spools
from minuted_daemon.ports.store import Store
from tests.fakes_service.capture import FakeCapture, audio
from tests.fakes_service.spools import FakeSpools
from tests.fakes_service.store import MemoryStore

RECORDED_BLOCKS = 6


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = await open_store(f"sqlite:///{tmp_path}/minuted.db") if request.param == "file" else MemoryStore()
    yield opened
    await opened.close()


@pytest.fixture(params=["disk", "fake"])
async def spools(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Spools]:
    if request.param == "fake":
        yield FakeSpools()
        return
    opened = await open_spools(tmp_path, Bounds(10**12, 1e9))
    yield opened
    await opened.close(10)


OpenCapture = Callable[[], AbstractAsyncContextManager[tuple[Capture, str]]]


@pytest.fixture(params=["recording", "fake"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> OpenCapture:
    """A capture, and the device under which it plays a recording of RECORDED_BLOCKS."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Capture, str]]:
        capture: Capture
        if request.param == "fake":
            capture = FakeCapture(audio((RECORDED_BLOCKS / 10, True)))
        else:
            noise = np.random.default_rng(1).integers(-3000, 3000, RECORDED_BLOCKS * BLOCK, dtype=np.int16)
            soundfile.write(tmp_path / "recorded.wav", noise, 16_000)
            capture = MachineCapture()
        try:
            yield capture, f"file:{tmp_path}/recorded.wav"
        finally:
            await capture.close()

    return opened

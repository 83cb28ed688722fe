"""Fixtures for capture: the rig, and a MachineCapture that is closed again."""

from collections.abc import AsyncIterator

import pytest

from minuted_daemon.adapters.capture.machine import CaptureLimits, MachineCapture
from tests.rig.fixtures import rig, rig_plugin, sound_server

__all__ = ["capture", "rig", "rig_plugin", "sound_server"]


@pytest.fixture
def limits() -> CaptureLimits:
    """How long `capture` waits; a test that wants it otherwise is parametrized with it."""
    return CaptureLimits()


@pytest.fixture
async def capture(limits: CaptureLimits) -> AsyncIterator[MachineCapture]:
    machine = MachineCapture(limits=limits)
    yield machine
    await machine.close()

"""Fixtures for capture: the rig, and a MachineCapture that is closed again."""

from collections.abc import AsyncIterator

import pytest

from minuted_daemon.adapters.capture.machine import MachineCapture
from tests.rig.fixtures import rig, rig_plugin, sound_server

__all__ = ["capture", "rig", "rig_plugin", "sound_server"]


@pytest.fixture
async def capture() -> AsyncIterator[MachineCapture]:
    machine = MachineCapture()
    yield machine
    await machine.close()

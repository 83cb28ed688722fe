"""Fixtures of the end-to-end tests: a short directory, the demo as it went, and microphones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon_process import short_place
from tests.e2e.demonstration import Demonstration, demonstrate
from tests.rig.fixtures import rig, rig_plugin, sound_server

__all__ = ["demonstration", "place", "rig", "rig_plugin", "sound_server"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose path is short enough for a socket."""
    with short_place() as path:
        yield path


@pytest.fixture(scope="session")
def demonstration() -> Iterator[Demonstration]:
    """`minuted demo`, run once for all that look at what came of it."""
    with short_place() as path:
        yield demonstrate(path)

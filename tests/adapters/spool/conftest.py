"""A state directory of its own for each test."""

from pathlib import Path

import pytest

from tests.adapters.spool.rooms import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minuted_daemon.adapters.storage.store import SqlStore, open_store


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh database, to be copied: making one takes longer than all that most tests do with it."""
    path = tmp_path_factory.mktemp("fresh") / "minuted.db"

    async def create() -> None:
        await (await open_store(f"sqlite:///{path}")).close()

    asyncio.run(create())
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of a test is, or will be."""
    return tmp_path / "minuted.db"


@pytest.fixture
async def store(path: Path, fresh: Path) -> AsyncIterator[SqlStore]:
    shutil.copy(fresh, path)
    opened = await open_store(f"sqlite:///{path}")
    yield opened
    await opened.close()

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from minuted_daemon.adapters.storage.limits import ErasureLimits
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
def erasure() -> ErasureLimits:
    """The limits of the store's erasures; a test that wants others is parametrized with them."""
    return ErasureLimits()


@pytest.fixture
async def store(path: Path, fresh: Path, erasure: ErasureLimits) -> AsyncIterator[SqlStore]:
    shutil.copy(fresh, path)
    opened = await open_store(f"sqlite:///{path}", erasure=erasure)
    yield opened
    await opened.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder))
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)

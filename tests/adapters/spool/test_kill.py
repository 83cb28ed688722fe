"""kill -9 at any moment: what was heard a second before is there."""

import asyncio
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from minuted_daemon.adapters.spool.files.recovery import recover
from minuted_daemon.adapters.spool.files.segment_reader import SegmentReader
from tests.adapters.spool import victim
from tests.adapters.spool.rooms import ONE, SECOND, House, wide_noise

KILLS = 5


async def heard_until_killed(state_dir: Path, after: int) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(victim.__file__)), str(state_dir), stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdout is not None
    heard = 0
    try:
        async with asyncio.timeout(15):
            while heard < after:
                heard = int(await process.stdout.readline())
    finally:
        process.kill()
    async with asyncio.timeout(5):
        for line in (await process.stdout.read()).split(b"\n")[:-1]:
            heard = int(line)
        await process.wait()
    return heard


@pytest.mark.timeout(60)
async def test_after_a_kill_less_than_a_second_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    house = House(tmp_path)
    before, chance = 0, random.Random(4)
    for _ in range(KILLS):
        # Each life goes on where the one before ended; the pace is above real time, and so is the loss.
        heard = await heard_until_killed(tmp_path, before + chance.randint(1, 3 * SECOND))
        found = recover(house.directory())
        # Each damaged file ends in a record that was being written, or was not: nothing else can be wrong.
        assert found.holes == ()
        assert heard - found.end < victim.FASTER * SECOND
        before = found.end
    reader = SegmentReader(house.directory())
    loaded = reader.load(found.segments, 0, found.end, 24_000)
    assert loaded.found == ((0, found.end),)
    assert np.array_equal(loaded.pcm, wide_noise(0, found.end))
    assert list((tmp_path / "spool").iterdir()) == [house.directory(ONE)]

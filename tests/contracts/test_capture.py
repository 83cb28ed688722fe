"""What every recording promises that is captured: of a file, and of the fake that tests of the service use."""

import asyncio

import numpy as np

from minuted_daemon.core.samples import BLOCK, WIDE_BLOCK
from minuted_daemon.ports.capture import AudioBlock, CaptureStream
from tests.contracts.conftest import RECORDED_BLOCKS, OpenCapture


async def blocks_of(stream: CaptureStream) -> list[AudioBlock]:
    return [item async for item in stream if isinstance(item, AudioBlock)]


async def test_a_recording_is_played_in_real_time_to_its_end(recording: OpenCapture) -> None:
    async with recording() as (capture, device):
        clock = asyncio.get_running_loop().time
        stream = await capture.open(device)
        began = clock()
        blocks = await blocks_of(stream)
        took_s = clock() - began
        await stream.close()
        await stream.close()
    assert len(blocks) == RECORDED_BLOCKS
    for block in blocks:
        assert (block.pcm.shape, block.pcm.dtype) == ((BLOCK,), np.int16)
        assert (block.wide.shape, block.wide.dtype) == ((WIDE_BLOCK,), np.int16)
        assert block.filled == ()
        assert block.pcm.any()
    steps = np.diff([block.wall_s for block in blocks])
    assert (abs(steps - 0.1) < 0.05).all()
    assert took_s > (RECORDED_BLOCKS - 2) / 10


async def test_a_recording_begins_where_it_is_told_to(recording: OpenCapture) -> None:
    async with recording() as (capture, device):
        whole = await blocks_of(await capture.open(device))
        rest = await blocks_of(await capture.open(device, skip_blocks=4))
    assert len(rest) == RECORDED_BLOCKS - 4
    # A file that is begun in the middle is resampled from there: its edges differ a little.
    assert np.corrcoef(rest[0].pcm, whole[4].pcm)[0, 1] > 0.9


async def test_a_paused_recording_stands_still_and_goes_on_where_it_was(recording: OpenCapture) -> None:
    async with recording() as (capture, device):
        stream = await capture.open(device)
        taken: list[AudioBlock] = []

        async def take() -> None:
            taken.extend([item async for item in stream if isinstance(item, AudioBlock)])

        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            await asyncio.sleep(0.15)
            async with asyncio.timeout(2.0):
                await stream.pause()
            await asyncio.sleep(0.8)
            await stream.resume()
        assert len(taken) == RECORDED_BLOCKS
        assert max(np.diff([block.wall_s for block in taken])) > 0.5
        await stream.close()

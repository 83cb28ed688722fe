import asyncio
import threading
import time

import numpy as np
import pytest

from minuted_daemon.adapters.capture.buffer import BufferedStream
from minuted_daemon.core.records import Health
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, Filled


def block(number: int) -> AudioBlock:
    return AudioBlock(np.full(1600, number, np.int16), np.full(2400, number, np.int16), 1_000 + number * 0.1)


class FakeOwner:
    """A device that notes what its streams asked; `down` is what it says to one that goes on."""

    def __init__(self) -> None:
        self.released: list[BufferedStream] = []
        self.pauses = 0
        self.down: CaptureHealth | None = None

    async def detach(self, stream: BufferedStream) -> None:
        self.released.append(stream)

    async def pause(self) -> None:
        self.pauses += 1

    def resume(self, stream: BufferedStream) -> None:
        if self.down is not None:
            stream.put(self.down)


@pytest.fixture
def owner() -> FakeOwner:
    return FakeOwner()


@pytest.fixture
async def stream(owner: FakeOwner) -> BufferedStream:
    return BufferedStream(owner)


async def take(stream: BufferedStream, count: int) -> list[AudioBlock | CaptureHealth]:
    return [await anext(stream) for _ in range(count)]


async def test_items_come_in_order_from_another_thread(stream: BufferedStream) -> None:
    def produce() -> None:
        for number in range(15):
            stream.put(block(number))
        stream.put(CaptureHealth(Health.DOWN))

    thread = threading.Thread(target=produce)
    thread.start()
    items = await take(stream, 16)
    thread.join()
    assert [item.pcm[0] for item in items[:-1] if isinstance(item, AudioBlock)] == list(range(15))
    assert items[-1] == CaptureHealth(Health.DOWN)


async def test_a_waiting_reader_is_woken_each_time(stream: BufferedStream) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            task = group.create_task(anext(stream))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            stream.put(block(number))
            assert (await task).pcm[0] == number


async def test_more_than_two_seconds_cost_the_oldest_and_keep_the_line(stream: BufferedStream) -> None:
    for number in range(50):
        stream.put(block(number))
    items = [item for item in await take(stream, 50) if isinstance(item, AudioBlock)]
    assert all(item.filled == (Filled(0, 1600, "OVERRUN"),) for item in items[:30])
    assert [item.pcm[0] for item in items[30:]] == list(range(30, 50))
    assert [item.wall_s for item in items] == pytest.approx([1_000 + number * 0.1 for number in range(50)])


async def test_the_last_change_of_health_survives_an_overrun(stream: BufferedStream) -> None:
    stream.put(CaptureHealth(Health.DOWN))
    stream.put(block(0))
    stream.put(CaptureHealth(Health.UP))
    for number in range(1, 30):
        stream.put(block(number))
    items = await take(stream, 31)
    assert [item.health for item in items if isinstance(item, CaptureHealth)] == [Health.UP]
    assert len([item for item in items if isinstance(item, AudioBlock)]) == 30


async def test_a_cancelled_read_loses_nothing(stream: BufferedStream) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(stream)
    stream.put(block(7))
    (item,) = await take(stream, 1)
    assert isinstance(item, AudioBlock)
    assert item.pcm[0] == 7


async def test_closing_ends_a_waiting_reader_and_releases_once(stream: BufferedStream, owner: FakeOwner) -> None:
    async def read() -> list[AudioBlock | CaptureHealth]:
        return [item async for item in stream]

    async with asyncio.TaskGroup() as group:
        task = group.create_task(read())
        await asyncio.sleep(0)
        await stream.close()
        await stream.close()
    assert task.result() == []
    assert owner.released == [stream]


async def test_a_failure_of_the_device_thread_reaches_the_reader(stream: BufferedStream) -> None:
    stream.end(DeviceError("DEVICE_FAILED", "gone"))
    with pytest.raises(DeviceError):
        await anext(stream)


async def test_nothing_captured_in_a_pause_is_given(stream: BufferedStream, owner: FakeOwner) -> None:
    stream.put(block(1))
    await stream.pause()
    stream.put(block(2))
    stream.put(CaptureHealth(Health.DOWN, "DEVICE_SILENT"))
    stream.put(block(3))
    before, *during = await take(stream, 3)
    assert isinstance(before, AudioBlock)
    assert before.pcm[0] == 1
    assert owner.pauses == 1
    for number, item in enumerate(during, 2):
        assert isinstance(item, AudioBlock)
        assert item.filled == (Filled(0, 1600, "MUTED"),)
        assert not item.pcm.any()
        assert not item.wide.any()
        assert item.wall_s == block(number).wall_s


async def test_after_a_pause_up_comes_before_the_first_block_captured_since(stream: BufferedStream) -> None:
    await stream.pause()
    await stream.resume()
    resumed_s = time.time()

    def late(offset_s: float, *filled: Filled) -> AudioBlock:
        return AudioBlock(np.ones(1600, np.int16), np.ones(2400, np.int16), resumed_s + offset_s, filled)

    stream.put(late(-0.3))
    stream.put(late(-0.05))
    stream.put(late(0.05, Filled(0, 1600, "DEVICE_OPENING")))
    stream.put(late(0.15, Filled(0, 10, "DEVICE_GAP")))
    stream.put(late(0.25))
    muted, partly, opening, up, heard, more = await take(stream, 6)
    for item in (muted, partly):
        assert isinstance(item, AudioBlock)
        assert item.filled == (Filled(0, 1600, "MUTED"),)
    assert isinstance(opening, AudioBlock)
    assert opening.filled[0].reason == "DEVICE_OPENING"
    assert up == CaptureHealth(Health.UP)
    assert isinstance(heard, AudioBlock)
    assert isinstance(more, AudioBlock)
    assert heard.pcm.all()


async def test_a_stream_that_goes_on_without_its_device_is_told(stream: BufferedStream, owner: FakeOwner) -> None:
    owner.down = CaptureHealth(Health.DOWN, "DEVICE_ENDED")
    await stream.pause()
    await stream.resume()
    await stream.resume()
    stream.put(CaptureHealth(Health.UP))
    assert await take(stream, 2) == [owner.down, CaptureHealth(Health.UP)]


async def test_a_clock_set_forward_in_a_pause_mutes_nothing_for_ever(stream: BufferedStream) -> None:
    await stream.pause()
    await stream.resume()
    stream.put(block(1))
    up, heard = await take(stream, 2)
    assert up == CaptureHealth(Health.UP)
    assert isinstance(heard, AudioBlock)
    assert heard.pcm[0] == 1

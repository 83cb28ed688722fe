"""A source that plays a script in real time of the loop's clock."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np

from minuted_daemon.core.channels.choice import EVERY_CHANNEL, ChannelChoice
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import BLOCK, WIDE_BLOCK
from minuted_daemon.errors import MinutedError, NotFound
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, DeviceInfo, Filled, Missing
from tests.fakes_service.virtual_time import wall_s

Item = AudioBlock | CaptureHealth | Missing | MinutedError


def block(loud: bool, index: int = 0, filled: tuple[Filled, ...] = ()) -> AudioBlock:
    """100 ms; each sample of a loud one differs from its neighbours, and the blocks from each other."""
    noise = np.random.default_rng(index)
    level = 4000 if loud else 8
    pcm = noise.normal(0, level, BLOCK).astype(np.int16)
    return AudioBlock(pcm, np.resize(pcm, WIDE_BLOCK), 0.0, filled)


def audio(*stretches: tuple[float, bool]) -> list[Item]:
    """Blocks for stretches of (seconds, loud)."""
    return [block(loud, n) for n, loud in enumerate(loud for s, loud in stretches for _ in range(round(s * 10)))]


class FakeCaptureStream:
    remark: CaptureHealth | None = None

    def __init__(self, script: Sequence[Item], endless: bool) -> None:
        self._script = list(script)
        self._endless = endless
        self.closed = False
        self.stamp_shift_s = 0.0
        self.opens_in_s = 0.4
        self.release_takes_s = 0.0
        self._hears = asyncio.Event()
        self._hears.set()
        self._back_s = 0.0
        self._absent = False

    def vanish(self) -> None:
        """The device is not there, from the start of the stream on; until `appear`."""
        self._absent = True

    def appear(self) -> None:
        self._absent = False

    async def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth | Missing]:
        index = 0
        loop = asyncio.get_running_loop()
        due = loop.time()
        missed = self._absent
        if missed:
            yield CaptureHealth(Health.DOWN, "DEVICE_ABSENT", "it is not there")
        while not self.closed:
            if not self._endless and not self._hears.is_set():
                await self._hears.wait()
                due = loop.time()
                continue
            if self._absent:
                due += 0.1
                await asyncio.sleep(due - loop.time())
                yield _silent("DEVICE_ABSENT")
                continue
            if missed:
                missed = False
                yield CaptureHealth(Health.UP)
            if index < len(self._script):
                item = self._script[index]
            elif self._endless:
                item = block(False, index)
            else:
                return
            index += 1
            if isinstance(item, MinutedError):
                raise item
            if isinstance(item, CaptureHealth | Missing):
                yield item
                continue
            due += 0.1
            await asyncio.sleep(due - loop.time())
            if not self._hears.is_set() and self._endless:
                yield _silent("MUTED")
                continue
            if not self._hears.is_set():
                await self._hears.wait()
                due = loop.time()
            if self._back_s and loop.time() < self._back_s:
                yield _silent("DEVICE_OPENING")
                continue
            if self._back_s:
                self._back_s = 0.0
                yield CaptureHealth(Health.UP)
            yield AudioBlock(item.pcm, item.wide, wall_s() - 0.1 + self.stamp_shift_s, item.filled)

    async def pause(self) -> None:
        self._hears.clear()
        await asyncio.sleep(self.release_takes_s)

    async def resume(self) -> None:
        self._back_s = asyncio.get_running_loop().time() + self.opens_in_s if self._endless else 0.0
        self._hears.set()

    @property
    def hears(self) -> bool:
        return self._hears.is_set()

    async def close(self) -> None:
        self.closed = True
        self._hears.set()


def _silent(reason: str) -> AudioBlock:
    hole = Filled(0, BLOCK, reason)
    return AudioBlock(np.zeros(BLOCK, np.int16), np.zeros(WIDE_BLOCK, np.int16), wall_s() - 0.1, (hole,))


def _behind(script: Sequence[Item], skip_blocks: int) -> Sequence[Item]:
    """Return the script of a recording from a later block on."""
    blocks = [index for index, item in enumerate(script) if isinstance(item, AudioBlock)]
    return script[blocks[skip_blocks] :] if skip_blocks < len(blocks) else ()


class FakeCapture:
    """`script` is played by every stream; a file ends with it, a device stays silent behind it."""

    def __init__(self, script: Sequence[Item] = ()) -> None:
        self.script = script
        self.refusal: MinutedError | None = None
        self.open_takes_s = 0.0
        self.opened: list[FakeCaptureStream] = []
        self.remark: CaptureHealth | None = None
        self.choices: list[ChannelChoice] = []

    async def devices(self) -> Sequence[DeviceInfo]:
        return []

    async def open(
        self, device: str, *, wait: bool = False, skip_blocks: int = 0, choice: ChannelChoice = EVERY_CHANNEL
    ) -> FakeCaptureStream:
        self.choices.append(choice)
        if self.open_takes_s:
            await asyncio.sleep(self.open_takes_s)
        absent = isinstance(self.refusal, NotFound)
        if self.refusal is not None and not (absent and wait):
            raise self.refusal
        endless = not device.startswith("file:")
        script = self.script if endless else _behind(self.script, skip_blocks)
        self.opened.append(FakeCaptureStream(script, endless))
        self.opened[-1].remark = self.remark
        if absent:
            self.opened[-1].vanish()
        return self.opened[-1]

    async def close(self) -> None:
        for stream in self.opened:
            await stream.close()

"""The worker's work between PortAudio's callback and the pipe: gaps, resampling, times, encoding. No I/O."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from minuted_daemon.adapters.capture.protocol.faults import Fault, Remark, pack_remark
from minuted_daemon.adapters.capture.protocol.frames import Captured, pack_captured
from minuted_daemon.adapters.capture.resampling import BLOCK_S, Rendered, Renderer
from minuted_daemon.adapters.capture.worker.device_clock import Callback, GapDetector, RunawayDetector, StreamClock
from minuted_daemon.core.channels.choice import EVERY_CHANNEL, ChannelChoice
from minuted_daemon.core.channels.downmix import Downmix
from minuted_daemon.core.channels.remarks import ChannelRemarks

LARGEST_GAP_S = 10.0


class Pump:
    """Takes callbacks and gives encoded blocks. `fault` is set once the stream is of no use."""

    def __init__(
        self,
        rate_hz: int,
        channels: int,
        knows_age: bool,
        choice: ChannelChoice = EVERY_CHANNEL,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.fault: Fault | None = None
        self._rate_hz = rate_hz
        self._channels = channels
        self._wall_clock = wall_clock
        self._renderer = Renderer(rate_hz)
        self._downmix = Downmix(choice, channels, rate_hz)
        self._remarks = ChannelRemarks(self._downmix, choice.mix)
        self._gaps = GapDetector(rate_hz)
        self._clock = StreamClock(rate_hz, knows_age)
        self._runaway = RunawayDetector(rate_hz)

    def feed(self, callback: Callback) -> Iterator[bytes]:
        """Return the encoded blocks that are complete now."""
        missing = self._gaps.observe(callback, self._clock.late_s(callback, self._renderer.taken))
        if missing > LARGEST_GAP_S * self._rate_hz:
            self.fault = Fault("DEVICE_STALLED", f"the device's clock jumped by {missing / self._rate_hz:.0f} s")
            return
        if self._runaway.observe(callback):
            self.fault = Fault("DEVICE_RUNAWAY", "the device delivers more than 1.5 times real time")
            return
        self._clock.observe(callback, self._renderer.taken + missing)
        # Wall time moves against monotonic time when the clock is set: read each time.
        wall_offset_s = self._wall_clock() - time.monotonic()
        frames = np.frombuffer(callback.data, np.int16).reshape(-1, self._channels)
        chosen = self._downmix.select(frames).astype(np.float32) / np.float32(32768.0)
        mono = self._downmix.mix(chosen)
        if missing:
            for block in self._renderer.fill(missing):
                yield self._encode(block, wall_offset_s)
        for block in self._renderer.feed(mono):
            yield self._encode(block, wall_offset_s)
        if self._remarks.observe(chosen, len(chosen) / self._rate_hz):
            yield pack_remark(Remark(*self._remarks.remark))

    def _encode(self, block: Rendered, wall_offset_s: float) -> bytes:
        monotonic_s = self._clock.monotonic_s(block.index * BLOCK_S)
        return pack_captured(Captured(block, monotonic_s, monotonic_s + wall_offset_s))

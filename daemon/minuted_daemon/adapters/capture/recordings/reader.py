"""One recording from its first frame to its last, as blocks: the blocking side, used by one thread at a time."""

from collections.abc import Iterator

import numpy as np

from minuted_daemon.adapters.capture.recordings.decoding.decoder import Decoder, Frames, Interrupted
from minuted_daemon.adapters.capture.recordings.extent import FILE_TRUNCATED, HEADER_UNFINISHED, HEADER_WRONG
from minuted_daemon.adapters.capture.resampling import BLOCK_S, Rendered, Renderer
from minuted_daemon.core.channels.choice import ChannelChoice
from minuted_daemon.core.channels.downmix import Downmix
from minuted_daemon.core.channels.remarks import ChannelRemarks
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports.capture import CaptureHealth, Missing

FILE_DAMAGED = "FILE_DAMAGED"
_BATCH = 10
"""Blocks read at once, one batch ahead of the one being played: memory for 2 s, whatever the file's length."""
_STEP_S = 0.25
_MOST_STEPS = 40
_REMARKS = {
    HEADER_UNFINISHED: "the recording's head was never finished, as after a crash of the recorder: all that is there is"
    " played",
    HEADER_WRONG: "the recording's head promises less audio than there is: all that is there is played",
    FILE_TRUNCATED: "the recording is cut short: its head promises more audio than there is; the rest is told as lost",
}

Item = Rendered | CaptureHealth


class Reader:
    """Reads ahead in batches. Afterwards `missing` tells what the file promised and does not hold.

    progress: rises as long as the file is being read, also where no block comes of it.
    """

    def __init__(self, path: str, decoder: Decoder, choice: ChannelChoice, skip_blocks: int) -> None:
        """Raises ValueError if the recording lacks a channel that was chosen."""
        self.path = path
        self.progress = 0
        self.missing: Missing | None = None
        self._decoder = decoder
        self._rate_hz = decoder.rate_hz
        self._skip = skip_blocks
        self._downmix = Downmix(choice, decoder.channels, decoder.rate_hz)
        self._remarks = ChannelRemarks(self._downmix, choice.mix)
        self._chunk = max(1, round(decoder.rate_hz * BLOCK_S))
        self._at = 0
        self._items = self._decode(Renderer(decoder.rate_hz))
        self._error: DeviceError | None = None
        self.remark = CaptureHealth(Health.UP, decoder.remark, _REMARKS.get(decoder.remark, ""))
        """How the source is while nothing is odd about its channels."""

    def read(self) -> list[Item]:
        """Return the next batch, an empty one at the end.

        Raises DeviceError (FILE_DAMAGED), after the last good one.
        """
        if self._error is not None:
            raise self._error
        items: list[Item] = []
        try:
            while len(items) < _BATCH:
                item = next(self._items, None)
                if item is None:
                    break
                items.append(item)
        except DeviceError as error:
            if not items:
                raise
            self._error = error
        return items

    def abort(self) -> None:
        """From another thread: have a `read` that waits come back soon; nothing more is wanted."""
        self._decoder.abort()

    def close(self) -> None:
        """Let go of the file."""
        self._decoder.close()

    def _decode(self, renderer: Renderer) -> Iterator[Item]:
        self._skip_to(round(self._skip * self._rate_hz * BLOCK_S))
        begun, damaged, cut = self._at, False, False
        while True:
            try:
                frames = self._read(self._chunk)
            except Interrupted as fault:
                yield from self._heard(renderer, fault.frames)
                is_last = self._decoder.at_end()
                lost = self._go_on()
                damaged = lost == 0 and not is_last
                cut = lost == 0 and is_last
                for start in range(0, lost, self._rate_hz):
                    yield from renderer.fill(min(self._rate_hz, lost - start))
                if not lost:
                    break
                continue
            if not len(frames):
                break
            yield from self._heard(renderer, frames)
        yield from renderer.finish()
        self._end(begun, damaged, cut)

    def _heard(self, renderer: Renderer, frames: Frames) -> Iterator[Item]:
        if not len(frames):
            return
        chosen = np.clip(np.nan_to_num(self._downmix.select(frames), nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
        mono = self._downmix.mix(chosen)
        if self._remarks.observe(chosen, len(frames) / self._rate_hz):
            reason, sentence = self._remarks.remark
            yield CaptureHealth(Health.UP, reason, sentence) if reason else self.remark
        yield from renderer.feed(mono)

    def _read(self, count: int) -> Frames:
        try:
            frames = self._decoder.read(count)
        except Interrupted as fault:
            self._at += len(fault.frames)
            raise
        self._at += len(frames)
        self.progress += 1
        return frames

    def _skip_to(self, position: int) -> None:
        self._at += self._decoder.skip(position) if position else 0
        while self._at < position:
            try:
                if not len(self._read(min(self._chunk, position - self._at))):
                    return
            except Interrupted:
                if not self._go_on():
                    return

    def _go_on(self) -> int:
        """Find the first place after damage from where the recording can be read on; return how far that is.

        0: there is none.
        """
        lost = step = max(1, round(_STEP_S * self._rate_hz))
        for attempt in range(_MOST_STEPS):
            if self._decoder.promised is not None and self._at + lost >= self._decoder.promised:
                return 0
            self.progress += 1
            if self._decoder.resume(lost):
                self._at += lost
                return lost
            lost += step << max(0, attempt - _MOST_STEPS // 2)
        return 0

    def _end(self, begun: int, damaged: bool, cut: bool) -> None:
        """Report what was promised and did not come. Raises DeviceError where its length is not known.

        `cut`: the last piece of a file could not be decoded because it is no whole one.
        """
        promised, held = self._decoder.promised, self._decoder.held
        if cut and promised is None:
            promised = self._at + self._chunk
        if held is not None and self._at < held:
            damaged, promised = True, None
        if promised is not None and promised > self._at + self._decoder.slack:
            position = max(self._at, begun)
            start, end = (Sample(round(frame * RATE_HZ / self._rate_hz)) for frame in (position, promised))
            start = Sample(max(start, self._skip * BLOCK))
            if end > start:
                self.missing = Missing(start, end, FILE_TRUNCATED)
        elif damaged:
            message = f"{self.path} is damaged: it could not be read to its end"
            raise DeviceError(FILE_DAMAGED, message, path=self.path)

"""The sound of meetings at 4 kHz, and where in them a piece of audio occurs.

The low rate keeps an hour small and a search short; loudness is evened out before anything is correlated.
"""

import hashlib
import os
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from tests.fakes import meeting as meeting_source
from tests.fakes.meeting import RATE_HZ, Meeting

LOW_HZ = 4_000
STEP = RATE_HZ // LOW_HZ
CUTOFF_HZ = 1_600
HALF_S = 0.003  # half length of the low-pass
AROUND = 10  # loudness is evened out over 2 * AROUND + 1 samples: 5 ms
FOUND = 0.4  # correlation of a candidate, before its exact place is known
SURE = 0.6  # correlation at the exact place
CHUNK_S = 1  # one takes a few milliseconds: connections are served meanwhile
CHUNKS_KEPT = 480
LOOK_FIRST_S = (-2, 8)  # around the likeliest place
LOOK_S = (-15, 45)  # around every likely place
LOUDNESS = 30  # of the evened-out sound, as int8

Floats = NDArray[np.float32]


def low_pass(rate_hz: int) -> Floats:
    """Taps of the filter both sides go through, for a rate."""
    half = round(HALF_S * rate_hz)
    taps = scipy.signal.firwin(2 * half + 1, CUTOFF_HZ, window=("kaiser", 5.0), fs=rate_hz)
    return np.asarray(taps, dtype=np.float32)


def flat(signal: Floats) -> Floats:
    """Even out the loudness along the last axis, so that a correlation rests on all samples and not on an onset."""
    count = signal.shape[-1]
    power = np.zeros((*signal.shape[:-1], count + 1), dtype=np.float64)
    np.cumsum(signal.astype(np.float64) ** 2, axis=-1, out=power[..., 1:])
    at = np.arange(count)
    low, high = np.maximum(at - AROUND, 0), np.minimum(at + AROUND + 1, count)
    mean = (power[..., high] - power[..., low]) / (high - low)
    return np.asarray(signal / np.sqrt(mean + 1.0), dtype=np.float32)


def correlation(a: Floats, b: Floats) -> float:
    """Normalised, -1..1; 0 where one is silent."""
    norm = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return float(np.dot(a, b)) / norm if norm > 0 else 0.0


class SoundLibrary:
    """The meetings a process may hear. `seed` is that of the rendering."""

    def __init__(self, meetings: Sequence[Meeting] | Meeting, seed: int = 0) -> None:
        self.meetings = [meetings] if isinstance(meetings, Meeting) else list(meetings)
        self._seed = seed
        self._taps = low_pass(RATE_HZ)
        self._low = [self._decimated(meeting) for meeting in self.meetings]
        self._chunks: dict[tuple[int, int], Floats] = {}
        self.places: deque[tuple[int, int]] = deque(maxlen=8)
        self.searches = {"window": 0, "global": 0}

    def _filtered(self, meeting: Meeting, start: int, end: int) -> Floats:
        half = len(self._taps) // 2
        pcm = meeting.sound(start - half, end + half, self._seed).astype(np.float32)
        return np.asarray(scipy.signal.oaconvolve(pcm, self._taps, mode="valid"), dtype=np.float32)

    def _decimated(self, meeting: Meeting) -> NDArray[np.int8]:
        cached = self._cache_path(meeting)
        if cached.exists():
            return np.asarray(np.load(cached, mmap_mode="r"))
        span = 60 * RATE_HZ
        parts = [
            flat(self._filtered(meeting, at, min(at + span, meeting.duration))[::STEP])
            for at in range(0, meeting.duration, span)
        ]
        low_rate = np.clip(np.rint(np.concatenate(parts) * LOUDNESS), -127, 127).astype(np.int8)
        cached.parent.mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cached.parent, suffix=".npy", delete=False) as file:
            np.save(file, low_rate)
        Path(file.name).rename(cached)
        return low_rate

    def _cache_path(self, meeting: Meeting) -> Path:
        """Where this machine keeps a meeting's low-rate sound, which takes seconds to make."""
        sources = [Path(__file__), Path(meeting_source.__file__)]
        digest = hashlib.sha256(repr((meeting.name, meeting.duration, self._seed, meeting.words)).encode())
        for source in sources:
            digest.update(source.read_bytes())
        return Path(tempfile.gettempdir()) / f"minuted-standins-{os.getuid()}" / f"{digest.hexdigest()[:32]}.npy"

    def reference(self, which: int, start: int, count: int) -> Floats:
        """`count` low-passed samples of a meeting, 4 kHz apart, from sample `start` on (any sample)."""
        out = np.empty(count, dtype=np.float32)
        span = CHUNK_S * RATE_HZ
        done = 0
        while done < count:
            at = start + done * STEP
            number = at // span
            chunk = self._chunk(which, number)
            part = chunk[at - number * span :: STEP][: count - done]
            out[done : done + len(part)] = part
            done += len(part)
        return out

    def _chunk(self, which: int, number: int) -> Floats:
        key = (which, number)
        chunk = self._chunks.pop(key, None)
        if chunk is None:
            span = CHUNK_S * RATE_HZ
            chunk = self._filtered(self.meetings[which], number * span, (number + 1) * span)
            while len(self._chunks) >= CHUNKS_KEPT:
                del self._chunks[next(iter(self._chunks))]
        self._chunks[key] = chunk
        return chunk

    def find(self, query: Floats, near: Sequence[tuple[int, int]], everywhere: bool) -> tuple[int, int] | None:
        """Where the 4 kHz `query` begins: (meeting, sample), or None. `near` are likely places, most likely first."""
        tried: list[tuple[int, int, int]] = []
        windows = [(near[0], LOOK_FIRST_S)] if near else []
        for (which, place), (back_s, ahead_s) in [*windows, *((place, LOOK_S) for place in near)]:
            low, high = (place // RATE_HZ + back_s) * LOW_HZ, (place // RATE_HZ + ahead_s) * LOW_HZ
            if any(w == which and a <= low + LOW_HZ and b >= high - LOW_HZ for w, a, b in tried):
                continue
            tried.append((which, low, high))
            self.searches["window"] += 1
            if (found := self._search(which, query, low, high)) is not None:
                return found
        if not everywhere:
            return None
        self.searches["global"] += 1
        for which, low_rate in enumerate(self._low):
            if (found := self._search(which, query, 0, len(low_rate))) is not None:
                return found
        return None

    def _search(self, which: int, query: Floats, low: int, high: int) -> tuple[int, int] | None:
        series = self._low[which]
        low, high = max(0, low), min(len(series), high)
        count = len(query)
        query = flat(query)
        size = 1 << 17
        if high - low < size // 2:
            size = scipy.fft.next_fast_len(max(high - low, count), real=True)
        spectrum = np.conj(scipy.fft.rfft(query / np.sqrt(np.dot(query, query)), size))
        best, best_at = 0.0, -1
        for at in range(low, max(high - count, low + 1), size - count + 1):
            part = series[at : min(at + size, high)].astype(np.float32)
            valid = len(part) - count + 1
            if valid <= 0:
                break
            # All of it is equally loud, so there is nothing to normalise by.
            score = scipy.fft.irfft(scipy.fft.rfft(part, size) * spectrum, size)[:valid]
            peak = int(np.argmax(score))
            if score[peak] > best:
                best, best_at = float(score[peak]), at + peak
        if best < FOUND * LOUDNESS * np.sqrt(count):
            return None
        place, sure = self._refine(which, query, best_at * STEP, STEP)
        return (which, place) if sure >= SURE else None

    def refine(self, which: int, query: Floats, place: int, reach: int) -> tuple[int, float]:
        """The best sample within `reach` of `place`, and its correlation."""
        return self._refine(which, flat(query), place, reach)

    def _refine(self, which: int, even: Floats, place: int, reach: int) -> tuple[int, float]:
        scores = [
            (correlation(even, flat(self.reference(which, place + shift, len(even)))), -abs(shift), place + shift)
            for shift in range(-reach, reach + 1)
        ]
        sure, _, exact = max(scores)
        return exact, sure

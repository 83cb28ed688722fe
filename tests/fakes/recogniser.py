"""Finds out, from audio alone, which stretch of which meeting is being heard.

One `Recogniser` for a process holds the meetings; one `Listener` for a connection follows its audio: it predicts that
sound goes on where it was, checks each 25 ms by correlation, and searches (around the expected place, then the places
other listeners are at, then everywhere) only when that fails. Gain does not matter. Digital silence is nowhere.
Positions of a stream are in samples at 16 kHz, whatever its rate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.fakes.meeting import RATE_HZ, Meeting, Word
from tests.fakes.sound_library import LOW_HZ, STEP, Floats, SoundLibrary, flat, low_pass

HOP = 100  # 25 ms
QUERY = 400  # 100 ms
SHORTEST = 120  # 30 ms: less than this, alone, is not looked for
SAME = 0.6  # correlation of a hop that goes on as predicted
GOES_ON = 0.85  # correlation of a longer stretch that goes on as expected
ZERO_RUN_S = 0.0025
FAILURES, NEAR_PAUSE_S = 5, 0.4  # after so many failures in a row, so long between searches
GLOBAL_PAUSE_S = (0.5, 10.0)  # between searches of everything: first, and at most


@dataclass(slots=True)
class Stretch:
    """Stream [start, end) is meeting [start + offset, end + offset)."""

    start: float
    end: float
    meeting: Meeting
    offset: int


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word, where in its meeting's stream it ends, and the meeting it belongs to."""

    meeting: Meeting
    word: Word
    ends_at: float


class Recogniser(SoundLibrary):
    """The meetings a process may hear. `seed` is that of the rendering."""

    def listen(self, rate_hz: int) -> "Listener":
        """Follow one stream of 16 or 24 kHz audio."""
        return Listener(self, rate_hz)


class Listener:
    """Follows one stream. `stretches` are what was heard, by stream position; `settled` is how far that is decided."""

    def __init__(self, recogniser: Recogniser, rate_hz: int) -> None:
        if rate_hz not in (16_000, 24_000):
            raise ValueError("rate_hz is 16000 or 24000")
        self.stretches: list[Stretch] = []
        self._home = recogniser
        self._every = rate_hz // LOW_HZ
        self._ratio = RATE_HZ / rate_hz
        self._taps = low_pass(rate_hz)
        self._half = len(self._taps) // 2
        self._zero_run = round(ZERO_RUN_S * rate_hz)
        self._raw: Floats = np.zeros(self._half, dtype=np.float32)
        self._raw_at = -self._half  # stream index of _raw[0]
        self._got = 0  # raw samples received
        self._next = 0  # index of the next 4 kHz sample
        self._zeros = self._zero_run  # zeros in a row at the end of what was received
        self._pending: Floats = np.zeros(0, dtype=np.float32)
        self._pending_at = 0  # 4 kHz index of _pending[0]
        self._before: Floats = self._pending  # the hop before, for finding where a cut lies
        self._begin = 0.0  # stream position of the current piece's first sample
        self._lock: tuple[int, int] | None = None
        self._fresh = False  # the current lock has not been confirmed by a hop yet
        self._piece_stretch: Stretch | None = None  # last stretch of the current piece
        self._failures = 0  # searches in a row
        self._wait_near = 0  # no search at all before this stream position
        self._wait = 0.0  # no search of everything before this stream position
        self._pause = RATE_HZ * GLOBAL_PAUSE_S[0]

    @property
    def received(self) -> float:
        """Stream position of the end of what was fed."""
        return self._got * self._ratio

    @property
    def settled(self) -> float:
        """Stream position up to which `stretches` say all there is to say."""
        return min(self.received, float(self._pending_at * STEP)) if len(self._pending) else float(self._next * STEP)

    def feed(self, pcm: NDArray[np.int16] | Floats) -> None:
        """Hear the next samples: int16, or float32 in -1..1."""
        samples = np.asarray(pcm, dtype=np.float32)
        if pcm.dtype != np.int16:
            samples = samples * np.float32(32768)
        if not len(samples):
            return
        sounding = np.flatnonzero(samples)
        if not len(sounding):
            self._silent(samples)
            return
        # Runs of zeros that are long enough part one piece from the next.
        gaps = np.flatnonzero(np.diff(sounding) > self._zero_run)
        at = 0
        firsts = [int(sounding[0]), *(int(sounding[g + 1]) for g in gaps)]
        lasts = [*(int(sounding[g]) for g in gaps), int(sounding[-1])]
        for first, last in zip(firsts, lasts, strict=True):
            self._silent(samples[at:first])
            self._sounding(samples[first : last + 1])
            at = last + 1
        self._silent(samples[at:])

    def mark(self) -> None:
        """A cut: what comes next may be from elsewhere. Settles all that was fed."""
        self._end_piece()
        self._begin = self.received

    # --- pieces

    def _silent(self, zeros: Floats) -> None:
        if not len(zeros):
            return
        before = self._zeros
        self._zeros += len(zeros)
        if before < self._zero_run <= self._zeros:
            self._end_piece()
        self._push(zeros)
        if self._zeros >= self._zero_run:
            self._next = max(self._next, -(-self._got // self._every))
            self._pending_at = self._next
            self._keep()
        else:
            self._drain(self._got - self._half)

    def _sounding(self, samples: Floats) -> None:
        if self._zeros >= self._zero_run:
            self._begin = self.received
        self._zeros = 0
        self._push(samples)
        self._drain(self._got - self._half)

    def _push(self, samples: Floats) -> None:
        self._raw = np.concatenate((self._raw, samples))
        self._got += len(samples)

    def _keep(self) -> None:
        need = self._next * self._every - self._half
        if need > self._raw_at:
            self._raw = self._raw[need - self._raw_at :]
            self._raw_at = need

    def _drain(self, until: int, final: bool = False) -> None:
        """Low-pass and decimate up to raw index `until`, and follow."""
        count = -(-until // self._every) - self._next
        if count > 0:
            first = self._next * self._every - self._half - self._raw_at
            width = (count - 1) * self._every + len(self._taps)
            raw = self._raw[first : first + width]
            if len(raw) < width:
                raw = np.concatenate((raw, np.zeros(width - len(raw), dtype=np.float32)))
            windows = np.lib.stride_tricks.sliding_window_view(raw, len(self._taps))[:: self._every]
            if not len(self._pending):
                self._pending_at = self._next
            self._pending = np.concatenate((self._pending, windows @ self._taps))
            self._next += count
            self._keep()
        self._follow(final)

    def _end_piece(self) -> None:
        """Settle everything received; the tail of the filter is filled with zeros."""
        self._drain(self._got, final=True)
        if self._piece_stretch is not None and self.received - self._piece_stretch.end <= HOP * STEP:
            self._piece_stretch.end = self.received
        self._pending = self._before = np.zeros(0, dtype=np.float32)
        self._pending_at = self._next
        self._lock = None
        self._piece_stretch = None

    # --- following

    def _follow(self, final: bool) -> None:
        while len(self._pending):
            if self._lock is not None:
                if not self._go_on():
                    return
            elif not self._look(final):
                return

    def _go_on(self) -> bool:
        """Confirm whole hops. False when there is no more to do for now."""
        assert self._lock is not None
        hops = len(self._pending) // HOP
        if not hops:
            return False
        which, offset = self._lock
        heard = flat(self._pending[: hops * HOP].reshape(hops, HOP))
        true = flat(self._home.reference(which, self._pending_at * STEP + offset, hops * HOP).reshape(hops, HOP))
        power = np.einsum("ij,ij->i", heard, heard) * np.einsum("ij,ij->i", true, true)
        same = np.einsum("ij,ij->i", heard, true) > SAME * np.sqrt(power)
        if self._fresh:
            self._fresh = False
            self._split(which, offset)
            same[0] = True
        good = hops if same.all() else int(np.argmin(same))
        if good:
            self._extend(which, offset, (self._pending_at + good * HOP) * STEP)
            self._drop(good * HOP)
        if good < hops:
            self._lock = None
        return True

    def _extend(self, which: int, offset: int, until: float) -> None:
        meeting = self._home.meetings[which]
        last = self._piece_stretch
        if last is None or last.offset != offset or last.meeting is not meeting:
            start = float(self._pending_at * STEP)
            if last is None and start - self._begin <= HOP * STEP:
                start = self._begin
            # An unbroken stretch over a cut stays one: the cut may fall between two 4 kHz samples.
            before = self.stretches[-1] if self.stretches else None
            if (
                last is None
                and before is not None
                and before.end == start
                and before.offset == offset
                and before.meeting is meeting
            ):
                last = before
            else:
                last = Stretch(start, start, meeting, offset)
                self.stretches.append(last)
            self._piece_stretch = last
        last.end = float(until)
        place = (which, round(last.end) + offset)
        self._home.places.append(place) if place not in self._home.places else None

    def _drop(self, count: int) -> None:
        self._before = self._pending[max(0, count - HOP) : count]
        self._pending = self._pending[count:]
        self._pending_at += count

    def _split(self, which: int, offset: int) -> None:
        """Find where, around the end of the hop confirmed last, its stretch ends and the new one begins."""
        last = self._piece_stretch
        if last is None or last.end < self._pending_at * STEP or not len(self._before):
            return
        heard = np.concatenate((self._before, self._pending[:HOP]))
        begin = (self._pending_at - len(self._before)) * STEP
        old = self._home.reference(self._home.meetings.index(last.meeting), begin + last.offset, len(heard))
        new = self._home.reference(which, begin + offset, len(heard))
        even = flat(heard)
        wrong_old = np.concatenate(([0.0], np.cumsum((even - flat(old)) ** 2)))
        wrong_new = np.concatenate((np.cumsum(((even - flat(new)) ** 2)[::-1])[::-1], [0.0]))
        cut = begin + int(np.argmin(wrong_old + wrong_new)) * STEP
        last.end = max(last.start, float(cut))
        self._piece_stretch = Stretch(last.end, last.end, self._home.meetings[which], offset)
        self.stretches.append(self._piece_stretch)

    def _look(self, final: bool) -> bool:
        """Find the lock again. False when more audio is needed."""
        have = len(self._pending)
        here = self._pending_at * STEP
        if have < (SHORTEST if final else 2 * HOP):
            return False
        query = self._pending[:QUERY]
        last = self.stretches[-1] if self.stretches else None
        if last is not None:
            which = self._home.meetings.index(last.meeting)
            for offset in (last.offset, round(last.end) + last.offset - here):
                exact, sure = self._home.refine(which, query, here + offset, 1)
                if sure >= GOES_ON:
                    return self._locked(which, exact - here if offset != last.offset else offset)
        if have < QUERY and not final:
            return False
        near = [] if last is None else [(which, round(last.end) + last.offset)]
        near += [place for place in reversed(self._home.places) if place not in near][:6]
        near += [(number, 15 * RATE_HZ) for number in range(len(self._home.meetings))]
        if here < self._wait_near:
            self._drop(2 * HOP)
            return True
        everywhere = here >= self._wait
        found = self._home.find(query, near, everywhere)
        if found is not None:
            self._wait_near = self._failures = 0
            self._wait, self._pause = 0.0, RATE_HZ * GLOBAL_PAUSE_S[0]
            return self._locked(found[0], found[1] - here)
        self._failures += 1
        if self._failures > FAILURES:
            self._wait_near = here + round(NEAR_PAUSE_S * RATE_HZ)
        if everywhere:
            self._wait = here + self._pause
            self._pause = min(self._pause * 2, GLOBAL_PAUSE_S[1] * RATE_HZ)
        self._drop(2 * HOP)
        return True

    def _locked(self, which: int, offset: int) -> bool:
        self._lock = (which, offset)
        self._fresh = True
        return len(self._pending) >= HOP

    # --- words

    def spans(self, start: float, end: float) -> list[tuple[Meeting, float, float]]:
        """The meeting's stretches heard in stream [start, end), in order of hearing."""
        cut = [(s, max(s.start, start), min(s.end, end)) for s in self.stretches if s.end > start and s.start < end]
        return [(s.meeting, low + s.offset, high + s.offset) for s, low, high in cut]

    def words(self, start: float, end: float) -> list[HeardWord]:
        """The words heard in stream [start, end), in order of their start, each once.

        A word counts where its middle sample is heard together with a fifth of it. For an unbroken buffer that means
        more than half of it (at a tie the first half), and it gives a word cut in three to exactly one buffer.
        """
        found: dict[str, HeardWord] = {}
        for s in self.stretches:
            low, high = max(s.start, start) + s.offset, min(s.end, end) + s.offset
            if high <= low:
                continue
            for word in s.meeting.words_between(int(low), int(high) + 1):
                heard = min(high, word.end) - max(low, word.start)
                if low <= word.middle < high and heard * 5 >= word.end - word.start:
                    found.setdefault(word.text, HeardWord(s.meeting, word, word.end - s.offset))
        return sorted(found.values(), key=lambda item: (item.word.start, item.word.text))

    def forget(self, before: float) -> None:
        """Drop stretches that end before this stream position, all but the last."""
        kept = [s for s in self.stretches[:-1] if s.end > before]
        self.stretches[:-1] = kept

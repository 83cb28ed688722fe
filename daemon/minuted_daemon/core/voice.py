"""Voice activity, and what the merge asks of it: energy for every frame, and a model's verdict where there is one.

Energy says where sound begins and ends, and where it is quiet; whether sound is speech is the model's to say
(speech.py), and energy's only where there is none. No state beyond a minute.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import SpeechJudged, VoiceObserved
from minuted_daemon.core.samples import FRAME, RATE_HZ, Sample, samples
from minuted_daemon.core.speech import SpeechJudge, SpeechModel, Verdict

_FLOOR_LEAST_DB = -75.0
_FLOOR_RISE_DB = 6.0  # a second: a fan that starts is room noise soon, a word is not
_FLOOR_WINDOW = 3 * RATE_HZ
_ABOVE_FLOOR_DB = 9.0
_SOUND_DB = 6.0
"""Above the floor: what a model is asked about. More than voice, since a model knows better."""
_SETTLING = samples(1.0)
"""So much of a room is to be heard before its floor is known: people who speak leave gaps in it."""
_DIGITAL_SILENCE_DB = -95.0
LONG_SILENCE = samples(1.5)
"""Nobody speaks on across this."""


class VoiceDetector:
    """Tells voice from room noise by energy over a noise floor: the quietest frame of the last 3 s.

    Source: the idea of minimum statistics (Martin 2001); people who speak leave gaps, noise does not.
    """

    def __init__(self, model: SpeechModel | None = None) -> None:
        """`model`: this stream's own, None where energy is all there is."""
        self._floor_db = _FLOOR_LEAST_DB
        self._heard = 0  # samples that said anything about the room
        self._quietest: deque[tuple[int, float]] = deque()  # (position, level): rising levels, the first one counts
        self._judge = None if model is None else SpeechJudge(model)

    def observe(self, start: Sample, pcm: NDArray[np.int16]) -> VoiceObserved:
        """Judge the next block: int16, shape (n * 160,), 16 kHz."""
        frames = pcm.reshape(-1, FRAME).astype(np.float32)
        frames -= frames.mean(axis=1, keepdims=True)
        power = np.einsum("ij,ij->i", frames, frames) / (FRAME * 32768.0**2)
        level_db = (10.0 * np.log10(power + 1e-10)).astype(np.float32)
        self._follow(start, len(pcm), level_db)
        voiced = level_db > self._floor_db + _ABOVE_FLOOR_DB
        return VoiceObserved(start, voiced, level_db, self._judged(start, pcm, level_db))

    def finish(self) -> SpeechJudged | None:
        """No more audio comes: give the model's verdicts that are still due, None where there is no model."""
        return None if self._judge is None else self._judge.finish()

    def _judged(self, start: Sample, pcm: NDArray[np.int16], level_db: NDArray[np.float32]) -> SpeechJudged | None:
        if self._judge is None:
            return None
        loudest = float(level_db.max(initial=_DIGITAL_SILENCE_DB))
        settling = self._heard <= _SETTLING
        sound = loudest > (_FLOOR_LEAST_DB if settling else self._floor_db) + _SOUND_DB
        return self._judge.hear(start, pcm, sound)

    def _follow(self, start: int, length: int, level_db: NDArray[np.float32]) -> None:
        heard = level_db[level_db > _DIGITAL_SILENCE_DB]  # digital silence says nothing about the room
        if not len(heard):
            return
        quietest = float(heard.min())
        while self._quietest and self._quietest[-1][1] >= quietest:
            self._quietest.pop()
        self._quietest.append((start, quietest))
        while self._quietest[0][0] <= start - _FLOOR_WINDOW:
            self._quietest.popleft()
        risen = self._floor_db + _FLOOR_RISE_DB * length / RATE_HZ
        if self._heard < _SETTLING:  # nothing is known yet that it could rise from
            risen = self._quietest[0][1]
        self._heard += len(heard) * FRAME
        self._floor_db = max(_FLOOR_LEAST_DB, min(self._quietest[0][1], risen))


class VoiceTrack:
    """The voice activity of the last minute, by 10 ms frame.

    "Voiced" is energy's word, "speech" that of the best judge: the model's where it judged, else energy's.
    """

    _CAPACITY = 6_000

    def __init__(self, begin: int = 0) -> None:
        """`begin`: where the first frame will lie, in samples."""
        self._voiced = np.zeros(2 * self._CAPACITY, dtype=np.bool_)
        self._level = np.zeros(2 * self._CAPACITY, dtype=np.float32)
        self._verdict = np.zeros(2 * self._CAPACITY, dtype=np.uint8)
        self._used = 0
        self._first = begin // FRAME  # number of the frame at index 0
        self.end = begin
        self.last_voiced = begin
        self.silent_since: int | None = None  # where the last long silence began, whether or not it is over
        self._judged_to = begin
        self._silenced: list[tuple[int, int]] = []  # not judged yet, and to be no speech whatever is said of it
        self._room_from: int | None = None  # where the room was first heard, as long as its floor is not known
        self._floor_known = False

    def append(self, observed: VoiceObserved) -> None:
        """Take the next frames; they follow directly on those before."""
        count = len(observed.voiced)
        if self._used + count > len(self._voiced):
            keep = self._CAPACITY
            self._voiced[:keep] = self._voiced[self._used - keep : self._used].copy()
            self._level[:keep] = self._level[self._used - keep : self._used].copy()
            self._verdict[:keep] = self._verdict[self._used - keep : self._used].copy()
            self._first += self._used - keep
            self._used = keep
        self._voiced[self._used : self._used + count] = observed.voiced
        self._level[self._used : self._used + count] = observed.level_db
        self._verdict[self._used : self._used + count] = Verdict.UNJUDGED
        self._used += count
        self.end = (self._first + self._used) * FRAME
        voiced = np.flatnonzero(observed.voiced)
        until = self.end - (count - int(voiced[0])) * FRAME if len(voiced) else self.end
        if until - self.last_voiced >= LONG_SILENCE:
            self.silent_since = max(self.last_voiced, 1)
        if len(voiced):
            self.last_voiced = self.end - (count - 1 - int(voiced[-1])) * FRAME
        if observed.judged is not None:
            self.take(observed.judged)
        else:
            self._judged_to = self.end
            self._learn_floor(observed)

    @property
    def judged_to(self) -> int:
        """Whether sound before this is speech is decided; what lies behind it may yet turn out to be."""
        return self._judged_to if self._floor_known or self._room_from is None else self._room_from

    def decide(self) -> None:
        """No more audio comes: what is not judged yet stays as energy says."""
        self._settle()
        self._judged_to = self.end

    def spoken(self, start: int, end: int) -> int:
        """Samples of speech in [start, end), as the best judge of voice activity says."""
        return int(np.count_nonzero(self._speech(self._index(start), self._index(end)))) * FRAME

    def speech(self, start: int, end: int, at_least: int = 0) -> list[tuple[int, int]]:
        """Give the runs of speech inside [start, end), of at least so many samples."""
        low, high = self._index(start), self._index(end)
        return self._runs(low, self._speech(low, high), at_least) if high > low else []

    def _speech(self, low: int, high: int) -> NDArray[np.bool_]:
        verdict, voiced = self._verdict[low:high], self._voiced[low:high]
        near = (verdict == Verdict.UNJUDGED) | (verdict == Verdict.NEAR_SPEECH)
        return np.asarray((verdict == Verdict.SPEECH) | (near & voiced), dtype=np.bool_)

    def take(self, judged: SpeechJudged) -> None:
        """Take a model's verdicts on frames that were appended."""
        end = judged.start + len(judged.verdicts) * FRAME
        low, high = self._index(judged.start), self._index(end)
        self._verdict[low:high] = judged.verdicts[len(judged.verdicts) - (high - low) :]
        for start, until in self._silenced:
            self._verdict[self._index(start) : self._index(until + FRAME - 1)] = Verdict.NOT_SPEECH
        self._judged_to = max(self._judged_to, end)
        self._silenced = [one for one in self._silenced if one[1] > self._judged_to]
        self._floor_known = True  # a model needs none

    def _learn_floor(self, observed: VoiceObserved) -> None:
        """Judge the first second of a room again once it was heard: only then is its quietest frame known."""
        if self._floor_known:
            return
        heard = np.flatnonzero(observed.level_db > _DIGITAL_SILENCE_DB)
        if self._room_from is None and len(heard):
            self._room_from = self.end - (len(observed.level_db) - int(heard[0])) * FRAME
        if self._room_from is not None and self.end - self._room_from >= _SETTLING:
            self._settle()

    def _settle(self) -> None:
        if not self._floor_known and self._room_from is not None:
            low = self._index(self._room_from)
            levels = self._level[low : self._used]
            heard = levels[levels > _DIGITAL_SILENCE_DB]
            floor = max(_FLOOR_LEAST_DB, float(heard.min(initial=0.0)))
            self._voiced[low : self._used] |= levels > floor + _ABOVE_FLOOR_DB
        self._floor_known = True

    def silence(self, start: int, end: int) -> None:
        """Forget that there was voice in [start, end)."""
        low, high = self._index(start), self._index(end + FRAME - 1)
        self._voiced[low:high] = False
        self._verdict[low:high] = Verdict.NOT_SPEECH
        if not self._floor_known:
            self._level[low:high] = _DIGITAL_SILENCE_DB
        if end > self._judged_to:
            self._silenced.append((start, end))

    def runs(self, start: int, end: int, voiced: bool, at_least: int = 0) -> list[tuple[int, int]]:
        """Give the runs of voiced (or unvoiced) frames inside [start, end), of at least so many samples."""
        low, high = self._index(start), self._index(end)
        if high <= low:
            return []
        return self._runs(low, self._voiced[low:high] if voiced else ~self._voiced[low:high], at_least)

    def _runs(self, low: int, wanted: NDArray[np.bool_], at_least: int) -> list[tuple[int, int]]:
        edges = np.flatnonzero(np.diff(np.concatenate(([False], wanted, [False])).astype(np.int8)))
        base = self._first + low
        pairs = [((base + int(a)) * FRAME, (base + int(b)) * FRAME) for a, b in edges.reshape(-1, 2)]
        return [(a, b) for a, b in pairs if b - a >= at_least]

    def around(self, start: int, end: int, lead: int, tail: int, reach: int) -> tuple[int, int]:
        """Give where the audio of speech in [start, end) begins and ends.

        Some silence around it belongs to it (`lead`, `tail`), and voice that lies wholly within `reach`; voice that
        goes on beyond is somebody else's.
        """
        first, low_limit = start, start - reach
        for low, high in self.runs(start - reach, start, voiced=True):
            if low < start - reach + FRAME:
                low_limit = high
            else:
                first = min(first, low)
        last, high_limit = end, end + reach
        for low, high in self.runs(end, end + reach, voiced=True):
            if high > end + reach - FRAME:
                high_limit = low
            else:
                last = max(last, high)
        high_limit = min(high_limit, self.end)
        return min(start, max(min(first, start - lead), low_limit)), max(end, min(max(last, end + tail), high_limit))

    def quietest(self, start: int, end: int) -> int:
        """Give the middle of the quietest 50 ms inside [start, end)."""
        low, high = self._index(start), self._index(end)
        width = 5
        if high - low < width:
            return (start + end) // 2
        smooth = np.convolve(self._level[low:high], np.ones(width), "valid")
        return (self._first + low + int(smooth.argmin())) * FRAME + width * FRAME // 2

    def _index(self, position: int) -> int:
        return min(max(position // FRAME - self._first, 0), self._used)

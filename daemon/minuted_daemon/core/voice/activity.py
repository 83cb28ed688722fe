"""Voice activity, and what the merge asks of it: energy for every frame, and a model's verdict where there is one.

Energy says where sound begins and ends, and where it is quiet; whether sound is speech is the model's to say
(speech.py), and energy's only where there is none. No state beyond a minute.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import Evidence, SpeechJudged, VoiceObserved
from minuted_daemon.core.samples import FRAME, RATE_HZ, Sample, samples
from minuted_daemon.core.voice.speech import SpeechJudge, SpeechModel, Verdict

_FLOOR_START_DB = -60.0
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
"""No speaker goes on across a silence this long."""


class _Floor:
    """The noise floor of a room: the quietest frame of the last 3 s.

    Source: the idea of minimum statistics (Martin 2001); people who speak leave gaps, noise does not.
    """

    def __init__(self, start_db: float | None) -> None:
        """`start_db`: what it rises from; None for a floor that is where the first second of the room says."""
        self.db = _FLOOR_LEAST_DB if start_db is None else start_db
        self.heard = 0 if start_db is None else _SETTLING
        self._quietest: deque[tuple[int, float]] = deque()  # (position, level): rising levels, the first one counts

    @property
    def known(self) -> bool:
        """True once enough of the room was heard."""
        return self.heard >= _SETTLING

    def follow(self, start: int, level_db: NDArray[np.float32]) -> None:
        """Hear the next frames."""
        heard = level_db[level_db > _DIGITAL_SILENCE_DB]  # digital silence says nothing about the room
        if not len(heard):
            return
        quietest = float(heard.min())
        while self._quietest and self._quietest[-1][1] >= quietest:
            self._quietest.pop()
        self._quietest.append((start, quietest))
        while self._quietest[0][0] <= start - _FLOOR_WINDOW:
            self._quietest.popleft()
        quietest = self._quietest[0][1]
        risen = self.db + _FLOOR_RISE_DB * len(level_db) * FRAME / RATE_HZ if self.known else quietest
        self.heard += len(heard) * FRAME
        self.db = max(_FLOOR_LEAST_DB, min(quietest, risen))


class _EnergyJudge:
    """Takes for speech what is louder than the room, where there is no model to ask."""

    def __init__(self, floor: _Floor) -> None:
        self._floor = floor
        self._levels = np.zeros(0, dtype=np.float32)  # of the frames that wait for the floor to be known
        self._start = 0

    def hear(self, start: Sample, level_db: NDArray[np.float32]) -> SpeechJudged:
        """Judge the next frames, and those that were heard before the floor was known."""
        if not len(self._levels) or start != self._start + len(self._levels) * FRAME:
            self._start, self._levels = start, level_db
        else:
            self._levels = np.concatenate((self._levels, level_db))
        if self._floor.known or not (level_db > _DIGITAL_SILENCE_DB).any():
            return self.finish()
        return SpeechJudged(Sample(self._start), np.zeros(0, dtype=np.uint8))

    def finish(self) -> SpeechJudged:
        """Judge what still waits."""
        loud = self._levels > self._floor.db + _ABOVE_FLOOR_DB
        start, self._levels = self._start, self._levels[:0]
        return SpeechJudged(Sample(start), np.where(loud, Verdict.SPEECH, Verdict.NOT_SPEECH).astype(np.uint8))


class VoiceDetector:
    """Tells voice from room noise by energy over a noise floor, and has a model say what of it is speech.

    Voice is reported at once, so its floor starts low and rises. Verdicts can wait until the room is known.
    """

    def __init__(self, model: SpeechModel | None = None) -> None:
        """`model`: this stream's own, None where energy is all there is."""
        self._floor, self._room = _Floor(_FLOOR_START_DB), _Floor(None)
        self._judge = None if model is None else SpeechJudge(model)
        self._energy = _EnergyJudge(self._room)

    def observe(self, start: Sample, pcm: NDArray[np.int16]) -> VoiceObserved:
        """Judge the next block: int16, shape (n * 160,), 16 kHz."""
        frames = pcm.reshape(-1, FRAME).astype(np.float32)
        frames -= frames.mean(axis=1, keepdims=True)
        power = np.einsum("ij,ij->i", frames, frames) / (FRAME * 32768.0**2)
        level_db = (10.0 * np.log10(power + 1e-10)).astype(np.float32)
        self._floor.follow(start, level_db)
        self._room.follow(start, level_db)
        judged = self._energy.hear(start, level_db)
        if self._judge is not None:
            sound_db = (self._room.db if self._room.known else _FLOOR_LEAST_DB) + _SOUND_DB
            judged = self._judge.hear(start, pcm, bool((level_db > sound_db).any())) or judged
        return VoiceObserved(start, level_db > self._floor.db + _ABOVE_FLOOR_DB, level_db, judged)

    def finish(self) -> SpeechJudged:
        """No more audio comes: return the verdicts that are still due."""
        judged = None if self._judge is None else self._judge.finish()
        return judged or self._energy.finish()


class VoiceTrack:
    """The voice activity of the last minute, by 10 ms frame.

    "Voiced" is energy's word, "speech" that of the best judge there is; without any verdict, what is voiced.
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
        self._judged_to = begin
        self._silenced: list[tuple[int, int]] = []  # not judged yet, and to be no speech whatever is said of it

    def append(self, observed: VoiceObserved) -> int | None:
        """Take the next frames, directly after those before; return where a long silence began, if they show one.

        It may be over by their end.
        """
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
        silent_since = max(self.last_voiced, 1) if until - self.last_voiced >= LONG_SILENCE else None
        if len(voiced):
            self.last_voiced = self.end - (count - 1 - int(voiced[-1])) * FRAME
        if observed.judged is not None:
            self.take(observed.judged)
        else:
            self._judged_to = self.end
        return silent_since

    @property
    def judged_to(self) -> int:
        """Whether sound before this is speech is decided; later sound may still turn out to be."""
        return self._judged_to

    def decide(self) -> None:
        """No more audio comes: what is not judged yet stays as energy says."""
        self._judged_to = self.end

    def spoken(self, start: int, end: int) -> int:
        """Samples of speech in [start, end), as the best judge of voice activity says."""
        return int(np.count_nonzero(self._speech(self._index(start), self._index(end)))) * FRAME

    def speech(self, start: int, end: int, at_least: int = 0) -> list[tuple[int, int]]:
        """Return the runs of speech inside [start, end), of at least so many samples."""
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

    def silence(self, start: int, end: int) -> None:
        """Forget that there was voice in [start, end)."""
        low, high = self._index(start), self._index(end + FRAME - 1)
        self._voiced[low:high] = False
        self._verdict[low:high] = Verdict.NOT_SPEECH
        if end > self._judged_to:
            self._silenced.append((start, end))

    def runs(self, start: int, end: int, voiced: bool, at_least: int = 0) -> list[tuple[int, int]]:
        """Return the runs of voiced (or unvoiced) frames inside [start, end), of at least so many samples."""
        low, high = self._index(start), self._index(end)
        if high <= low:
            return []
        return self._runs(low, self._voiced[low:high] if voiced else ~self._voiced[low:high], at_least)

    def _runs(self, low: int, wanted: NDArray[np.bool_], at_least: int) -> list[tuple[int, int]]:
        edges = np.flatnonzero(np.diff(np.concatenate(([False], wanted, [False])).astype(np.int8)))
        base = self._first + low
        pairs = [((base + int(a)) * FRAME, (base + int(b)) * FRAME) for a, b in edges.reshape(-1, 2)]
        return [(a, b) for a, b in pairs if b - a >= at_least]

    def evidence(self, start: int, end: int) -> Evidence:
        """Return what was heard in [start, end), for doubts about the text."""
        voiced = FRAME * int(np.count_nonzero(self._voiced[self._index(start) : self._index(end)]))
        return Evidence(self.spoken(start, end), voiced)

    def around(self, start: int, end: int, lead: int, tail: int, reach: int) -> tuple[int, int]:
        """Return where the audio of speech in [start, end) begins and ends.

        Some silence around it belongs to it (`lead`, `tail`), and voice that lies wholly within `reach`; voice that
        goes on beyond belongs to another turn.
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
        """Return the middle of the quietest 50 ms inside [start, end)."""
        low, high = self._index(start), self._index(end)
        width = 5
        if high - low < width:
            return (start + end) // 2
        smooth = np.convolve(self._level[low:high], np.ones(width), "valid")
        return (self._first + low + int(smooth.argmin())) * FRAME + width * FRAME // 2

    def _index(self, position: int) -> int:
        return min(max(position // FRAME - self._first, 0), self._used)

"""Voice activity as a model hears it: from the chances of speech that it gives to a verdict on each 10 ms frame.

Energy cannot tell a tap, a fan or music from a word; a model can. It is asked only where there is sound at all, with
a little of what came before. Its verdicts come 0.3 to 0.45 s after the audio.
"""

from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import SpeechJudged
from minuted_daemon.core.samples import FRAME, Sample, samples

WINDOW = 512
"""Samples that a model judges at once: 32 ms."""
CHANCE = 0.35
SHORTEST = 3
"""So many windows in a row: the shortest words are longer, and most of what a tap is taken for is shorter."""
NEAR = samples(0.25)
"""Sound this near to speech is its beginning or its end: models miss the breath of an h or an s."""
_LEAD = samples(0.3)
"""What a model hears of the time before there was sound."""
_CALM = samples(0.8)
"""After so long without sound a model is asked no more."""


class Verdict(IntEnum):
    """What is known of a frame."""

    UNJUDGED = 0
    NOT_SPEECH = 1
    NEAR_SPEECH = 2
    SPEECH = 3


class SpeechModel(Protocol):
    """One stream's model of voice activity.

    It keeps what it knows of the room where it is not asked for a while: one that begins anew takes taps for words.
    """

    def chances(self, pcm: NDArray[np.int16]) -> NDArray[np.float32] | None:
        """Return the chance of speech in each of the next windows; None where there is no model after all.

        pcm: int16, shape (n * 512,), 16 kHz, n >= 1.
        """
        ...


class SpeechJudge:
    """Hears one stream block by block, and judges its frames in order, each once."""

    def __init__(self, model: SpeechModel) -> None:
        self._model: SpeechModel | None = model
        self._tail = np.zeros(0, dtype=np.int16)  # what is not judged yet
        self._end = 0
        self._calm = 0
        self._begin_listening(at=None)

    def hear(self, start: Sample, pcm: NDArray[np.int16], sound: bool) -> SpeechJudged | None:
        """Take the next block; give what is judged by now, None where there is no model.

        `sound`: there is any that may be speech. A block that does not follow on the one before begins anew; what was
        not judged by then stays so.
        """
        if start != self._end:
            self._tail = np.zeros(0, dtype=np.int16)
            self._begin_listening(at=None)
        self._tail = np.concatenate((self._tail, pcm))
        self._end = start + len(pcm)
        self._calm = 0 if sound else self._calm + len(pcm)
        if self._base is None and sound:
            self._begin_listening(at=self._end - len(self._tail))
            self._listen(self._tail)
        elif self._base is not None:
            self._listen(pcm)
        if self._model is None:
            return None
        if self._base is None:
            return self._judge_unheard()
        judged = self._judge()
        if self._calm > _CALM and not (self._chances > CHANCE).any():
            self._begin_listening(at=None)
        return judged

    def finish(self) -> SpeechJudged | None:
        """No more audio comes: judge the rest, as if silence followed."""
        if self._base is not None:
            self._listen(np.zeros((NEAR // WINDOW + SHORTEST + 2) * WINDOW, dtype=np.int16))
        if self._model is None:
            return None
        if self._base is not None:
            return self._judge()
        rest, self._tail = self._tail, self._tail[:0]
        verdicts = np.full(len(rest) // FRAME, Verdict.NOT_SPEECH, dtype=np.uint8)
        return SpeechJudged(Sample(self._end - len(rest)), verdicts, by_model=True)

    def _begin_listening(self, at: int | None) -> None:
        """From `at` on the model is asked; None: not for now."""
        self._base = at
        self._rest = np.zeros(0, dtype=np.int16)
        self._chances = np.zeros(0, dtype=np.float32)

    def _listen(self, pcm: NDArray[np.int16]) -> None:
        rest = np.concatenate((self._rest, pcm))
        whole = len(rest) // WINDOW * WINDOW
        self._rest = rest[whole:]
        if not whole or self._model is None:
            return
        chances = self._model.chances(rest[:whole])
        if chances is None:
            self._model = None
        else:
            self._chances = np.concatenate((self._chances, chances))

    def _judge_unheard(self) -> SpeechJudged:
        """Skip a block without asking the model; keep the last audio, which it hears first when it is asked again."""
        start = self._end - len(self._tail)
        count = max(0, len(self._tail) - _LEAD) // FRAME
        self._tail = self._tail[count * FRAME :]
        return SpeechJudged(Sample(start), np.full(count, Verdict.NOT_SPEECH, dtype=np.uint8), by_model=True)

    def _judge(self) -> SpeechJudged:
        base = self._base or 0
        on, decided = _speech(self._chances)
        first = self._end - len(self._tail)
        until = min(max(base + decided * WINDOW - NEAR, first), self._end) // FRAME * FRAME
        centres = np.arange(first, until, FRAME) + FRAME // 2 - base
        before = np.concatenate(([0], np.cumsum(on)))
        last = len(on)
        low = np.clip((centres - NEAR) // WINDOW, 0, last)
        high = np.clip((centres + NEAR) // WINDOW + 1, 0, last)
        verdicts = np.full(len(centres), Verdict.NOT_SPEECH, dtype=np.uint8)
        verdicts[before[high] > before[low]] = Verdict.NEAR_SPEECH
        if len(centres):
            verdicts[on[np.clip(centres // WINDOW, 0, last - 1)]] = Verdict.SPEECH
        self._tail = self._tail[until - first :]
        # Windows are kept as long as a frame that is near them, or a run that they belong to, is not judged.
        passed = max(0, (until - NEAR - base) // WINDOW - SHORTEST)
        self._chances, self._base = self._chances[passed:], base + passed * WINDOW
        return SpeechJudged(Sample(first), verdicts, by_model=True)


def _speech(chances: NDArray[np.float32]) -> tuple[NDArray[np.bool_], int]:
    """Return which windows are speech, and for how many that is decided: a run at the end may yet grow long enough."""
    likely = np.concatenate(([False], chances > CHANCE, [False]))
    edges = np.flatnonzero(np.diff(likely.astype(np.int8))).reshape(-1, 2)
    on = np.zeros(len(chances), dtype=np.bool_)
    decided = len(chances)
    for first, last in edges:
        if last - first >= SHORTEST:
            on[first:last] = True
        elif last == len(chances):
            decided = int(first)
    return on, decided

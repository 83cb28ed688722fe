"""From the segmentation network's powerset to stretches of speech of its three local speakers. Numpy only.

Which local speaker is which person is not decided here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRACKS = 3
"""Local speakers of one window. Their order means nothing in another window."""
WINDOW = 160_000
"""Samples the network hears at once: 10 s at 16 kHz."""
STEP = 270
"""Samples from one frame to the next."""
FIRST_CENTRE = 496
"""Where the first frame is centred, in samples after the window's start."""

ONSET = 0.5
OFFSET = 0.4
BRIDGED = 4_000
"""Pauses of one local speaker shorter than 0.25 s are part of the speech."""
SHORTEST = 2_400
"""Speech shorter than 0.15 s is not reported."""

_MEMBERS = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]],
    dtype=np.float32,
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech of one local speaker, in samples since the start of the stream."""

    track: int
    start: int
    end: int


def activity(log_probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each local speaker's probability of being active, shape (frames, 3), from shape (frames, 7)."""
    return np.asarray(np.exp(log_probabilities) @ _MEMBERS, dtype=np.float32)


def frame_centres(frames: int, window_start: int) -> NDArray[np.int64]:
    """Return the samples, since the start of the stream, at which the frames are centred."""
    return window_start + FIRST_CENTRE + STEP * np.arange(frames, dtype=np.int64)


def stretches(active: NDArray[np.float32], window_start: int) -> list[Stretch]:
    """Find speech with hysteresis, bridge short pauses, and leave out what is too short; in order of start.

    Speech that is still on at the last frame ends at the window's end, and nothing starts before sample 0.
    """
    centres = frame_centres(len(active), window_start)
    window_end = window_start + WINDOW
    found: list[Stretch] = []
    for track in range(active.shape[1]):
        merged: list[list[int]] = []
        for first, last in _runs(active[:, track]):
            start = int(centres[first]) if first else window_start
            end = int(centres[last]) if last < len(active) else window_end
            if merged and start - merged[-1][1] < BRIDGED:
                merged[-1][1] = end
            else:
                merged.append([start, end])
        for start, end in merged:
            start = max(start, 0)
            if end - start >= SHORTEST:
                found.append(Stretch(track, start, end))
    return sorted(found, key=lambda stretch: (stretch.start, stretch.track))


def _runs(probability: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Return frames [first, last) of each run that begins above ONSET and lasts until below OFFSET."""
    runs: list[tuple[int, int]] = []
    first: int | None = None
    for frame, value in enumerate(probability.tolist()):
        if first is None:
            if value > ONSET:
                first = frame
        elif value < OFFSET:
            runs.append((first, frame))
            first = None
    if first is not None:
        runs.append((first, len(probability)))
    return runs

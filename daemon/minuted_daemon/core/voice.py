"""Voice activity from audio energy alone."""

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import VoiceObserved
from minuted_daemon.core.samples import Sample


class VoiceDetector:
    """Tells voice from room noise by energy over a tracked noise floor."""

    def observe(self, start: Sample, pcm: NDArray[np.int16]) -> VoiceObserved:
        """Judge the next block: int16, shape (n * 160,), 16 kHz."""
        raise NotImplementedError

"""The process that looks at voices: speech in, prints out, one after another, until the daemon hangs up.

Started as `python -m minuted_daemon.adapters.local.worker.voiceprint_main FD`. Both ways a message is its length in
bytes and its payload: int16 audio at 16 kHz to here, a float32 unit vector from here, both in the machine's byte order;
the vector is empty where the audio is like noise, because noises are like each other and would be taken for one person.
"""

import os
import signal
import socket
import sys

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.protocol import LENGTH
from minuted_daemon.adapters.local.worker import onnx_models
from minuted_daemon.core.samples import samples

LIKE_NOISE = 0.5
"""Likeness to white noise. Measured: voices at most 0.22, bursts of shaped noise at least 0.81."""
_NOISE_LENGTH = samples(3.0)
_FULL_SCALE = 32_768.0
_NICENESS = 5


def main(descriptor: int) -> None:
    """Serve one daemon until it is gone. Signals to the group are the daemon's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_NICENESS)
    network = onnx_models.open_voice()
    noise = _unit(network(np.random.default_rng(0).normal(0, 0.1, _NOISE_LENGTH).astype(np.float32)))
    with socket.socket(fileno=descriptor) as connected, connected.makefile("rwb") as stream:
        while len(header := stream.read(LENGTH.size)) == LENGTH.size:
            payload = stream.read(*LENGTH.unpack(header))
            vector = _unit(network(np.frombuffer(payload, dtype=np.int16).astype(np.float32) / _FULL_SCALE))
            unit = b"" if float(vector @ noise) >= LIKE_NOISE else vector.tobytes()
            stream.write(LENGTH.pack(len(unit)) + unit)
            stream.flush()


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


if __name__ == "__main__":
    main(int(sys.argv[1]))

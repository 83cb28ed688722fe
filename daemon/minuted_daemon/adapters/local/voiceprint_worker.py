"""The process that looks at voices: speech in, prints out, one after another, until the daemon hangs up.

Started as `python -m minuted_daemon.adapters.local.voiceprint_worker FD`. Both ways a message is its length in bytes
and its payload: int16 audio at 16 kHz to here, a float32 unit vector from here, both in the machine's byte order.
"""

import os
import signal
import socket
import struct
import sys

import numpy as np

from minuted_daemon.adapters.local import networks

LENGTH = struct.Struct("<I")

_FULL_SCALE = 32_768.0
_NICENESS = 5


def main(descriptor: int) -> None:
    """Serve one daemon until it is gone. Signals to the group are the daemon's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_NICENESS)
    voice = networks.open_voice()
    with socket.socket(fileno=descriptor) as connected, connected.makefile("rwb") as stream:
        while len(header := stream.read(LENGTH.size)) == LENGTH.size:
            payload = stream.read(*LENGTH.unpack(header))
            vector = voice(np.frombuffer(payload, dtype=np.int16).astype(np.float32) / _FULL_SCALE)
            unit = np.asarray(vector / np.linalg.norm(vector), dtype=np.float32).tobytes()
            stream.write(LENGTH.pack(len(unit)) + unit)
            stream.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""The short-lived process that asks PortAudio for its inputs: `python -m minuted_daemon.adapters.capture.listing`.

It prints one JSON object. PortAudio opens every device to list it and may hang or crash, so the daemon itself never
does this. Workers use `scan` in their own process. Nothing heavy (numpy) may be imported here.
"""

import dataclasses
import json
import os
import sys
from typing import Any

from minuted_daemon.adapters.capture.listing.naming import ListedInput
from minuted_daemon.adapters.capture.portaudio import load_portaudio

NO_PORTAUDIO = "NO_PORTAUDIO"


def scan(sounddevice: Any) -> list[ListedInput]:
    """List the inputs PortAudio found when it was loaded. Raises sounddevice.PortAudioError."""
    hosts = sounddevice.query_hostapis()
    default = sounddevice.default.device[0]
    return [
        ListedInput(
            index=int(item["index"]),
            label=str(item["name"]),
            host_api=str(hosts[item["hostapi"]]["name"]),
            channels=int(item["max_input_channels"]),
            rate_hz=round(item["default_samplerate"]),
            is_default=int(item["index"]) == default,
        )
        for item in sounddevice.query_devices()
        if item["max_input_channels"] > 0
    ]


def main() -> None:
    """Print {"inputs": [...]} or {"error": reason}, and leave without giving PortAudio a chance to hang."""
    answer: dict[str, object]
    # PortAudio's backends may print; only the answer goes to the pipe.
    pipe = os.dup(1)
    os.dup2(2, 1)
    try:
        sounddevice = load_portaudio()
    except OSError:
        answer = {"error": NO_PORTAUDIO}
    else:
        try:
            answer = {"inputs": [dataclasses.asdict(item) for item in scan(sounddevice)]}
        except sounddevice.PortAudioError as error:
            answer = {"error": str(error)}
    os.write(pipe, json.dumps(answer).encode())
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

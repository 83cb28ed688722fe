"""Whether a stream still comes from where it should. Pure, but for asking the sound server."""

from typing import Protocol

from minuted_daemon.adapters.capture.protocol.faults import DEFAULT_CHANGED, DEVICE_MOVED, Fault
from minuted_daemon.adapters.capture.worker.pulse import Recording, ServerAwayError

_MONITOR = ".monitor"
"""PipeWire names what is played, and that it is to be recorded, in two places."""


class Server(Protocol):
    """What is asked; see sound_server.SoundServer."""

    def recording(self) -> Recording | None:
        """Return where the stream comes from now. Raises ServerAwayError."""
        ...


class Origin:
    """Watches one stream. `home`: the source it must come from, "" for the one it comes from at first.

    A stream that `follows` comes from whatever the server's default was at first: it is of no more use once it was
    moved or the default is another. What a stream's source was at first need not be the default itself, because
    servers remember where a program recorded last.
    """

    def __init__(self, server: Server, home: str, follows: bool) -> None:
        self._server = server
        self._home = home
        self._follows = follows
        self._default = ""
        self._seen = False

    @property
    def home(self) -> str:
        """The source's name, "" as long as the server knows no stream of this process."""
        return self._home if self._seen else ""

    def check(self) -> Fault | None:
        """Return whether what has arrived so far may be passed on."""
        try:
            recording = self._server.recording()
        except ServerAwayError as away:
            return Fault("DEVICE_ENDED", str(away))
        if recording is None:
            return Fault("DEVICE_ENDED", "the sound server ended the stream") if self._seen else None
        if not self._seen:
            self._seen = True
            self._home = self._home or _asked(recording)
            self._default = recording.default
        if self._follows and (recording.source != self._home or recording.default != self._default):
            return Fault(DEFAULT_CHANGED, f"the default source is {recording.default} now")
        if recording.source != self._home:
            return Fault(DEVICE_MOVED, f"the sound server records from {recording.source} instead of {self._home}")
        return None


def _asked(recording: Recording) -> str:
    """Return the source a stream should come from by what it asked for, or the one it comes from."""
    asked = recording.asked
    same = asked.removesuffix(_MONITOR) == recording.source.removesuffix(_MONITOR)
    return recording.source if same or not asked or asked.isdigit() else asked

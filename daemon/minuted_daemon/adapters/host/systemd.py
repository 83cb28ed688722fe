"""Reports the daemon's state to systemd, by datagrams to the socket it names. Without that socket it does nothing."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """The service manager's view of this process. Telling never raises and never blocks."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        try:
            limit_s = int(environ.get("WATCHDOG_USEC", "0")) / 1e6
            meant_for = int(environ.get("WATCHDOG_PID", "") or os.getpid())
        except ValueError:
            limit_s, meant_for = 0.0, os.getpid()
        self.watchdog_s: float | None = limit_s if limit_s > 0 and meant_for == os.getpid() else None
        """The manager restarts the daemon when it hears nothing for so long; None: no watchdog."""

    def ready(self) -> None:
        """Everything is up."""
        self._tell("READY=1\nSTATUS=Ready")

    def stopping(self) -> None:
        """The daemon has begun to end."""
        self._tell("STOPPING=1\nSTATUS=Storing the last turns")

    def alive(self) -> None:
        """The event loop still turns."""
        self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as peer:
                peer.sendto(message.encode(), address)
        except OSError:
            # A manager that does not listen must not stop the minutes; its own time limits will act.
            return

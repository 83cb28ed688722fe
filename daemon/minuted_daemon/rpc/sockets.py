"""Claims the sockets to listen at. gRPC itself would silently take one that another process serves."""

import fcntl
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from minuted_daemon.addresses import TcpAddress, UnixAddress, parse_listen
from minuted_daemon.errors import ConfigError

SOCKET_MODE = 0o660
PROBE_S = 1.0


def parse(address: str) -> UnixAddress | TcpAddress:
    """Read an address to listen at; see addresses.parse_listen.

    Raises ConfigError (LISTEN_INVALID, SOCKET_PATH_TOO_LONG, TLS_REQUIRED).
    """
    try:
        return parse_listen(address)
    except ConfigError as error:
        raise ConfigError(error.reason, f"daemon.listen: cannot listen at {address!r}: {error}") from error


class SocketClaim:
    """The right to a socket's path: a locked file beside it, which outlives this process without harm."""

    def __init__(self, address: UnixAddress) -> None:
        """Lock the path and remove a stale socket.

        Raises ConfigError (SOCKET_IN_USE, SOCKET_UNUSABLE, naming the path).
        """
        self.path = address.path
        lock_path = self.path.with_name(self.path.name + ".lock")
        try:
            self._lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unusable(lock_path, error) from error
        try:
            self._claim()
        except BaseException:
            os.close(self._lock)
            raise

    def _claim(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _in_use(self.path) from error
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unusable(self.path, error) from error
        if stat.S_ISDIR(mode):
            example = f"unix:{self.path}/minuted.sock"
            message = f"daemon.listen: {self.path} is a directory; name a socket in it, such as {example}"
            raise ConfigError("SOCKET_UNUSABLE", message, path=str(self.path))
        if not stat.S_ISSOCK(mode):
            raise ConfigError("SOCKET_UNUSABLE", f"daemon.listen: {self.path} exists and is not a socket")
        if _answers(self.path):
            raise _in_use(self.path)
        try:
            self.path.unlink()
        except OSError as error:
            raise _unusable(self.path, error) from error

    def opened(self) -> None:
        """The socket is bound: let only its owner and group connect. Raises ConfigError."""
        try:
            self.path.chmod(SOCKET_MODE)
        except OSError as error:
            raise _unusable(self.path, error) from error

    def release(self) -> None:
        """Remove the socket and free the path."""
        with suppress(OSError):
            self.path.unlink()
        os.close(self._lock)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(path))
        except TimeoutError:
            return True  # a full backlog: another process holds it
        except OSError:
            return False
        return True


def why_not(address: TcpAddress) -> str:
    """Return why a port could not be bound, in the system's words."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(where)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "gRPC could not bind it"


def _in_use(path: Path) -> ConfigError:
    return ConfigError(
        "SOCKET_IN_USE",
        f"daemon.listen: another process listens on {path}; stop it, or listen elsewhere",
        path=str(path),
    )


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        "SOCKET_UNUSABLE",
        f"daemon.listen: cannot use {path}: {(error.strerror or str(error)).lower()}; its directory must exist and "
        "be writable",
        path=str(path),
    )

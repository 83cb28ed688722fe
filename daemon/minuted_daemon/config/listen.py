"""Where the daemon listens, as a configured value: an address as addresses.py reads it, its path made absolute."""

from minuted_daemon.addresses import UnixAddress, parse_listen
from minuted_daemon.config.values import path, shown
from minuted_daemon.errors import ConfigError


def listen(value: str) -> str:
    """Take `unix:PATH`, or HOST:PORT on loopback; a relative path counts from the working directory."""
    name = value.removeprefix("unix:")
    if value.startswith("unix:") and not name.startswith("/"):
        if not name:
            raise ValueError("unix: must be followed by a path")
        value = f"unix:{path(name)}"
    try:
        address = parse_listen(value)
    except ConfigError as error:
        raise ValueError(f"{shown(value)} is no address to listen at: {error}") from None
    if isinstance(address, UnixAddress):
        return f"unix:{path(str(address.path))}"
    return str(address)

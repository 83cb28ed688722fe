"""What may be reached without encryption: this machine alone. One rule for configuration, server and vendors."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine. An IPv6 address comes without its brackets."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(url: str, secure: str = "https", plain: str = "http") -> bool:
    """Tell whether what goes to this URL cannot be read on the way: the secure scheme, or the plain one on loopback."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == secure or (parts.scheme == plain and is_loopback(host or "")))

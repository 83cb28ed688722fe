"""How a vendor's WebSocket is opened: the way there, the limits, no redirect. What a refusal means is the vendor's."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException

from minuted_daemon.adapters.network.errors import SILENT, closing
from minuted_daemon.adapters.network.route import HAPPY_EYEBALLS_S, Network
from minuted_daemon.config.proxies import target_of
from minuted_daemon.errors import Garbled, Unavailable, VendorError


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """How long opening may take and when a silent peer is given up, in seconds; how much is read ahead."""

    open_s: float
    ping_every_s: float
    ping_wait_s: float
    message_bytes: int
    queued_messages: int = 256
    """Beyond them the socket is not read until its reader catches up: TCP slows the vendor down."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What is asked for, of whom. The URL and the headers are secrets: they hold tokens and keys."""

    vendor: str
    url: str
    headers: Mapping[str, str]


Refusal = Callable[[int, Mapping[str, str], bytes], VendorError]
"""What a vendor's refused upgrade means, from its status, its headers (names in lower case) and its body."""


class _Connect(connect):
    """Redirects are not followed: the key or token is for one place only."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_socket(network: Network, upgrade: Upgrade, limits: SocketLimits, refusal: Refusal) -> ClientConnection:
    """Connect and upgrade, once. Raise VendorError, with nothing chained: what was caught may show URL or headers."""
    vendor = upgrade.vendor
    fault: VendorError
    try:
        async with asyncio.timeout(limits.open_s):
            return await _opened(network, upgrade, limits)
    except VendorError as exc:
        fault = exc
    except InvalidStatus as exc:
        headers = {name.lower(): value for name, value in exc.response.headers.raw_items()}
        fault = refusal(exc.response.status_code, headers, bytes(exc.response.body or b""))
    except ConnectionClosed as exc:
        how = closing(exc)
        fault = Unavailable("VENDOR_DOWN", f"{vendor} closed the connection at once.", close_code=str(how.code))
    except (OSError, EOFError, UnicodeError) as exc:  # the last where a host's name cannot be one
        fault = network.fault(vendor, upgrade.url, exc)
    except InvalidMessage as exc:
        error = type(exc).__name__
        fault = Unavailable("VENDOR_DOWN", f"{vendor} broke off while a connection was opened.", error=error)
    except (WebSocketException, ValueError) as exc:
        fault = Garbled("BAD_ANSWER", f"{vendor} did not answer with a WebSocket.", error=type(exc).__name__)
    raise fault


async def _opened(network: Network, upgrade: Upgrade, limits: SocketLimits) -> ClientConnection:
    target = target_of(upgrade.url)
    options: dict[str, Any] = {}
    if target.scheme == "wss":
        options["ssl"] = await network.tls()
    tunnel = await network.tunnel(upgrade.vendor, upgrade.url)
    if tunnel is not None:
        options["sock"] = tunnel
    else:
        options["happy_eyeballs_delay"] = HAPPY_EYEBALLS_S
    try:
        return await _Connect(
            upgrade.url,
            additional_headers=dict(upgrade.headers),
            proxy=None,
            compression=None,
            open_timeout=None,
            ping_interval=limits.ping_every_s,
            ping_timeout=limits.ping_wait_s,
            close_timeout=1.0,
            max_size=limits.message_bytes,
            max_queue=limits.queued_messages,
            user_agent_header="minuted",
            logger=SILENT,
            **options,
        )
    except BaseException:
        if tunnel is not None:
            tunnel.close()
        raise

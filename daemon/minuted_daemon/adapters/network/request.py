"""One HTTP request to a vendor and its whole answer, over the same way as the WebSockets."""

# ruff: noqa: ARG002, ASYNC109  # httpcore's interface; its timeouts are not used, for a request has one limit as a whole

import asyncio
import importlib
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from minuted_daemon.adapters.network.route import HAPPY_EYEBALLS_S, Network
from minuted_daemon.config.proxies import target_of
from minuted_daemon.errors import Garbled, Unavailable, VendorError


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are in lower case. The body may hold a secret."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How long a request may take in all, in seconds, and how long its answer may be."""

    whole_s: float
    answer_bytes: int


async def post(
    network: Network, vendor: str, url: str, headers: Mapping[str, str], limits: RequestLimits, body: bytes = b"{}"
) -> Answer:
    """Send JSON by POST, once, over a connection of its own; redirects are not followed.

    Raise Unavailable (VENDOR_TIMEOUT and those of errors.py) or Garbled (BAD_ANSWER), never with what may be secret.
    """
    fault: VendorError
    cause: Exception | None = None
    try:
        async with asyncio.timeout(limits.whole_s):
            return await _post(network, vendor, url, headers, limits, body)
    except VendorError as exc:
        fault = exc
    except (TimeoutError, httpcore.TimeoutException):
        fault = Unavailable("VENDOR_TIMEOUT", f"{vendor} did not answer in time.")
    except (OSError, EOFError, UnicodeError, httpcore.NetworkError) as exc:
        # Before ValueError: a certificate that is not trusted is one as well.
        fault, cause = network.fault(vendor, url, exc), exc
    except (httpcore.ProtocolError, ValueError) as exc:
        fault = _protocol_fault(vendor, exc)
    raise fault from cause


async def _post(
    network: Network, vendor: str, url: str, headers: Mapping[str, str], limits: RequestLimits, body: bytes
) -> Answer:
    # httpcore would load it with the first request, on the event loop.
    await asyncio.to_thread(importlib.import_module, "anyio._backends._asyncio")
    tls = await network.tls() if target_of(url).scheme == "https" else None
    sent = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "minuted", **headers}
    async with (
        httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=1, http2=False, network_backend=_Backend(network, vendor, url, tls)
        ) as pool,
        pool.stream("POST", url, headers=list(sent.items()), content=body) as answer,
    ):
        received = b""
        async for part in answer.aiter_stream():
            received += part
            if len(received) > limits.answer_bytes:
                if answer.status < 300:
                    raise Garbled("BAD_ANSWER", f"{vendor}'s answer to the request for a stream is too long.")
                break  # of a refusal the beginning is enough
        names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        return Answer(answer.status, names, received)


def _protocol_fault(vendor: str, exc: Exception) -> VendorError:
    if "disconnected" in str(exc).lower():
        return Unavailable(
            "VENDOR_DOWN", f"{vendor} closed the connection without an answer.", error=type(exc).__name__
        )
    return Garbled("BAD_ANSWER", f"{vendor} does not speak HTTP as it should.", error=type(exc).__name__)


class _Backend(httpcore.AsyncNetworkBackend):
    """Where httpcore's connections come from, encrypted where there is a `tls`. Errors leave it as they are."""

    def __init__(self, network: Network, vendor: str, url: str, tls: ssl.SSLContext | None) -> None:
        self._network = network
        self._vendor = vendor
        self._url = url
        self._tls = tls

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        options: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls, "server_hostname": host}
        tunnel = await self._network.tunnel(self._vendor, self._url)
        if tunnel is None:
            return _Stream(*await asyncio.open_connection(host, port, happy_eyeballs_delay=HAPPY_EYEBALLS_S, **options))
        try:
            return _Stream(*await asyncio.open_connection(sock=tunnel, **options))
        except BaseException:
            tunnel.close()
            raise

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A TCP or TLS connection, as httpcore wants it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._writer.write(buffer)
        await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Nothing: it was encrypted from the start."""
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._writer.get_extra_info("ssl_object")
        return None

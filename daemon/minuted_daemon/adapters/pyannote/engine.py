"""pyannote as a diarizer: one HTTP request and one socket a stream. Moves bytes and reports faults; never retries.

What messages, refusals and closes mean is decided in codec.py and faults.py.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from minuted_daemon.adapters.network.errors import closing, usable_key
from minuted_daemon.adapters.network.request import RequestLimits, post
from minuted_daemon.adapters.network.route import Network
from minuted_daemon.adapters.network.websocket import SocketLimits, Upgrade, open_socket
from minuted_daemon.adapters.pyannote import faults
from minuted_daemon.adapters.pyannote.codec import END_OF_STREAM, LeadGuard, PyannoteCodec
from minuted_daemon.addresses import is_private
from minuted_daemon.core.events import DiarizerNews
from minuted_daemon.core.samples import seconds
from minuted_daemon.errors import Rejected, Unavailable, VendorError
from minuted_daemon.ports.engines import DiarizerCapabilities

_ANSWER_BYTES = 65_536
_MESSAGE_BYTES = 65_536
_VENDOR = "pyannote"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds, and how far audio may run ahead. A silent peer is found in 19 s."""

    create_s: float = 12.0
    open_s: float = 26.0
    send_s: float = 5.0
    finish_s: float = 5.0
    close_s: float = 1.5
    ping_every_s: float = 8.0
    ping_wait_s: float = 10.0
    lead_s: float = 3.5


LIMITS = Limits()


class PyannoteStream:
    """One epoch on one socket. See ports.DiarizerStream."""

    def __init__(self, socket: ClientConnection, limits: Limits) -> None:
        self._socket = socket
        self._limits = limits
        self._codec = PyannoteCodec()
        self._lead = LeadGuard(limits.lead_s)
        self._fault: VendorError | None = None
        self._finished = False
        self._closed = False
        self._drain_until_s: float | None = None
        self._drain_timer: asyncio.Timeout | None = None

    @property
    def seconds_sent(self) -> float:
        """Seconds of audio sent so far."""
        return seconds(self._codec.samples_sent)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many messages were left out, by why."""
        return self._codec.counts

    async def send(self, pcm: NDArray[np.int16]) -> None:
        """Send the next 100 ms; waits where that would be too far ahead of real time.

        Raises Unavailable (SEND_TIMEOUT after 5 s, CLOSED_*, PING_TIMEOUT, STREAM_CLOSED) or Garbled.
        """
        self._check_usable()
        frame = self._codec.encode(pcm)
        loop = asyncio.get_running_loop()
        if (wait_s := self._lead.wait_s(loop.time())) > 0:
            await asyncio.sleep(wait_s)
            self._check_usable()
        await self._send(frame)
        self._lead.sent(loop.time())
        self._codec.sent()

    async def events(self) -> AsyncIterator[DiarizerNews]:
        """Return events as they arrive; one reader only. Ends after `finish` (at most 5 s later) and after `close`.

        Raises Unavailable or Garbled.
        """
        while not self._closed:
            try:
                message = await self._receive()
            except TimeoutError:
                _log.debug("diarizer_flush_cut_short", vendor="pyannote")
                await self.close()
                return
            except ConnectionClosed as exc:
                if self._closed or (self._finished and exc.rcvd is not None and exc.rcvd.code == 1000):
                    return
                # A close reason is the vendor's text, which may repeat the token: not chained.
                raise self._broken(faults.closure(closing(exc))) from None
            try:
                news = self._codec.decode(message)
            except VendorError as exc:
                raise self._broken(exc) from None
            yield news

    async def finish(self) -> None:
        """Say that no more audio comes. Never raises: a broken connection shows in `events`."""
        if self._finished or self._closed or self._fault is not None:
            return
        self._finished = True
        self._drain_until_s = asyncio.get_running_loop().time() + self._limits.finish_s
        if self._drain_timer is not None:
            self._drain_timer.reschedule(self._drain_until_s)
        try:
            await self._send(END_OF_STREAM)
        except VendorError:
            return

    async def close(self) -> None:
        """Drop the connection."""
        if self._closed:
            return
        self._closed = True
        _log.debug("diarizer_stream_closed", vendor="pyannote", seconds_sent=self.seconds_sent, **self._codec.counts)
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._socket.close()
        except (TimeoutError, OSError, WebSocketException):
            pass
        finally:
            self._socket.transport.abort()

    def _check_usable(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._closed or self._finished:
            raise Unavailable("STREAM_CLOSED", "The stream to pyannote has been closed.")

    async def _send(self, message: str | bytes) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._socket.send(message)
        except TimeoutError:
            raise self._broken(Unavailable("SEND_TIMEOUT", "pyannote has stopped taking audio.")) from None
        except ConnectionClosed as exc:
            if self._closed:
                raise Unavailable("STREAM_CLOSED", "The stream to pyannote has been closed.") from None
            raise self._broken(faults.closure(closing(exc))) from None

    async def _receive(self) -> bytes:
        """Wait for a message, after `finish` until its deadline at most (TimeoutError)."""
        if self._drain_until_s is not None and self._drain_until_s <= asyncio.get_running_loop().time():
            raise TimeoutError  # also where messages never stop: then receiving does not wait, and nothing would fire
        try:
            async with asyncio.timeout_at(self._drain_until_s) as self._drain_timer:
                return await self._socket.recv(decode=False)
        finally:
            self._drain_timer = None

    def _broken(self, fault: VendorError) -> VendorError:
        """Keep the first fault, of either direction, and make sure that the other direction ends as well."""
        if self._fault is None:
            self._fault = fault
            self._socket.transport.abort()
        return self._fault


CATCH_UP_S = 2.0
"""What was said while a connection was made may be sent at once: well within the lead that the vendor allows."""


class PyannoteDiarizer:
    """pyannoteAI's live diarization. See ports.Diarizer. Nothing is opened before `open`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        max_stream_s: float,
        limits: Limits = LIMITS,
        network: Network | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key.strip()
        self._limits = limits
        self._capabilities = DiarizerCapabilities(
            "pyannote", lag_s=0.5, max_stream_s=max_stream_s, catch_up_s=CATCH_UP_S, checked=True
        )
        self._network = network or Network()

    @property
    def capabilities(self) -> DiarizerCapabilities:
        """What this engine can do."""
        return self._capabilities

    async def open(self) -> PyannoteStream:
        """Create a stream and connect to it, once; takes at most 40 s.

        Raises Rejected (KEY_REJECTED, PAYMENT_REQUIRED, ACCESS_DENIED, REQUEST_REFUSED, INSECURE_URL), Unavailable
        (RATE_LIMITED, VENDOR_DOWN, VENDOR_TIMEOUT, OPEN_REFUSED), Garbled (BAD_ANSWER), or what network/ raises.
        """
        if not usable_key(self._api_key):
            raise Rejected("KEY_REJECTED", "The credential pyannoteai_api_key is empty or no key.")
        if not is_private(self._base_url):
            raise Rejected("INSECURE_URL", "pyannote.base_url must be https://, or http:// on this machine.")
        created = await self._create()
        socket = await self._connect(created.url)
        _log.debug("diarizer_stream_opened", vendor="pyannote")
        return PyannoteStream(socket, self._limits)

    async def close(self) -> None:
        """Nothing: the streams share nothing that is open."""

    async def _create(self) -> faults.Created:
        headers = {"Authorization": f"Bearer {self._api_key}"}
        limits = RequestLimits(self._limits.create_s, _ANSWER_BYTES)
        answer = await post(self._network, _VENDOR, f"{self._base_url}/v1/live", headers, limits)
        if not 200 <= answer.status < 300:
            raise faults.refusal(answer.status, answer.headers, answer.body)
        return faults.created(answer.body)

    async def _connect(self, url: str) -> ClientConnection:
        limits = SocketLimits(self._limits.open_s, self._limits.ping_every_s, self._limits.ping_wait_s, _MESSAGE_BYTES)
        return await open_socket(
            self._network,
            Upgrade(_VENDOR, url, {}),
            limits,
            faults.upgrade_refusal,
        )

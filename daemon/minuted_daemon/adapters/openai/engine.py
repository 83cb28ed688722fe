"""OpenAI as a transcriber: opens connections through the vendor's SDK, which gives URL, authentication and socket.

The SDK's own reconnecting stays off: it would go on in a session that is not configured.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx
import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException

from minuted_daemon.adapters.openai import faults
from minuted_daemon.adapters.openai.settings import transcription_fields
from minuted_daemon.adapters.openai.stream import LIMITS, Limits, OpenAIStream
from minuted_daemon.adapters.vendor_link import SILENT, closing, usable_key
from minuted_daemon.addresses import is_loopback, is_private
from minuted_daemon.core.samples import WIDE_RATE_HZ
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError
from minuted_daemon.ports import TranscriberCapabilities

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.websocket_connection_options import WebSocketConnectionOptions

_MESSAGE_BYTES = 1 << 20
_QUEUED_MESSAGES = 256  # beyond them the socket is not read until events() catches up: TCP slows the vendor down

_log = structlog.get_logger()


class OpenAITranscriber:
    """OpenAI's realtime transcription. See ports.Transcriber. The SDK is not even imported before `open`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        languages: Sequence[str] = (),
        keywords: Sequence[str] = (),
        delay: str | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key.strip()
        self._model = model
        self._languages = tuple(languages)
        self._keywords = tuple(keywords)
        self._delay = delay
        self._limits = limits
        self._starting = asyncio.Lock()
        self._sdk: tuple[AsyncOpenAI, dict[str, Any]] | None = None

    @property
    def capabilities(self) -> TranscriberCapabilities:
        """What this engine can do."""
        return TranscriberCapabilities("openai", rate_hz=WIDE_RATE_HZ, min_commit_s=0.1)

    async def open(self, languages: Sequence[str] = ()) -> OpenAIStream:
        """Connect once and configure, with the session's languages, else the engine's own; takes at most 20 s.

        Raises Rejected (KEY_REJECTED, ACCESS_DENIED, QUOTA_EXHAUSTED, CONFIG_REJECTED, INSECURE_URL), Unavailable
        (RATE_LIMITED, VENDOR_DOWN, VENDOR_TIMEOUT, CONFIG_TIMEOUT, CLOSED_*) or Garbled (BAD_ANSWER).
        """
        if not usable_key(self._api_key):
            raise Rejected("KEY_REJECTED", "The credential openai_api_key is empty or no key.")
        if not is_private(self._base_url):
            raise Rejected("INSECURE_URL", "openai.base_url must be https://, or http:// on this machine.")
        fields = transcription_fields(self._model, tuple(languages) or self._languages, self._keywords, self._delay)
        stream: OpenAIStream | None = None
        opened = False
        try:
            async with asyncio.timeout(self._limits.open_s):
                stream = await self._connect()
                await stream.configure(self._model, fields)
                opened = True
        except TimeoutError:
            raise Unavailable("VENDOR_TIMEOUT", "OpenAI did not open a session in time.") from None
        finally:
            if stream is not None and not opened:
                await stream.close()
        _log.debug("transcriber_stream_opened", vendor="openai", model=self._model)
        return stream

    async def close(self) -> None:
        """Release what the streams share."""
        sdk, self._sdk = self._sdk, None
        if sdk is None:
            return
        try:
            async with asyncio.timeout(self._limits.close_s):
                await sdk[0].close()
        except (TimeoutError, OSError):
            return

    async def _connect(self) -> OpenAIStream:
        async with self._starting:
            if self._sdk is None:
                self._sdk = await asyncio.to_thread(self._start)
            client, common = self._sdk
        from openai import OpenAIError  # there by now

        sockets: list[ClientConnection] = []

        def remembering(*args: Any, **kwargs: Any) -> ClientConnection:
            sockets.append(ClientConnection(*args, **kwargs))
            return sockets[-1]

        # The SDK hands every option on to websockets, also those its type does not list.
        options = cast("WebSocketConnectionOptions", {**common, "create_connection": remembering})
        fault: VendorError
        try:
            # No `on_reconnecting`: then the SDK never reconnects.
            connection = await client.realtime.connect(
                extra_query={"intent": "transcription"}, websocket_connection_options=options
            ).enter()
        except InvalidStatus as exc:
            headers = {name.lower(): value for name, value in exc.response.headers.raw_items()}
            fault = faults.refusal(exc.response.status_code, headers, bytes(exc.response.body or b""))
        except TimeoutError:
            fault = Unavailable("VENDOR_TIMEOUT", "OpenAI did not open a connection in time.")
        except ConnectionClosed as exc:
            fault = faults.closure(closing(exc))
        except (OSError, EOFError, InvalidMessage) as exc:
            fault = Unavailable("VENDOR_DOWN", "OpenAI cannot be reached.", error=type(exc).__name__)
        except (WebSocketException, OpenAIError, ValueError) as exc:
            fault = Garbled("BAD_ANSWER", "OpenAI did not answer with a WebSocket.", error=type(exc).__name__)
        else:
            return OpenAIStream(connection, sockets[-1], self._limits)
        # Raised out here, with nothing chained: an answer may quote the key.
        raise fault

    def _start(self) -> "tuple[AsyncOpenAI, dict[str, Any]]":
        """Import the SDK and read the certificates: seconds on a slow machine, so not on the event loop."""
        from openai import AsyncOpenAI
        from openai.lib import _websocket  # noqa: F401  # else imported by the first connect, on the loop
        from openai.resources.realtime import realtime  # noqa: F401

        parts = urlsplit(self._base_url)
        options: dict[str, Any] = {
            "compression": None,
            "max_size": _MESSAGE_BYTES,
            "max_queue": _QUEUED_MESSAGES,
            "open_timeout": self._limits.connect_s,
            "ping_interval": self._limits.ping_every_s,
            "ping_timeout": self._limits.ping_wait_s,
            "close_timeout": 1.0,
            "logger": SILENT,
        }
        if parts.scheme == "https":
            options["ssl"] = httpx.create_ssl_context()
        if is_loopback(parts.hostname or ""):
            options["proxy"] = None
        return AsyncOpenAI(api_key=self._api_key, base_url=self._base_url, max_retries=0), options

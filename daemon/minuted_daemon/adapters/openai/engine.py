"""OpenAI, or another maker of its protocol, as a transcriber: opens connections and configures them, once each.

The vendor's own SDK is not used: it reads variables of the environment that would go round the configuration, knows no
proxies but its own way, and takes a second to import.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from minuted_daemon.adapters.network.errors import usable_key
from minuted_daemon.adapters.network.route import Network
from minuted_daemon.adapters.network.websocket import SocketLimits, Upgrade, open_socket
from minuted_daemon.adapters.openai import faults
from minuted_daemon.adapters.openai.configuration import Configuration
from minuted_daemon.adapters.openai.dialects import Dialect, authentication, socket_url
from minuted_daemon.adapters.openai.settings import Hints
from minuted_daemon.adapters.openai.stream import HINTS_LEFT_OUT, LIMITS, Limits, OpenAIStream
from minuted_daemon.adapters.openai.vllm import VllmStream
from minuted_daemon.addresses import is_private
from minuted_daemon.core.samples import WIDE_RATE_HZ
from minuted_daemon.errors import Rejected, Unavailable, VendorError
from minuted_daemon.ports.engines import TranscriberCapabilities, TranscriberStream

_MESSAGE_BYTES = 1 << 20
_VENDOR = "OpenAI"
_BREAKS = 2
"""So many connections in a row that broke while they were configured make the hints suspect."""
_NOT_THE_HINTS = frozenset({"KEY_REJECTED", "ACCESS_DENIED", "QUOTA_EXHAUSTED", "RATE_LIMITED", "SESSION_EXPIRED"})

_log = structlog.get_logger()


class OpenAITranscriber:
    """OpenAI's realtime transcription. See ports.Transcriber."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        hints: Hints | None = None,
        limits: Limits = LIMITS,
        network: Network | None = None,
    ) -> None:
        """`hints` that no session names languages for; without a `network`, vendors are reached without a proxy."""
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key.strip()
        self._model = model
        self._hints = hints or Hints()
        self._limits = limits
        self._network = network or Network()
        self._broke_off = 0

    @property
    def capabilities(self) -> TranscriberCapabilities:
        """What this engine can do."""
        return TranscriberCapabilities("openai", rate_hz=WIDE_RATE_HZ, min_commit_s=0.1)

    async def open(self, languages: Sequence[str] = ()) -> TranscriberStream:
        """Connect once and configure, with the session's languages, else the engine's own; takes at most 20 s.

        Raises Rejected (KEY_REJECTED, ACCESS_DENIED, QUOTA_EXHAUSTED, CONFIG_REJECTED, INSECURE_URL), Unavailable
        (RATE_LIMITED, VENDOR_DOWN, VENDOR_TIMEOUT, CONFIG_TIMEOUT, CLOSED_*), Garbled (BAD_ANSWER), or what network/
        raises.
        """
        if not usable_key(self._api_key):
            raise Rejected("KEY_REJECTED", "The credential openai_api_key is empty or no key.")
        if not is_private(self._base_url):
            raise Rejected("INSECURE_URL", "openai.base_url must be https://, or http:// on this machine.")
        hints = replace(self._hints, languages=tuple(languages) or self._hints.languages)
        try:
            async with asyncio.timeout(self._limits.open_s):
                stream = await self._opened(hints)
        except TimeoutError:
            raise Unavailable("VENDOR_TIMEOUT", "OpenAI did not open a session in time.") from None
        _log.debug("transcriber_stream_opened", vendor="openai", model=self._model)
        return stream

    async def close(self) -> None:
        """Nothing: the streams share nothing that is open."""

    async def _opened(self, hints: Hints) -> TranscriberStream:
        """Connect with the hints; without any where a server breaks off over being told them, as strict ones do."""
        try:
            stream = await self._configured(hints)
        except _BrokeOff as broken:
            self._broke_off += 1
            if hints == Hints() or not self._hints_are_suspect(broken.fault):
                raise broken.fault from None
            try:
                stream = await self._configured(Hints())
            except (_BrokeOff, VendorError):
                raise broken.fault from None
            _log.warning("transcriber_hints_dropped", vendor="openai", reason=broken.fault.reason)
            stream.remarks = {HINTS_LEFT_OUT: "OpenAI breaks off when it is told any hint, so that it is told none."}
            return stream
        self._broke_off = 0
        return stream

    def _hints_are_suspect(self, fault: VendorError) -> bool:
        """Return whether to try without hints: at once after a close that says no, else after several in a row."""
        if fault.reason in _NOT_THE_HINTS:
            return False
        refused = isinstance(fault, Rejected)
        return "close_code" in fault.facts if refused else self._broke_off >= _BREAKS

    async def _configured(self, hints: Hints) -> OpenAIStream | VllmStream:
        """Connect and configure. Raise _BrokeOff for what went wrong after the greeting, VendorError before."""
        limits = SocketLimits(
            self._limits.connect_s, self._limits.ping_every_s, self._limits.ping_wait_s, _MESSAGE_BYTES
        )
        url = socket_url(self._base_url, self._model)
        upgrade = Upgrade(_VENDOR, url, authentication(self._base_url, self._api_key))
        socket = await open_socket(self._network, upgrade, limits, faults.refusal)
        stream = OpenAIStream(socket, self._limits)
        opened = False
        try:
            greeting = await stream.greeted()
            configuration = Configuration(self._model, hints, greeting.dialect)
            if greeting.dialect is Dialect.VLLM:
                other = VllmStream(socket, self._limits)
                await other.configure(configuration)
                opened = True
                return other
            try:
                await stream.configure(greeting, configuration)
            except VendorError as fault:
                raise _BrokeOff(fault) from None
            opened = True
            return stream
        finally:
            if not opened:
                await stream.close()


class _BrokeOff(Exception):
    """A connection did not survive being configured."""

    def __init__(self, fault: VendorError) -> None:
        super().__init__(fault.reason)
        self.fault = fault

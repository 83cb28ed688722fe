"""One socket of OpenAI's as a transcriber's stream. Moves bytes and reports faults; never retries, never reconnects.

What messages mean is decided in codec.py, item_matching.py, configuration.py and faults.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

import numpy as np
import structlog
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from minuted_daemon.adapters.network.errors import closing
from minuted_daemon.adapters.openai import faults
from minuted_daemon.adapters.openai.codec import (
    Committed,
    OpenAICodec,
    Refused,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    append_messages,
    clear_message,
    commit_message,
)
from minuted_daemon.adapters.openai.configuration import Configuration
from minuted_daemon.adapters.openai.dialects import Dialect
from minuted_daemon.adapters.openai.item_matching import Routing, reason
from minuted_daemon.core.events import TranscriberEvent, UtteranceId
from minuted_daemon.core.samples import WIDE_RATE_HZ
from minuted_daemon.errors import Rejected, Unavailable, VendorError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds. A silent peer is found in 19 s."""

    open_s: float = 19.5
    connect_s: float = 8.0
    configure_s: float = 5.0
    hints_s: float = 6.0
    """After so long of finding out which hints are taken, none is sent."""
    send_s: float = 5.0
    committed_s: float = 5.0
    close_s: float = 1.5
    tick_s: float = 0.5
    ping_every_s: float = 8.0
    ping_wait_s: float = 10.0


LIMITS = Limits()
HINTS_LEFT_OUT = "HINTS_LEFT_OUT"
"""The reason given to a session where the vendor does not take all of the configured hints."""


class OpenAIStream:
    """One configured connection. See ports.TranscriberStream."""

    def __init__(self, socket: ClientConnection, limits: Limits) -> None:
        self.remarks: Mapping[str, str] = {}
        """What is to be said of this connection although it works, by reason."""
        self._socket = socket
        self._limits = limits
        self._codec = OpenAICodec()
        self._routing = Routing(limits.committed_s)
        self._fault: VendorError | None = None
        self._closed = False
        self._asked = 0
        self._samples_sent = 0
        self._expires_s: float | None = None
        self._chained = True  # items say which one they follow; speaches names another one

    @property
    def rate_hz(self) -> int:
        """24000."""
        return WIDE_RATE_HZ

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until the vendor ends this connection."""
        return None if self._expires_s is None else self._expires_s - asyncio.get_running_loop().time()

    @property
    def seconds_sent(self) -> float:
        """Seconds of audio sent so far."""
        return self._samples_sent / WIDE_RATE_HZ

    @property
    def counts(self) -> Mapping[str, int]:
        """How many messages were left out or could not be placed, by why."""
        return self._codec.counts + self._routing.counts

    async def greeted(self) -> SessionCreated:
        """Wait for the vendor's first message. Raises VendorError."""
        while not isinstance(event := await self._receive(), SessionCreated):
            self._check_fatal(event)
        return event

    async def configure(self, greeting: SessionCreated, configuration: Configuration) -> None:
        """Put the settings in force before any audio; what the vendor refuses of the hints is left out.

        Raises VendorError.
        """
        loop = asyncio.get_running_loop()
        hurry_s = loop.time() + self._limits.hints_s
        while True:
            event_id = self._event_id("config")
            answer = await self._update(configuration.message(event_id))
            if isinstance(answer, SessionUpdated):
                break
            if (fault := configuration.refused(answer, event_id)) is not None:
                raise fault
            if loop.time() > hurry_s:
                configuration.give_up_hints()
        if answer.cuts_itself:
            raise Rejected("CONFIG_REJECTED", "OpenAI insists on detecting turns by itself.")
        if configuration.dropped:
            options = sorted(set(configuration.dropped))
            _log.warning("transcriber_options_dropped", vendor="openai", options=options)
        if configuration.remarks:
            self.remarks = {HINTS_LEFT_OUT: " ".join(configuration.remarks)}
        self._chained = greeting.dialect is not Dialect.FLAT
        age = faults.lifetime_s(answer.expires_at or greeting.expires_at, self._vendor_now_s())
        self._expires_s = loop.time() + age

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        """Send audio of the utterance, in messages of 200 ms at most.

        Raises Unavailable (SEND_TIMEOUT after 5 s, CLOSED_*, SESSION_EXPIRED, ...), Rejected or Garbled; ValueError
        while another utterance is open.
        """
        self._check_usable()
        if len(pcm) == 0:
            return
        event_id = self._event_id("clean")
        if self._routing.cleaning(event_id):
            await self._send(clear_message(event_id))
        self._routing.appending(utterance)
        for message in append_messages(pcm):
            await self._send(message)
        self._samples_sent += len(pcm)

    async def commit(self, utterance: UtteranceId) -> None:
        """Ask for the utterance's text. Raises as `append` does."""
        self._check_usable()
        event_id = self._event_id("commit")
        self._routing.committing(utterance, event_id, asyncio.get_running_loop().time())
        await self._send(commit_message(event_id))

    async def clear(self, utterance: UtteranceId) -> None:
        """Forget the utterance. Raises as `append` does."""
        self._check_usable()
        event_id = self._event_id("clear")
        if self._routing.clearing(utterance, event_id):
            await self._send(clear_message(event_id))

    async def events(self) -> AsyncIterator[TranscriberEvent]:
        """Return texts as they arrive; one reader only. Ends after `close`.

        Raises Unavailable (CLOSED_*, SESSION_EXPIRED, COMMIT_LOST, PING_TIMEOUT), Rejected or Garbled.
        """
        while not self._closed:
            try:
                async with asyncio.timeout(self._limits.tick_s):
                    event = await self._receive()
            except TimeoutError:
                # Only here has everything that came been read, so that a slow reader is not taken for a slow vendor.
                if self._routing.overdue(asyncio.get_running_loop().time()):
                    raise self._broken(_lost()) from None
                continue
            except VendorError:
                if self._closed:
                    return
                raise
            self._check_fatal(event)
            if event is None:
                continue
            if isinstance(event, Refused) and event.item is None:
                _log.debug("vendor_refused_event", vendor="openai", reason=reason(event))
            if isinstance(event, Committed) and not self._chained:
                event = replace(event, previous=None)
            for given in self._routing.feed(event):
                yield given
            if self._routing.astray:
                raise self._broken(_lost())

    async def close(self) -> None:
        """Drop the connection."""
        if self._closed:
            return
        self._closed = True
        _log.debug("transcriber_stream_closed", vendor="openai", seconds_sent=self.seconds_sent, **self.counts)
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._socket.close()
        except (TimeoutError, OSError, WebSocketException):
            pass
        finally:
            self._socket.transport.abort()

    async def _update(self, message: str) -> SessionUpdated | Refused:
        await self._send(message)
        try:
            async with asyncio.timeout(self._limits.configure_s):
                while not isinstance(event := await self._receive(), SessionUpdated | Refused):
                    pass
        except TimeoutError:
            raise Unavailable("CONFIG_TIMEOUT", "OpenAI does not confirm the session's settings.") from None
        self._check_fatal(event)
        return event

    def _event_id(self, purpose: str) -> str:
        self._asked += 1
        return f"{purpose}_{self._asked}"

    def _vendor_now_s(self) -> float:
        """Return the vendor's wall clock, which is what `expires_at` is by; this machine's may be wrong."""
        response = self._socket.response
        dates = response.headers.get_all("Date") if response is not None else []
        try:
            return parsedate_to_datetime(dates[0]).timestamp()
        except (IndexError, ValueError):
            return time.time()

    def _check_usable(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._closed:
            raise Unavailable("STREAM_CLOSED", "The stream to OpenAI has been closed.")

    def _check_fatal(self, event: ServerEvent | None) -> None:
        if isinstance(event, Refused) and (fault := faults.fatal(event)) is not None:
            raise self._broken(fault)

    async def _receive(self) -> ServerEvent | None:
        try:
            message = await self._socket.recv(decode=False)
        except ConnectionClosed as exc:
            # A close reason is the vendor's text, which may quote the key: not chained.
            raise self._broken(faults.closure(closing(exc))) from None
        try:
            return self._codec.decode(message)
        except VendorError as exc:
            raise self._broken(exc) from None

    async def _send(self, message: str) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._socket.send(message)
        except TimeoutError:
            raise self._broken(Unavailable("SEND_TIMEOUT", "OpenAI has stopped taking audio.")) from None
        except ConnectionClosed as exc:
            if self._closed:
                raise Unavailable("STREAM_CLOSED", "The stream to OpenAI has been closed.") from None
            raise self._broken(faults.closure(closing(exc))) from None

    def _broken(self, fault: VendorError) -> VendorError:
        """Keep the first fault, of either direction, and make sure that the other direction ends as well."""
        if self._fault is None:
            self._fault = fault
            self._socket.transport.abort()
        return self._fault


def _lost() -> Unavailable:
    return Unavailable("COMMIT_LOST", "OpenAI does not answer the end of an utterance.")

"""One socket of vLLM's realtime API as a transcriber's stream: OpenAI's events in name, another order of things.

An utterance begins with a commit, its audio follows at 16 kHz, and a commit that is `final` ends it. Texts carry no
item: they are the utterance's that is being worked on, so there is one at a time, and the next one's audio waits until
the server is done: what comes earlier, it throws away. Nothing can be taken back, so a cleared utterance is ended and
its text dropped. Source: vLLM, entrypoints/openai/realtime/connection.py and protocol.py.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import soxr
import structlog
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from minuted_daemon.adapters.network.errors import closing
from minuted_daemon.adapters.openai import faults
from minuted_daemon.adapters.openai.codec import append_messages
from minuted_daemon.adapters.openai.configuration import Configuration
from minuted_daemon.adapters.openai.stream import HINTS_LEFT_OUT, Limits
from minuted_daemon.core.events import TextCompleted, TextFailed, TextGrew, TranscriberEvent, UtteranceId
from minuted_daemon.core.samples import RATE_HZ, WIDE_RATE_HZ
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError

_COMMIT = "input_audio_buffer.commit"
_NONSENSE = 20

_log = structlog.get_logger()


class VllmStream:
    """One configured connection. See ports.TranscriberStream."""

    def __init__(self, socket: ClientConnection, limits: Limits, text_s: float = 30.0) -> None:
        """`text_s`: how long a text may take after its utterance has ended."""
        self.remarks: Mapping[str, str] = {}
        """What is to be said of this connection although it works, by reason."""
        self.counts: Counter[str] = Counter()
        """How many messages were left out, by why."""
        self._socket = socket
        self._limits = limits
        self._text_s = text_s
        self._working: UtteranceId | None = None  # whose audio or text is under way
        self._ended = False  # its audio is complete
        self._dropped = False  # its text is not wanted
        self._free = asyncio.Event()
        self._free.set()
        self._resampler: soxr.ResampleStream | None = None
        self._fault: VendorError | None = None
        self._closed = False
        self._samples_sent = 0

    @property
    def rate_hz(self) -> int:
        """24000: what is sent is made of it, at 16 kHz."""
        return WIDE_RATE_HZ

    @property
    def expires_in_s(self) -> float | None:
        """None: the server names no end."""
        return None

    @property
    def seconds_sent(self) -> float:
        """Seconds of audio sent so far."""
        return self._samples_sent / WIDE_RATE_HZ

    async def configure(self, configuration: Configuration) -> None:
        """Name the model, which the server does not confirm. Raises VendorError."""
        if configuration.remarks:
            self.remarks = {HINTS_LEFT_OUT: " ".join(configuration.remarks)}
        await self._send(configuration.message("config_1"))

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        """Send audio of the utterance; waits until the one before has its text.

        Raises Unavailable (SEND_TIMEOUT, COMMIT_LOST, CLOSED_*), Rejected or Garbled; ValueError while another
        utterance is open.
        """
        self._check_usable()
        if len(pcm) == 0:
            return
        await self._begin(utterance)
        assert self._resampler is not None
        for message in append_messages(self._resampler.resample_chunk(pcm)):
            await self._send(message)
        self._samples_sent += len(pcm)

    async def commit(self, utterance: UtteranceId) -> None:
        """Ask for the utterance's text. Raises as `append` does."""
        self._check_usable()
        await self._begin(utterance)
        await self._end()

    async def clear(self, utterance: UtteranceId) -> None:
        """Forget the utterance. Raises as `append` does."""
        self._check_usable()
        if self._working != utterance:
            return
        self._dropped = True
        if not self._ended:
            await self._end()

    async def events(self) -> AsyncIterator[TranscriberEvent]:
        """Return texts as they arrive; one reader only. Ends after `close`. Raises VendorError."""
        while not self._closed:
            try:
                message = await self._socket.recv(decode=False)
            except ConnectionClosed as exc:
                if self._closed:
                    return
                raise self._broken(faults.closure(closing(exc))) from None
            given = self._read(message)
            if given is not None:
                yield given

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

    async def _begin(self, utterance: UtteranceId) -> None:
        """Make the utterance the one that is worked on."""
        if self._working == utterance and not self._ended:
            return
        if self._working is not None and not self._ended:
            raise ValueError(f"utterance {self._working} is open: {utterance} cannot be appended to")
        try:
            async with asyncio.timeout(self._text_s):
                await self._free.wait()
        except TimeoutError:
            raise self._broken(Unavailable("COMMIT_LOST", "The server gives no text for an utterance.")) from None
        self._check_usable()
        self._working, self._ended, self._dropped = utterance, False, False
        self._free.clear()
        self._resampler = soxr.ResampleStream(WIDE_RATE_HZ, RATE_HZ, 1, dtype="int16")
        await self._send(json.dumps({"type": _COMMIT, "final": False}))

    async def _end(self) -> None:
        assert self._resampler is not None
        for message in append_messages(self._resampler.resample_chunk(np.zeros(0, np.int16), last=True)):
            await self._send(message)
        self._ended = True
        await self._send(json.dumps({"type": _COMMIT, "final": True}))

    def _read(self, message: bytes) -> TranscriberEvent | None:
        """Return what a message says of the utterance that is worked on. Raises VendorError where it ends all."""
        try:
            body: dict[str, Any] = json.loads(message)
            kind = body["type"]
        except (ValueError, TypeError, LookupError, RecursionError):
            self.counts["nonsense"] += 1
            if self.counts["nonsense"] > _NONSENSE:
                raise self._broken(Garbled("BAD_ANSWER", "The server's messages are not of its protocol.")) from None
            return None
        if kind == "error":
            return self._refused(body)
        if kind == "transcription.delta":
            delta = body.get("delta")
            if self._working is None or self._dropped or not isinstance(delta, str) or not delta:
                return None
            return TextGrew(self._working, delta)
        if kind == "transcription.done":
            text = body.get("text")
            return self._done(lambda utterance: TextCompleted(utterance, text.strip() if isinstance(text, str) else ""))
        self.counts["unknown"] += 1
        return None

    def _refused(self, body: dict[str, Any]) -> TranscriberEvent | None:
        code = body.get("code")
        if code in ("model_not_found", "model_not_validated"):
            raise self._broken(Rejected("CONFIG_REJECTED", "The server does not know the model; check openai.model."))
        reason = "".join(c if c.isalnum() else "_" for c in str(code or "failed"))[:64].upper()
        return self._done(lambda utterance: TextFailed(utterance, reason))

    def _done(self, told: Any) -> TranscriberEvent | None:
        """The server is free for the next utterance."""
        utterance, dropped, ended = self._working, self._dropped, self._ended
        if utterance is None:
            self.counts["out_of_place"] += 1
            return None
        if not ended:
            # It gave up in mid-utterance: what is still to come of it would be another's.
            raise self._broken(Unavailable("VENDOR_ERROR", "The server broke off in the middle of an utterance."))
        self._working = None
        self._free.set()
        event: TranscriberEvent = told(utterance)
        return None if dropped else event

    def _check_usable(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._closed:
            raise Unavailable("STREAM_CLOSED", "The stream to the server has been closed.")

    async def _send(self, message: str) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._socket.send(message)
        except TimeoutError:
            raise self._broken(Unavailable("SEND_TIMEOUT", "The server has stopped taking audio.")) from None
        except ConnectionClosed as exc:
            if self._closed:
                raise Unavailable("STREAM_CLOSED", "The stream to the server has been closed.") from None
            raise self._broken(faults.closure(closing(exc))) from None

    def _broken(self, fault: VendorError) -> VendorError:
        """Keep the first fault, of either direction, and make sure that the other direction ends as well."""
        if self._fault is None:
            self._fault = fault
            self._free.set()
            self._socket.transport.abort()
        return self._fault

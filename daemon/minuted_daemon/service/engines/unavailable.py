"""Stands in for an engine that a session had before the daemon's start, and that cannot be used any more.

It refuses every connection, as a vendor does: so the session goes on without it, falls back if it may, and says why.
"""

from collections.abc import Sequence

from minuted_daemon.core.samples import RATE_HZ
from minuted_daemon.errors import Rejected, WrongState
from minuted_daemon.ports.engines import (
    Diarizer,
    DiarizerCapabilities,
    DiarizerStream,
    Transcriber,
    TranscriberCapabilities,
    TranscriberStream,
)
from minuted_daemon.service.engines.catalog import Diarizers, Transcribers

_LAG_S = 0.5


class UnavailableDiarizer:
    """See ports.Diarizer."""

    def __init__(self, name: str, missing: WrongState) -> None:
        self.capabilities = DiarizerCapabilities(name, _LAG_S)
        self._missing = missing

    async def open(self) -> DiarizerStream:
        """Raises Rejected with the reason why the engine is missing (KEY_MISSING, ENGINE_MISSING)."""
        raise Rejected(self._missing.reason, self._missing.message)

    async def close(self) -> None:
        """There is nothing to release."""


class UnavailableTranscriber:
    """See ports.Transcriber."""

    def __init__(self, name: str, missing: WrongState) -> None:
        self.capabilities = TranscriberCapabilities(name, RATE_HZ)
        self._missing = missing

    async def open(self, languages: Sequence[str]) -> TranscriberStream:  # noqa: ARG002  as every transcriber
        """Raises Rejected with the reason why the engine is missing (KEY_MISSING, ENGINE_MISSING)."""
        raise Rejected(self._missing.reason, self._missing.message)

    async def close(self) -> None:
        """There is nothing to release."""


async def diarizer(diarizers: Diarizers, name: str) -> Diarizer | None:
    """Return the engine of a resolved name, or what stands in for it; None for `none`."""
    try:
        return await diarizers.engine(name)
    except WrongState as missing:
        return UnavailableDiarizer(name, missing)


async def transcriber(transcribers: Transcribers, name: str) -> Transcriber | None:
    """Return the engine of a resolved name, or what stands in for it; None for `none`."""
    try:
        return await transcribers.engine(name)
    except WrongState as missing:
        return UnavailableTranscriber(name, missing)

"""How one engine of a session is used: how much audio it was sent, and warnings while its link is up."""

from collections.abc import Sequence

from minuted_daemon.core.records import Health, Link
from minuted_daemon.service.retries.policy import FELL_BACK

LANGUAGE_NOT_KNOWN = "LANGUAGE_NOT_KNOWN"


class EngineUsage:
    """Kept for a session's whole life, over all connections of the engine. `sent` is in samples at 16 kHz."""

    def __init__(self, sent: int = 0) -> None:
        self.sent = sent
        self._warnings: dict[str, str] = {}

    def warn(self, reason: str, detail: str) -> None:
        """Have this said from the next report of the link on. The first warning gives the reason."""
        self._warnings[reason] = detail

    def withdraw(self, reason: str) -> None:
        """Say this no more."""
        self._warnings.pop(reason, None)

    def annotate(self, link: Link) -> Link:
        """Return the link's health with the warnings, unless it has worse to tell."""
        if not self._warnings or link.reason or link.health not in (Health.CONNECTING, Health.UP):
            return link
        reason = FELL_BACK if FELL_BACK in self._warnings else next(iter(self._warnings))
        return Link(link.health, reason, " ".join(self._warnings[key] for key in sorted(self._warnings)))


def language_remark(engine: str, known: Sequence[str] | None, wanted: Sequence[str]) -> str:
    """Return one sentence about the wanted languages that a transcriber does not know; empty if it knows them all.

    `known` holds first parts of BCP 47 codes, None for any; `wanted` holds whole codes.
    """
    if known is None:
        return ""
    foreign = [language for language in wanted if language.lower().split("-")[0] not in known]
    if not foreign:
        return ""
    return f"The {engine} transcriber knows only {', '.join(known)}, and will get {', '.join(foreign)} wrong."

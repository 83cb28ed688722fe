"""What the OpenAI stand-in's server and its sessions both know: knobs, items and the server's books."""

import dataclasses
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes import openai_session as sessions
from tests.fakes.meeting import Meeting
from tests.fakes.standin import StandIn


@dataclasses.dataclass(slots=True)
class Knobs:
    """Seconds, and shares of items (0..1)."""

    key: str | None = None  # None: any Bearer key will do
    bad_key: str = "close"  # or "status": HTTP 401 on the upgrade
    accept_s: float = 0.0
    update_ack_s: float = 0.15
    commit_ack_s: float = 0.03
    clear_ack_s: float = 0.03
    delta_s: float | None = None  # None: as the delay level says
    delays_s: dict[str, float] = dataclasses.field(
        default_factory=lambda: {"minimal": 0.7, "low": 1.2, "medium": 1.4, "high": 2.1, "xhigh": 2.9}
    )
    completed_s: tuple[float, float] = (0.6, 0.9)
    out_of_order: float = 0.0  # share of items whose completion comes 1 to 2 s later
    late_share: float = 0.0
    late_s: tuple[float, float] = (20.0, 35.0)
    early_item_id_differs: bool = False  # deltas before a commit carry another item_id than `committed`
    extra_fields: bool = True
    invents: tuple[str, ...] = ()  # languages: what no word is heard in is answered as such models do (invented.py)
    expires_s: float = 3600.0
    expiry: str = "both"  # "error", "close" or "both"
    ping_s: float = 20.0


@dataclasses.dataclass(slots=True)
class Turn:
    """One item: the audio from one commit or clear to the next.

    `fault` is that of its commit: failed {code, message}, missing, twice, late {by_s}, differs (a delta the transcript
    does not have), no_deltas, deltas_only, never_committed, refused {code}, slow_commit {by_s}, says {transcript} (in
    place of what it heard; may be null).
    """

    id: str
    start: float
    transcription: Mapping[str, Any] | None
    samples: int = 0
    arrivals: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    """Of each append: the stream position behind it, and the wall time at which it came."""
    scheduled: list[str] = dataclasses.field(default_factory=list)
    sent: int = 0
    said: str = ""
    due: float = 0.0  # of the last delta scheduled
    over: bool = False
    fault: str = ""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def streaming(self) -> bool:
        """Deltas come while audio does."""
        return self.transcription is not None and self.transcription["model"] in sessions.STREAMING

    def arrival_of(self, position: float) -> float:
        """When the audio up to a stream position had come (wall time); all of the item, if a cut kept some of it."""
        behind = bisect_left(self.arrivals, (position, 0.0))
        return self.arrivals[min(behind, len(self.arrivals) - 1)][1]


class Bookkeeper(StandIn):
    """What a session needs of its server: who is greeted, and what was committed."""

    knobs: Knobs
    silent_greetings = 0

    def book_commit(
        self,
        connection: int,
        number: int,
        item_id: str,
        spans: Sequence[tuple[Meeting, float, float]],
        words: Sequence[tuple[str, str]],
    ) -> None:
        """Note which samples of which meeting a commit held."""
        raise NotImplementedError

    def book_delta(self, meeting: str, word: str, heard_at: float) -> None:
        """Note that a word is being sent, and when its last sample had come (wall time)."""
        raise NotImplementedError

    def book_completed(self, item_id: str) -> None:
        """Note that an item's text is being sent."""
        raise NotImplementedError

"""What became of a session's audio: the store's claims and, while it is live, those that only the session knows."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from heapq import merge
from operator import attrgetter

import structlog

from minuted_daemon.core.coverage import NO_TEXT, TURNS, Claim, Coverage, Ground, Ledger, interval_claim
from minuted_daemon.core.records import LIVE_STATES, IntervalRecord, Record, TurnLife, TurnRecord
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.minutes import MinutesReader
from minuted_daemon.service.views import SessionView

PAGE = 500
"""Claims that are added up at once: some milliseconds."""
LIMIT_S = 5.0
"""How long the store may take; a session is told without its coverage rather than not at all."""

log = structlog.get_logger()


def open_claims(
    pending: Iterable[tuple[int, int]], unstored: Iterable[Record], growing: Iterable[IntervalRecord | None]
) -> list[Claim]:
    """Return what a store cannot know: what is undecided, what is decided and not stored yet, what still grows.

    To be taken before the store is read: what is stored in between is then claimed twice, and nothing not at all.
    """
    claims = [_pending(start, end) for start, end in pending]
    for record in (*unstored, *growing):
        if isinstance(record, IntervalRecord):
            claims.append(interval_claim(record.start, record.end, record.kind, record.reason))
        elif isinstance(record, TurnRecord) and record.life is TurnLife.FINAL:
            claims.append(_pending(record.start, record.end))
    return claims


def lacks_text(claim: Claim) -> bool:
    """Return whether this is a turn without its text, or with the first part only, and not redacted."""
    return claim.ground in TURNS and claim.reason == NO_TEXT


async def with_coverage(
    store: MinutesReader,
    view: SessionView,
    claims: Sequence[Claim] = (),
    is_owed: Callable[[Claim], bool] = lambda _: False,
) -> SessionView:
    """Return a session with its coverage; without, where the store does not tell it in time.

    `claims`: those of a live session that the store cannot know, in any order. `is_owed` tells of a stored turn that
    lacks its text whether that may still come. Raises NotFound (SESSION_NOT_FOUND).
    """
    try:
        async with asyncio.timeout(LIMIT_S):
            return replace(view, coverage=await _coverage(store, view, claims, is_owed))
    except (StoreError, TimeoutError) as error:
        reason = error.reason if isinstance(error, StoreError) else "STORE_SLOW"
        log.warning("coverage_not_read", session=view.record.name, session_id=view.record.id, reason=reason)
        return view


async def _coverage(
    store: MinutesReader, view: SessionView, claims: Sequence[Claim], is_owed: Callable[[Claim], bool]
) -> Coverage:
    ledger = Ledger(view.heard)
    by_start = attrgetter("start")
    if view.links is None and view.record.state in LIVE_STATES:
        # About to go on after the daemon was away: it is not known yet that anything is silence.
        claims = [_pending(0, view.heard)]
    waiting = sorted(claims, key=by_start)
    token: str | None = None
    while True:
        page = await store.claims(view.record.id, PAGE, token)
        token = page.next_token
        stored = [claim._replace(ground=Ground.PENDING) if is_owed(claim) else claim for claim in page.items]
        if token is None:
            ledger.enter(merge(stored, waiting, key=by_start))
            return ledger.close()
        until = stored[-1].start
        due = [claim for claim in waiting if claim.start <= until]
        del waiting[: len(due)]
        ledger.enter(merge(stored, due, key=by_start))


def _pending(start: int, end: int) -> Claim:
    return Claim(Sample(start), Sample(end), Ground.PENDING)

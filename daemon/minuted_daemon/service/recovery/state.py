"""The state a session goes on from after the daemon was away: from the store, the spool and the recovery log."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from minuted_daemon.core.coverage import TURNS, Claim, Ground, interval_claim
from minuted_daemon.core.merge.merger import Resumption
from minuted_daemon.core.records import IntervalRecord, SessionRecord, SpeakerRecord, WallPoint
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.core.session_rules import is_file
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.spool import Spool
from minuted_daemon.ports.store import REDACTED, Store
from minuted_daemon.service.recovery.log import NOTHING, RecoveredLog, recollected

AWAY = "DAEMON_AWAY"
"""The reason of the gap that the daemon's absence leaves."""

_PAGE = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Resumed:
    """`heard`: the session's sample clock goes on from there. `points`: the map from samples to wall time so far.

    `speakers`: all that are stored. `recollection`: what was noted. `redacted`: the stretches that were taken out.
    `owed_from`: where the first stored turn begins that has no text although its audio is still there. `claims`:
    what is accounted for. `held_to`: where the audio ended that was found.
    """

    merge: Resumption
    heard: Sample
    points: Sequence[WallPoint]
    speakers: Sequence[SpeakerRecord] = ()
    recollection: RecoveredLog = NOTHING
    redacted: Sequence[tuple[Sample, Sample]] = ()
    owed_from: Sample | None = None
    claims: Sequence[Claim] = ()
    held_to: Sample = Sample(0)  # noqa: RUF009  a NewType


async def resumed(
    record: SessionRecord, store: Store, spool: Spool | None, asked: Sequence[IntervalRecord] = ()
) -> Resumed:
    """Return what a session goes on from, and have its spool go on there.

    `asked`: what is to be redacted and is not known to be gone. It counts as if it were.
    Raises StoreError, NotFound (SESSION_NOT_FOUND).
    """
    stored = await store.resume_point(record.id)
    claims = [*await _claims(record, store), *(interval_claim(a.start, a.end, a.kind, a.reason) for a in asked)]
    recollection = await _recollection(record, spool)
    if spool is not None and spool.end > spool.begin:
        held_from, held_to = Sample(spool.begin // BLOCK * BLOCK), spool.end
        # Resume after all that is accounted for, even if the spool lacks it. For file sources turns do not count: the
        # file is read again there, and stored turns are skipped.
        again = TURNS if is_file(record.settings.device) else ()
        heard = _whole(max([held_to, *(claim.end for claim in claims if claim.ground not in again)]))
        # Audio that is there to be kept, or to be asked for later, need not be looked at again.
        begin = min(max(held_from, Sample(recollection.needed_from // BLOCK * BLOCK)), heard)
    else:
        # Without audio nothing can be caught up with: the session goes on after all that is known of it.
        heard = held_from = begin = _whole(max([stored.end, record.heard, *(claim.end for claim in claims)]))
        held_to = Sample(0)
    if spool is not None and spool.end < heard:
        spool.skip(heard)
    claims_left = [claim for claim in claims if claim.end > begin]
    past = [(claim.start, claim.end) for claim in claims_left if claim.ground in TURNS]
    audio = [recollection.audio[turn] for turn in past if turn in recollection.audio]
    redacted = [(c.start, c.end) for c in claims_left if c.ground is Ground.MUTED and c.reason == REDACTED]
    numbers = [int(speaker.label[1:]) for speaker in stored.speakers]
    speakers = max([0, *numbers, *recollection.names.values()])
    return Resumed(
        Resumption(begin, past, speakers, stored.generation or 0, recollection.names, audio),
        heard,
        await store.wall_points(record.id),
        stored.speakers,
        recollection,
        redacted,
        await _owed_from(record, store, held_from),
        claims,
        held_to,
    )


def _whole(position: int) -> Sample:
    """Return the beginning of the next block, unless one begins there."""
    return Sample(-(-position // BLOCK) * BLOCK)


async def _recollection(record: SessionRecord, spool: Spool | None) -> RecoveredLog:
    """Return the recovery log, an empty one if it cannot be read: that costs names, and no session."""
    try:
        return NOTHING if spool is None else await recollected(await spool.notes())
    except StoreError as error:
        log.warning("notes_not_read", session_id=record.id, reason=error.reason)
        return NOTHING


async def _owed_from(record: SessionRecord, store: Store, begin: Sample) -> Sample | None:
    token: str | None = None
    while True:
        page = await store.owed_turns(record.id, _PAGE, token)
        starts = [owed.stored.turn.start for owed in page.items if owed.stored.turn.start >= begin]
        token = page.next_token
        if starts or token is None:
            return min(starts, default=None)


async def _claims(record: SessionRecord, store: Store) -> list[Claim]:
    found: list[Claim] = []
    token: str | None = None
    while True:
        page = await store.claims(record.id, _PAGE, token)
        found += page.items
        token = page.next_token
        if token is None:
            return found

"""Rebuilds the gaps and pauses that were open when the daemon crashed, from the recovery log, the store and the spool.

A daemon that is killed in a pause or in a gap leaves an interval that was stored as it began; the spool holds the
silence that filled it, but not why. And what the spool does not hold any more was not silence. Nothing is stored here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import structlog

from minuted_daemon.core.coverage import TURNS, Claim, interval_claim
from minuted_daemon.core.ranges import outside
from minuted_daemon.core.records import IntervalRecord
from minuted_daemon.core.samples import FRAME, RATE_HZ, WIDE_RATE_HZ, Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.spool import Spool
from minuted_daemon.service.recovery.log import IntervalNoted
from minuted_daemon.service.recovery.state import Resumed

READ_AT_ONCE = 10 * RATE_HZ

log = structlog.get_logger()


def claim_of(interval: IntervalRecord | IntervalNoted) -> Claim:
    """Return what an interval claims once it is stored."""
    return interval_claim(interval.start, interval.end, interval.kind, interval.reason)


async def ended(resumed: Resumed, spool: Spool) -> list[IntervalNoted]:
    """Return the intervals that were noted, each with its true end.

    One that may have gone on did so for as long as the spool holds nothing but the zeros that stand for it: a room is
    never that quiet.
    """
    found: list[IntervalNoted] = []
    for noted in resumed.recollection.intervals:
        start, _, ground, reason = claim_of(noted)
        stored = (c.end for c in resumed.claims if (c.start, c.ground, c.reason) == (start, ground, reason))
        end = Sample(max([noted.end, *stored]))
        if noted.growing:
            spoken = (claim.start for claim in resumed.claims if claim.ground in TURNS and claim.start >= end)
            end = await _grown(end, min([resumed.held_to, *spoken]), spool)
        found.append(replace(noted, end=end))
    return found


async def _grown(end: Sample, limit: Sample, spool: Spool) -> Sample:
    """Return the end of an interval that had come to `end` at least, and to `limit` at most."""
    # If the audio after the released part is still silent, the released part was part of the same interval.
    since = max(end, spool.begin)
    to = await _silent_to(spool, since, limit)
    return to if to > since else end


async def _silent_to(spool: Spool, start: Sample, end: Sample) -> Sample:
    """Return where the zeros end that begin at `start`. At 24 kHz, because that is what was written, to the sample."""
    try:
        for low in range(start, end, READ_AT_ONCE):
            pcm = (await spool.read(Sample(low), Sample(min(low + READ_AT_ONCE, end)), WIDE_RATE_HZ)).pcm
            if pcm.any():
                return Sample(low + int((pcm != 0).argmax()) * 2 // 3)
    except StoreError as error:
        log.warning("spool_not_read", reason=error.reason)
        return start
    return max(start, end)


def missing(
    resumed: Resumed, spool: Spool, freeze: int, intervals: Iterable[IntervalNoted]
) -> Sequence[tuple[Sample, Sample]]:
    """Return the stretches that are not accounted for and whose audio is gone: what was said there is lost.

    `freeze`, in samples: what is older may have been let go of on purpose, at the spool's beginning.
    """
    recollection = resumed.recollection
    oldest = spool.begin if resumed.held_to > spool.begin else resumed.heard
    since = max(recollection.needed_from, recollection.settled_to, min(oldest, resumed.heard - freeze), 0)
    taken = [(claim.start, claim.end) for claim in (*resumed.claims, *map(claim_of, intervals))]
    return [
        (Sample(low), Sample(high))
        for start, end in spool.holes(Sample(since), resumed.heard)
        for low, high in outside(start, end, [(a, b) for a, b in taken if a < end and b > start])
        if high - low >= FRAME
    ]

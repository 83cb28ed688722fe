"""Which audio is sent of a turn that was stored without its text: as far as can be told, the same as it was live.

Where its voice begins and ends is judged again, by the same detector, from the audio that is still there.
"""

import asyncio
from dataclasses import dataclass

from minuted_daemon.core.merge.unclaimed_speech import REACH
from minuted_daemon.core.samples import BLOCK, FRAME, RATE_HZ, Sample, samples
from minuted_daemon.core.transcription.turn import LEAD, TAIL
from minuted_daemon.core.voice.activity import VoiceDetector, VoiceTrack
from minuted_daemon.ports.spool import Spool
from minuted_daemon.ports.store import OwedTurn

_LISTEN = samples(10.0)
"""The detector is given so much before it is asked, so that it knows the noise of the room."""
_READ = samples(60.0)
_AT_ONCE = 20
"""So many blocks are looked at before others get their turn: some milliseconds."""


@dataclass(frozen=True, slots=True)
class OwedAudio:
    """[start, end) is to be sent. `whole`: all of it is still there."""

    start: Sample
    end: Sample
    whole: bool


async def owed_audio(spool: Spool, owed: OwedTurn) -> OwedAudio | None:
    """Return what is to be sent for a turn, None where nothing of it is left. Raises StoreError."""
    turn = owed.stored.turn
    lacks = 0
    for low in range(turn.start, turn.end, _READ):
        part = await spool.read(Sample(low), Sample(min(low + _READ, turn.end)), RATE_HZ)
        lacks += sum(end - start for start, end in part.holes)
    start = max(0, await _first(spool, turn.start, owed.free_from))
    end = min(await _last(spool, turn.end, owed.free_to), spool.end)
    if lacks >= turn.end - turn.start or start >= end:
        return None
    return OwedAudio(Sample(start), Sample(end), whole=not lacks)


async def _first(spool: Spool, start: Sample, free_from: Sample | None) -> int:
    track = await _track(spool, start - _LISTEN, start)
    first, _ = track.around(start, start, LEAD, 0, REACH)
    if free_from is None or free_from <= start - 2 * REACH:
        return first
    # What lies between two turns went with the one before, as far as that reaches.
    taken_to = max(int(free_from), min(await _last(spool, free_from, start), start))
    return max(first, taken_to)


async def _last(spool: Spool, end: Sample, free_to: Sample | None) -> int:
    track = await _track(spool, end - _LISTEN, min(end + REACH + FRAME, spool.end))
    _, last = track.around(end, end, 0, TAIL, REACH)
    return last if free_to is None else min(last, free_to)


async def _track(spool: Spool, start: int, end: int) -> VoiceTrack:
    begin = Sample(max(start, 0) // FRAME * FRAME)
    until = Sample(max(-(-end // FRAME) * FRAME, begin))
    pcm = (await spool.read(begin, until, RATE_HZ)).pcm
    detector, track = VoiceDetector(), VoiceTrack(begin)
    for number, at in enumerate(range(0, len(pcm), BLOCK), 1):
        track.append(detector.observe(Sample(begin + at), pcm[at : at + BLOCK]))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return track

"""Stretches of an epoch in which one label alone spoke, found some time after the fact.

No audio is seen here, and speakers of labels are not known.
"""

from dataclasses import dataclass

from minuted_daemon.core.diarization.timeline import Span, Timeline, Voice
from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerRelabelled, SpeakerStarted
from minuted_daemon.core.samples import samples

SETTLE = samples(3.0)
"""The last 3 s may still be changed by a late event."""
LONGEST = samples(2.5)
"""A longer solo is returned in pieces of this length, so that it need not be waited for."""
SHORTEST = samples(0.4)
"""A shorter one says little about a voice."""
REACH = SETTLE + LONGEST + samples(0.5)
"""No solo is returned whose start lies further back than this."""

_EDGE = samples(0.15)
_SILENCE_ENDS = samples(1.5)


@dataclass(frozen=True, slots=True)
class Solo:
    """One label spoke alone in [start, end), on the session's clock; the edges, where two voices may mix, are off."""

    label: str
    start: int
    end: int


class Solos:
    """One epoch's solos, each sample returned at most once, in order. Memory is bounded by `REACH`."""

    def __init__(self, base: int, opened_at: int, lag: int) -> None:
        """`lag` is how late the epoch's events usually are, in samples.

        `opened_at` is how far the session had come when the epoch was opened: what lies between is sent faster than
        real time, and until it has been, nothing is told.
        """
        self.base = base
        """Sample 0 of the epoch's stream."""
        self._wait_until = 2 * opened_at - base
        self._lag = lag
        self._timeline = Timeline()
        self._voices: dict[str, Voice] = {}
        self._done = base
        self._heard_to = base

    def feed(self, event: DiarizerEvent) -> None:
        """Take in an event; its positions count from the start of the epoch's stream."""
        match event:
            case SpeakerStarted(label, at):
                self._timeline.start(self._voice(label), self.base + at)
            case SpeakerEnded(label, at):
                self._timeline.end(self._voice(label), self.base + at)
            case SpeakerRelabelled(old, new, start, end):
                self._timeline.relabel(self._voice(old), self._voice(new), self.base + start, self.base + end)

    def advance(self, now: int, last_voiced: int) -> list[Solo]:
        """Return settled solos. The session has heard everything before `now`, and voice before `last_voiced`."""
        self._heard_to = now
        if now - last_voiced >= _SILENCE_ENDS:
            self._timeline.fall_silent(max(last_voiced, 1))
        return self._tell(now - SETTLE, now) if now >= self._wait_until else []

    def close(self, heard_to: int) -> list[Solo]:
        """The epoch is over: return the solos that are still left. The events about its last moments never came."""
        sure = heard_to - 2 * self._lag
        return self._tell(sure, sure) if self._heard_to >= self._wait_until else []

    def _tell(self, sure: int, known: int) -> list[Solo]:
        if sure <= self._done:
            return []
        found: list[Solo] = []
        labels = {voice: label for label, voice in self._voices.items()}
        rest = sure
        self._done = max(self._done, known - REACH)
        for voice, start, end in _alone(self._timeline.spans(self._done - 2 * _EDGE), known):
            at, until = max(start + _EDGE, self._done), end - _EDGE
            while min(until, sure) - at >= LONGEST:
                found.append(Solo(labels[voice], at, at + LONGEST))
                at += LONGEST
            if until > sure > at and known > sure:
                rest = at  # goes on: to be told together with what follows
            elif min(until, sure) - at >= SHORTEST:
                found.append(Solo(labels[voice], at, min(until, sure)))
        self._done = rest
        self._timeline.forget(self._done - REACH)
        return found

    def _voice(self, label: str) -> Voice:
        return self._voices.setdefault(label, Voice(len(self._voices) + 1))


def _alone(spans: list[Span], known: int) -> list[tuple[Voice, int, int]]:
    """Return the runs in which exactly one voice is active, in order."""
    changes: list[tuple[int, int, Voice]] = []
    for span in spans:
        if span.start < known:
            end = known if span.end is None else min(known, span.end)
            changes += [(span.start, 1, span.voice), (end, 0, span.voice)]
    changes.sort()
    active: list[Voice] = []
    found: list[tuple[Voice, int, int]] = []
    since = 0
    for at, starts, voice in changes:
        if len(active) == 1 and at > since:
            found.append((active[0], since, at))
        if starts:
            active.append(voice)
        else:
            active.remove(voice)
        since = at
    return found

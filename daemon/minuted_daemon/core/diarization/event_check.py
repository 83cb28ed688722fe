"""Checks the events of one diarizer connection against voice activity: which are usable, and what is wrong with it.

Events of a diarizer that keeps to its protocol pass at once. Events whose times cannot be right wait until their clock
is understood (event_clock.py). What follows from a complaint is the service's to decide.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from minuted_daemon.core.diarization.event_clock import ENOUGH, STREAM, EventClock, Told, plausible, steady, understood
from minuted_daemon.core.diarization.voice_log import LENGTH, VoiceLog
from minuted_daemon.core.events import (
    DiarizerEvent,
    DiarizerNews,
    MessageUnusable,
    SpeakerEnded,
    SpeakerRelabelled,
    SpeakerStarted,
)
from minuted_daemon.core.samples import FRAME, samples, seconds

OUT_OF_PLACE = "events with times that cannot be"
_KEPT = 64
_READ_EVERY = samples(0.2)
_KINDS = 8
_HARMLESS = 64
_OTHER = "others"
_SAME = samples(0.15)
_PAUSE = samples(0.8)


class Complaint(Enum):
    """What is wrong with a connection."""

    GARBLED = "garbled"  # messages came, and none of them could be used
    SILENT = "silent"  # nothing came


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """How much voice in seconds there must be, without an event that can be used, before that is a fault.

    garbled_s: while at least `messages` came that cannot be used; few_s: while fewer did. understanding_s: while their
    times look like those of a clock. active_s: more, while somebody is said to speak and what came may be no events.
    silent_s: while nothing came, as a model judges voice; doubtful_s: as energy does, which takes music for voice.
    worked_s: the first of them where the connection has worked before. Silence counts within the last two minutes.
    """

    messages: int = 3
    garbled_s: float = 20.0
    few_s: float = 40.0
    understanding_s: float = 60.0
    active_s: float = 20.0
    silent_s: float = 20.0
    doubtful_s: float = 30.0
    worked_s: float = 60.0


LIMITS = CheckLimits()
PROBATION = CheckLimits(garbled_s=10.0, few_s=20.0)
"""For a connection that follows one that was garbled."""

_Heard = tuple[DiarizerEvent, int]
"""An event, and how much audio had been sent when it came."""


class EventCheck:
    """Feed it what a connection says; it gives what can be used of it."""

    def __init__(self, voice: VoiceLog, base: int, limits: CheckLimits = LIMITS) -> None:
        """`base`: the stream's first sample on the session's clock, which is `voice`'s."""
        self.base = base
        self.clock = STREAM
        self.works = False
        """True once an event of it could be used that says who speaks."""
        self.sent = 0
        self._voice = voice
        self._limits = limits
        self._proven: tuple[EventClock, ...] = ()
        self._zeros: tuple[int, ...] = (0, base)
        self._waiting: deque[tuple[SpeakerStarted | SpeakerEnded, int]] = deque(maxlen=_KEPT)
        self._guess: EventClock | None = None
        self._read_at = 0
        self._active: set[str] = set()
        self._unusable: Counter[str] = Counter()
        self._strange: set[str] = set()
        self._harmless: set[str] = set()
        self._since = base
        self._voiced = self._judged = 0
        self._forgive()

    def expect(self, proven: Sequence[EventClock], zeros: Sequence[int]) -> None:
        """Take the clocks that were proven before, and the times it may show at the stream's start."""
        self._proven = (STREAM, *proven)
        self._zeros = (*self._zeros, *zeros)

    @property
    def unusable(self) -> Mapping[str, int]:
        """The unusable messages since the last usable event, by kind."""
        return {kind: count for kind, count in self._unusable.items() if kind not in self._harmless}

    def feed(self, news: DiarizerNews, sent: int) -> list[_Heard]:
        """Take a message that came after `sent` samples were sent; return the events that are usable now, in order."""
        self.sent = max(self.sent, sent)
        if isinstance(news, MessageUnusable):
            self._count(news.kind)
            if not news.is_event and news.kind in self._unusable:
                self._strange.add(news.kind)
            return []
        if isinstance(news, SpeakerRelabelled):
            return [(news, sent)]
        for clock in dict.fromkeys((self.clock, *self._proven)):
            if plausible(clock.at(news.at), sent):
                self.clock = clock
                self._waiting.clear()
                return [self._used(news, sent)]
        self._count(OUT_OF_PLACE)
        self._waiting.append((news, sent))
        return self._read()

    def complaint(self, sent: int) -> Complaint | None:
        """Return what is wrong with the connection by now; None if nothing is known to be."""
        self.sent = max(self.sent, sent)
        limits = self._limits
        voiced_s = self.voiced_s
        if voiced_s < min(limits.garbled_s, limits.silent_s):
            return None
        if unusable := sum(self.unusable.values()):
            enough_s = limits.garbled_s if unusable >= limits.messages else limits.few_s
            if len(self._waiting) > 1 and steady(self._told()):
                enough_s = limits.understanding_s
            events = sum(count for kind, count in self._unusable.items() if kind not in self._strange)
            # Else the end of who is active is among them.
            if self._active and events < limits.messages and not self._paused():
                enough_s += limits.active_s
            return Complaint.GARBLED if voiced_s >= enough_s else None
        if self._active:
            return None
        recent = min(voiced_s, seconds(self._voice.spoken(max(self._since, self._voice.end - LENGTH), self._voice.end)))
        if min(self._judged_s, recent) >= (limits.worked_s if self.works else limits.silent_s):
            return Complaint.SILENT
        return Complaint.SILENT if not self.works and recent >= limits.doubtful_s else None

    @property
    def voiced_s(self) -> float:
        """Seconds of voice since the last usable event that says who speaks."""
        return seconds((self._voice.total - self._voiced) * FRAME)

    @property
    def sure(self) -> bool:
        """Whether a model judged that there was voice since then."""
        return self._judged_s >= self._limits.silent_s

    @property
    def _judged_s(self) -> float:
        return seconds((self._voice.total_sure - self._judged) * FRAME)

    def _paused(self) -> bool:
        """Return whether there was a pause since the last usable event: the active speakers must have ended in it."""
        at = np.flatnonzero(self._voice.between(max(self._since, self._voice.end - LENGTH), self._voice.end))
        return len(at) > 1 and int(np.diff(at).max()) * FRAME > _PAUSE

    def _read(self) -> list[_Heard]:
        """Look for the clock under which the waiting events are right; it must be the same twice in a row."""
        if len(self._waiting) < ENOUGH or self.sent < self._read_at + _READ_EVERY:
            return []
        self._read_at = self.sent
        voiced_from = max(0, self.sent - LENGTH)
        voiced = self._voice.between(self.base + voiced_from, self.base + self.sent)
        guess, before = understood(self._told(), voiced, voiced_from, self._zeros), self._guess
        self._guess = guess
        if guess is None or before is None or before.per_s != guess.per_s or abs(before.zero - guess.zero) > _SAME:
            return []
        self.clock = guess
        heard = [self._used(event, sent) for event, sent in self._waiting if plausible(guess.at(event.at), sent)]
        self._waiting.clear()
        return heard

    def _told(self) -> list[Told]:
        return [Told(isinstance(event, SpeakerStarted), event.at, sent) for event, sent in self._waiting]

    def _used(self, event: SpeakerStarted | SpeakerEnded, sent: int) -> _Heard:
        if isinstance(event, SpeakerStarted):
            self._active.add(event.label)
            self.works = True
            self._forgive()
        elif event.label in self._active:
            self._active.discard(event.label)
            self._forgive()
        return type(event)(event.label, max(0, self.clock.at(event.at))), sent

    def _count(self, kind: str) -> None:
        if kind not in self._unusable and len(self._unusable) >= _KINDS:
            kind = _OTHER
        self._unusable[kind] += 1

    def _forgive(self) -> None:
        """An event was usable: messages of other types beside it are harmless."""
        if len(self._harmless) < _HARMLESS:
            self._harmless |= self._strange.intersection(self._unusable)
        self._strange.clear()
        self._unusable.clear()
        self._since = self._voice.end
        self._voiced, self._judged = self._voice.total, self._voice.total_sure

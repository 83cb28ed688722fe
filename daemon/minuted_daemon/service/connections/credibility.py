"""How far a session's diarizer can be believed, over all its connections: what is known of its clock and its faults.

Each connection is checked by itself (core/event_check.py). Here is what outlasts it: the voice that was heard, clocks
that were proven, and how often in a row a connection was of no use, so that new ones come slower and slower.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.core.diarization.event_check import LIMITS, PROBATION, Complaint, EventCheck
from minuted_daemon.core.diarization.event_clock import STREAM, EventClock
from minuted_daemon.core.diarization.voice_log import VoiceLog
from minuted_daemon.core.events import DiarizerEvent, DiarizerNews
from minuted_daemon.core.records import Health, Link
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.errors import Garbled
from minuted_daemon.ports.engines import Diarizer
from minuted_daemon.service.connections.reconnect import UP

GARBLED = "EVENTS_GARBLED"
MISSING = "EVENTS_MISSING"
CONVERTED = "TIMES_CONVERTED"

NOT_BEFORE_S = (0.0, 0.0, 60.0, 120.0, 300.0, 600.0)
"""So old must a connection be to be given up, by how many before it were: a new one costs the speakers' labels."""
UNSURE_NOT_BEFORE_S = (0.0, 120.0, 300.0, 600.0)
"""The same where it may be music, which is not reported."""
SUBSTITUTE_AT = 2
"""So many connections in a row must have been of no use before the engine is given up for its substitute."""


class CheckedDiarizer(Diarizer, Protocol):
    """A diarizer for which another one may take over."""

    def give_up(self, fault: Garbled) -> None:
        """It is of no use: have its substitute take over at the next connection, if there is one."""
        ...


class Credibility:
    """One session's."""

    def __init__(
        self, diarizer: CheckedDiarizer, report: Callable[[Link], None], log: structlog.stdlib.BoundLogger
    ) -> None:
        """`report` hears how the link is whenever that follows from what the diarizer says."""
        self._diarizer = diarizer
        self._report = report
        self._log = log
        self._voice = VoiceLog()
        self._proven: tuple[int, EventClock] | None = None  # with the base of its stream
        self._last: EventCheck | None = None
        self._faults = 0
        self._fault: Garbled | None = None
        self._told = UP

    @property
    def link(self) -> Link:
        """How the link is while there is a connection."""
        return self._told if self._diarizer.capabilities.checked else UP

    # --- what is heard ------------------------------------------------------------------------------------------------

    def voice(self, start: int, voiced: NDArray[np.bool_], sure: bool = False) -> None:
        """Take the voice activity of 10 ms frames from `start` on; `sure` where a model has judged it."""
        self._voice.put(start, voiced, sure)

    def opened(self, base: Sample) -> EventCheck | None:
        """A connection hears everything from `base` on; return its check, None for an engine that needs none."""
        if not self._diarizer.capabilities.checked:
            return None
        check = EventCheck(self._voice, base, PROBATION if self._faults else LIMITS)
        last, self._last = self._last, check
        zeros = []
        if last is not None:  # the clock of the connection before may run on, with or without the time between
            zeros = [last.clock.zero + last.sent, last.clock.zero + base - last.base]
        proven = []
        if self._proven is not None:  # any other base is as good as new after each connection
            since, clock = self._proven
            if clock.zero == 0:
                proven = [clock]
            elif clock.of_wall:
                proven = [EventClock(clock.per_s, clock.zero + base - since)]
        check.expect(proven, zeros)
        return check

    # --- what is said -------------------------------------------------------------------------------------------------

    def usable(self, check: EventCheck, news: DiarizerNews, sent: int) -> list[tuple[DiarizerEvent, int]]:
        """Return what can be used by now of what a connection says, each with how much it had been sent by then."""
        worked = check.works
        heard = check.feed(news, sent)
        if heard and check.clock != STREAM and self._proven != (check.base, check.clock):
            self._understood(check)
        if check.works and (not worked or self._fault is not None):
            self._faults, self._fault = 0, None
            self._tell(self._converted(check) if check.clock != STREAM else UP)
        return heard

    def examine(self, check: EventCheck, sent: int) -> None:
        """Look whether a connection is still of use, when it has been sent so much. Raises Garbled if it is not."""
        complaint = check.complaint(sent)
        if complaint is None:
            return
        certain = complaint is Complaint.GARBLED or check.sure
        not_before_s = NOT_BEFORE_S if certain else UNSURE_NOT_BEFORE_S
        if seconds(sent) < not_before_s[min(self._faults, len(not_before_s) - 1)]:
            return
        fault = self._fault_of(check, complaint)
        self._condemn(fault, certain)
        raise fault

    def broke(self, check: EventCheck, fault: Exception) -> None:
        """A connection is over. Where it sent nothing but nonsense, that it was up says nothing of the next one."""
        if isinstance(fault, Garbled) and fault is not self._fault and not check.works:
            self._condemn(fault, certain=True)

    def _condemn(self, fault: Garbled, certain: bool) -> None:
        self._faults += 1
        if self._fault is None or self._fault.reason != fault.reason:
            self._log.warning("diarizer_events_unusable", reason=fault.reason, **fault.facts)
        self._fault = fault
        self._told = Link(Health.DOWN if certain else Health.UP, fault.reason, f"{fault.message} Connected anew.")
        if certain and self._faults >= SUBSTITUTE_AT:
            self._diarizer.give_up(fault)
        self._report(self._told)

    def _understood(self, check: EventCheck) -> None:
        known = self._proven is not None and self._proven[1].per_s == check.clock.per_s
        self._proven = check.base, check.clock
        if not known:
            self._log.warning("diarizer_times_converted", unit=check.clock.unit, base=check.clock.base)
        self._tell(self._converted(check))

    def _tell(self, link: Link) -> None:
        if link != self._told:
            self._told = link
            self._report(link)

    # --- in words -----------------------------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self._diarizer.capabilities.name

    def _fault_of(self, check: EventCheck, complaint: Complaint) -> Garbled:
        voiced_s = f"{check.voiced_s:.0f}"
        if complaint is Complaint.SILENT:
            message = f"{self._name} has reported no speaker in {voiced_s} s in which there was voice."
            return Garbled(MISSING, message, voiced_s=voiced_s)
        seen = _listed(check.unusable)
        message = (
            f"None of {self._name}'s events could be used in {voiced_s} s in which there was voice; seen: {seen}. "
            "Its protocol may have changed: look for an update of minuted."
        )
        return Garbled(GARBLED, message, voiced_s=voiced_s, seen=seen)

    def _converted(self, check: EventCheck) -> Link:
        clock = check.clock
        sentence = f"{self._name} tells times in {clock.unit} {clock.base}, which its protocol does not know; "
        return Link(Health.UP, CONVERTED, f"{sentence}they agree with the voice that was heard, and are converted.")


def _listed(counts: Mapping[str, int]) -> str:
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} x {kind}" for kind, count in by_count)

"""What a diarizer tells of a meeting on one connection, under some clock, and the voice that is heard meanwhile."""

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.diarization.event_check import LIMITS, CheckLimits, Complaint, EventCheck
from minuted_daemon.core.diarization.event_clock import STREAM, EventClock
from minuted_daemon.core.diarization.voice_log import VoiceLog
from minuted_daemon.core.events import DiarizerEvent, DiarizerNews, MessageUnusable, SpeakerEnded, SpeakerStarted
from minuted_daemon.core.samples import BLOCK, FRAME, RATE_HZ, samples
from tests.bench.weather import QUIET, Told, Weather
from tests.fakes.meeting import Meeting

FRAMES = BLOCK // FRAME


def voice_of(meeting: Meeting) -> NDArray[np.bool_]:
    """One entry for each 10 ms: true where a word is said."""
    voiced = np.zeros(meeting.duration // FRAME + FRAMES, np.bool_)
    for word in meeting.words:
        voiced[word.start // FRAME : -(-word.end // FRAME)] = True
    return voiced


@dataclass
class Talk:
    """A connection from `begin` of the meeting on; its check's base is `begin`, too. All in samples."""

    meeting: Meeting
    voiced: NDArray[np.bool_]
    begin: int = 0
    clock: EventClock = STREAM
    lag_s: float = 0.3
    weather: Weather = QUIET
    noise_s: float = 0.05
    seed: int = 0
    limits: CheckLimits = LIMITS
    sure: bool = False
    check: EventCheck = field(init=False)
    heard: list[tuple[int, DiarizerEvent]] = field(init=False, default_factory=list)
    """What could be used, and how much had been sent by then."""
    complaint: Complaint | None = field(init=False, default=None)
    complained_at_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.voice = VoiceLog()
        self.check = EventCheck(self.voice, self.begin, self.limits)
        self._rng = random.Random(self.seed)

    def play(self, length_s: float, becomes: "type[object] | None" = None) -> "Talk":
        """Tell what is said in so many seconds. `becomes` MessageUnusable: nothing that is told can be used."""
        script = self.weather.script(self.meeting, self.lag_s, self._rng).told
        due = sorted((one for one in script if one.at >= self.begin), key=lambda one: one.arrival)
        at = self.begin
        while at < self.begin + samples(length_s) and self.complaint is None:
            self.voice.put(at, self.voiced[at // FRAME : at // FRAME + FRAMES], self.sure)
            at += BLOCK
            while due and due[0].arrival <= at:
                told = due.pop(0)
                self.say(MessageUnusable("messages of type x") if becomes else self._event(told), at - self.begin)
            self.complaint = self.check.complaint(at - self.begin)
            self.complained_at_s = (at - self.begin) / RATE_HZ
        return self

    def say(self, news: DiarizerNews, sent: int) -> None:
        """Have something said when so much had been sent."""
        self.heard += [(sent, event) for event, _ in self.check.feed(news, sent)]

    def _event(self, told: Told) -> SpeakerStarted | SpeakerEnded:
        at = max(0, told.at - self.begin + round(self._rng.gauss(0, self.noise_s) * RATE_HZ))
        kind = SpeakerStarted if told.starts else SpeakerEnded
        return kind(told.label, max(0, round((at + self.clock.zero) * self.clock.per_s)))

    def misplaced_s(self) -> float:
        """How far what could be used lies from any true boundary of its kind, at most."""
        starts = np.array([segment.start - self.begin for segment in self.meeting.segments])
        ends = np.array([segment.end - self.begin for segment in self.meeting.segments])
        worst = 0
        for _, event in self.heard:
            assert isinstance(event, SpeakerStarted | SpeakerEnded)
            truth = starts if isinstance(event, SpeakerStarted) else ends
            worst = max(worst, int(np.abs(truth - event.at).min()))
        return worst / RATE_HZ

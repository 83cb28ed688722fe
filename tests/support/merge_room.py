"""A meeting room in virtual time: words are said, a diarizer tells of them late, a perfect transcriber answers.

The transcriber hears nothing but the ranges it is sent, so every word it is not sent, or sent twice, shows.
"""

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from minuted_daemon.core.events import (
    Append,
    Clear,
    Commit,
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    MergeOutput,
    SpeakerEnded,
    SpeakerStarted,
    TextCompleted,
    TextGrew,
    TranscriberReady,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    TurnState,
    UtteranceId,
    VoiceObserved,
)
from minuted_daemon.core.merge.merger import Merger, MergeSettings
from minuted_daemon.core.samples import BLOCK, FRAME, Sample, samples

FRAMES = BLOCK // FRAME


def s(seconds: float) -> int:
    return samples(seconds)


@dataclass(frozen=True)
class Said:
    """A word, in samples."""

    text: str
    start: int
    end: int


def said(text: str, start_s: float, end_s: float) -> Said:
    return Said(text, s(start_s), s(end_s))


def run_of_words(prefix: str, start_s: float, end_s: float, every_s: float = 0.4) -> list[Said]:
    """Words of 0.3 s, 0.1 s apart."""
    count = round((end_s - start_s) / every_s)
    return [said(f"{prefix}{i}", start_s + i * every_s, start_s + i * every_s + 0.3) for i in range(count)]


@dataclass
class Heard:
    """What the transcriber was sent under one utterance."""

    ranges: list[tuple[int, int]] = field(default_factory=list)


Answer = Callable[[UtteranceId, str, int], Iterable[tuple[int, object]]]
"""(utterance, its true text, sample of the commit) -> events with the sample at which each arrives."""


def prompt(utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
    return [(at + s(0.6), TextCompleted(utterance, text))]


class Room:
    """Runs a merger over a meeting, 100 ms a step. `tell` schedules diarizer events, `at` anything else."""

    def __init__(
        self,
        words: Iterable[Said],
        length_s: float,
        answer: Answer = prompt,
        settings: MergeSettings | None = None,
        diarized: bool = True,
        partials: bool = False,
    ) -> None:
        self.words = sorted(words, key=lambda word: word.start)
        self._starts = [word.start for word in self.words]
        self._longest = max((word.end - word.start for word in self.words), default=0)
        self.length = s(length_s)
        self.merger = Merger(settings or MergeSettings())
        self.answer, self.partials = answer, partials
        self.outputs: list[tuple[int, MergeOutput]] = []
        self.sent: dict[UtteranceId, Heard] = {}
        self.commits: dict[UtteranceId, int] = {}
        self.sent_samples = 0
        self._schedule: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._voiced = np.zeros(self.length // FRAME + FRAMES, dtype=np.bool_)
        for word in self.words:
            self._voiced[word.start // FRAME : -(-word.end // FRAME)] = True
        self.merger.feed(TranscriberReady())
        if diarized:
            self.merger.feed(EpochOpened(Epoch(1), Sample(0)))

    # --- the script ---

    def at(self, when: float, act: Callable[[], None]) -> None:
        self._push(s(when), act)

    def tell(self, arrival: int, event: DiarizerEvent, epoch: int = 1) -> None:
        def act() -> None:
            self.merger.feed_diarization(Epoch(epoch), event, Sample(min(self.now, self.length)))

        self._push(arrival, act)

    def speaks(self, label: str, start_s: float, end_s: float | None, lag_s: float = 0.3, epoch: int = 1) -> None:
        self.tell(s(start_s + lag_s), SpeakerStarted(label, s(start_s)), epoch)
        if end_s is not None:
            self.tell(s(end_s + lag_s), SpeakerEnded(label, s(end_s)), epoch)

    def epoch_breaks(self, at_s: float, epoch: int = 1) -> None:
        self.at(at_s, lambda: self.merger.feed(EpochClosed(Epoch(epoch), Sample(s(at_s)))))

    def epoch_opens(self, at_s: float, epoch: int) -> None:
        self.at(at_s, lambda: self.merger.feed(EpochOpened(Epoch(epoch), Sample(s(at_s)))))

    def takes_over(self, at_s: float, epoch: int) -> None:
        self.at(at_s, lambda: self.merger.feed(EpochTookOver(Epoch(epoch), Sample(s(at_s)))))

    def _push(self, when: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._schedule, (when, next(self._order), act))

    # --- running ---

    def run(self, drain_s: float = 60.0) -> "Room":
        self.now = 0
        return self.run_on(drain_s)

    def run_on(self, drain_s: float = 60.0) -> "Room":
        """Run from `now` to the end."""
        while self.now < self.length:
            self.step(min(BLOCK, self.length - self.now), audio=True)
        # What the diarizer still owes arrives when it is told that no more audio comes.
        while self._schedule and self._schedule[0][0] <= self.now + s(3):
            self.now = max(self.now, self._schedule[0][0])
            heapq.heappop(self._schedule)[2]()
        self.merger.close()
        for _ in range(round(drain_s * 10)):
            self.step(BLOCK, audio=False)
            if self.merger.settled:
                break
        return self

    def step(self, size: int, audio: bool) -> None:
        """Let `size` samples pass, with or without audio."""
        self.now += size
        while self._schedule and self._schedule[0][0] <= self.now:
            heapq.heappop(self._schedule)[2]()
        if audio:
            start = self.now - size
            voiced = self._voiced[start // FRAME : self.now // FRAME]
            levels = np.where(voiced, np.float32(-20), np.float32(-60)).astype(np.float32)
            self.merger.feed(VoiceObserved(Sample(start), voiced, levels))
        for output in self.merger.advance(Sample(self.now)):
            self.take(output)

    def take(self, output: MergeOutput) -> None:
        """Take what the merger gave."""
        self.outputs.append((self.now, output))
        match output:
            case Append():
                heard = self.sent.setdefault(output.utterance, Heard())
                assert output.end > output.start
                assert not heard.ranges or output.start >= heard.ranges[-1][1], "audio of an utterance must rise"
                assert output.end <= self.length
                if heard.ranges and heard.ranges[-1][1] == output.start:
                    heard.ranges[-1] = (heard.ranges[-1][0], output.end)
                else:
                    heard.ranges.append((output.start, output.end))
                self.sent_samples += output.end - output.start
                if self.partials:
                    text = self.text(output.utterance)
                    self._push(self.now + s(0.5), lambda: self.merger.feed(TextGrew(output.utterance, text, True)))
            case Commit():
                assert output.utterance not in self.commits
                self.commits[output.utterance] = self.now
                for when, event in self.answer(output.utterance, self.text(output.utterance), self.now):
                    self._push(when, lambda event=event: self.merger.feed(event))  # type: ignore[misc]
            case Clear():
                assert output.utterance not in self.commits
                self.sent.pop(output.utterance, None)
            case _:
                pass

    def text(self, utterance: UtteranceId) -> str:
        """What is said in an utterance's audio: the words whose middle it holds."""
        ranges = self.sent[utterance].ranges
        found = []
        first = bisect_left(self._starts, ranges[0][0] - self._longest)
        for word in self.words[first : bisect_left(self._starts, ranges[-1][1])]:
            middle = (word.start + word.end) // 2
            if any(start <= middle < end for start, end in ranges):
                found.append(word.text)
        return " ".join(found)

    # --- results ---

    @property
    def finals(self) -> list[TurnState]:
        """Final turns at their latest revision, by start."""
        turns: dict[int, TurnState] = {}
        for _, output in self.outputs:
            match output:
                case TurnSettled() | TurnRevised():
                    turns[output.turn.number] = output.turn
                case TurnRetracted() if output.was_final:
                    del turns[output.number]
                case _:
                    pass
        return sorted(turns.values(), key=lambda turn: (turn.start, turn.number))

    def lines(self) -> list[tuple[str, str]]:
        """(label, text) of the final turns."""
        return [(f"S{turn.speaker}" if turn.speaker else "?", turn.text) for turn in self.finals]

    def of(self, *kinds: type) -> list[MergeOutput]:
        return [output for _, output in self.outputs if isinstance(output, kinds)]


def assert_every_word_once(room: Room) -> None:
    told = sorted(word for turn in room.finals for word in turn.text.split())
    assert told == sorted(word.text for word in room.words)

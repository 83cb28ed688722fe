"""Plays one meeting in one weather through the core, in virtual time, and counts what came of it."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from minuted_daemon.core.events import SpeakerEnded, SpeakerRelabelled, SpeakerStarted, TextSource, TurnState
from minuted_daemon.core.samples import RATE_HZ, samples
from tests.bench.reference import Held
from tests.bench.scoring import Score, ScoredTurn, WordErrors, score, word_errors
from tests.bench.weather import Answers, Script, Weather
from tests.fakes.meeting import Meeting
from tests.support.merge_room import Room, Said

JOINED = samples(0.8)


@dataclass(frozen=True)
class Played:
    """One meeting in one weather."""

    meeting: Meeting
    script: Script
    turns: list[TurnState]
    ours: Score
    errors: WordErrors
    sent: float
    faster: float
    hold_back_s: float
    settled: bool

    @property
    def monologue_cuts(self) -> int:
        """How often one speaker's turn follows another of the same."""
        pairs = zip(self.turns, self.turns[1:], strict=False)
        return sum(a.speaker == b.speaker and b.start - a.end < JOINED for a, b in pairs)

    @property
    def provisional(self) -> int:
        """Turns whose text was never completed."""
        return sum(turn.text_source is not TextSource.COMPLETED for turn in self.turns)


def play(meeting: Meeting, weather: Weather, lag_s: float, rng: random.Random) -> Played:
    """Play one meeting."""
    script = weather.script(meeting, lag_s, rng)
    said = [Said(word.text, word.start, word.end) for word in meeting.words]
    answers = Answers(rng, weather.faults)
    room = Room(said, meeting.duration / RATE_HZ, answers, partials=bool(weather.faults))
    for told in script.told:
        kind = SpeakerStarted if told.starts else SpeakerEnded
        room.tell(told.arrival, kind(told.label, told.at))
    for retold in script.retold:
        room.tell(retold.arrival, SpeakerRelabelled(retold.old, retold.new, retold.start, retold.end))
    began = time.process_time()
    room.run()
    took = time.process_time() - began
    turns = scored(room.finals)
    return Played(
        meeting,
        script,
        room.finals,
        score(meeting, turns),
        word_errors(meeting, turns),
        room.sent_samples / speech(meeting),
        meeting.duration / RATE_HZ / took,
        room.merger.hold_back_s,
        room.merger.settled,
    )


def scored(turns: Sequence[TurnState]) -> list[ScoredTurn]:
    """The turns as a subscriber sees them."""
    return [
        ScoredTurn(
            None if turn.speaker is None else f"S{turn.speaker}",
            turn.start / RATE_HZ,
            turn.end / RATE_HZ,
            turn.text,
            [f"S{overlap.speaker}" for overlap in turn.overlapping],
        )
        for turn in turns
    ]


def with_words(meeting: Meeting, turns: Sequence[Held]) -> list[ScoredTurn]:
    """The reference's turns with the words that each of them holds."""
    return [
        ScoredTurn(
            held.speaker,
            held.start / RATE_HZ,
            held.end / RATE_HZ,
            " ".join(w.text for w in meeting.words_between(held.start, held.end) if held.start <= w.middle < held.end),
        )
        for held in turns
    ]


@cache
def best_errors(meeting: Meeting, turns: tuple[Held, ...]) -> WordErrors:
    """The errors of the reference's turns: in many lines it is the same."""
    return word_errors(meeting, with_words(meeting, turns))


def speech(meeting: Meeting) -> int:
    """Samples in which anybody speaks."""
    total = until = 0
    for segment in meeting.segments:
        total += max(0, segment.end - max(segment.start, until))
        until = max(until, segment.end)
    return total


def rates(ours: WordErrors, best: WordErrors) -> str:
    """The last columns of both tables: cpWER and tcpWER in %, each with the reference's own."""
    return (
        f"{100 * ours.cp / ours.words:8.2f}{100 * best.cp / best.words:7.2f}"
        f"{100 * ours.tcp / ours.words:8.2f}{100 * best.tcp / best.words:7.2f}"
    )

"""Meetings made by chance, and weather for them: answers that are late, wrong, twice or missing."""

import random
from collections.abc import Iterable

from minuted_daemon.core.events import (
    SpeakerEnded,
    SpeakerRelabelled,
    SpeakerStarted,
    TextCompleted,
    TextFailed,
    TranscriberLost,
    TranscriberReady,
    UtteranceId,
)
from tests.support.merge_room import Room, Said, s


class Meeting:
    """Random turn-taking with overlaps, interjections, pauses and monologues."""

    def __init__(self, seed: int, speakers: int = 3, length_s: float = 30.0) -> None:
        rng = random.Random(seed)
        self.length_s = length_s
        self.segments: list[tuple[str, float, float]] = []
        at = rng.uniform(0, 2)
        while at < length_s - 4:
            who = rng.choice("ABCDE"[:speakers])
            length = min(rng.choice([0.15, 0.4, 1.0, 2.5, 6.0, 26.0]) * rng.uniform(0.7, 1.3), length_s - 2 - at)
            self.segments.append((who, round(at, 2), round(at + length, 2)))
            at += max(0.02, length + rng.choice([-0.6, -0.2, 0.0, 0.05, 0.2, 0.5, 1.5, 3.0]))
        merged: dict[str, list[list[float]]] = {}
        for who, start, end in sorted(self.segments, key=lambda segment: segment[1]):
            own = merged.setdefault(who, [])
            if own and start <= own[-1][1]:
                own[-1][1] = max(own[-1][1], end)
            else:
                own.append([start, end])
        self.segments = [(who, start, end) for who, own in merged.items() for start, end in own]
        self.words: list[Said] = []
        for who, start, end in sorted(self.segments, key=lambda segment: segment[1]):
            at = start
            while at < end - 0.05:
                until = min(end, at + rng.uniform(0.2, 0.45))
                self.words.append(Said(f"{who}{len(self.words)}", s(at), s(until)))
                at = until + rng.choice([0.04, 0.06, 0.1, 0.3])


class Weather:
    """What the vendors do: lag and jitter; how often events are lost, doubled or very late; how answers behave."""

    def __init__(self, seed: int, bad: bool) -> None:
        self.rng = random.Random(seed)
        self.bad = bad

    def tell(self, room: Room, meeting: Meeting) -> None:
        lag = self.rng.choice([0.1, 0.3, 0.8])
        for who, start, end in meeting.segments:
            for kind, at in ((SpeakerStarted, start), (SpeakerEnded, end)):
                times = self.rng.choices([1, 0, 2], [90, 5, 5])[0] if self.bad else 1
                for _ in range(times):
                    late = self.rng.expovariate(0.5) if self.bad and self.rng.random() < 0.1 else 0.0
                    delay = max(0.02, self.rng.gauss(lag, lag / 4)) + late
                    room.tell(s(at + delay), kind(who, s(at)))
        if self.bad and meeting.segments:
            who, start, end = self.rng.choice(meeting.segments)
            room.tell(s(end + 3), SpeakerRelabelled(who, "Z", s(start), s(end)))
            at = self.rng.uniform(1, meeting.length_s - 4)
            room.at(at, lambda: room.merger.feed(TranscriberLost()))
            room.at(at + self.rng.uniform(0.2, 2), lambda: room.merger.feed(TranscriberReady()))

    def answer(self, utterance: UtteranceId, text: str, at: int) -> Iterable[tuple[int, object]]:
        when = at + s(self.rng.uniform(0.2, 1.5))
        if self.bad:
            kind = self.rng.choices(["fine", "missing", "failed", "twice", "late"], [88, 3, 3, 3, 3])[0]
            self_again = [(when + s(0.5), TextCompleted(utterance, text + " again"))]
            if kind == "missing":
                return []
            if kind == "failed":
                return [(when, TextFailed(utterance, "SERVER_ERROR"))]
            if kind == "late":
                return [(at + s(20), TextCompleted(utterance, text))]
            if kind == "twice":
                return [(when, TextCompleted(utterance, text)), *self_again]
        return [(when, TextCompleted(utterance, text))]

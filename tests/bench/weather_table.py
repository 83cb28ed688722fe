"""The lines of the attribution bench in bad weather: all meetings together, one line a kind.

The reference is what can be known from the events as told; each meeting has to reach it by itself.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from minuted_daemon.core.events import TurnState
from minuted_daemon.core.samples import RATE_HZ
from tests.bench.playing import Played, best_errors, play, rates, speech, with_words
from tests.bench.reference import Held, as_told, floor, joined
from tests.bench.scoring import Score, WordErrors, score
from tests.bench.weather import Weather
from tests.fakes.meeting import Meeting, seed_of

LAG_S = 0.5
"""Mean event lag."""
MISS = 1.0
"""By how many points the reference may be missed."""


@dataclass(frozen=True)
class Stormy:
    """One meeting in one kind of bad weather, beside what can be known from the events as told."""

    played: Played
    best: Score
    best_errors: WordErrors
    turns: tuple[Held, ...]

    @property
    def short(self) -> float:
        """By how many points the reference is missed."""
        return 100 * (self.best.right - self.played.ours.right)

    @property
    def misses(self) -> list[str]:
        """The targets that this result misses."""
        ours = self.played.ours
        found = {
            "unsettled": not self.played.settled,
            "right": self.short > MISS,
            "lost": ours.words_lost,
            "repeated": ours.words_repeated,
            "foreign": ours.words_foreign,
        }
        return [name for name, missed in found.items() if missed]


def bad(meeting: Meeting, weather: Weather, seed: int = 0) -> Stormy:
    """Play one meeting in bad weather. Another `seed` is another day."""
    day = (meeting.name, weather.name, seed) if seed else (meeting.name, weather.name)
    played = play(meeting, weather, LAG_S, random.Random(seed_of(*day)))
    held = tuple(joined(floor(as_told(played.script, meeting))))
    turns = with_words(meeting, held)
    return Stormy(played, score(meeting, turns), best_errors(meeting, held), held)


def bad_table(meetings: Sequence[Meeting], kinds: Sequence[Weather], words: bool = False, seed: int = 0) -> int:
    """Print it; give the number of rows that miss a target."""
    print(
        f"bad weather, all meetings together; mean event lag {LAG_S} s; reference: rules 1 to 3 on the events as "
        "told; short: by how many points the worst meeting misses it"
    )
    print(
        f"{'weather':16}{'words':>7}{'ours':>8}{'reference':>11}{'short':>7}{'':9}{'listed':>8}{'lost':>6}{'rep.':>6}"
        f"{'other':>7}{'unknown':>9}{'turns':>7}{'ref.':>6}{'prov.':>7}{'sent':>7}{'x real':>8}"
        f"{'cpWER':>8}{'ref.':>7}{'tcpWER':>8}{'ref.':>7}"
    )
    missed = 0
    for weather in kinds:
        results = [bad(meeting, weather, seed) for meeting in meetings]
        misses = [f"{name} ({one.played.meeting.name})" for one in results for name in one.misses]
        print(_bad_row(weather.name, results) + f"  {', '.join(misses)}", flush=True)
        missed += bool(misses)
        for result in results if words else ():
            print_words(result)
    return missed


def _bad_row(name: str, results: Sequence[Stormy]) -> str:
    ours = [result.played.ours for result in results]
    played = [result.played for result in results]
    total = sum(one.words for one in ours)

    def percent(shares: Sequence[float]) -> float:
        return 100 * sum(share * one.words for share, one in zip(shares, ours, strict=True)) / total

    worst = max(results, key=lambda result: result.short)
    weights = [one.meeting.duration for one in played]
    return (
        f"{name:16}{total:7}{percent([one.right for one in ours]):8.2f}"
        f"{percent([result.best.right for result in results]):11.2f}{worst.short:7.2f} {worst.played.meeting.name:8}"
        f"{percent([one.right_or_listed for one in ours]):8.2f}{sum(one.words_lost for one in ours):6}"
        f"{sum(one.words_repeated for one in ours):6}{sum(one.words_foreign for one in ours):7}"
        f"{percent([one.unknown for one in ours]):9.2f}{sum(one.turns for one in ours):7}"
        f"{sum(len(result.turns) for result in results):6}{sum(one.provisional for one in played):7}"
        f"{sum(one.sent * speech(one.meeting) for one in played) / sum(speech(one.meeting) for one in played):7.3f}"
        f"{sum(weights) / sum(w / one.faster for w, one in zip(weights, played, strict=True)):8.0f}"
        f"{rates(_sum([one.errors for one in played]), _sum([result.best_errors for result in results]))}"
    )


def _sum(errors: Sequence[WordErrors]) -> WordErrors:
    return WordErrors(*(sum(column) for column in zip(*((e.words, e.cp, e.tcp) for e in errors), strict=True)))


def print_words(result: Stormy) -> None:
    """List the words that are lost, repeated, or right in the reference alone: stretch by stretch."""
    meeting = result.played.meeting
    places: dict[str, list[TurnState]] = {}
    for turn in result.played.turns:
        for text in turn.text.split():
            places.setdefault(text, []).append(turn)
    mapping, best = result.played.ours.mapping, result.best.mapping
    lines: list[tuple[str, float, float, int]] = []
    for word in meeting.words:
        turns = places.get(word.text, [])
        label = next((held.speaker for held in result.turns if held.start <= word.middle < held.end), None)
        if not turns:
            said = f"lost: {word.speaker}"
        elif len(turns) > 1:
            said = f"repeated: {word.speaker} in turns {', '.join(str(turn.number) for turn in turns)}"
        elif (got := mapping.get(f"S{turns[0].speaker}")) != word.speaker == best.get(label or ""):
            said = f"wrong: {word.speaker} in turn {turns[0].number} of {got}, {turns[0].text_source.value}"
        else:
            continue
        if lines and lines[-1][0] == said and word.start / RATE_HZ - lines[-1][2] < 2:
            lines[-1] = (said, lines[-1][1], word.end / RATE_HZ, lines[-1][3] + 1)
        else:
            lines.append((said, word.start / RATE_HZ, word.end / RATE_HZ, 1))
    for said, start_s, end_s, count in lines:
        print(f"  {meeting.name} {start_s:8.2f} to {end_s:8.2f} s, {count:3} words {said}")

"""`make bench-attribution`: whole real meetings through the core in virtual time, no sockets.

In quiet weather the diarizer tells the truth late and with jitter; the transcriber hears exactly what it is sent and
answers out of order. So every word on the wrong speaker is the merge's doing, or nobody's: the reference is what one
label at a time can reach at best. In bad weather (weather.py) the reference is what can be known from the events as
told. Exits 1 if a figure misses its target.

`python -m tests.bench.attribution lost everything --meeting IB4010 --words` plays these lines alone, and lists the
words that went wrong.
"""

import argparse
import logging
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from minuted_daemon.core.samples import RATE_HZ
from tests.bench.playing import Played, best_errors, play, rates
from tests.bench.reference import Reference, reference
from tests.bench.scoring import Arrival, Score, WordErrors, obvious_merge, score
from tests.bench.weather import KINDS, QUIET
from tests.bench.weather_table import bad_table
from tests.fakes.meeting import TIMELINES, Meeting, load_meeting, seed_of

LAGS = {0.3: 0.5, 0.5: 0.5, 0.8: 1.0}
"""Event lag in seconds, and by how many points the reference may be missed."""
LISTED = 0.99


@dataclass(frozen=True)
class Quiet:
    """One meeting at one lag."""

    played: Played
    lag_s: float
    obvious: Score
    best: Reference
    best_errors: WordErrors

    @property
    def misses(self) -> list[str]:
        """The targets that this result misses."""
        ours = self.played.ours
        found = {
            "unsettled": not self.played.settled,
            "right": ours.right < self.best.right - LAGS[self.lag_s] / 100,
            "listed": ours.right_or_listed < LISTED,
            "lost or repeated": ours.words_lost or ours.words_repeated,
            "unknown": ours.unknown > 0.005,
            "turns": ours.turns > 1.1 * self.best.count + self.played.monologue_cuts,
            "audio sent": self.played.sent > 1.1,
            "speed": self.played.faster < 200,
        }
        return [name for name, missed in found.items() if missed]


def quiet(meeting: Meeting, lag_s: float) -> Quiet:
    """Play one meeting in quiet weather, and through the obvious merge."""
    rng = random.Random(seed_of(meeting.name, lag_s))
    played = play(meeting, QUIET, lag_s, rng)
    arrivals = [
        Arrival(told.arrival / RATE_HZ, "start" if told.starts else "end", told.label, told.at / RATE_HZ)
        for told in sorted(played.script.told, key=lambda told: told.arrival)
    ]
    best = reference(meeting)
    return Quiet(
        played,
        lag_s,
        score(meeting, obvious_merge(meeting, arrivals, lambda _: rng.uniform(0.2, 2.0))),
        best,
        best_errors(meeting, best.turns),
    )


def quiet_table(meetings: Sequence[Meeting]) -> int:
    """Print it; give the number of rows that miss a target."""
    print("words on the right speaker in %; lag: mean event lag, sigma a quarter of it; completions out of order")
    print(
        f"{'meeting':9}{'lag s':>6}{'words':>7}{'obvious':>9}{'ours':>8}{'reference':>11}{'listed':>8}{'lost':>6}"
        f"{'rep.':>6}{'unknown':>9}{'turns':>7}{'ref.':>6}{'cuts':>6}{'sent':>7}{'x real':>8}{'hold s':>8}"
        f"{'cpWER':>8}{'ref.':>7}{'tcpWER':>8}{'ref.':>7}"
    )
    missed = 0
    for meeting in meetings:
        for lag_s in LAGS:
            result = quiet(meeting, lag_s)
            played, best = result.played, result.best
            ours = played.ours
            print(
                f"{meeting.name:9}{lag_s:6.1f}{ours.words:7}{100 * result.obvious.right:9.2f}{100 * ours.right:8.2f}"
                f"{100 * best.right:11.2f}{100 * ours.right_or_listed:8.2f}{ours.words_lost:6}{ours.words_repeated:6}"
                f"{100 * ours.unknown:9.2f}{ours.turns:7}{best.count:6}{played.monologue_cuts:6}{played.sent:7.3f}"
                f"{played.faster:8.0f}{played.hold_back_s:8.2f}"
                f"{rates(played.errors, result.best_errors)}  {', '.join(result.misses)}",
                flush=True,
            )
            missed += bool(result.misses)
    return missed


def main() -> int:
    """Print the tables; give the exit code."""
    names = sorted(path.stem for path in TIMELINES.glob("*.rttm"))
    kinds = {weather.name: weather for weather in (QUIET, *KINDS)}
    parser = argparse.ArgumentParser(prog="python -m tests.bench.attribution")
    parser.add_argument("weather", nargs="*", metavar="WEATHER", help=f"all, or some of: {', '.join(kinds)}")
    parser.add_argument("--meeting", action="append", choices=names, help="only this one; may be given again")
    parser.add_argument("--words", action="store_true", help="list the words that went wrong in bad weather")
    parser.add_argument("--seed", type=int, default=0, help="another bad day (default: the one of the figures)")
    options = parser.parse_args()
    unknown = [name for name in options.weather if name not in kinds]
    if unknown:
        parser.error(f"no such weather: {', '.join(unknown)}")
    chosen = options.weather or list(kinds)
    logging.getLogger("preprocess").setLevel(logging.ERROR)  # meeteval warns of texts without times
    meetings = [load_meeting(name) for name in options.meeting or names]
    missed = quiet_table(meetings) if QUIET.name in chosen else 0
    bad_kinds = [weather for weather in KINDS if weather.name in chosen]
    missed += bad_table(meetings, bad_kinds, options.words, options.seed) if bad_kinds else 0
    print("every figure within its target" if not missed else f"{missed} rows miss a target")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

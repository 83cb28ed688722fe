"""`make chaos`: everything that can go wrong, each in a daemon of its own, and what became of the words.

Some faults are played at once, each in a process of its own with its own daemon and its own stand-ins, so that no row
shows another's fault. `--seed` decides which meeting a fault meets and when it strikes. Exits 1 if a row falls short.
`--kills N` is another run: N times `kill -9` at random moments (chaos_kills.py).
"""

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.bench import chaos_kills
from tests.bench.chaos_house import HOUSE
from tests.bench.chaos_judge import AFTER_S
from tests.bench.chaos_play import Fault, Row, play
from tests.bench.chaos_storm import STORMS
from tests.bench.chaos_vendors import BOTH, DIALECTS, OPENAI, PYANNOTE, SLIPS, breaks
from tests.e2e.live_run import EXCERPTS
from tests.fakes.meeting import Meeting, load_meeting

AT_ONCE, STARTS_AT_ONCE = 8, 2
WELL = Fault("no fault", "nobody", breaks("openai", "thaw"))
FAULTS: Sequence[Fault] = (WELL, *OPENAI, *PYANNOTE, *SLIPS, *DIALECTS, *BOTH, *HOUSE, *STORMS)
LONG = (("IB4010", 2634.5), ("ES2011d", 921.5), ("TS3004b", 1794.5))
LONG_FROM_S = 100.0
EARLY_S, LATE_S = -2.0, 2.0
"""A fault strikes as long as this before or behind its time, but one at the start, which strikes there."""


def meeting_of(fault: Fault, seed: int) -> Meeting:
    """The meeting a fault is played over."""
    pool = LONG if fault.length_s > LONG_FROM_S else EXCERPTS
    name, start_s = random.Random(f"{seed}/{fault.name}/meeting").choice(pool)
    return load_meeting(name, start_s, fault.length_s)


def strike_of(fault: Fault, seed: int) -> float:
    """When it strikes, in seconds of the session."""
    return fault.strike_s and fault.strike_s + random.Random(f"{seed}/{fault.name}/strike").uniform(EARLY_S, LATE_S)


def played(name: str, seed: int, logs: Path | None) -> Row:
    """Play the fault of this name; the daemon's log of a row that falls short is kept in `logs`."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    return play(fault, meeting_of(fault, seed), strike_of(fault, seed), seed, logs)


def rows(faults: Sequence[Fault], seed: int, at_once: int, logs: Path | None) -> Iterable[Row]:
    """Play faults, some at once, and give each row when it is there; the longest begin first.

    Those of the process itself come last, `STARTS_AT_ONCE`: how soon a daemon answers is judged there.
    """
    spawn = multiprocessing.get_context("spawn")
    starts = [fault for fault in faults if fault.on == "process"]
    for played_at_once, some in ((at_once, [*set(faults) - set(starts)]), (min(at_once, STARTS_AT_ONCE), starts)):
        with ProcessPoolExecutor(played_at_once, mp_context=spawn) as lanes:
            todo = sorted(some, key=lambda fault: (-fault.length_s, fault.name))
            for done in as_completed([lanes.submit(played, fault.name, seed, logs) for fault in todo]):
                yield done.result()


def line(row: Row) -> list[str]:
    """A row's cells."""
    counts = row.counts
    figures = (
        ["-"] * 5
        if counts is None
        else [str(counts.words), str(counts.lost), str(counts.repeated + counts.foreign), str(counts.wrong)]
    )
    return [
        row.fault,
        *figures[:4],
        "-" if row.recovered_s is None else f"{row.recovered_s:.1f}",
        "-" if row.latest_s is None else f"{row.latest_s:.1f}",
        ", ".join(row.told) or "-",
        "; ".join(row.missed) or "pass",
    ]


HEADER = ("fault", "words", "lost", "repeated", "wrong", "recovered s", "latest s", "the session said", "result")


def markdown(done: Sequence[Row]) -> str:
    """The table for the README, in the order of FAULTS."""
    order = {fault.name: number for number, fault in enumerate(FAULTS)}
    lines = [HEADER, ["---"] * len(HEADER), *(line(row) for row in sorted(done, key=lambda row: order[row.fault]))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main() -> int:
    """Print the table; give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="faults whose name holds this")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="faults played at the same time")
    parser.add_argument("--kills", type=int, default=0, help="instead: kill -9 so many times")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table at the end")
    parser.add_argument(
        "--logs", type=Path, help="keep the daemon's log of each row that falls short in this directory"
    )
    options = parser.parse_args()
    if options.kills:
        return chaos_kills.main(options.kills, options.seed)
    faults = [fault for fault in FAULTS if not options.only or any(part in fault.name for part in options.only)]
    print(
        f"""{len(faults)} faults, seed {options.seed}. Words: lost, repeated (or foreign), wrong: wrong speaker beyond
the reference, outside the outage (until {AFTER_S:.0f} s behind its end). Recovered: from its end to the first final
turn begun behind it. Latest: how long behind its end any turn was final, from {AFTER_S:.0f} s after the fault on."""
    )
    began, done = time.monotonic(), []
    for row in rows(faults, options.seed, options.at_once, options.logs):
        done.append(row)
        name, words, lost, again, wrong, back, late, told, result = line(row)
        print(f"{name:46}{words:>6}{lost:>5}{again:>5}{wrong:>5}{back:>7}{late:>6}  {told:34}  {result}", flush=True)
    if options.markdown:
        print(markdown(done))
    missed = sum(bool(row.missed) for row in done)
    took_min = (time.monotonic() - began) / 60
    print(f"{len(done) - missed} of {len(done)} rows pass; {took_min:.1f} min, load {os.getloadavg()[0]:.2f}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""How good and how fast the offline engine is: `python -m tests.bench.offline [WAV...]`.

Each recording is played to engine and merge in virtual time, exactly as the daemon would play it; the first one then
goes through the worker process in real time. Beside each WAV given (16 kHz mono) lies a JSON of what is said in it.
Without any: the recorded meeting, the meetings kept out of tuning and the telephone call, each with its target; the
exit code is 1 if one is missed.
"""

import asyncio
import os
import sys
from pathlib import Path

import numpy as np

from minuted_daemon.core.samples import samples
from tests.bench.offline_play import DIARIZER_LAG_S, Engines, Played, open_engines, play
from tests.bench.offline_recordings import Recording, from_file, held_out, standup, telephone_call
from tests.bench.offline_scores import Score, score
from tests.bench.offline_worker import measure

STANDUP_CP_WER = 0.085
HELD_OUT_CP_WER = 0.15
CALL_CP_WER = 0.30
WORKER_MB = 450.0
BUSY = 0.70
"""Of one core: 0.35 of the two that the engine is made for."""
LOOP_STEP_S = 0.1
LAG_S = 2.0


def line(recording: Recording, played: Played, found: Score) -> str:
    """Return a recording's row of the table."""
    speakers = f"{found.speakers}/{len({turn.speaker for turn in recording.said})}"
    return (
        f"{recording.name:11}{recording.length_s:7.1f}{100 * found.cp_wer:8.1f}{100 * found.words_alone:8.1f}"
        f"{100 * found.diarization_error:7.1f}{100 * found.missed:8.1f}{100 * found.false:7.1f}"
        f"{100 * found.confused:9.1f}{speakers:>10}{len(played.turns):7}{np.median(played.lags_s):8.2f}"
        f"{np.percentile(played.lags_s, 90):6.2f}{sum(played.steps_s) / recording.length_s:8.3f}"
        f"{played.recognized_s / recording.length_s:7.3f}{max(played.steps_s):8.2f}"
    )


def run(recording: Recording, engines: Engines, most: float | None) -> tuple[Played, bool]:
    """Play one recording and print its row; tell whether it misses its target."""
    played = play(recording.pcm, engines, with_partials=True)
    found = score(recording, played.turns, played.events)
    missed = most is not None and (found.cp_wer > most or float(np.median(played.lags_s)) > LAG_S)
    target = "" if most is None else f"  target {100 * most:.1f}{': MISSED' if missed else ''}"
    print(line(recording, played, found) + target, flush=True)
    return played, missed


def main(paths: list[str]) -> int:
    """Print the figures; give the exit code."""
    engines = open_engines()
    todo: list[tuple[Recording, float | None]] = [(from_file(Path(path)), None) for path in paths]
    if not todo:
        todo = [(standup(), STANDUP_CP_WER), *((meeting, HELD_OUT_CP_WER) for meeting in held_out())]
        call = telephone_call()
        if call is None:
            print("the telephone call is skipped: there is no package index to fetch it from")
        else:
            todo.append((call, CALL_CP_WER))
    print(f"words and speech in %, lags in s, work as a share of one core; load {os.getloadavg()[0]:.1f}")
    print(
        f"{'recording':11}{'long s':>7}{'cpWER':>8}{'words':>8}{'DER':>7}{'missed':>8}{'false':>7}{'confused':>9}"
        f"{'speakers':>10}{'turns':>7}{'lag':>8}{'90 %':>6}{'diar.':>8}{'texts':>7}{'step s':>8}"
    )
    results = [run(recording, engines, most) for recording, most in todo]
    missed = sum(row for _, row in results)
    first = todo[0][0]
    figures = asyncio.run(measure(first.pcm, results[0][0].sent, samples(DIARIZER_LAG_S)))
    print(
        f"the worker with {first.name} in real time: {figures.busy:.2f} of one core with partials, "
        f"{figures.peak_mb:.0f} MB, at most {figures.longest_backlog_s:.1f} s behind; "
        f"the loop stood still for at most {1000 * figures.longest_step_s:.0f} ms; load {os.getloadavg()[0]:.1f}"
    )
    missed += figures.busy > BUSY or figures.peak_mb > WORKER_MB or figures.longest_step_s > LOOP_STEP_S
    print("every figure within its target" if not missed else f"{missed} rows miss a target")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

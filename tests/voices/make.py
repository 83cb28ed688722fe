"""Makes meetings of synthetic voices from their scripts: `python -m tests.voices.make [NAME...]`; see README.md."""

import argparse
import json
import sys
import time
from pathlib import Path

import soundfile

from tests.fakes.meeting import RATE_HZ
from tests.voices.dialogue import read_script, script_names
from tests.voices.downloads import default_cache
from tests.voices.library import MEETINGS
from tests.voices.speech import Speech
from tests.voices.staging import stage


def make(name: str, speech: Speech, into: Path, ending: str) -> float:
    """Make one meeting: its sound and, beside it, its truth. Gives its length in seconds."""
    script = read_script(name)
    pcm, placed = stage(script, speech.say)
    into.mkdir(parents=True, exist_ok=True)
    truth = {
        "sample_rate": RATE_HZ,
        "duration": len(pcm) / RATE_HZ,
        "title": script.title,
        "room": script.room,
        "voices": dict(script.voices),
        "segments": [
            {"speaker": one.line.speaker, "start": one.start / RATE_HZ, "end": one.end / RATE_HZ, "text": one.line.text}
            for one in placed
        ],
    }
    # The truth comes last: whoever sees it finds a whole recording beside it.
    soundfile.write(into / f"{name}.{ending}", pcm, RATE_HZ, subtype="PCM_16")
    (into / f"{name}.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return len(pcm) / RATE_HZ


def main(arguments: list[str] | None = None) -> int:
    """Make the meetings named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.voices.make", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts to speak (all of them)")
    parser.add_argument("--into", type=Path, default=MEETINGS, metavar="DIRECTORY", help="where meetings go")
    kept = "where downloads and single utterances are kept (MINUTED_VOICES_CACHE, %(default)s)"
    parser.add_argument("--cache", type=Path, default=default_cache(), metavar="DIRECTORY", help=kept)
    parser.add_argument("--wav", action="store_true", help="write WAV instead of FLAC")
    given = parser.parse_args(arguments)
    known = script_names()
    unknown = sorted(set(given.names) - set(known))
    if unknown:
        parser.error(f"no script for {', '.join(unknown)}; there are {', '.join(known)}")
    speech = Speech(given.cache)
    for name in given.names or known:
        begun = time.monotonic()
        length_s = make(name, speech, given.into, "wav" if given.wav else "flac")
        print(f"{name}: {length_s:.1f} s, made in {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

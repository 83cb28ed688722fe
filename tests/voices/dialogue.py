"""What is said in a meeting, by whom, and how the speakers take turns: the scripts, read from text.

A script begins with lines `key: value`: `title`, `room` (dry, small or live), `noise_db` (full scale, of the room's
hum) and `voices` (`Name=voice` for each speaker). After an empty line comes what is said, a line each: `Name: text`.
A sign before the name tells when: `+` before the line above has ended, `~` in the midst of the line above without
taking the floor, `_` after a long pause; without a sign, after a short one. `#` begins a comment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
ROOMS = ("dry", "small", "live")


class Entry(Enum):
    """When a line begins, against the line above."""

    AFTER = ""
    OVERLAP = "+"
    WITHIN = "~"
    PAUSE = "_"


@dataclass(frozen=True, slots=True)
class Line:
    """One speaker says one thing."""

    speaker: str
    text: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Script:
    """A meeting before it is spoken. `voices` maps each speaker to a synthetic voice."""

    name: str
    title: str
    room: str
    noise_db: float
    voices: Mapping[str, str]
    lines: tuple[Line, ...]


def script_names() -> list[str]:
    """All scripts, in natural order: H1..., I1..., I10, T1..."""
    return sorted((path.stem for path in SCRIPTS.glob("*.txt")), key=lambda name: (name[0], int(name[1:])))


def read_script(name: str) -> Script:
    """Read scripts/<name>.txt. Raises ValueError where it does not follow the format, OSError where it is not there."""
    return parse_script(name, (SCRIPTS / f"{name}.txt").read_text(encoding="utf-8"))


def parse_script(name: str, text: str) -> Script:
    """Parse a script. Raises ValueError with the first line that does not follow the format."""
    head_text, _, body = text.partition("\n\n")
    head = dict(_pair(line) for line in head_text.splitlines() if not line.startswith("#"))
    if set(head) != {"title", "room", "noise_db", "voices"} or head["room"] not in ROOMS:
        raise ValueError(f"{name}: the head needs title, room (one of {', '.join(ROOMS)}), noise_db and voices")
    voices = dict(given.split("=", 1) for given in head["voices"].split())
    lines: list[Line] = []
    for written in body.splitlines():
        if not written.strip() or written.startswith("#"):
            continue
        sign = written[0] if written[0] in "+~_" else ""
        speaker, said = _pair(written[len(sign) :].strip())
        if speaker not in voices or not said:
            raise ValueError(f"{name}: nobody can say {written!r}")
        if sign and not lines:
            raise ValueError(f"{name}: the first line has none above it")
        lines.append(Line(speaker, said, Entry(sign)))
    return Script(name, head["title"], head["room"], float(head["noise_db"]), voices, tuple(lines))


def _pair(line: str) -> tuple[str, str]:
    key, colon, value = line.partition(":")
    if not colon:
        raise ValueError(f"no colon in {line!r}")
    return key.strip(), value.strip()

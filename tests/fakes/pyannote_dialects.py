"""How the vendor's events may be written, one day or by mistake: a beta changes without notice.

Each dialect makes a message of an event, text as it is or an object; None says nothing at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Event:
    """A start or an end: `name` as documented, and its time in seconds since the stream's begin.

    opened_at: when the stream was opened, seconds since 1970. before_s: the audio of all streams before it. number:
    how many events the stream has had so far.
    """

    name: str
    speaker: str
    timestamp: float
    opened_at: float
    before_s: float
    number: int


Message = str | bytes | Mapping[str, Any] | None


def _with(event: Event, timestamp: object) -> Message:
    return {"type": event.name, "data": {"timestamp": timestamp, "speaker": event.speaker}}


def _renamed(event: Event) -> Message:
    kind = "start" if event.name.endswith("start") else "end"
    return {"type": f"segment.{kind}", "data": {"timestamp": event.timestamp, "speaker": event.speaker}}


def _starts_renamed(event: Event) -> Message:
    return _renamed(event) if event.name.endswith("start") else _with(event, event.timestamp)


def _wrapped(event: Event) -> Message:
    return {"version": 2, "payload": _with(event, event.timestamp)}


DIALECTS: Mapping[str, Callable[[Event], Message]] = {
    PLAIN: lambda event: _with(event, event.timestamp),
    # Times in another unit.
    "milliseconds": lambda event: _with(event, round(event.timestamp * 1e3)),
    "microseconds": lambda event: _with(event, round(event.timestamp * 1e6)),
    "samples": lambda event: _with(event, round(event.timestamp * 16_000)),
    # Times on another base.
    "unix": lambda event: _with(event, round(event.opened_at + event.timestamp, 3)),
    "unix_milliseconds": lambda event: _with(event, round((event.opened_at + event.timestamp) * 1e3)),
    "running_on": lambda event: _with(event, round(event.before_s + event.timestamp, 3)),
    # Certain all the same.
    "strings": lambda event: _with(event, f"{event.timestamp:.3f}"),
    "flat": lambda event: {"type": event.name, "timestamp": event.timestamp, "speaker": event.speaker},
    "nested": lambda event: {
        "type": event.name,
        "data": {"segment": {"timestamp": event.timestamp, "speaker": event.speaker}},
    },
    # Nothing to be made of.
    "renamed": _renamed,
    "starts_renamed": _starts_renamed,
    "no_timestamp": lambda event: {"type": event.name, "data": {"time": event.timestamp, "speaker": event.speaker}},
    "no_speaker": lambda event: {"type": event.name, "data": {"timestamp": event.timestamp}},
    "text_for_numbers": lambda event: _with(event, "about now"),
    "not_a_number": lambda event: (
        f'{{"type": "{event.name}", "data": {{"timestamp": NaN, "speaker": "{event.speaker}"}}}}'
    ),
    "random": lambda event: _with(event, (event.number * 7919 + 104_729) % 1_000_003),
    "wrapped": _wrapped,
    "silent": lambda _: None,
}

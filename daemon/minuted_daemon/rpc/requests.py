"""Reading requests: what is wrong with one is told at once and completely, in the contract's own words."""

import re
from collections.abc import Sequence
from typing import Protocol

from minuted.v1.sessions_pb2 import RedactSessionRequest, StartSessionRequest
from minuted.v1.turns_pb2 import StreamTurnsRequest
from minuted_daemon.core.channels.choice import MIXES, MOST_CHANNELS
from minuted_daemon.core.records import Seq
from minuted_daemon.core.samples import RATE_HZ, Sample
from minuted_daemon.core.session_rules import SESSION_NAME, is_name, is_session_name
from minuted_daemon.errors import Invalid
from minuted_daemon.service.engines.catalog import FALLBACKS
from minuted_daemon.service.views import EngineInfo, StartRequest, Stretch

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
LONGEST_DEVICE = 4096
FILE = "file:"
NANOS = 1_000_000_000
LONGEST_S = 300 * 366 * 86_400
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class Problems:
    """What is wrong with one request."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def check(self, good: bool, field: str, problem: str) -> None:
        """Note a problem unless all is well."""
        if not good:
            self._found.setdefault(field, problem)

    def raise_any(self) -> None:
        """Raise Invalid (INVALID_REQUEST), naming every wrong field, if there is one."""
        if self._found:
            message = "; ".join(f"{field}: {problem}" for field, problem in self._found.items())
            raise Invalid("INVALID_REQUEST", message, **self._found)


class NamesSession(Protocol):
    """A request with a `session` field."""

    session: str


class AsksForPage(Protocol):
    """A request for a page of a list."""

    page_size: int
    page_token: str


def session_key(request: NamesSession, problems: Problems | None = None) -> str:
    """Return the id or name a request must have. Raises Invalid, unless the problems are collected by the caller."""
    found = problems or Problems()
    found.check(bool(request.session), "session", "required: an id or a name")
    if problems is None:
        found.raise_any()
    return request.session


def page(request: AsksForPage, problems: Problems) -> tuple[int, str | None]:
    """Return page size and token."""
    problems.check(0 <= request.page_size <= LARGEST_PAGE, "page_size", f"must be 1 to {LARGEST_PAGE}, or 0")
    return request.page_size or DEFAULT_PAGE, request.page_token or None


def start(request: StartSessionRequest, engines: Sequence[EngineInfo]) -> StartRequest:
    """Read a StartSession. Raises Invalid."""
    problems = Problems()
    problems.check(is_session_name(request.name), "name", f"must match {SESSION_NAME.pattern}")
    device = request.device
    problems.check(len(device) <= LONGEST_DEVICE, "device", f"must be at most {LONGEST_DEVICE} characters")
    problems.check(is_name(device), "device", "must hold no control characters, line breaks or halves of characters")
    if device.startswith(FILE):
        path = device.removeprefix(FILE)
        problems.check(path.startswith("/"), "device", "the path of a file must be absolute on the daemon's machine")
    for field, chosen in (("diarizer", request.diarizer), ("transcriber", request.transcriber)):
        choices = ["auto", *(engine.name for engine in engines if engine.role == field), "none"]
        problems.check(chosen in ("", *choices), field, f"must be one of {', '.join(choices)}")
    nothing_to_do = request.diarizer == request.transcriber == "none"
    problems.check(not nothing_to_do, "transcriber", "must not be none where the diarizer is none, too")
    for language in request.languages:
        problems.check(
            LANGUAGE.fullmatch(language) is not None, "languages", "must be BCP 47 codes such as en or de-CH"
        )
    problems.check(request.fallback in ("", *FALLBACKS), "fallback", f"must be one of {', '.join(FALLBACKS)}")
    channels = tuple(request.channels)
    problems.check(
        len(set(channels)) == len(channels) and all(1 <= channel <= MOST_CHANNELS for channel in channels),
        "channels",
        f"must be different numbers from 1 to {MOST_CHANNELS}",
    )
    problems.check(request.mix in ("", *MIXES), "mix", f"must be one of {', '.join(MIXES)}")
    problems.raise_any()
    return StartRequest(
        request.name,
        device,
        request.diarizer,
        request.transcriber,
        tuple(request.languages),
        request.fallback,
        request.keep_audio if request.HasField("keep_audio") else None,
        channels,
        request.mix,
    )


def redaction(request: RedactSessionRequest) -> tuple[str, Stretch]:
    """Read a RedactSession: session key, and what is meant. Raises Invalid."""
    problems = Problems()
    key = session_key(request, problems)
    last, start, end = (_position(request, field, problems) for field in ("last", "start_offset", "end_offset"))
    if last is not None:
        problems.check(last > 0, "last", "must be above 0")
        problems.check(start is None and end is None, "last", "must not be set together with offsets")
    else:
        problems.check(start is not None, "start_offset", "required, unless last is set")
        problems.check(start is None or end is None or end > start, "end_offset", "must be behind start_offset")
    problems.raise_any()
    return key, Stretch(last, start or Sample(0), end)


def _position(request: RedactSessionRequest, field: str, problems: Problems) -> Sample | None:
    if not request.HasField(field):
        return None
    length = getattr(request, field)
    fine = 0 <= length.seconds <= LONGEST_S and 0 <= length.nanos < NANOS
    problems.check(fine, field, "must be from 0 on, and below 300 years")
    return Sample(length.seconds * RATE_HZ + length.nanos * RATE_HZ // NANOS) if fine else Sample(0)


def subscription(request: StreamTurnsRequest) -> tuple[str | None, Seq | None, bool, bool]:
    """Read a StreamTurns: session key, cursor, whether partials are wanted, and suspect turns not. Raises Invalid."""
    problems = Problems()
    problems.check(request.after_seq >= 0, "after_seq", "must not be negative")
    problems.raise_any()
    after = Seq(request.after_seq) if request.HasField("after_seq") else None
    return request.session or None, after, request.include_partials, request.exclude_suspect

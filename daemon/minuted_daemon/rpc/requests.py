"""From the contract's requests to plain values. A refusal names every field that is wrong, as the contract calls it."""

from typing import Protocol

from minuted.v1.sessions_pb2 import RedactSessionRequest, StartSessionRequest
from minuted.v1.turns_pb2 import StreamTurnsRequest
from minuted_daemon.core.records import Seq
from minuted_daemon.core.samples import RATE_HZ, Sample
from minuted_daemon.errors import Invalid
from minuted_daemon.service.views import StartRequest, Stretch

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
NANOS = 1_000_000_000
LONGEST_S = 300 * 366 * 86_400


class Problems:
    """What is wrong with one request."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def check(self, good: bool, field: str, problem: str) -> None:
        """Note a problem unless `good`."""
        if not good:
            self._found.setdefault(field, problem)

    def raise_any(self) -> None:
        """Raise Invalid (INVALID_REQUEST), naming every wrong field, if there is one."""
        if self._found:
            raise Invalid.fields(self._found)


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


def start(request: StartSessionRequest) -> StartRequest:
    """Read a StartSession; the service checks it."""
    return StartRequest(
        request.name,
        request.device,
        request.diarizer,
        request.transcriber,
        tuple(request.languages),
        request.fallback,
        request.keep_audio if request.HasField("keep_audio") else None,
        tuple(request.channels),
        request.mix,
    )


def redaction(request: RedactSessionRequest) -> tuple[str, Stretch]:
    """Read a RedactSession: session key and range. Raises Invalid."""
    problems = Problems()
    key = session_key(request, problems)
    last, start, end = (_position(request, field, problems) for field in ("last", "start_offset", "end_offset"))
    if last is not None:
        problems.check(last > 0, "last", "must be above 0")
        problems.check(start is None and end is None, "last", "must not be set together with offsets")
    else:
        problems.check(start is not None, "start_offset", "required, unless last is set")
        problems.check(start is None or end is None or end > start, "end_offset", "must be after start_offset")
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
    """Read a StreamTurns: session key, cursor, with partials or not, without suspect turns or not. Raises Invalid."""
    problems = Problems()
    problems.check(request.after_seq >= 0, "after_seq", "must not be negative")
    problems.raise_any()
    after = Seq(request.after_seq) if request.HasField("after_seq") else None
    return request.session or None, after, request.include_partials, request.exclude_suspect

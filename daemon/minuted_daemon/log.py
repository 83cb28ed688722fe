"""How the daemon logs: one line an event, to stderr, for the journal or for a person at a terminal.

What must never be in a log (keys, audio, transcript text, URLs with tokens) is kept out where events are logged. This
file is the last line of defence: fields of such names lose their value, and addresses are cut after their host.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
# They log addresses with tokens, headers or messages at DEBUG and INFO.
_CHATTY = ("websockets", "httpx", "httpcore", "openai", "grpc", "asyncio", "sqlalchemy", "alembic", "urllib3")

_FORBIDDEN = re.compile(
    r"(.*_)?(text|texts|transcript|words|keyword|keywords|audio|pcm|wide|samples_data|key|keys|token|tokens|secret|"
    r"password|authorization|headers|url|urls|uri|query|payload|body)"
)
_ADDRESS = re.compile(r"\b(wss?|https?)://(?:[^\s/@\"'<>]*@)?([^\s/?#\"'<>]*)[^\s\"'<>]*")
_SECRET = re.compile(r"(?i)\b(bearer\s+|sk-|sk_|ek_)[\w.~+/=-]{6,}|([?&]?(?:token|api_key|key)=)[^\s&\"']+")

Event = MutableMapping[str, Any]


def configure_logging(environ: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Send every log line to `stream` (stderr): the level from MINUTED_LOG_LEVEL, the form from where it goes.

    Under systemd a line begins with its priority and has no time of its own; libraries speak from WARNING on only.
    """
    out = stream or sys.stderr
    terminal = out.isatty()
    journal = bool(environ.get("JOURNAL_STREAM")) and not terminal
    form: list[Any] = [render_journal if journal else render_file]
    if terminal:
        # Plain tracebacks: the others show local variables.
        plain = structlog.dev.ConsoleRenderer(pad_event_to=0, exception_formatter=structlog.dev.plain_traceback)
        form = [structlog.processors.TimeStamper("%H:%M:%S", utc=False), plain]
    asked = environ.get("MINUTED_LOG_LEVEL", "info").strip().lower()
    level = asked if asked in LEVELS else "info"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            withhold,
            *form,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_FromLibraries(logging.WARNING))
    root.setLevel(logging.WARNING)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    if asked != level:
        structlog.get_logger().warning("log_level_unknown", asked=asked[:20], used=level, known=",".join(LEVELS))


class _FromLibraries(logging.Handler):
    """Hands the records of the standard library's logging on."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            log = structlog.get_logger().bind(logger=record.name, message=record.getMessage())
            log.log(min(record.levelno // 10 * 10, logging.CRITICAL), "library", exc_info=record.exc_info or None)
        except Exception:  # noqa: BLE001 (logging must never bring down what logs)
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the standard library's name)
        """Say nothing: the usual report would print the record's arguments."""


def withhold(_logger: object, _method: str, event: Event) -> Event:
    """Take the values away from fields whose names say that they must not be logged, at any depth; scrub the others."""
    for name, value in event.items():
        safe = _safe(name, value)
        event[name] = json.dumps(safe, default=str, ensure_ascii=False) if isinstance(safe, dict | list) else safe
    return event


def _safe(name: str, value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or isinstance(value, bool | int):
        return value
    if name not in ("event", "exception") and _FORBIDDEN.fullmatch(name.lower()):
        return "[withheld]"
    if isinstance(value, Mapping):
        return {str(key): _safe(str(key), inner) for key, inner in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe(name, inner) for inner in value]
    return _printable(scrub(str(value)))


def _printable(text: str) -> str:
    """Write out what could clear a screen or turn its text around. Line breaks are the renderers' to escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def scrub(line: str) -> str:
    """Cut addresses after their host, and blank out what looks like a key."""
    line = _ADDRESS.sub(r"\1://\2/[withheld]", line)
    return _SECRET.sub(lambda match: f"{match[1] or match[2] or ''}[withheld]", line)


def render_journal(logger: object, method: str, event: Event) -> str:
    """`<6>session_started name=boardroom`: the journal adds the time and reads the priority."""
    level = str(event.pop("level", "info"))
    return f"<{_PRIORITIES.get(level, 6)}>{_line(logger, method, event)}"


def render_file(logger: object, method: str, event: Event) -> str:
    """`2026-11-22T09:00:12.340Z info session_started name=boardroom`."""
    level = str(event.pop("level", "info"))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{now} {level} {_line(logger, method, event)}"


_FIELDS = structlog.processors.LogfmtRenderer(bool_as_flag=False)


def _line(logger: object, method: str, event: Event) -> str:
    """The event's name, then its fields; one line, whatever is in them."""
    name = str(event.pop("event", "")).replace("\n", "\\n")
    return f"{name} {_FIELDS(logger, method, event)}".rstrip()

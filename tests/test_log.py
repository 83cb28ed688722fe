"""What the log looks like, and what cannot get into it."""

import io
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from minuted_daemon.log import configure_logging, scrub

SECRET = "sk-proj-0123456789abcdefghij"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    named = {
        name: (logger.level, list(logger.handlers))
        for name, logger in logging.Logger.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, (before, _) in named.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def to_journal(**environ: str) -> io.StringIO:
    out = io.StringIO()
    configure_logging({"JOURNAL_STREAM": "8:1"} | environ, out)
    return out


def test_a_line_for_the_journal_has_a_priority_and_no_time() -> None:
    out = to_journal()
    structlog.get_logger().info("session_started", session="01J", count=3, lag_s=0.123456789, name="two words")
    assert out.getvalue() == '<6>session_started session=01J count=3 lag_s=0.123457 name="two words"\n'


def test_priorities_follow_levels() -> None:
    out = to_journal(MINUTED_LOG_LEVEL="debug")
    log = structlog.get_logger()
    log.debug("a")
    log.warning("b")
    log.error("c")
    assert out.getvalue() == "<7>a\n<4>b\n<3>c\n"


def test_elsewhere_a_line_begins_with_its_time() -> None:
    out = io.StringIO()
    configure_logging({}, out)
    structlog.get_logger().info("session_started")
    stamp, level, event = out.getvalue().split()
    assert (stamp[10], stamp[-1], level, event) == ("T", "Z", "info", "session_started")


def test_a_terminal_gets_lines_for_people_even_below_a_service_manager() -> None:
    out = Screen()
    configure_logging({"JOURNAL_STREAM": "8:1"}, out)
    structlog.get_logger().info("session_started", name="boardroom")
    assert "session_started name=boardroom" in re.sub(r"\x1b\[\d*m", "", out.getvalue())
    assert not out.getvalue().startswith("<")


def test_a_terminal_gets_no_local_variables_and_no_control_characters_of_values() -> None:
    out = Screen()
    configure_logging({}, out)
    precious = "precious"
    try:
        raise ValueError(f"wss://host/?token={precious}")
    except ValueError:
        structlog.get_logger().exception("crashed", name="a\x1b[2J\nb")
    assert "ValueError" in out.getvalue()
    assert "precious" not in out.getvalue().replace("{precious}", "").replace('precious = "precious"', "")
    assert "\x1b[2J" not in out.getvalue()
    assert "\nb" not in out.getvalue()


def test_level() -> None:
    out = to_journal(MINUTED_LOG_LEVEL="Warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert out.getvalue() == "<4>loud\n"


def test_an_unknown_level_is_a_warning_and_no_error() -> None:
    out = to_journal(MINUTED_LOG_LEVEL="chatty")
    assert out.getvalue() == "<4>log_level_unknown asked=chatty used=info known=debug,info,warning,error\n"


@pytest.mark.parametrize(
    "name", ["text", "audio", "key", "api_key", "token", "url", "base_url", "transcript", "pcm", "keywords", "headers"]
)
def test_forbidden_fields_lose_their_value_at_any_depth(name: str) -> None:
    out = to_journal()
    structlog.get_logger().warning("bad", **{name: "precious"}, inner={name: ["precious"], "deep": {name: "precious"}})
    assert "precious" not in out.getvalue()
    assert f"{name}=[withheld]" in out.getvalue() or f'{name}="[withheld]"' in out.getvalue()


def test_bytes_are_only_counted() -> None:
    out = to_journal()
    structlog.get_logger().info("sent", block=b"precious")
    assert "precious" not in out.getvalue()
    assert "8 bytes" in out.getvalue()


def test_counts_of_such_things_stay() -> None:
    out = to_journal()
    structlog.get_logger().info("sent", texts=3, audio=1.5)
    assert out.getvalue() == "<6>sent texts=3 audio=1.5\n"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("connecting wss://api.example.com/live/abc?token=precious now", "wss://api.example.com/[withheld]"),
        ("GET https://user:precious@host.example/v1", "https://host.example/[withheld]"),
        ("Authorization: Bearer precious.precious", "[withheld]"),
        (f"bad key {SECRET}precious", "bad key"),
        ("retry ?token=precious&x=1", "token="),
    ],
)
def test_addresses_and_keys_are_cut_out_of_any_line(line: str, kept: str) -> None:
    assert "precious" not in scrub(line)
    assert SECRET not in scrub(line)
    assert kept in scrub(line)


def test_a_traceback_is_one_scrubbed_line() -> None:
    out = to_journal()
    try:
        raise ValueError("wss://host/?token=precious")
    except ValueError:
        structlog.get_logger().exception("crashed", session="01J")
    assert out.getvalue().count("\n") == 1
    assert "ValueError" in out.getvalue()
    assert "precious" not in out.getvalue()


def test_no_value_can_fake_a_line_or_a_field() -> None:
    out = to_journal()
    structlog.get_logger().info("named", name="a\n<3>crashed", other="x y=z\x1b[2J")
    assert out.getvalue() == '<6>named name=a\\n<3>crashed other="x y=z\\\\x1b[2J"\n'


@pytest.mark.parametrize("name", ["websockets.client", "httpx", "httpcore.http11", "openai._base_client", "grpc", "x"])
def test_libraries_speak_from_warning_on(name: str) -> None:
    out = to_journal(MINUTED_LOG_LEVEL="debug")
    logger = logging.getLogger(name)
    logger.debug("> GET wss://host/?token=precious")
    logger.info("HTTP Request: POST https://host/v1")
    assert out.getvalue() == ""
    logger.warning("gave up on %s", "https://host/secret")
    assert out.getvalue().startswith(f"<4>library logger={name} message=")
    assert "secret" not in out.getvalue()


def test_a_library_that_turns_itself_up_is_still_quiet() -> None:
    out = to_journal()
    logging.getLogger("openai").setLevel(logging.DEBUG)
    logging.getLogger("openai").debug("precious")
    assert out.getvalue() == ""


def test_a_record_that_cannot_be_formatted_harms_nobody() -> None:
    out = to_journal()
    logging.getLogger("x").warning("%d", "precious")
    assert "precious" not in out.getvalue()

"""Page tokens: where a list goes on. Opaque to clients, and good only for the list that made them."""

import base64
import binascii
import re

from minuted_daemon.core.records import SessionId
from minuted_daemon.errors import Invalid

_SESSIONS = re.compile(r"s:([0-9]{1,18})", re.ASCII)
_TURNS = re.compile(r"(?P<list>[tdco]):(?P<session>[^:]*):(?P<start>[0-9]{1,18}):(?P<id>.*)", re.ASCII | re.DOTALL)


def sessions_token(created_seq: int) -> str:
    """Return the token of the page after this session."""
    return _encode(f"s:{created_seq}")


def parse_sessions_token(token: str) -> int:
    """Return the `created_seq` of the last session of the page before.

    Raises Invalid (BAD_PAGE_TOKEN).
    """
    match = _SESSIONS.fullmatch(_decode(token))
    if match is None:
        raise _bad()
    return int(match[1])


def turns_token(session_id: SessionId, as_delivered: bool, start: int, turn_id: str) -> str:
    """Return the token of the page after this turn."""
    return _encode(f"{_list(as_delivered)}:{session_id}:{start}:{turn_id}")


def parse_turns_token(token: str, session_id: SessionId, as_delivered: bool) -> tuple[int, str]:
    """Return start and id of the last turn of the page before.

    Raises Invalid (BAD_PAGE_TOKEN), also for a token of another session, or of the other list of its turns.
    """
    return _parse_place(token, session_id, _list(as_delivered))


def claims_token(session_id: SessionId, start: int, thing_id: str) -> str:
    """Return the token of the page after what this turn or interval claims."""
    return _encode(f"c:{session_id}:{start}:{thing_id}")


def parse_claims_token(token: str, session_id: SessionId) -> tuple[int, str]:
    """Return start and id of the last turn or interval of the page before.

    Raises Invalid (BAD_PAGE_TOKEN), also for a token of another session.
    """
    return _parse_place(token, session_id, "c")


def owed_token(session_id: SessionId, start: int, turn_id: str) -> str:
    """Return the token of the page after this turn, in the list of those that lack their text."""
    return _encode(f"o:{session_id}:{start}:{turn_id}")


def parse_owed_token(token: str, session_id: SessionId) -> tuple[int, str]:
    """Return start and id of the last turn of the page before.

    Raises Invalid (BAD_PAGE_TOKEN), also for a token of another session or list.
    """
    return _parse_place(token, session_id, "o")


def _parse_place(token: str, session_id: SessionId, of_list: str) -> tuple[int, str]:
    match = _TURNS.fullmatch(_decode(token))
    if match is None or match["session"] != session_id or match["list"] != of_list:
        raise _bad()
    return int(match["start"]), match["id"]


def _list(as_delivered: bool) -> str:
    return "d" if as_delivered else "t"


def _encode(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).rstrip(b"=").decode()


def _decode(token: str) -> str:
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error) as error:
        raise _bad() from error


def _bad() -> Invalid:
    return Invalid("BAD_PAGE_TOKEN", "page_token is not one that this list gave: start again without it")

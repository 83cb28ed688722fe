"""What the RPC layer asks of the sessions. service/registry.py implements it; nothing is decided here."""

from collections.abc import Sequence
from typing import Protocol

from minuted_daemon.ports.minutes import Page
from minuted_daemon.service.views import EngineInfo, Redaction, RetriedLink, SessionView, StartRequest, Stretch


class Sessions(Protocol):
    """All sessions, live and past. `key` is an id, or a name, which means the newest session of that name.

    What changes a link of a live session calls `Hub.touch(session_id)`, so that those who watch sessions are told;
    stored changes of a session are told by themselves.
    """

    async def start(self, request: StartRequest) -> SessionView:
        """Accept a session, or give the live one of that name if its settings are the same; at most 5 s.

        Raises AlreadyExists (SESSION_EXISTS), NotFound (DEVICE_NOT_FOUND), Invalid, WrongState (KEY_MISSING,
        ENGINE_MISSING; SESSION_STOPPING while one of that name is still ending), DeviceError (DEVICE_FAILED),
        Exhausted.
        """
        ...

    async def stop(self, key: str) -> SessionView:
        """Stop a session and wait until it is STOPPED or FAILED, or the drain limit has passed.

        It never goes on, not even if the daemon ends or dies now and is started again. A caller who is cancelled does
        not stop the stopping. Raises NotFound (SESSION_NOT_FOUND), StoreError (it ends, but may go on after a restart).
        """
        ...

    async def pause(self, key: str) -> SessionView:
        """Capture nothing from now on, and return once the source is released; a paused session stays as it is.

        One that a daemon is just ending, and that is to go on when it is started again, goes on paused.
        Raises NotFound (SESSION_NOT_FOUND), WrongState (SESSION_ENDED), StoreError (it may go on as it was).
        """
        ...

    async def resume(self, key: str) -> SessionView:
        """Capture again, as soon as the source gives audio; a session that is not paused stays as it is.

        Raises NotFound (SESSION_NOT_FOUND), WrongState (SESSION_ENDED).
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an ended session with all that belongs to it, and return once no trace of it is left.

        Raises NotFound (SESSION_NOT_FOUND), WrongState (SESSION_LIVE), StoreError (what is left is done later).
        """
        ...

    async def redact(self, key: str, stretch: Stretch) -> Redaction:
        """Forget what was said in a stretch of a session, live or past, and return once no trace of it is left.

        Raises NotFound (SESSION_NOT_FOUND), Invalid (NOTHING_TO_REDACT), StoreError (what is left is done later).
        """
        ...

    async def retry(self, key: str | None) -> Sequence[RetriedLink]:
        """Have refused links of a live session, or of all, asked about at once; return how each is then.

        Raises NotFound (SESSION_NOT_FOUND), WrongState (SESSION_ENDED).
        """
        ...

    async def view(self, key: str) -> SessionView:
        """Return a session as it is now. Raises NotFound (SESSION_NOT_FOUND)."""
        ...

    async def view_with_coverage(self, key: str) -> SessionView:
        """Return a session as it is now, and what became of its audio.

        Takes the longer the more turns it has; without the coverage where the store cannot be read.
        Raises NotFound (SESSION_NOT_FOUND).
        """
        ...

    async def list(self, limit: int, token: str | None) -> Page[SessionView]:
        """All sessions, newest first. Raises Invalid (BAD_PAGE_TOKEN)."""
        ...

    def engines(self) -> Sequence[EngineInfo]:
        """Every engine a session may name, whether it can be used now or not."""
        ...

    def auto(self) -> tuple[str, str]:
        """What `auto` means now: the diarizer and the transcriber."""
        ...

    def live_count(self) -> int:
        """How many sessions are live."""
        ...

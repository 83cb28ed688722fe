"""What `watch` reports beside the minutes: that an engine refuses a followed session, and that it accepts again."""

import threading
import time
from collections.abc import Callable
from contextlib import closing

from minutectl import lines
from minuted import Client, Error, LinkHealth, Session

AGAIN_S = 2.0
"""After a stream of sessions that broke."""


class Refusals:
    """Remembers the last report of each session and link."""

    def __init__(self, session: str) -> None:
        """`session`: a name or an id, empty for all."""
        self._session = session
        self._said: dict[tuple[str, str], str] = {}

    def news(self, session: Session) -> list[str]:
        """Return a sentence for each link that changed."""
        if self._session not in ("", session.name, session.id):
            return []
        found = []
        for role, engine, link in (
            ("diarizer", session.diarizer, session.diarizer_link),
            ("transcriber", session.transcriber, session.transcriber_link),
        ):
            key, name = (session.id, role), f"{lines.plain(session.name)}: {role} {lines.plain(engine)}"
            if link.health == LinkHealth.LINK_HEALTH_REFUSED:
                if self._said.get(key) != link.reason:
                    found.append(f"{name} refuses: {lines.plain(link.detail or link.reason)}{lines.times(link)}")
                self._said[key] = link.reason
            elif link.health == LinkHealth.LINK_HEALTH_UP and self._said.pop(key, ""):
                found.append(f"{name} accepts again")
        return found


def follow(room: Client, session: str, say: Callable[[str], None]) -> None:
    """Report changes from now on, in a thread that ends with the process."""
    threading.Thread(target=_follow, args=(room, Refusals(session), say), daemon=True).start()


def _follow(room: Client, refusals: Refusals, say: Callable[[str], None]) -> None:
    while True:
        try:
            with closing(room.watch_sessions()) as changes:
                for session in changes:
                    for sentence in refusals.news(session):
                        say(sentence)
        except Error as error:
            # The watch itself reports a daemon that is older or gone.
            if error.reason in ("UNIMPLEMENTED", "CLIENT_CLOSED"):
                return
        except (OSError, ValueError):  # standard output has no reader any more, or the client is closed
            return
        time.sleep(AGAIN_S)

"""Turns that are still growing, or were gone before they were final: what subscribers are told of them.

Rule for full: each is kept in its latest state only; past the bound the oldest are dropped, those that are gone sooner,
and a subscriber that had not seen them is cut off.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from itertools import takewhile

from minuted_daemon.core.records import SessionId, StoredTurn, TurnId, TurnLife
from minuted_daemon.service.views import PartialTurn, StoredItem

PARTIALS = 1024
RETRACTED = 64
"""Turns that were gone before they were final, of those: subscribers have been told within moments."""
CLOSED_TURNS = 512
"""Turns whose final was published last. A partial that comes after its final comes within seconds of it."""


@dataclass(frozen=True, slots=True, eq=False)
class VersionedPartial:
    """A partial, and its number among all that were published."""

    version: int
    partial: PartialTurn


class Partials:
    """One for the daemon."""

    def __init__(self) -> None:
        self._version = 0
        self._latest: OrderedDict[TurnId, VersionedPartial] = OrderedDict()  # by version
        self._dropped_to = 0  # the highest version that was dropped
        self._retracted: deque[TurnId] = deque()
        self._closed_turns: OrderedDict[TurnId, None] = OrderedDict()

    @property
    def version(self) -> int:
        """The version of the last partial."""
        return self._version

    def put(self, partial: PartialTurn) -> bool:
        """Take in a turn's latest state; return False if its final came before, and it is dropped."""
        turn_id = partial.turn.turn.id
        if turn_id in self._closed_turns:
            return False
        self._set(turn_id, partial)
        self._latest.move_to_end(turn_id)
        if len(self._latest) > PARTIALS:
            self._drop(next(iter(self._latest)))
        if partial.turn.turn.life is TurnLife.RETRACTED:
            self._retracted.append(turn_id)
            if len(self._retracted) > RETRACTED:
                self._drop(self._retracted.popleft())
        return True

    def since(self, version: int) -> list[VersionedPartial] | None:
        """Return the partials after `version`, oldest first; None if some of them were dropped."""
        if self._dropped_to > version:
            return None
        fresh = list(takewhile(lambda entry: entry.version > version, reversed(self._latest.values())))
        fresh.reverse()
        return fresh

    def is_current(self, entry: VersionedPartial) -> bool:
        """Return whether a partial is neither outdated nor superseded by a final."""
        return self._latest.get(entry.partial.turn.turn.id) is entry

    def close_turn(self, item: StoredItem) -> None:
        """A final is published: what comes of the turn as a partial from now on is late. Other items are ignored."""
        if isinstance(item, StoredTurn):
            self._latest.pop(item.turn.id, None)
            self._closed_turns[item.turn.id] = None
            if len(self._closed_turns) > CLOSED_TURNS:
                self._closed_turns.popitem(last=False)

    def supersede(self, item: StoredItem) -> None:
        """A subscriber is about to be given this from the store: if it is a turn, its partial is out of date."""
        if isinstance(item, StoredTurn) and item.turn.id in self._latest:
            self.close_turn(item)

    def forget(self, session_id: SessionId) -> None:
        """Something of a session was erased: keep no word of it, only that its retracted turns are gone."""
        for turn_id, entry in list(self._latest.items()):
            turn = entry.partial.turn.turn
            if turn.session_id == session_id:
                del self._latest[turn_id]
                if turn.life is TurnLife.RETRACTED:  # subscribers that have not seen that yet still must
                    self._set(turn_id, PartialTurn(replace(entry.partial.turn, turn=replace(turn, text=""))))

    def _set(self, turn_id: TurnId, partial: PartialTurn) -> None:
        self._version += 1
        self._latest[turn_id] = VersionedPartial(self._version, partial)

    def _drop(self, turn_id: TurnId) -> None:
        entry = self._latest.pop(turn_id, None)
        if entry is not None:
            self._dropped_to = max(self._dropped_to, entry.version)

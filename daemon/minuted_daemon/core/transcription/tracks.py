"""The two tracks in front of the transcriber: live speech, and turns to catch up on after an outage.

Which turn is sent when is decided in queue.py.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from minuted_daemon.core.samples import RATE_HZ
from minuted_daemon.core.transcription.turn import Turn

_PAST = 10 * RATE_HZ
"""Turns that ended longer ago than this when a connection opens are caught up on beside live speech."""


@dataclass(slots=True)
class Track:
    """`quota`: how many samples may be sent at once. `ready`: a connection takes them."""

    makes_up: bool
    ready: bool
    queue: deque[Turn] = field(default_factory=deque)
    quota: int = 0

    def insert(self, turn: Turn) -> None:
        """Put a turn before those of which nothing was sent and that are open."""
        queue = self.queue
        place = next((i for i, other in enumerate(queue) if not other.closed or self.makes_up), len(queue))
        if place < len(queue) and queue[place].sent_to is not None:
            place += 1
        queue.insert(place, turn)


class Tracks:
    """Live speech and the past. Without a second connection, the first one serves both."""

    def __init__(self) -> None:
        # The connection for catching up is opened when it is first needed: until then it counts as ready.
        self.present, self.past = Track(makes_up=False, ready=False), Track(makes_up=True, ready=True)
        self.serves_both = False

    def __iter__(self) -> Iterator[Track]:
        return iter((self.present, self.past))

    def of(self, makes_up: bool) -> Track:
        """Return the track for catching up, or the live one."""
        return self.past if makes_up else self.present

    def turns(self) -> Iterator[Turn]:
        """All that wait."""
        return (turn for track in self for turn in track.queue)

    def remove(self, turn: Turn) -> None:
        """The turn waits no longer."""
        for track in self:
            if turn in track.queue:
                track.queue.remove(turn)

    def to_the_front(self, turn: Turn) -> None:
        """Where it waits, the turn is the first."""
        for track in self:
            if turn in track.queue:
                track.queue.remove(turn)
                track.queue.appendleft(turn)

    def insert(self, turn: Turn, makes_up: bool) -> None:
        """Put a turn that is to be sent again where it is sent soon."""
        self.of(makes_up and not self.serves_both).insert(turn)

    def serve_both(self) -> None:
        """There is no second connection: the past goes over the first one, before live speech."""
        self.serves_both = True
        begun = [turn for turn in self.present.queue if turn.sent_to is not None]
        waiting = [turn for turn in self.present.queue if turn.sent_to is None]
        self.present.queue = deque([*begun, *self.past.queue, *waiting])
        self.past.queue.clear()

    def part(self, now: int, begun: bool = True) -> None:
        """Move turns that ended long ago to the past, oldest first; those partly sent only if `begun`."""
        if self.serves_both:
            return
        over = [turn for turn in self.present.queue if turn.closed and turn.end < now - _PAST]
        if not begun:
            over = [turn for turn in over if turn.sent_to is None]
        gone = set(over)
        self.present.queue = deque(turn for turn in self.present.queue if turn not in gone)
        head = [turn for turn in self.past.queue if turn.sent_to is not None]
        waiting = [turn for turn in self.past.queue if turn.sent_to is None]
        self.past.queue = deque([*head, *sorted([*waiting, *over], key=lambda turn: turn.start)])

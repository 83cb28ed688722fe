"""What a subscriber of the real daemon sees, kept as a client would keep it, and checked as it comes."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import minuted
from minuted import AsyncClient, Interrupted, Session, SessionState, Turn, TurnState

ENDED = (SessionState.SESSION_STATE_STOPPED, SessionState.SESSION_STATE_FAILED)


@dataclass
class Seen:
    """Everything a watch delivered: final turns by id at their latest revision, and every seq in order of arrival."""

    finals: dict[str, Turn] = field(default_factory=dict)
    retracted: set[str] = field(default_factory=set)
    sessions: dict[str, Session] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    partials: int = 0
    interruptions: list[Interrupted] = field(default_factory=list)

    def take(self, event: "minuted.StreamTurnsResponse | Interrupted") -> None:
        """Note one event. Raises AssertionError if the stream breaks a promise."""
        if isinstance(event, Interrupted):
            self.interruptions.append(event)
            return
        kind = event.WhichOneof("event")
        assert kind is not None
        if kind == "turn" and event.turn.seq == 0:
            assert event.turn.state in (TurnState.TURN_STATE_PARTIAL, TurnState.TURN_STATE_RETRACTED)
            self.partials += 1
            return
        if kind in ("caught_up", "heartbeat"):
            assert getattr(event, kind).seq >= (self.seqs[-1] if self.seqs else 0)
            return
        seq = getattr(event, kind).seq
        assert not self.seqs or seq > self.seqs[-1], f"seq {seq} after {self.seqs[-1]}"
        self.seqs.append(seq)
        if kind == "turn":
            self._take_turn(event.turn)
        elif kind == "session":
            self.sessions[event.session.id] = event.session

    def _take_turn(self, turn: Turn) -> None:
        if turn.state == TurnState.TURN_STATE_RETRACTED:
            self.finals.pop(turn.id, None)
            self.retracted.add(turn.id)
        else:
            assert turn.state == TurnState.TURN_STATE_FINAL
            assert turn.id not in self.retracted
            self.finals[turn.id] = turn

    @property
    def turns(self) -> list[Turn]:
        """The final turns by start, as ListTurns gives them."""
        return sorted(self.finals.values(), key=lambda turn: (turn.start_offset.ToNanoseconds(), turn.id))


async def follow(
    client: AsyncClient,
    until: Callable[[Seen], bool],
    session: str = "",
    *,
    after: int | None = 0,
    partials: bool = False,
    seen: Seen | None = None,
    caught_up: Callable[[], Awaitable[None] | None] | None = None,
) -> Seen:
    """Watch until `until` says that it is enough; `caught_up` is called at the end of each replay."""
    seen = Seen() if seen is None else seen
    async with aclosing(client.watch(session, after=after, partials=partials)) as stream:
        async for event in stream:
            seen.take(event)
            if caught_up is not None and not isinstance(event, Interrupted) and event.HasField("caught_up"):
                waiting = caught_up()
                if waiting is not None:
                    await waiting
            if until(seen):
                return seen
    raise AssertionError("a watch ends only when it is left")


def ended(count: int = 1) -> Callable[[Seen], bool]:
    """Until so many sessions have ended."""
    return lambda seen: sum(session.state in ENDED for session in seen.sessions.values()) >= count


def turns_so_far(count: int) -> Callable[[Seen], bool]:
    """Until so many turns are final."""
    return lambda seen: len(seen.finals) >= count

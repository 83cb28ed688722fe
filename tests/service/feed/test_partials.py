"""Partials: the latest state of each turn, and a bound on those that are gone."""

from dataclasses import replace

from minuted_daemon.core.records import SessionRecord, TurnLife
from minuted_daemon.service.feed.partials import PARTIALS, RETRACTED, Partials
from minuted_daemon.service.views import PartialTurn
from tests.rpc.material import partial, session, turn


def gone(room: SessionRecord) -> PartialTurn:
    retracted = replace(turn(room), life=TurnLife.RETRACTED)
    return PartialTurn(replace(partial(retracted, room.name), turn=retracted))


def test_of_the_turns_that_are_gone_the_last_are_kept_and_one_that_grows_stays() -> None:
    room, partials = session(), Partials()
    growing = PartialTurn(partial(turn(room), room.name))
    assert partials.put(growing)
    (kept,) = partials.since(0) or ()
    for _ in range(2 * RETRACTED):
        partials.put(gone(room))
    assert len(partials.since(partials.version - RETRACTED) or ()) == RETRACTED
    assert partials.since(0) is None, "some were dropped"
    assert partials.is_current(kept)


def test_past_the_bound_the_oldest_is_dropped() -> None:
    room, partials = session(), Partials()
    for _ in range(PARTIALS):
        partials.put(PartialTurn(partial(turn(room), room.name)))
    (oldest, *_) = partials.since(0) or ()
    partials.put(PartialTurn(partial(turn(room), room.name)))
    assert not partials.is_current(oldest)
    assert partials.since(0) is None
    assert len(partials.since(1) or ()) == PARTIALS


def test_what_comes_after_its_final_is_dropped() -> None:
    room, partials = session(), Partials()
    growing = PartialTurn(partial(turn(room), room.name))
    partials.put(growing)
    partials.close_turn(growing.turn)
    assert not partials.put(growing)
    assert partials.since(0) == []

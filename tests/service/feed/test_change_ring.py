"""The ring: changes in seq order, bounded in memory whatever comes."""

from minuted_daemon.core.records import Seq
from minuted_daemon.service.feed.change_ring import Lost, Ring
from minuted_daemon.service.views import StoredChange
from tests.rpc.material import session

ROOM = session()


def change(seq: int) -> StoredChange:
    return StoredChange(Seq(seq), ROOM.id, ROOM.name, ROOM)


def test_a_hole_that_is_not_filled_keeps_no_more_than_twice_the_capacity() -> None:
    ring = Ring(8)
    ring.begin(Seq(1))
    for seq in range(6, 56):
        ring.put(change(seq))
        ring.release()
        assert len(ring) <= 16
    assert ring.highest == 55


def test_after_forgetting_nothing_is_left_and_what_is_late_is_dropped() -> None:
    ring = Ring(8)
    ring.begin(Seq(0))
    for seq in (1, 2, 5):
        ring.put(change(seq))
    ring.release()
    assert ring.forget() == [change(5)]
    assert len(ring) == 0
    assert ring.at(0) is Lost.SKIPPED
    ring.put(change(4))
    assert not ring.release()
    assert len(ring) == 0


def test_a_position_that_the_ring_has_gone_past_is_too_slow() -> None:
    ring = Ring(2)
    for seq in (1, 2, 3):
        ring.put(change(seq))
        ring.release()
    assert [ring.at(position) for position in range(4)] == [Lost.TOO_SLOW, change(2), change(3), None]

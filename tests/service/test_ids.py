"""Ids: ULIDs that rise, whatever the clock does."""

import re

from minuted_daemon.service.ids import UlidSource


def test_ulids_rise_even_when_the_clock_goes_back() -> None:
    times = iter([100.0, 100.0, 99.0, 100.001])
    new_id = UlidSource(lambda: next(times), lambda bits: (1 << bits) - 1)
    ids = [new_id() for _ in range(4)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", one) for one in ids)
    assert ids[0][:10] == "00000031N0"

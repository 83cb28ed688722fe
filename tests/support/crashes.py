"""A daemon that died, as the next one finds what it left; used by tests of several packages."""

import copy
from collections.abc import Sequence

from minuted_daemon.core.coverage import Coverage
from minuted_daemon.core.events import Attribution
from minuted_daemon.core.records import SpeakerRecord, TurnRecord
from minuted_daemon.core.samples import seconds
from tests.fakes_service.capture import audio
from tests.fakes_service.diarizer import FakeDiarizer, Spoken
from tests.fakes_service.house import House
from tests.fakes_service.spools import FakeSpool

ROOM: Sequence[Spoken] = (("A", 1.0, 3.0), ("B", 4.0, 14.0))


def room() -> House:
    house = House()
    house.capture.script = audio((1.0, False), (2.0, True), (1.0, False), (10.0, True))
    house.diarizer = FakeDiarizer(ROOM)
    return house


def after_the_death_of(house: House) -> House:
    """A house in which the daemon comes back: what is on the disks is as it was at this moment."""
    back = House()
    back.store, back.spools = copy.deepcopy(house.store), copy.deepcopy(house.spools)
    back.configured = house.configured
    back.capture.script = audio((1.0, False))
    return back


def told(house: House) -> list[tuple[float, float, str, Attribution]]:
    """Each stored turn, and whose it is."""
    labels = {record.id: record.label for record in people(house)}
    return [
        (
            round(seconds(turn.start), 1),
            round(seconds(turn.end), 1),
            labels[turn.speaker_id] if turn.speaker_id is not None else "?",
            turn.attribution,
        )
        for turn in turns(house)
    ]


def turns(house: House) -> list[TurnRecord]:
    return house.store.turns_known


def people(house: House) -> list[SpeakerRecord]:
    return house.store.speakers_known


def spool_of(made: House) -> FakeSpool:
    (spool,) = made.spools.spools.values()
    return spool


def remove(spool: FakeSpool, start: int, end: int) -> None:
    """As a restart finds a spool whose disk has lost [start, end)."""
    spool.lose(start, end)


async def covered(made: House) -> Coverage:
    view = await made.registry.view_with_coverage("room")
    assert view.coverage is not None
    assert view.coverage.total == view.heard
    return view.coverage

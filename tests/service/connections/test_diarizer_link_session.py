"""A whole session over a diarizer whose connections have a limit, in virtual time."""

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import Attribution
from minuted_daemon.core.records import SpeakerRecord
from minuted_daemon.errors import Unavailable
from minuted_daemon.ports.engines import DiarizerCapabilities
from tests.fakes_service.capture import audio
from tests.fakes_service.diarizer import FakeDiarizerStream
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time

LIFETIME_S = 60.0  # renewed 15 s before, relieved 3.75 s before
TURNS = 60
TRUTH = [("ABC"[n % 3], 3.0 * n, 3.0 * n + 2.4) for n in range(TURNS)]


def house() -> House:
    made = House()
    made.capture.script = audio(*(stretch for _ in TRUTH for stretch in ((2.4, True), (0.6, False))))
    made.diarizer.script = TRUTH
    made.diarizer.capabilities = DiarizerCapabilities("strict", 0.3, LIFETIME_S)
    made.diarizer.strict = True
    made.diarizer.label = lambda stream, who: f"SPEAKER_0{('ABC'.index(who) + stream) % 3}"
    return made


def who_is_who(made: House) -> dict[str, set[str]]:
    """The speakers that each person was taken for."""
    found: dict[str, set[str]] = {}
    stored = (record for transaction in made.store.transactions for record in transaction)
    labels = {record.id: record.label for record in stored if isinstance(record, SpeakerRecord)}
    for turn in made.store.turns_known:
        who = "ABC"[round(turn.start / 16000 / 3) % 3]
        found.setdefault(who, set()).add(labels[turn.speaker_id] if turn.speaker_id else "?")
    return found


@virtual_time
async def test_speakers_keep_their_names_over_many_connections() -> None:
    made = house()
    async with made.open():
        await made.run_file()
    assert len(made.diarizer.streams) >= 4
    assert all(stream.broken is None for stream in made.diarizer.streams)
    assert who_is_who(made) == {"A": {"S1"}, "B": {"S2"}, "C": {"S3"}}
    assert len(made.store.turns_known) == TURNS
    assert {turn.attribution for turn in made.store.turns_known} == {Attribution.DIARIZED}


@virtual_time
async def test_a_connection_that_breaks_while_another_stands_by_costs_nothing() -> None:
    made = house()
    breaking = made.diarizer.open

    async def opening() -> FakeDiarizerStream:
        stream = await breaking()
        if len(made.diarizer.streams) == 2:
            sending = stream.send

            async def send(pcm: NDArray[np.int16]) -> None:
                if stream.sent > 8 * 16000:
                    made.diarizer.streams[0].break_now(Unavailable("CLOSED_1011", "server error"))
                await sending(pcm)

            stream.send = send  # type: ignore[method-assign]
        return stream

    made.diarizer.open = opening  # type: ignore[method-assign]
    async with made.open():
        await made.run_file()
    assert made.diarizer.streams[0].broken is not None
    assert who_is_who(made) == {"A": {"S1"}, "B": {"S2"}, "C": {"S3"}}
    assert len(made.store.turns_known) == TURNS

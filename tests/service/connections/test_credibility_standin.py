"""Events that are written otherwise, over the stand-in of the vendor: real sockets, real audio, both at once."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from minuted_daemon.adapters.pyannote.engine import PyannoteDiarizer
from minuted_daemon.core.records import Health
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.service.views import StartRequest
from tests.fakes.meeting import RATE_HZ, Meeting, Segment, meeting_of, render
from tests.fakes.pyannote_server import PyannoteStandIn
from tests.fakes.pyannote_stream import Knobs
from tests.fakes_service.house import House

LENGTH_S = 36.0
EVERY_S, PAUSES_S = 1.3, (0.25, 0.4, 0.3, 0.5, 0.35)


def relay() -> Meeting:
    segments, at_s = [], 0.6
    while at_s < LENGTH_S - 2:
        n = len(segments)
        end_s = at_s + EVERY_S + 0.37 * (n % 3)
        segments.append(Segment(("ada", "ben")[n % 2], round(at_s * RATE_HZ), round(end_s * RATE_HZ)))
        at_s = end_s + PAUSES_S[n % 5]
    return meeting_of("relay", segments, round(LENGTH_S * RATE_HZ))


async def heard(dialect: str, script: Sequence[Mapping[str, Any]] = ()) -> tuple[House, list[tuple[Health, str]]]:
    """Hear the meeting; give what came of it, and how the diarizer's link was."""
    meeting = relay()
    pcm, wide = render(meeting), render(meeting, 24_000)
    made, seen = House(), list[tuple[Health, str]]()
    made.capture.script = [
        AudioBlock(pcm[n * 1600 : (n + 1) * 1600], wide[n * 2400 : (n + 1) * 2400], 0.0)
        for n in range(round(LENGTH_S * 10))
    ]
    standin = PyannoteStandIn([meeting], Knobs(dialect=dialect), script)
    async with standin.running():
        made.diarizer = PyannoteDiarizer(standin.base_url, "k", 18_000)  # type: ignore[assignment]
        async with made.open() as registry:
            view = await registry.start(StartRequest("relay", device="file:/x.wav"))
            while (links := (await registry.view(view.record.id)).links) is not None:
                if not seen or seen[-1] != (links.diarizer.health, links.diarizer.reason):
                    seen.append((links.diarizer.health, links.diarizer.reason))
                await asyncio.sleep(0.1)
            await made.ended(view.record.id)
        await made.diarizer.close()
    return made, seen


def called(made: House, from_s: float) -> list[int]:
    """For ada and for ben: under how many names they spoke, UNKNOWN among them, from a second on."""
    names: dict[str, set[str | None]] = {}
    for turn in made.store.turns_known:
        if turn.start >= from_s * RATE_HZ:
            (who,) = relay().active_at((turn.start + turn.end) // 2) or ["nobody"]
            names.setdefault(who, set()).add(turn.speaker_id)
    return [len(names[who]) for who in ("ada", "ben")]


@pytest.mark.e2e
@pytest.mark.timeout(90)
async def test_milliseconds_are_understood_and_a_connection_that_went_mad_is_replaced() -> None:
    mad = [{"at": "stream", "do": "dialect", "nth": 1, "name": "renamed"}]
    async with asyncio.TaskGroup() as group:
        converted = group.create_task(heard("milliseconds"))
        replaced = group.create_task(heard("plain", mad))
    made, seen = converted.result()
    assert seen[-1] == (Health.UP, "TIMES_CONVERTED")
    assert Health.DOWN not in {health for health, _ in seen}
    assert called(made, 1.0) == [1, 1], "from the first word on"
    made, seen = replaced.result()
    assert (Health.DOWN, "EVENTS_GARBLED") in seen
    assert seen[-1] == (Health.UP, "")
    assert called(made, LENGTH_S - 5) == [1, 1]

"""Who is recognised by voice, over the stand-in of the vendor: real sockets, real closes, labels that start anew."""

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from minuted_daemon.adapters.pyannote.engine import PyannoteDiarizer
from minuted_daemon.core.records import TurnRecord
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.service.views import StartRequest
from tests.fakes.meeting import RATE_HZ, Meeting, Segment, meeting_of, render
from tests.fakes.pyannote_server import PyannoteStandIn
from tests.fakes_service.house import House

SAID = (
    ("ada", 1.0, 5.0), ("ben", 5.3, 9.0),
    ("ben", 11.5, 15.0), ("ada", 15.2, 18.0),
    ("eve", 20.5, 23.0), ("ada", 23.2, 26.0),
)  # fmt: skip
BREAKS_S = (9.3, 18.5)
LENGTH_S = 27.0


class PrinterThatKnows:
    """Finds speech in the meeting it is from, and so whose it is."""

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._sound = render(meeting)

    async def print(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        await asyncio.sleep(0.05)
        at = self._sound.tobytes().find(pcm[:200].tobytes()) // 2
        assert at > 0
        (speaker,) = self._meeting.active_at(at)
        return np.asarray(np.eye(8, dtype=np.float32)[self._meeting.speakers.index(speaker)])

    async def close(self) -> None:
        pass


@pytest.mark.e2e
@pytest.mark.timeout(90)
async def test_after_two_breaks_everybody_still_has_one_name() -> None:
    segments = [Segment(who, round(start * RATE_HZ), round(end * RATE_HZ)) for who, start, end in SAID]
    meeting = meeting_of("reunion", segments, round(LENGTH_S * RATE_HZ))
    pcm, wide = render(meeting), render(meeting, 24_000)
    made = House()
    made.capture.script = [
        AudioBlock(pcm[n * 1600 : (n + 1) * 1600], wide[n * 2400 : (n + 1) * 2400], 0.0)
        for n in range(round(LENGTH_S * 10))
    ]
    made.voice_printer = PrinterThatKnows(meeting)
    standin = PyannoteStandIn([meeting])
    async with standin.running():
        made.diarizer = PyannoteDiarizer(standin.base_url, "k", 18_000)  # type: ignore[assignment]
        async with made.open() as registry:
            view = await registry.start(StartRequest("reunion", device="file:/x.wav"))
            for break_s, before_s in zip(BREAKS_S, (0.0, *BREAKS_S), strict=False):
                await asyncio.sleep(break_s - before_s)
                standin.control({"break": {"do": "close", "code": 1011}})
            await made.ended(view.record.id)
        await made.diarizer.close()
    assert standin.counts["connection"] == len(BREAKS_S) + 1
    speakers: dict[str, set[str | None]] = {}
    for turn in made.store.turns_known:
        speakers.setdefault(who_says(meeting, turn), set()).add(turn.speaker_id)
    assert {who: len(ids) for who, ids in speakers.items()} == {"ada": 1, "ben": 1, "eve": 1}
    assert len(set.union(*speakers.values())) == 3


def who_says(meeting: Meeting, turn: TurnRecord) -> str:
    (speaker,) = meeting.active_at((turn.start + turn.end) // 2)
    return speaker

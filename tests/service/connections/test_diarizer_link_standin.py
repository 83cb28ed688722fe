"""Planned change-overs over the stand-in of the vendor: real sockets, a limit, labels that start anew."""

import pytest

from minuted_daemon.adapters.pyannote.engine import PyannoteDiarizer
from minuted_daemon.core.events import Attribution
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.service.views import StartRequest
from tests.fakes.meeting import RATE_HZ, Segment, meeting_of, render
from tests.fakes.pyannote_server import PyannoteStandIn
from tests.fakes_service.house import House

LIFETIME_S = 20.0  # renewed 5 s before, relieved 1.25 s before
LENGTH_S = 44.0
EVERY_S = 1.6


@pytest.mark.e2e
@pytest.mark.timeout(90)
async def test_over_two_change_overs_everybody_keeps_one_name() -> None:
    starts_s = [0.5 + EVERY_S * n for n in range(int((LENGTH_S - 2.0) / EVERY_S))]
    segments = [
        Segment(("ada", "ben")[n % 2], round(start_s * RATE_HZ), round((start_s + EVERY_S - 0.2) * RATE_HZ))
        for n, start_s in enumerate(starts_s)
    ]
    meeting = meeting_of("relay", segments, round(LENGTH_S * RATE_HZ))
    pcm, wide = render(meeting), render(meeting, 24_000)
    made = House()
    made.capture.script = [
        AudioBlock(pcm[n * 1600 : (n + 1) * 1600], wide[n * 2400 : (n + 1) * 2400], 0.0)
        for n in range(round(LENGTH_S * 10))
    ]
    standin = PyannoteStandIn([meeting])
    standin.knobs.max_stream_s = LIFETIME_S
    async with standin.running():
        made.diarizer = PyannoteDiarizer(standin.base_url, "k", LIFETIME_S)  # type: ignore[assignment]
        async with made.open() as registry:
            view = await registry.start(StartRequest("relay", device="file:/x.wav"))
            await made.ended(view.record.id)
        await made.diarizer.close()
    assert standin.counts["connection"] == 3
    called: dict[str, set[str | None]] = {}
    for turn in made.store.turns_known:
        (who,) = meeting.active_at((turn.start + turn.end) // 2)
        called.setdefault(who, set()).add(turn.speaker_id)
    assert {who: len(ids) for who, ids in called.items()} == {"ada": 1, "ben": 1}
    assert called["ada"] != called["ben"]
    assert len(made.store.turns_known) == len(segments)
    assert {turn.attribution for turn in made.store.turns_known} == {Attribution.DIARIZED}

"""Both vendors end every connection soon: no word is lost or doubled, and everybody stays who they are.

`make bench-rollover` is the same for five minutes of three meetings.
"""

import pytest

from tests.bench.live_joins import joins, spans
from tests.bench.rollover import run
from tests.fakes.meeting import load_meeting

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SESSION_S, STREAM_S = 20.0, 32.0


async def test_everybody_keeps_the_identity_and_no_word_is_lost() -> None:
    """Two streams overlap for 6 s here: whoever is silent in it may come back under another label."""
    room = load_meeting("IB4010", 2634.5, 64)
    outcome = await run([room], SESSION_S, STREAM_S)
    (played,) = outcome.played
    ours, joined = played.score, joins(played, outcome.pyannote)
    assert (ours.words_lost, ours.words_repeated, ours.words_foreign) == (0, 0, 0)
    assert outcome.breaches == []
    assert len(spans(room, outcome.pyannote)) >= 3
    assert len(outcome.openai["connections"]) >= 4
    assert (joined.wrong, joined.lost) == ([], [])
    assert joined.kept
    assert ours.unknown == 0
    assert ours.right_merged >= played.best.right - 0.02

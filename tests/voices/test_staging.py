"""The staging of a script with voices that are only noise: places, loudness, and that nothing is left to chance."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fakes.meeting import RATE_HZ, seed_of
from tests.voices.dialogue import Script, parse_script
from tests.voices.staging import GRAIN, PAUSE_S, SPEAKER_DB, Placed, place, stage

HEAD = "title: A talk\nroom: {room}\nnoise_db: -60\nvoices: Ada=a Ben=b Cleo=c\n\n"
BODY = """
Ada: One two three four five six.
+ Ben: Seven eight nine ten.
Cleo: Eleven twelve thirteen fourteen fifteen sixteen seventeen.
~ Ada: Right.
Ben: Eighteen nineteen.
Ben: Twenty.
_ Ada: Thirty forty fifty.
+ Cleo: Sixty.
"""


def script(room: str = "dry", body: str = BODY) -> Script:
    return parse_script("X1", HEAD.format(room=room) + body)


def say(text: str, voice: str, pace: float) -> NDArray[np.float32]:
    """Noise, a quarter of a second a word; louder than any meeting."""
    draws = np.random.default_rng(seed_of(text, voice))
    return (draws.standard_normal(round(len(text.split()) * 0.25 * RATE_HZ / pace)) * 0.3).astype(np.float32)


def placed(body: str = BODY) -> list[Placed]:
    lines = script(body=body).lines
    return place(script(body=body), [len(line.text.split()) * RATE_HZ // 4 for line in lines])


def test_each_line_begins_when_its_sign_says() -> None:
    one, two, three, within, after, again, later, over = placed()
    assert one.start < two.start < one.end < two.end
    assert three.start > two.end
    assert three.start < within.start < three.end
    assert after.start > three.end
    assert again.start > after.end
    assert later.start - again.end >= PAUSE_S[0] * RATE_HZ
    assert later.start < over.start < later.end


def test_nobody_speaks_twice_at_once() -> None:
    own = placed("Ada: One two three four.\n+ Ben: Five.\n~ Ada: Six seven.\n~ Ada: Eight nine.\n~ Ada: Ten.\n")
    spans = sorted((p.start, p.end) for p in own if p.line.speaker == "Ada")
    assert all(first[1] < second[0] for first, second in pairwise(spans))


def test_another_word_in_one_line_leaves_the_draws_of_the_others_alone() -> None:
    was, now = placed(), placed(BODY.replace("Eighteen", "Eighteen and"))
    assert [p.start for p in was[:5]] == [p.start for p in now[:5]]
    assert {p.start - q.start for p, q in zip(now[5:], was[5:], strict=True)} == {RATE_HZ // 4}


@pytest.mark.parametrize("room", ["dry", "small", "live"])
def test_the_truth_is_where_the_sound_is(room: str) -> None:
    pcm, told = stage(script(room), say)
    assert pcm.dtype == np.int16
    assert [p.start for p in told] == sorted(p.start for p in told)
    silent = np.ones(len(pcm), dtype=bool)
    for p in told:
        # On the last line of each room the echo outlives the truth.
        silent[p.start : p.end + (0 if room == "dry" else RATE_HZ // 2)] = False
    loudness_db = [20 * np.log10(np.std(pcm[p.start : p.end]) / 32_768) for p in told]
    assert -22 + SPEAKER_DB[0] - 3 < min(loudness_db) <= max(loudness_db) < -22 + 5
    assert 20 * np.log10(np.std(pcm[silent]) / 32_768) == pytest.approx(-60, abs=1.0)


def test_the_same_script_gives_the_same_meeting_and_another_name_another_one() -> None:
    first, second = stage(script(), say), stage(script(), say)
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]
    other = parse_script("X2", HEAD.format(room="dry") + BODY)
    assert [p.start for p in stage(other, say)[1]] != [p.start for p in first[1]]


def test_the_sound_is_as_coarse_as_promised_and_never_clips() -> None:
    pcm, _ = stage(script(), lambda text, voice, pace: say(text, voice, pace) ** 7)
    assert not np.any(pcm % GRAIN)
    assert np.abs(pcm.astype(int)).max() < 32_767

"""Captions on a terminal of few rows: the newest words are what is seen."""

import io

import pytest
from google.protobuf.duration_pb2 import Duration
from rich.console import Console

from minutectl.captions import Captions, share_rows
from minuted import StreamTurnsResponse, Turn


def growing(number: int, words: int) -> StreamTurnsResponse:
    turn = Turn(id=f"T{number}", state=1, attribution=1, text=" ".join(f"{number}w{i}" for i in range(words)))
    turn.start_offset.CopyFrom(Duration(seconds=number))
    turn.speaker.label = f"S{number}"
    turn.speaker.id = f"P{number}"
    return StreamTurnsResponse(turn=turn)


def screen(width: int, height: int, *events: StreamTurnsResponse, notice: str = "") -> list[str]:
    """Return the rows that stand on the screen in the end."""
    written = io.StringIO()
    console = Console(
        file=written, width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False
    )
    with Captions(console, with_session=False) as captions:
        for event in events:
            captions.show(event)
        if notice:
            captions.interrupted(notice)
        written.seek(0)
        written.truncate()
        captions.show(StreamTurnsResponse()) if not notice else captions.interrupted(notice)
        text = written.getvalue()
    rows = text.rpartition("\x1b[2K")[2].split("\n")
    assert len(rows) <= height
    return [row.rstrip() for row in rows]


@pytest.mark.parametrize(("width", "height"), [(40, 8), (40, 4), (40, 3), (40, 2), (40, 1), (20, 5), (120, 1)])
@pytest.mark.parametrize("words", [1, 20, 150])
def test_the_newest_words_of_a_growing_turn_are_seen(width: int, height: int, words: int) -> None:
    rows = screen(width, height, growing(1, words))
    assert rows[-1].endswith(f"1w{words - 1}")
    if len(rows) > 3:
        assert rows[0].startswith("00:01.0  S1")


def test_what_fits_is_shown_as_a_whole() -> None:
    rows = screen(40, 8, growing(1, 3), growing(2, 3))
    assert rows == ["00:01.0  S1  1w0 1w1 1w2", "00:02.0  S2  2w0 2w1 2w2"]


def test_two_who_speak_at_once_are_both_seen() -> None:
    text = "\n".join(screen(40, 8, growing(1, 150), growing(2, 60), growing(3, 2)))
    assert "1w149" in text
    assert "2w59" in text
    assert "00:03.0  S3  3w0 3w1" in text


def test_of_more_captions_than_rows_the_last_are_seen() -> None:
    rows = screen(40, 2, *(growing(number, 40) for number in range(1, 6)))
    assert [row.rpartition(" ")[2] for row in rows] == ["4w39", "5w39"]


def test_a_notice_is_seen() -> None:
    assert screen(30, 2, growing(1, 90), notice="lost minuted; trying again")[-1] == "lost minuted; trying again"


@pytest.mark.parametrize(
    ("wanted", "height", "given"),
    [
        ([], 5, []),
        ([2, 3], 5, [2, 3]),
        ([9, 1], 5, [4, 1]),
        ([9, 9], 5, [2, 3]),
        ([9, 9, 9], 2, [0, 1, 1]),
        ([1, 9, 2, 9], 8, [1, 2, 2, 3]),
    ],
)
def test_rows_are_shared(wanted: list[int], height: int, given: list[int]) -> None:
    assert share_rows(wanted, height) == given

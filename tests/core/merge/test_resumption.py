"""A merge that goes on after the daemon was away: what is stored is not made again, what is not stored is."""

import pytest

from minuted_daemon.core.events import (
    Attribution,
    Epoch,
    EpochOpened,
    SpeakerEnded,
    SpeakerStarted,
    TranscriberReady,
    TurnSettled,
    TurnState,
)
from minuted_daemon.core.merge.merger import Merger, MergeSettings, Resumption
from minuted_daemon.core.samples import BLOCK, Sample
from tests.support.merge_meeting import Meeting
from tests.support.merge_room import Room, s


def told_of(room: Room, meeting: Meeting, lag_s: float = 0.3) -> None:
    for who, start, end in meeting.segments:
        room.speaks(who, start, end, lag_s)


def stored_by(room: Room, at: int) -> list[TurnState]:
    return [output.turn for now, output in room.outputs if now <= at and isinstance(output, TurnSettled)]


@pytest.mark.parametrize("seed", range(24))
def test_every_word_is_told_once_over_a_crash(seed: int) -> None:
    meeting = Meeting(seed, length_s=40)
    died, back = s(14.0 + seed / 2), s(20.0 + seed / 2)
    before = Room(meeting.words, meeting.length_s)
    told_of(before, meeting)
    before.run()
    stored = stored_by(before, died)
    past = sorted((turn.start, turn.end) for turn in stored)
    generation = max((utterance for utterance in before.commits if before.commits[utterance] <= died), default=0)

    begin = Sample(max(0, died - s(30)) // BLOCK * BLOCK)
    # The daemon heard nothing while it was away.
    heard = [word for word in meeting.words if word.end <= died or word.start >= back]
    room = Room(heard, meeting.length_s, diarized=False)
    speakers = {turn.speaker for turn in stored if turn.speaker is not None}
    room.merger = Merger(MergeSettings(), Resumption(begin, past, len(speakers), generation))
    room.now = begin
    while room.now < back:
        room.step(BLOCK, audio=True)
    room.merger.feed(TranscriberReady())
    room.merger.feed(EpochOpened(Epoch(2), Sample(back)))
    for who, start, end in meeting.segments:
        if start >= back / 16_000:
            room.tell(s(start + 0.3), SpeakerStarted(who, s(start) - back), epoch=2)
            room.tell(s(end + 0.3), SpeakerEnded(who, s(end) - back), epoch=2)
    room.run_on()

    words = [word for turn in [*stored, *room.finals] for word in turn.text.split()]
    assert len(words) == len(set(words)), "told twice"
    # What was stored, and let go of before the crash, is not to be heard again.
    kept = {word.text for word in heard if word.start >= begin or word.text in words}
    lost = kept - set(words)
    assert not lost
    new = {turn.speaker for turn in room.finals if turn.attribution is Attribution.DIARIZED}
    assert not new & speakers, "labels of another epoch are somebody else's until it is shown that they are not"

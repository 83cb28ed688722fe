"""What cutting turns and revising them share: the voice activity, the way to the transcriber, and the commits so far.

Decisions are made by those who hold it (turn_cutter.py, reviser.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from minuted_daemon.core.transcription.commit_ranges import CommitRanges
from minuted_daemon.core.transcription.queue import TranscriptionQueue
from minuted_daemon.core.voice.activity import VoiceTrack


@dataclass(frozen=True, slots=True)
class MergeContext:
    """`numbers` of turns rise over the whole session. `join_gap`: the longest pause inside a turn, in samples."""

    track: VoiceTrack
    transcription: TranscriptionQueue
    commits: CommitRanges
    numbers: Iterator[int]
    join_gap: int

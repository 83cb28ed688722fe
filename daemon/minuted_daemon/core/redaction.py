"""What a redaction leaves of a turn. Pure; which turns it meets, and how it is stored, is decided elsewhere."""

from dataclasses import replace

from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import TurnLife, TurnRecord
from minuted_daemon.core.samples import Sample, seconds


def redacted(turn: TurnRecord, start: Sample, end: Sample) -> TurnRecord:
    """Return the turn without what was said in [start, end); one that does not touch the stretch comes back as it is.

    Where in a turn a word lies is not known, so a turn that touches the stretch loses all its words. One that lies
    inside is retracted; one that reaches out keeps its speaker, and the longer of the parts outside (the first of two
    equal ones).
    """
    if turn.end <= start or turn.start >= end:
        return turn
    wordless = replace(
        turn, text="", text_source=TextSource.NONE, generation=None, overlapping=(), suspect=None, evidence=None
    )
    before, after = start - turn.start, turn.end - end
    if turn.life is TurnLife.RETRACTED or max(before, after) <= 0:
        return replace(wordless, life=TurnLife.RETRACTED, speaker_id=None, attribution=Attribution.UNKNOWN)
    if before >= after:
        return replace(wordless, end=start)
    return replace(wordless, start=end, start_wall_s=turn.start_wall_s + seconds(end - turn.start))

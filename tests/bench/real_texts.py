"""What people really say, as turns with their timing: to see that none of it is taken for invented.

The turn-taking is AMI's (tests/timelines), which tell when somebody speaks and not what. The words are those of the
offline meetings (tests/voices), and of this table where a turn is short: people say these all day.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice
from pathlib import Path

from minuted_daemon.core.events import Evidence
from minuted_daemon.core.samples import RATE_HZ
from minuted_daemon.core.suspicion.judge import Said
from tests.fakes.meeting import TIMELINES, Meeting, Segment, load_meeting

TESTS = Path(__file__).resolve().parent.parent
BRIEF, BRIEF_S = ("Mm.", "Yeah.", "Uh.", "No.", "Okay.", "Hm."), 0.25
"""All that anybody says in so short a time."""
SHORT: dict[int, Sequence[str]] = {
    1: ("Yeah.", "Okay.", "Mm-hmm.", "Mm.", "Right.", "Yes.", "No.", "Thanks.", "Bye.", "Hmm.", "So.", "You?", "Um."),
    2: ("Thank you.", "Oh yeah.", "Yes, yes.", "I see.", "Okay, bye.", "No, no.", "Seventeen pounds.", "Bye bye."),
    3: ("Yes, yes, yes.", "I don't know.", "Thank you, bye.", "Yeah, yeah, yeah.", "Bye bye, thanks.", "You do it."),
    4: ("No, no, no, no.", "Thank you very much.", "Thank you. Thank you.", "Yeah, I think so.", "See you next time."),
    5: ("Thank you, thank you so much.", "Yeah, yeah, yeah, yeah, yeah.", "Good morning, how are you?"),
    6: ("No, no, no, no, no, no.", "Thank you all for your attention.", "Thanks for watching our little demo."),
}


def meetings() -> list[Meeting]:
    """The six of AMI."""
    return [load_meeting(path.stem) for path in sorted(TIMELINES.glob("*.rttm"))]


def utterances() -> list[list[Said]]:
    """The offline meetings: each line as it was spoken, by start; half of its time is taken to be silence."""
    told = []
    for path in [*sorted((TESTS / "voices" / "meetings").glob("*.json")), TESTS / "audio" / "standup.json"]:
        lines = json.loads(path.read_text(encoding="utf-8"))["segments"]
        told.append([_said(one["text"], one["start"], one["end"], one["speaker"]) for one in lines])
    return told


def words() -> Iterator[str]:
    """What is said in the offline meetings, word by word, over and over."""
    return cycle([word for lines in utterances() for said in lines for word in said.text.split()])


def spoken_by(meeting: Meeting, segment: Segment, stream: Iterator[str], turn: int) -> list[str]:
    """Return a text for each word of a segment: such as people say in short, else the next of the stream."""
    places = [word for word in meeting.words_between(segment.start, segment.end) if word.speaker == segment.speaker]
    if segment.end - segment.start < BRIEF_S * RATE_HZ:
        return [BRIEF[turn % len(BRIEF)]]
    if len(places) in SHORT:
        return SHORT[len(places)][turn % len(SHORT[len(places)])].split()
    return list(islice(stream, len(places)))


def segments(meeting: Meeting) -> list[Said]:
    """Each segment of a meeting as a turn; what energy finds of it is the vowels of its words."""
    stream, numbers = words(), count()
    turns = []
    for segment in meeting.segments:
        own = [word for word in meeting.words_between(segment.start, segment.end) if word.speaker == segment.speaker]
        text = " ".join(spoken_by(meeting, segment, stream, next(numbers)))
        spoken = sum(word.end - word.start for word in own) // 2
        evidence = Evidence(spoken, spoken)
        turns.append(Said(text, segment.start, segment.end - segment.start, evidence, True, segment.speaker))
    return turns


def _said(text: str, start_s: float, end_s: float, speaker: str) -> Said:
    start, end = round(start_s * RATE_HZ), round(end_s * RATE_HZ)
    return Said(text, start, end - start, Evidence((end - start) // 2, (end - start) // 2), True, speaker)

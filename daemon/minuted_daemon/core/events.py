"""What goes into the merge and what comes out of it, as plain data. Behaviour belongs elsewhere.

Events are in the past tense, commands imperative. Positions are samples on the session's clock unless said otherwise.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.samples import Sample

Epoch = NewType("Epoch", int)
"""One connection to a diarizer. Labels mean nothing in another epoch."""

TurnNumber = NewType("TurnNumber", int)
"""A turn within its session, in order of creation. The service gives it its public id."""

UtteranceId = NewType("UtteranceId", int)
"""One attempt to have one stretch of audio transcribed: a generation. Strictly rising in a session."""

SpeakerNumber = NewType("SpeakerNumber", int)
"""A speaker within a session, 1 for S1, in order of their first turn."""


class Attribution(Enum):
    """How a turn came by its speaker."""

    DIARIZED = "diarized"
    INFERRED = "inferred"
    UNKNOWN = "unknown"


class TextSource(Enum):
    """How a turn came by its text."""

    COMPLETED = "completed"
    PROVISIONAL = "provisional"
    NONE = "none"


class SuspectReason(Enum):
    """Why a text looks invented; the first that holds."""

    BOILERPLATE = "boilerplate"  # a line of subtitles that transcribers know by heart
    NO_SPEECH = "no_speech"  # no speech in its audio, or far too little for so many words
    REPETITION = "repetition"  # one word or phrase on end, more often than people say it
    TOO_FAST = "too_fast"  # more words than anybody says in that time
    CUMULATIVE = "cumulative"  # the text before it again, and more


# --- from the diarizer: positions are samples since the start of the epoch's stream -----------------------------------


@dataclass(frozen=True, slots=True)
class SpeakerStarted:
    """A label began to speak."""

    label: str
    at: int


@dataclass(frozen=True, slots=True)
class SpeakerEnded:
    """A label stopped speaking."""

    label: str
    at: int


@dataclass(frozen=True, slots=True)
class SpeakerRelabelled:
    """The diarizer changed its mind: what `old` said in [start, end) was said by `new`."""

    old: str
    new: str
    start: int
    end: int


DiarizerEvent = SpeakerStarted | SpeakerEnded | SpeakerRelabelled


@dataclass(frozen=True, slots=True)
class MessageUnusable:
    """The diarizer sent what is no event, or lacks what an event has.

    `kind` says in a few words what it was: names of types and fields, and nothing else of what was sent. `is_event`: it
    was to be an event; anything else may be what the protocol will have one day.
    """

    kind: str
    is_event: bool = False


DiarizerNews = DiarizerEvent | MessageUnusable
"""What a diarizer's stream gives. Times are unchecked: whether they can be right is checked by event_check.py."""


# --- about the diarizer's connection: positions on the session's clock ------------------------------------------------


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """A new connection hears everything from `base` on; `base` is sample 0 of its stream.

    While another epoch is open, the new one is on standby: its events are only evidence of who is who.
    """

    epoch: Epoch
    base: Sample


@dataclass(frozen=True, slots=True)
class EpochTookOver:
    """From `at` on the standby epoch is authoritative; events of the one before count up to there.

    Not needed if that one is closed: then the standby epoch takes over where it stopped.
    """

    epoch: Epoch
    at: Sample


@dataclass(frozen=True, slots=True)
class EpochClosed:
    """A connection is gone; the last sample it heard lies before `heard_to`."""

    epoch: Epoch
    heard_to: Sample


# --- about what is to be forgotten ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redacted:
    """Speech in [start, end) is redacted; all of it lies in the past."""

    start: Sample
    end: Sample


# --- about who is who -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpeakersMatched:
    """Two speakers are one person by their voices: all turns of `newer` become `older`'s.

    Changes nothing if both have a label in one epoch (its diarizer told them apart), or if either is unknown.
    """

    newer: SpeakerNumber
    older: SpeakerNumber


# --- from the transcriber ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextGrew:
    """More text of an utterance, to be put after the text before (`text` holds only what is new).

    `replaces` is true when `text` is the whole partial text so far (a transcriber that decodes again each time).
    """

    utterance: UtteranceId
    text: str
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class TextCompleted:
    """The final text of a committed utterance. May be empty."""

    utterance: UtteranceId
    text: str


@dataclass(frozen=True, slots=True)
class TextFailed:
    """The transcriber gave up on a committed utterance; the connection goes on. `reason` is UPPER_SNAKE."""

    utterance: UtteranceId
    reason: str


TranscriberEvent = TextGrew | TextCompleted | TextFailed


@dataclass(frozen=True, slots=True)
class TranscriberReady:
    """A fresh connection accepts audio; its buffer is empty and no answer is due.

    `makes_up`, here and below: not the connection for live speech, but the one beside it that catches up after outages.
    `repeats`: asked again about the same audio, the transcriber gives the same text.
    """

    makes_up: bool = False
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class TranscriberLost:
    """The connection is gone, and with it all audio that was sent and not answered."""

    makes_up: bool = False


@dataclass(frozen=True, slots=True)
class AudioShed:
    """Audio before this position is no longer retained, though it may not have been transcribed."""

    before: Sample


@dataclass(frozen=True, slots=True)
class TranscriberRefused:
    """The transcriber refuses for now: turns wait for their text until TranscriberReady, and are shown without it.

    If only the connection for catching up is refused (`makes_up`), the first one serves both until then.
    """

    makes_up: bool = False


# --- from capture -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpeechJudged:
    """Verdicts on frames that were observed by now: one a frame from `start` on, speech.Verdict as uint8."""

    start: Sample
    verdicts: NDArray[np.uint8]
    by_model: bool = False


@dataclass(frozen=True, slots=True)
class VoiceObserved:
    """The voice activity of the audio after the last observation: one entry for each 10 ms frame.

    voiced: bool, shape (frames,). level_db: float32, shape (frames,), dB relative to full scale. judged: what a model
    (or energy, where there is none) says meanwhile of this and of earlier observations; None: voice is all that is
    known, and taken for speech.
    """

    start: Sample
    voiced: NDArray[np.bool_]
    level_db: NDArray[np.float32]
    judged: SpeechJudged | None = None


# --- commands to the transcriber --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    """Send the retained audio of [start, end) as part of an utterance. Ranges of one utterance rise.

    At most one utterance is under way on each connection (`makes_up`: the one for catching up).
    """

    utterance: UtteranceId
    start: Sample
    end: Sample
    makes_up: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """The utterance is complete: put `pad` samples (at 16 kHz) of digital silence after it and ask for its text."""

    utterance: UtteranceId
    pad: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget what was sent of an utterance that has not been committed."""

    utterance: UtteranceId


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another speaker who spoke during a turn, and for how many samples."""

    speaker: SpeakerNumber
    duration: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What voice activity heard in a turn's audio, in samples.

    spoken: speech, as the best judge says. voiced: sound that energy takes for voice, whatever it is.
    """

    spoken: int
    voiced: int


@dataclass(frozen=True, slots=True)
class TurnState:
    """A turn as it is now. `speaker` is None where attribution is UNKNOWN, `evidence` where it was not noted."""

    number: TurnNumber
    start: Sample
    end: Sample
    speaker: SpeakerNumber | None
    attribution: Attribution
    text: str
    text_source: TextSource
    overlapping: tuple[Overlap, ...] = ()
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class TurnGrew:
    """A partial changed; show it in place of the one before."""

    turn: TurnState


@dataclass(frozen=True, slots=True)
class TurnSettled:
    """A turn is final for the first time. `generation` is the utterance whose text counts, None without one."""

    turn: TurnState
    generation: UtteranceId | None


@dataclass(frozen=True, slots=True)
class TurnRevised:
    """A final turn changed."""

    turn: TurnState
    generation: UtteranceId | None


@dataclass(frozen=True, slots=True)
class TurnRetracted:
    """A turn no longer exists. `was_final`: it had been settled."""

    number: TurnNumber
    was_final: bool


@dataclass(frozen=True, slots=True)
class WordsMissing:
    """A diarized speaker claims [start, end), and the transcriber found no word in it, twice: it is no turn."""

    start: Sample
    end: Sample


@dataclass(frozen=True, slots=True)
class TranscriberFaltered:
    """The transcriber fails at every utterance. Until it answers one, only trials are sent, one at a time.

    `reason`: the vendor's own, UPPER_SNAKE. `failures`: how many failed so far.
    """

    reason: str
    failures: int


@dataclass(frozen=True, slots=True)
class TranscriberRecovered:
    """It answers again. `failures`: how many utterances had failed; `waiting`: the turns that waited for that."""

    failures: int
    waiting: int


MergeOutput = (
    Append
    | Commit
    | Clear
    | TurnGrew
    | TurnSettled
    | TurnRevised
    | TurnRetracted
    | WordsMissing
    | TranscriberFaltered
    | TranscriberRecovered
)


Command = Append | Commit | Clear

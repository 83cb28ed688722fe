"""Notes beside the audio what the diarizer said and which speakers it meant, so that a crash costs no names.

What is made of the notes after a crash is replay.py's.
"""

from minuted_daemon.core.diarization.epochs import Names, OpenEpoch
from minuted_daemon.core.events import (
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    SpeakerRelabelled,
    TurnState,
)
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.ports.spool import Note, Spool
from minuted_daemon.service.merge.driver import MergeState
from minuted_daemon.service.recovery.log import (
    CommitNoted,
    EpochNoted,
    EventNoted,
    NamesNoted,
    Noted,
    StateNoted,
    encoded,
)


class RecoveryRecorder:
    """One session's. Nothing here waits. Without a spool nothing is noted."""

    def __init__(self, spool: Spool | None, freeze_s: float) -> None:
        """`freeze_s`: what was decided so long ago is stored."""
        self._freeze = samples(freeze_s)
        self._spool = spool
        self._names: Names = {}
        self._bases: dict[Epoch, Sample] = {}
        self._recording = True
        self._forgotten_to = 0

    def pause(self) -> None:
        """What comes now was noted before; until `go_on`."""
        self._recording = False

    def go_on(self) -> None:
        """Note what comes from here on."""
        self._recording = True

    def epoch_changed(self, heard: Sample, event: EpochOpened | EpochTookOver | EpochClosed) -> None:
        """See InputLog."""
        self._note(EpochNoted(heard, event))
        if isinstance(event, EpochOpened):
            self._bases[event.epoch] = event.base
        elif isinstance(event, EpochClosed):
            self._bases.pop(event.epoch, None)

    def diarized(self, heard: Sample, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """See InputLog."""
        base = self._bases.get(epoch)
        if base is not None:
            first, last = (event.start, event.end) if isinstance(event, SpeakerRelabelled) else (event.at, event.at)
            self._note(EventNoted(heard, epoch, event, sent_to), Sample(base + first), Sample(base + last))

    def named(self, heard: Sample, names: Names) -> None:
        """See InputLog."""
        news = {key: number for key, number in names.items() if self._names.get(key) != number}
        self._names = names
        if news:
            self._note(NamesNoted(heard, news))

    def settling(self, heard: Sample, turn: TurnState, audio: tuple[int, int]) -> None:
        """See InputLog. What was sent with one turn is not to be sent with another, whenever that is."""
        self._note(CommitNoted(heard, turn.start, turn.end, *audio), turn.start, turn.end)

    def checkpoint(self, state: MergeState) -> None:
        """See InputLog. It is noted each minute, so that what is older need not be kept for ever."""
        epochs = [self._clipped(epoch) for epoch in state.epochs]
        if not epochs and not state.names:
            return
        since = [Sample(at) for epoch in epochs for at in epoch.active.values()]
        needed_from = Sample(max(0, min(state.undecided_from, state.heard - self._freeze)))
        noted = StateNoted(state.heard, needed_from, epochs, state.names, state.undecided_from)
        self._note(noted, min(since, default=state.heard), whole=True)

    def forget(self, end: Sample, state: MergeState) -> None:
        """Nothing is noted any more of speech before `end` that had not ended by then.

        What was noted so far is the spool's to erase.
        """
        self._forgotten_to = max(self._forgotten_to, end)
        self.checkpoint(state)

    def _note(self, noted: Noted, start: Sample | None = None, end: Sample | None = None, whole: bool = False) -> None:
        if self._recording and self._spool is not None:
            start = noted.heard if start is None else start
            self._spool.note(Note(start, noted.heard if end is None else end, encoded(noted), whole))

    def _clipped(self, epoch: OpenEpoch) -> OpenEpoch:
        """For a speaker active across a redacted range, report the range's end as the start."""
        active = {label: max(at, self._forgotten_to) for label, at in epoch.active.items()}
        return OpenEpoch(epoch.number, epoch.base, epoch.since, active)

"""Notes beside the audio what the diarizer said and whom it was taken to mean, so that a crash costs no names.

It stands before the merge and passes everything on. What is made of the notes is replaying.py's.
"""

from minuted_daemon.core.diarization.epochs import Names, OpenEpoch
from minuted_daemon.core.events import (
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    SpeakerNumber,
    SpeakerRelabelled,
    SpeakersMatched,
    TurnState,
)
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.ports.spool import Note, Spool
from minuted_daemon.service.merge.driver import MergeDriver
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

    def __init__(self, driver: MergeDriver, spool: Spool | None, freeze_s: float) -> None:
        """`freeze_s`: what was decided so long ago is stored."""
        self._freeze = samples(freeze_s)
        self._driver = driver
        self._spool = spool
        self._names: Names = {}
        self._bases: dict[Epoch, Sample] = {}
        self._noting = True
        self._forgotten_to = 0
        driver.named, driver.settling = self._named, self._settling

    def pause(self) -> None:
        """What comes now was noted before; until `go_on`."""
        self._noting = False

    def go_on(self) -> None:
        """Note what comes from here on."""
        self._noting = True

    # --- what passes --------------------------------------------------------------------------------------------------

    def epoch_changed(self, event: EpochOpened | EpochTookOver | EpochClosed) -> None:
        """See DiarizationSink."""
        self._note(EpochNoted(self._driver.heard, event))
        if isinstance(event, EpochOpened):
            self._bases[event.epoch] = event.base
        elif isinstance(event, EpochClosed):
            self._bases.pop(event.epoch, None)
        self._driver.epoch_changed(event)

    def diarized(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """See DiarizationSink."""
        base = self._bases.get(epoch)
        if base is not None:
            first, last = (event.start, event.end) if isinstance(event, SpeakerRelabelled) else (event.at, event.at)
            noted = EventNoted(self._driver.heard, epoch, event, sent_to)
            self._note(noted, Sample(base + first), Sample(base + last))
        self._driver.diarized(epoch, event, sent_to)

    def speaker(self, epoch: Epoch, label: str) -> SpeakerNumber | None:
        """See voice_memory.Merge."""
        return self._driver.speaker(epoch, label)

    def epochs_of(self, speaker: SpeakerNumber) -> frozenset[Epoch]:
        """See voice_memory.Merge."""
        return self._driver.epochs_of(speaker)

    def matched(self, match: SpeakersMatched) -> None:
        """See voice_memory.Merge."""
        self._driver.matched(match)

    # --- what is noted besides ----------------------------------------------------------------------------------------

    def note_state(self) -> None:
        """Note how things stand: to be called each minute, so that what is older need not be kept for ever."""
        heard = self._driver.heard
        epochs = [self._clipped(epoch) for epoch in self._driver.open_epochs()]
        if not epochs and not self._driver.names:
            return
        since = [Sample(at) for epoch in epochs for at in epoch.active.values()]
        needed_from = Sample(max(0, min(self._driver.undecided_from, heard - self._freeze)))
        noted = StateNoted(heard, needed_from, epochs, self._driver.names, self._driver.undecided_from)
        self._note(noted, min(since, default=heard), whole=True)

    def forget(self, end: Sample) -> None:
        """Nothing is noted any more of who spoke before `end`, and had not ended by then.

        What was noted so far is the spool's to erase.
        """
        self._forgotten_to = max(self._forgotten_to, end)
        self.note_state()

    def _named(self, names: Names) -> None:
        """Whose labels are has changed; what bears a new name is stored behind this."""
        news = {key: number for key, number in names.items() if self._names.get(key) != number}
        self._names = names
        if news:
            self._note(NamesNoted(self._driver.heard, news))

    def _settling(self, turn: TurnState, audio: tuple[int, int] | None) -> None:
        """What was sent with one turn is not to be sent with another, whenever that is."""
        if audio is not None:
            self._note(CommitNoted(self._driver.heard, turn.start, turn.end, *audio), turn.start, turn.end)

    def _note(self, noted: Noted, start: Sample | None = None, end: Sample | None = None, whole: bool = False) -> None:
        if self._noting and self._spool is not None:
            start = noted.heard if start is None else start
            self._spool.note(Note(start, noted.heard if end is None else end, encoded(noted), whole))

    def _clipped(self, epoch: OpenEpoch) -> OpenEpoch:
        """Whoever has been speaking since before what was forgotten has been since its end, as far as is to be told."""
        active = {label: max(at, self._forgotten_to) for label, at in epoch.active.items()}
        return OpenEpoch(epoch.number, epoch.base, epoch.since, active)

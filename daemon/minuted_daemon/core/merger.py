"""The merge as the service sees it: events in, commands and turns out, time as data."""

from collections.abc import Sequence
from dataclasses import dataclass

from minuted_daemon.core.events import (
    DiarizerEvent,
    Epoch,
    EpochClosed,
    EpochOpened,
    MergeOutput,
    TranscriberEvent,
    TranscriberLost,
    TranscriberReady,
    TranscriberRefused,
    VoiceObserved,
)
from minuted_daemon.core.samples import Sample


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """`hold_back_s` None means auto. `diarizer_lag_s`: the event lag to expect before any was measured."""

    hold_back_s: float | None = None
    join_gap_s: float = 0.8
    max_turn_s: float = 20.0
    freeze_s: float = 300.0
    diarizer_lag_s: float = 0.5
    transcribes: bool = True


MergeInput = (
    VoiceObserved
    | EpochOpened
    | EpochClosed
    | TranscriberEvent
    | TranscriberReady
    | TranscriberLost
    | TranscriberRefused
)


class Merger:
    """Decides who said what. Pure: the same inputs give the same outputs.

    Feed what happened, then call `advance`, which gives everything that follows from it. Audio is fed as
    VoiceObserved, in order and without holes; `advance(now)` may run ahead of the audio once capture has ended.
    """

    def __init__(self, settings: MergeSettings) -> None: ...

    def feed(self, event: MergeInput) -> None:
        """Take in one event. Gives nothing back: call `advance`."""

    def feed_diarization(self, epoch: Epoch, event: DiarizerEvent, sent_to: Sample) -> None:
        """Take in a diarizer's event of this epoch; `sent_to` is how far the epoch had been sent audio by then."""

    def advance(self, now: Sample) -> Sequence[MergeOutput]:
        """Bring everything up to `now` (session time in samples, never falling) and give what follows, in order.

        Calling it again with the same `now` and nothing fed gives nothing.
        """
        raise NotImplementedError

    def close(self) -> None:
        """No more audio and no more diarizer events will come: decide all that is left at the next `advance`."""

    @property
    def settled(self) -> bool:
        """True once closed and no turn waits for anything."""
        raise NotImplementedError

    @property
    def retain_from(self) -> Sample:
        """Audio from here on may still be asked for by an Append; older audio will not."""
        raise NotImplementedError

    def next_deadline(self) -> Sample | None:
        """When `advance` must be called at the latest even if nothing is fed; None if nothing is due."""
        raise NotImplementedError

    @property
    def hold_back_s(self) -> float:
        """The present hold-back."""
        raise NotImplementedError

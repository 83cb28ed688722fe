"""Trials of a transcriber that fails at every utterance: one turn at a time, or a short piece of one.

When it is taken to fail, and which turn is tried, is decided in breaker.py.
"""

from minuted_daemon.core.transcription.attempts import Attempts
from minuted_daemon.core.transcription.breaker import Breaker
from minuted_daemon.core.transcription.sender import Sender
from minuted_daemon.core.transcription.tracks import Track, Tracks
from minuted_daemon.core.transcription.turn import Turn


class Trials:
    """Says what may be sent while the breaker holds everything else up."""

    def __init__(self, breaker: Breaker, tracks: Tracks, attempts: Attempts, sender: Sender) -> None:
        self._breaker, self._tracks, self._attempts, self._sender = breaker, tracks, attempts, sender
        self._turn: Turn | None = None

    def is_with(self, turn: Turn) -> bool:
        """Return whether the transcriber is being tried with this turn."""
        return turn is self._turn

    def end(self) -> None:
        """The trial under way is over, if there is one."""
        self._turn = None

    def end_with(self, turn: Turn) -> None:
        """If the trial is with this turn, it is over."""
        if turn is self._turn:
            self._turn = None

    def end_in(self, track: Track) -> None:
        """If the trial is with a turn that waits on this track, it is over."""
        if self._turn in track.queue:
            self._turn = None

    def may_send(self, track: Track) -> bool:
        """Return whether the track's first turn may be sent."""
        if not track.ready or not track.queue:
            return False
        return not self._breaker.holds_up or (track.queue[0] is self._turn and not self._with_a_piece)

    def advance(self, now: int, horizon: int) -> None:
        """Take back what is being sent: most of it would be in vain. Begin a trial if it is time for one."""
        heads = [track.queue[0] for track in self._tracks if track.queue]
        for turn in heads:
            if turn.utterance is not None and turn is not self._turn:
                turn.keep_partial()
                self._sender.restart(turn)
        if self._turn is None and now >= self._breaker.try_at:
            self._begin(now, horizon)
        if self._turn is not None and not self._with_a_piece:
            self._tracks.to_the_front(self._turn)

    def _begin(self, now: int, horizon: int) -> None:
        waiting = {turn: track for track in self._tracks if track.ready for turn in track.queue}
        longest = self._breaker.limits.trial
        # A turn that is still spoken is waited for.
        others = [turn for turn in waiting if not self._breaker.suspects(turn)] or list(waiting)
        enough = [turn for turn in others if turn.closed or _length(turn, horizon) >= longest]
        turn = self._turn = self._breaker.choice(enough, now)
        if turn is None or self._breaker.suspects(turn):
            return  # the second attempt of a turn that may be at fault itself is no trial with a piece
        if not turn.closed or _length(turn, turn.last) > longest:
            self._sender.send_piece(waiting[turn], turn, horizon, longest)

    @property
    def _with_a_piece(self) -> bool:
        return any(asked.piece and asked.turn is self._turn for asked in self._attempts.awaited())


def _length(turn: Turn, until: int) -> int:
    audio = turn.content(0, until)
    return 0 if audio is None else audio[1] - audio[0]

"""How turns are sent: utterance by utterance on two tracks, no faster than a transcriber keeps up with.

Which turn may be sent is decided in queue.py, and in trials.py while the transcriber fails.
"""

from minuted_daemon.core.events import Append, Clear, Commit, UtteranceId
from minuted_daemon.core.samples import RATE_HZ, Sample
from minuted_daemon.core.transcription.attempts import Asked, Attempts
from minuted_daemon.core.transcription.tracks import Track, Tracks
from minuted_daemon.core.transcription.turn import SHORTEST_COMMIT, Turn

_CATCH_UP = 4  # at most so many times as fast as real time
_ANSWER_WAIT = 8 * RATE_HZ
_PAST_ANSWER_WAIT = 30 * RATE_HZ
"""Catching up is not urgent; and at four times real time, committed audio may still be on its way."""


class Sender:
    """Turns turns into commands. What it commits is awaited in `attempts`."""

    def __init__(self, tracks: Tracks, attempts: Attempts, now: int, generation: int) -> None:
        """`generation`: the highest one given out before."""
        self._tracks, self._attempts = tracks, attempts
        self._now = now
        self._next_utterance = generation + 1
        self._commands: list[Append | Commit | Clear] = []

    def advance(self, now: int) -> None:
        """Let each track send as much as the time allows."""
        elapsed, self._now = now - self._now, now
        for track in self._tracks:
            track.quota = min(track.quota + _CATCH_UP * elapsed, _CATCH_UP * RATE_HZ // 2)

    def take_commands(self) -> list[Append | Commit | Clear]:
        """Return the commands that followed since the last call."""
        commands, self._commands = self._commands, []
        return commands

    def restart(self, turn: Turn) -> None:
        """Forget what was sent of a turn that has not been committed; it will be sent again."""
        if turn.utterance is not None:
            self._commands.append(Clear(turn.utterance))
        turn.forget_sent()

    def send(self, track: Track, turn: Turn, horizon: int) -> bool:
        """Send more of a turn, before `horizon`; return whether all of it is sent.

        Then it is committed, but for a turn without an utterance: all of its audio is in other commits.
        """
        until = max(horizon, turn.last) if turn.closed else horizon
        piece = turn.content(turn.sent_to or 0, until)
        if piece is not None and track.quota > 0:
            start, end = piece[0], min(piece[1], piece[0] + track.quota)
            if turn.utterance is None:
                turn.utterance = self._new_utterance()
                turn.sent_from = start
            self._append(track, turn.utterance, start, end)
            turn.sent_to = end
        if not turn.closed or turn.content(turn.sent_to or 0, until):
            return False
        if turn.utterance is not None:
            self._commit(track, turn, turn.utterance, turn.sent)
        return True

    def send_piece(self, track: Track, turn: Turn, horizon: int, longest: int) -> None:
        """Send the first `longest` samples of a turn, as an utterance whose text does not count."""
        audio = turn.content(0, max(horizon, turn.last) if turn.closed else horizon)
        assert audio is not None
        start, end = audio[0], min(audio[1], audio[0] + longest)
        utterance = self._new_utterance()
        self._append(track, utterance, start, end)
        self._commit(track, turn, utterance, end - start, piece=True)

    def _new_utterance(self) -> UtteranceId:
        utterance = UtteranceId(self._next_utterance)
        self._next_utterance += 1
        return utterance

    def _append(self, track: Track, utterance: UtteranceId, start: int, end: int) -> None:
        self._commands.append(Append(utterance, Sample(start), Sample(end), track.makes_up))
        track.quota -= end - start

    def _commit(self, track: Track, turn: Turn, utterance: UtteranceId, sent: int, piece: bool = False) -> None:
        self._commands.append(Commit(utterance, max(0, SHORTEST_COMMIT - sent)))
        due = self._now + (_PAST_ANSWER_WAIT if track.makes_up else _ANSWER_WAIT)
        self._attempts.wait_for(Asked(turn, utterance, due, track.makes_up, piece=piece))

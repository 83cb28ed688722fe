"""The transcription queue: turns wait here, are sent one after another, and get the text that answers them.

There are two tracks (tracks.py) with one utterance at a time each: live speech, and turns to catch up on after an
outage, so that live speech need not wait for them. While the transcriber fails at every utterance (breaker.py) only
trials are sent, one at a time.

The queue knows utterances and answers; where turns begin and end is decided in merge/turn_cutter.py, and how they are
shown in merge/turn_outcomes.py.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from minuted_daemon.core.events import (
    Append,
    Clear,
    Commit,
    TextSource,
    TranscriberFaltered,
    TranscriberRecovered,
    UtteranceId,
)
from minuted_daemon.core.samples import RATE_HZ, samples
from minuted_daemon.core.transcription.attempts import Asked, Attempts
from minuted_daemon.core.transcription.breaker import Breaker
from minuted_daemon.core.transcription.given_up import GivenUp
from minuted_daemon.core.transcription.sender import Sender
from minuted_daemon.core.transcription.tracks import Track, Tracks
from minuted_daemon.core.transcription.trials import Trials
from minuted_daemon.core.transcription.turn import Turn
from minuted_daemon.core.words import grown, has_words

_MAX_MISSES = 2
_FAILED_WAITS = tuple(samples(wait) for wait in (0.5, 4.0, 12.0))
"""The waits before a turn that failed is asked for again: the transcriber may be overloaded."""
_LATE_ANSWER = 60 * RATE_HZ
_SOUND = samples(0.5)
"""Shorter sounds may be a cough that the diarizer took for speech."""
_NO_ANSWER = "NO_ANSWER"
"""The reason of a failure if no answer came, and no partial text before."""
_CONNECTION_ENDED = "CONNECTION_ENDED"
"""The reason of a failure that says nothing about the transcriber."""


@dataclass(slots=True)
class Progress:
    """Everything that followed since the call before.

    answered: turns that got their text, or never will. corrected: turns that were settled with a provisional text, and
    answered after all.
    """

    commands: list[Append | Commit | Clear] = field(default_factory=list)
    told: list[TranscriberFaltered | TranscriberRecovered] = field(default_factory=list)
    answered: list[Turn] = field(default_factory=list)
    corrected: list[Turn] = field(default_factory=list)


class TranscriptionQueue:
    """Sends turns as utterances and matches answers to them."""

    def __init__(self, now: int = 0, generation: int = 0, breaker: Breaker | None = None) -> None:
        """`generation`: the highest one given out before."""
        self._progress = Progress()
        self._tracks = Tracks()
        self._attempts = Attempts()
        self._sender = Sender(self._tracks, self._attempts, now, generation)
        self._breaker = breaker or Breaker()
        self._trials = Trials(self._breaker, self._tracks, self._attempts, self._sender)
        self._given_up = GivenUp()
        self._repeats = False
        self._refused = False
        self._now = now

    # --- turns ---

    def submit(self, turn: Turn) -> None:
        """Put a turn, open or closed, at the end of the live track."""
        self._tracks.present.queue.append(turn)

    def withdraw(self, turn: Turn) -> None:
        """The turn no longer exists."""
        self._sender.restart(turn)
        self._trials.end_with(turn)
        self._tracks.remove(turn)

    def forget(self, turn: Turn) -> None:
        """The turn no longer exists, and no answer to it is taken."""
        self._trials.end_with(turn)
        if self.holds(turn):
            self.withdraw(turn)
        self._attempts.forget(turn)
        for done in (self._progress.answered, self._progress.corrected):
            if turn in done:
                done.remove(turn)
        self._given_up.forget(turn)

    def redacted(self, start: int, end: int) -> None:
        """No better text is taken for final turns that touch [start, end)."""
        for turn in {*self._attempts.turns(), *self._given_up, *self._tracks.turns()}:
            if turn.settled and turn.touches(start, end):
                self.forget(turn)

    def first(self, turn: Turn) -> None:
        """Send this waiting turn before an open one of which nothing was sent."""
        self._tracks.present.queue.remove(turn)
        self._tracks.present.insert(turn)

    # --- the connection ---

    def ready(self, makes_up: bool = False, repeats: bool = False) -> None:
        """A fresh connection takes audio. `repeats`: asked again, this transcriber says the same."""
        if self._refused:
            return
        track = self._tracks.of(makes_up)
        self._requeue(track)
        if makes_up and self._tracks.serves_both:  # there is a second connection again
            self._tracks.serves_both = False
            self._tracks.part(self._now, begun=False)
        if not makes_up:
            self._repeats = repeats
            self._breaker.reconnected()
            self._tracks.part(self._now)
        track.ready = True

    def lost(self, makes_up: bool = False) -> None:
        """The connection is gone: unanswered utterances are asked for again, and do not count as misses."""
        track = self._tracks.of(makes_up)
        track.ready = False
        self._requeue(track)

    def serve_both(self) -> None:
        """There is no second connection: turns to catch up on go over the first one, before live speech."""
        self.lost(makes_up=True)
        self._tracks.serve_both()

    def refuse(self) -> None:
        """There will be no transcriber from now on."""
        self._refused = True
        for track in self._tracks:
            self.lost(track.makes_up)

    # --- answers ---

    def grew(self, utterance: UtteranceId, text: str, replaces: bool) -> Turn | None:
        """Take partial text; return the turn that shows it."""
        turn = self._turn_of(utterance)
        if turn is not None:
            turn.partial = text if replaces else grown(turn.partial, text)
        return turn

    def completed(self, utterance: UtteranceId, text: str) -> None:
        """Take the final text of an utterance; the first one counts.

        One without a word counts as a miss if speech was heard, and never replaces words.
        """
        self._recovered(self._breaker.answered())
        self._ask_once_more(self._given_up.doubted)
        asked = self._attempts.take(utterance)
        if asked is not None:
            self._take(asked, text)
            return
        superseded = self._attempts.take_superseded(utterance)
        if superseded is not None:
            self._take_superseded(superseded, utterance, text)
            return
        late = self._attempts.take_late(utterance)
        if late is not None:
            self._correct(late, text, TextSource.COMPLETED)

    def failed(self, utterance: UtteranceId, reason: str = "") -> None:
        """The transcriber gave up on an utterance."""
        asked = self._attempts.get(utterance)
        if asked is None or self._faltered(asked, reason):
            return
        failures, asked.turn.failures = asked.turn.failures, asked.turn.failures + 1
        if not failures:
            asked.turn.answers_before = self._breaker.answers
        if failures >= len(_FAILED_WAITS):
            self._attempts.take(utterance)
            self._give_up_on(asked)
            if asked.turn.answers_before == self._breaker.answers:
                self._given_up.doubted.append(asked.turn)  # it may have been the transcriber's fault
        elif self._breaker.is_open:
            self._take_back(asked)
        else:
            self._attempts.wait_for(replace(asked, due=self._now + _FAILED_WAITS[failures], failed=True))

    # --- time ---

    def advance(self, now: int, horizon: int) -> Progress:
        """Send what may be sent: audio before `horizon`, at a bounded pace; ask again if no answer came."""
        self._now = now
        self._sender.advance(now)
        for asked in self._attempts.due(now):
            self._attempts.take(asked.utterance)
            if asked.failed:
                self._ask_again(asked)
            else:
                self._missed(asked)
        self._attempts.expire(now)
        self._given_up.expire(now)
        if self._refused:
            self._give_up([turn for turn in self._tracks.turns() if turn.closed])
        if self._breaker.holds_up:
            self._trials.advance(now, horizon)
        for track in self._tracks:
            while self._trials.may_send(track) and self._sender.send(track, track.queue[0], horizon):
                self._sent(track.queue[0])
                track.queue.popleft()
        progress, self._progress = self._progress, Progress()
        progress.commands = self._sender.take_commands()
        return progress

    def holds(self, turn: Turn) -> bool:
        """Return whether the turn waits to be sent."""
        return any(turn in track.queue for track in self._tracks)

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent or answered."""
        return not any(track.queue for track in self._tracks) and not self._attempts

    def needed_from(self) -> int | None:
        """The oldest audio that may still be sent."""
        starts = [turn.start for turn in (*self._tracks.turns(), *self._given_up)]
        starts += [asked.turn.start for asked in self._attempts.awaited()]
        return min(starts, default=None)

    def shed(self, before: int) -> None:
        """Audio before this position is gone: turns that still need it settle with the text they have."""
        self._give_up([turn for turn in self._tracks.turns() if turn.closed and turn.first < before])

    def _sent(self, turn: Turn) -> None:
        if turn.utterance is None:  # all of its audio is in other commits
            turn.covered_by_others = True
            self._answer(turn, "", TextSource.NONE)

    def _take(self, asked: Asked, text: str) -> None:
        if asked.piece:
            return
        if has_words(text) or not asked.turn.heard:
            self._answer(asked.turn, text, TextSource.COMPLETED)
        else:
            self._wordless(asked)

    def _missed(self, asked: Asked) -> None:
        if self._breaker.is_open or asked.piece or not asked.turn.words_begun:
            if self._faltered(asked, _NO_ANSWER):
                return
            if self._breaker.is_open:
                self._take_back(asked)
                return
        self._miss(asked)

    def _miss(self, asked: Asked) -> None:
        asked.turn.misses += 1
        if asked.turn.misses < _MAX_MISSES:
            self._ask_again(asked)
        else:
            self._give_up_on(asked)

    def _wordless(self, asked: Asked) -> None:
        """Take an answer without a word although speech was heard: another attempt may bring some.

        A short sound without a word in two answers was no speech: that is the answer.
        """
        turn = asked.turn
        turn.wordless += 1
        if not self._repeats and turn.misses + 1 < _MAX_MISSES:
            self._miss(asked)
        elif self._given_up.one_more(turn):
            self._ask_again(asked)
        elif turn.end - turn.start < _SOUND and turn.wordless > turn.misses and not turn.words_begun:
            self._answer(turn, "", TextSource.COMPLETED)
        else:
            self._given_up.without_a_word(turn)
            self._give_up_on(asked)

    def _ask_again(self, asked: Asked) -> None:
        if self._refused:
            self._give_up_on(asked)
            return
        asked.turn.keep_partial()
        self._attempts.supersede(asked)
        asked.turn.forget_sent()
        self._tracks.insert(asked.turn, asked.makes_up)

    def _give_up_on(self, asked: Asked) -> None:
        turn = asked.turn
        turn.keep_partial()
        self._attempts.give_up(asked, self._now + _LATE_ANSWER)
        self._answer(turn, turn.fallback, TextSource.PROVISIONAL if turn.fallback else TextSource.NONE)

    def _answer(self, turn: Turn, text: str, source: TextSource) -> None:
        self._trials.end_with(turn)
        if turn.settled:
            self._correct(turn, text, source)
            return
        turn.text, turn.text_source = text.strip(), source
        if has_words(text) and source is TextSource.COMPLETED and self._given_up.worded(turn):
            self._ask_once_more(self._given_up.emptied)
        self._attempts.answered(turn)
        self._progress.answered.append(turn)

    def _take_superseded(self, turn: Turn, utterance: UtteranceId, text: str) -> None:
        """Take the answer of a superseded attempt: the turn's text if the next one is not begun, else its fallback."""
        if not has_words(text):
            return
        if turn.utterance is None and self.holds(turn):
            self.withdraw(turn)
            turn.utterance = utterance
            self._answer(turn, text, TextSource.COMPLETED)
        else:
            turn.fallback, turn.fallback_is_whole = text, True

    def _correct(self, turn: Turn, text: str, source: TextSource) -> None:
        """Take a better text of a final turn, if it has words."""
        if has_words(text) and source is TextSource.COMPLETED and text.strip() != turn.text:
            turn.text, turn.text_source = text.strip(), source
            self._progress.corrected.append(turn)

    def _ask_once_more(self, given_up: deque[Turn]) -> None:
        """The transcriber turned out to be at fault: ask for these again, if they may still change."""
        for turn in given_up:
            if turn.settled and not turn.gone and not self._refused:
                turn.forget_sent()
                self._tracks.insert(turn, makes_up=True)
        given_up.clear()

    def _requeue(self, track: Track) -> None:
        """Take back all that was sent on a track and not answered, in the order in which it was sent."""
        unanswered = self._attempts.take_track(track.makes_up)
        track.queue.extendleft(asked.turn for asked in reversed(unanswered) if not asked.piece)
        self._trials.end_in(track)
        for turn in track.queue:
            turn.keep_partial()
            turn.forget_sent()

    def _give_up(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self.withdraw(turn)
            self._answer(turn, turn.fallback, TextSource.PROVISIONAL if turn.fallback else TextSource.NONE)

    def _turn_of(self, utterance: UtteranceId) -> Turn | None:
        asked = self._attempts.get(utterance)
        if asked is not None:
            return None if asked.piece else asked.turn
        heads = (track.queue[0] for track in self._tracks if track.queue)
        return next((turn for turn in heads if turn.utterance == utterance), None)

    # --- a transcriber that fails at every utterance ---

    def _faltered(self, asked: Asked, reason: str) -> bool:
        """Count a failed utterance; return whether it is the transcriber's fault, and not the turn's."""
        turn, was_open, trial = asked.turn, self._breaker.is_open, self._trials.is_with(asked.turn)
        if self._refused:
            return False
        self._trials.end_with(turn)
        counts = reason != _CONNECTION_ENDED
        if counts and self._breaker.failed(turn, reason, self._now, trial=trial):
            self._progress.told.append(TranscriberFaltered(reason, self._breaker.failures))
        if asked.piece:
            self._attempts.take(asked.utterance)
            turn.trials += 1
        elif was_open:
            turn.trials += 1
            self._take_back(asked)
            if reason != _NO_ANSWER:
                self._attempts.take_superseded(asked.utterance)  # it was answered
        return asked.piece or was_open

    def _take_back(self, asked: Asked) -> None:
        self._attempts.take(asked.utterance)
        self._ask_again(asked)

    def _recovered(self, failures: int) -> None:
        self._trials.end()
        if failures:
            self._progress.told.append(TranscriberRecovered(failures, sum(1 for _ in self._tracks.turns())))
            self._tracks.part(self._now)

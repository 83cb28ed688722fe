"""The way to the transcriber: turns wait here, are sent one after another, and get the text that answers them.

There are two tracks with one utterance at a time each: one for what is said now, one for what is made up for after an
outage, so that the living do not wait for the past. While the transcriber fails at every utterance (breaker.py) nothing
is sent but trials, one at a time.

The lane knows utterances and answers; where turns begin and end is decided in cutter.py, and what becomes of a turn
with its text in merger.py.
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
from minuted_daemon.core.samples import RATE_HZ, Sample, samples
from minuted_daemon.core.transcription.breaker import Breaker
from minuted_daemon.core.transcription.given_up import GivenUp
from minuted_daemon.core.transcription.tracks import Asked, Track, Tracks
from minuted_daemon.core.transcription.turn import SHORTEST_COMMIT, Turn
from minuted_daemon.core.words import grown, has_words

_CATCH_UP = 4  # at most so many times as fast as real time
_ANSWER_WAIT = 8 * RATE_HZ
_PAST_ANSWER_WAIT = 30 * RATE_HZ
"""Nobody waits for it now; and four times as fast as real time, what was committed may still be on its way."""
_MAX_MISSES = 2
_FAILED_WAITS = tuple(samples(wait) for wait in (0.5, 4.0, 12.0))
"""A turn that the transcriber gave up on is asked for again so long after: it may have had too much to do."""
_LATE_ANSWER = 60 * RATE_HZ
_SOUND = samples(0.5)
"""What is shorter may be a cough that the diarizer took for speech."""
_NO_ANSWER = "NO_ANSWER"
"""The reason of a failure where an answer stayed away, and nothing had been said before."""
_CONNECTION_ENDED = "CONNECTION_ENDED"
"""The reason of a failure that tells nothing of what the transcriber makes of utterances."""


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
        self._asked: dict[UtteranceId, Asked] = {}
        self._late: dict[UtteranceId, Asked] = {}
        self._superseded: dict[UtteranceId, Turn] = {}
        self._breaker = breaker or Breaker()
        self._trial: Turn | None = None  # the one that the transcriber is being tried with
        self._given_up = GivenUp()
        self._repeats = False
        self._refused = False
        self._next_utterance = generation + 1
        self._now = now

    # --- turns ---

    def submit(self, turn: Turn) -> None:
        """Put a turn, open or closed, behind the others."""
        self._tracks.present.queue.append(turn)

    def withdraw(self, turn: Turn) -> None:
        """The turn no longer exists."""
        self.restart(turn)
        self._trial = None if turn is self._trial else self._trial
        self._tracks.remove(turn)

    def forget(self, turn: Turn) -> None:
        """The turn no longer exists, and no answer to it is taken."""
        self._trial = None if turn is self._trial else self._trial
        if self.holds(turn):
            self.withdraw(turn)
        self._asked = {key: asked for key, asked in self._asked.items() if asked.turn is not turn}
        self._late = {key: asked for key, asked in self._late.items() if asked.turn is not turn}
        self._superseded = {key: other for key, other in self._superseded.items() if other is not turn}
        for done in (self._progress.answered, self._progress.corrected):
            if turn in done:
                done.remove(turn)
        self._given_up.forget(turn)

    def redacted(self, start: int, end: int) -> None:
        """No better text is taken for final turns that touch [start, end)."""
        asked = (one.turn for one in (*self._asked.values(), *self._late.values()))
        for turn in {*asked, *self._given_up, *self._tracks.turns()}:
            if turn.settled and turn.touches(start, end):
                self.forget(turn)

    def restart(self, turn: Turn) -> None:
        """Forget what was sent of a turn that has not been committed; it is sent anew."""
        if turn.utterance is not None:
            self._progress.commands.append(Clear(turn.utterance))
        turn.forget_sent()

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
        """The connection is gone with all it owed: that is asked for again, and nothing is held against it."""
        track = self._tracks.of(makes_up)
        track.ready = False
        self._requeue(track)

    def serve_both(self) -> None:
        """There is no second connection: the past goes over the first one, before what is said now."""
        self.lost(makes_up=True)
        self._tracks.serve_both()

    def refuse(self) -> None:
        """There will be no transcriber any more."""
        self._refused = True
        for track in self._tracks:
            self.lost(track.makes_up)

    # --- answers ---

    def grew(self, utterance: UtteranceId, text: str, replaces: bool) -> Turn | None:
        """Take partial text; give the turn that shows it."""
        turn = self._turn_of(utterance)
        if turn is not None:
            turn.partial = text if replaces else grown(turn.partial, text)
        return turn

    def completed(self, utterance: UtteranceId, text: str) -> None:
        """Take the final text of an utterance; the first one counts.

        One without a word counts as a miss where speech was heard, and never takes the place of words.
        """
        self._recovered(self._breaker.answered())
        self._ask_once_more(self._given_up.doubted)
        asked = self._asked.pop(utterance, None)
        if asked is not None and asked.piece:
            return
        worded = has_words(text)
        if asked is not None and (worded or not asked.turn.heard):
            self._answer(asked.turn, text, TextSource.COMPLETED)
        elif asked is not None:
            self._wordless(asked)
        elif utterance in self._superseded:
            self._take_superseded(self._superseded.pop(utterance), utterance, text)
        elif utterance in self._late:
            self._correct(self._late.pop(utterance).turn, text, TextSource.COMPLETED)

    def failed(self, utterance: UtteranceId, reason: str = "") -> None:
        """The transcriber gave up on an utterance."""
        asked = self._asked.get(utterance)
        if asked is None or self._faltered(asked, reason):
            return
        failures, asked.turn.failures = asked.turn.failures, asked.turn.failures + 1
        if not failures:
            asked.turn.answers_before = self._breaker.answers
        if failures >= len(_FAILED_WAITS):
            del self._asked[utterance]
            self._give_up_on(asked)
            if asked.turn.answers_before == self._breaker.answers:
                self._given_up.doubted.append(asked.turn)  # it may have been the transcriber's fault
        elif self._breaker.is_open:
            self._take_back(asked)
        else:
            self._asked[utterance] = replace(asked, due=self._now + _FAILED_WAITS[failures], failed=True)

    # --- time ---

    def advance(self, now: int, horizon: int) -> Progress:
        """Send what may be sent: audio before `horizon`, at a bounded pace; ask again where no answer came."""
        elapsed, self._now = now - self._now, now
        for track in self._tracks:
            track.quota = min(track.quota + _CATCH_UP * elapsed, _CATCH_UP * RATE_HZ // 2)
        for asked in [asked for asked in self._asked.values() if asked.due <= now]:
            del self._asked[asked.utterance]
            if asked.failed:
                self._ask_again(asked)
            else:
                self._missed(asked)
        for asked in [asked for asked in self._late.values() if asked.due <= now]:
            del self._late[asked.utterance]
        self._given_up.expire(now)
        if self._refused:
            self._give_up([turn for turn in self._tracks.turns() if turn.closed])
        if self._breaker.holds_up:
            self._try(horizon)
        for track in self._tracks:
            while self._may_send(track) and self._send(track, track.queue[0], horizon):
                track.queue.popleft()
        progress, self._progress = self._progress, Progress()
        return progress

    def holds(self, turn: Turn) -> bool:
        """Return whether the turn waits to be sent."""
        return any(turn in track.queue for track in self._tracks)

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent or answered."""
        return not any(track.queue for track in self._tracks) and not self._asked

    def needed_from(self) -> int | None:
        """The oldest audio that may still be sent."""
        starts = [turn.start for turn in (*self._tracks.turns(), *self._given_up)]
        starts += [asked.turn.start for asked in self._asked.values()]
        return min(starts, default=None)

    def shed(self, before: int) -> None:
        """Audio before this position is gone: the turns that still need it get no more text than they have."""
        self._give_up([turn for turn in self._tracks.turns() if turn.closed and turn.first < before])

    def _send(self, track: Track, turn: Turn, horizon: int) -> bool:
        """Send more of a turn; tell whether it is all sent and committed."""
        until = max(horizon, turn.last) if turn.closed else horizon
        piece = turn.content(turn.sent_to or 0, until)
        if piece is not None and track.quota > 0:
            start, end = piece[0], min(piece[1], piece[0] + track.quota)
            if turn.utterance is None:
                turn.utterance = UtteranceId(self._next_utterance)
                turn.sent_from = start
                self._next_utterance += 1
            self._progress.commands.append(Append(turn.utterance, Sample(start), Sample(end), track.makes_up))
            track.quota -= end - start
            turn.sent_to = end
        if not turn.closed or turn.content(turn.sent_to or 0, until):
            return False
        if turn.utterance is None:  # all of its audio is in other commits
            turn.swallowed = True
            self._answer(turn, "", TextSource.NONE)
            return True
        self._progress.commands.append(Commit(turn.utterance, max(0, SHORTEST_COMMIT - turn.sent)))
        wait = _PAST_ANSWER_WAIT if track.makes_up else _ANSWER_WAIT
        self._asked[turn.utterance] = Asked(turn, turn.utterance, self._now + wait, track.makes_up)
        return True

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
        """Speech was heard, and the answer has no word: another attempt may bring some.

        A short sound in which the transcriber finds none twice was no speech: that is the answer.
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
        self._superseded[asked.utterance] = asked.turn
        asked.turn.forget_sent()
        self._tracks.insert(asked.turn, asked.makes_up)

    def _give_up_on(self, asked: Asked) -> None:
        turn = asked.turn
        turn.keep_partial()
        # The attempts without an answer may still get one.
        before = [utterance for utterance, other in self._superseded.items() if other is turn]
        for utterance in (*before, asked.utterance):
            self._late[utterance] = Asked(turn, utterance, self._now + _LATE_ANSWER)
        self._answer(turn, turn.fallback, TextSource.PROVISIONAL if turn.fallback else TextSource.NONE)

    def _answer(self, turn: Turn, text: str, source: TextSource) -> None:
        self._trial = None if turn is self._trial else self._trial
        if turn.settled:
            self._correct(turn, text, source)
            return
        turn.text, turn.text_source = text.strip(), source
        if has_words(text) and source is TextSource.COMPLETED and self._given_up.worded(turn):
            self._ask_once_more(self._given_up.emptied)
        self._superseded = {key: other for key, other in self._superseded.items() if other is not turn}
        self._progress.answered.append(turn)

    def _take_superseded(self, turn: Turn, utterance: UtteranceId, text: str) -> None:
        """An attempt that was given up is answered: that is the text if the next one is not begun, else it may be."""
        if not has_words(text):
            return
        if turn.utterance is None and self.holds(turn):
            self.withdraw(turn)
            turn.utterance = utterance
            self._answer(turn, text, TextSource.COMPLETED)
        else:
            turn.fallback, turn.fallback_is_whole = text, True

    def _correct(self, turn: Turn, text: str, source: TextSource) -> None:
        """Take a better text of a turn that is final; one without a word is none."""
        if has_words(text) and source is TextSource.COMPLETED and text.strip() != turn.text:
            turn.text, turn.text_source = text.strip(), source
            self._progress.corrected.append(turn)

    def _ask_once_more(self, given_up: deque[Turn]) -> None:
        """The transcriber turned out to be at fault: these are asked for again, as far as they may change."""
        for turn in given_up:
            if turn.settled and not turn.gone and not self._refused:
                turn.forget_sent()
                self._tracks.insert(turn, makes_up=True)
        given_up.clear()

    def _requeue(self, track: Track) -> None:
        """Take back what was sent on a track, in the order in which it was sent."""
        unanswered = [asked for asked in self._asked.values() if asked.makes_up is track.makes_up]
        for asked in unanswered:
            del self._asked[asked.utterance]
        track.queue.extendleft(asked.turn for asked in reversed(unanswered) if not asked.piece)
        if self._trial in track.queue:
            self._trial = None
        for turn in track.queue:
            turn.keep_partial()
            turn.forget_sent()

    def _give_up(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self.withdraw(turn)
            self._answer(turn, turn.fallback, TextSource.PROVISIONAL if turn.fallback else TextSource.NONE)

    def _turn_of(self, utterance: UtteranceId) -> Turn | None:
        if utterance in self._asked:
            asked = self._asked[utterance]
            return None if asked.piece else asked.turn
        heads = (track.queue[0] for track in self._tracks if track.queue)
        return next((turn for turn in heads if turn.utterance == utterance), None)

    # --- a transcriber that fails at every utterance ---

    def _faltered(self, asked: Asked, reason: str) -> bool:
        """Note that an utterance failed; tell whether that is all, and nothing is held against its turn."""
        turn, was_open, trial = asked.turn, self._breaker.is_open, asked.turn is self._trial
        if self._refused:
            return False
        self._trial = None if trial else self._trial
        counts = reason != _CONNECTION_ENDED
        if counts and self._breaker.failed(turn, reason, self._now, trial=trial):
            self._progress.told.append(TranscriberFaltered(reason, self._breaker.failures))
        if asked.piece:
            self._asked.pop(asked.utterance, None)
            turn.trials += 1
        elif was_open:
            turn.trials += 1
            self._take_back(asked)
            if reason != _NO_ANSWER:
                del self._superseded[asked.utterance]  # it was answered
        return asked.piece or was_open

    def _take_back(self, asked: Asked) -> None:
        self._asked.pop(asked.utterance, None)
        self._ask_again(asked)

    def _recovered(self, failures: int) -> None:
        self._trial = None
        if failures:
            self._progress.told.append(TranscriberRecovered(failures, sum(1 for _ in self._tracks.turns())))
            self._tracks.part(self._now)

    def _try(self, horizon: int) -> None:
        """Take back what is being sent: most of it would be in vain. Begin a trial if there is none."""
        heads = [track.queue[0] for track in self._tracks if track.queue]
        for turn in heads:
            if turn.utterance is not None and turn is not self._trial:
                turn.keep_partial()
                self.restart(turn)
        if self._trial is None and self._now >= self._breaker.try_at:
            self._begin_trial(horizon)
        if self._trial is not None and not self._tries_a_piece:
            self._tracks.to_the_front(self._trial)

    def _begin_trial(self, horizon: int) -> None:
        waiting = {turn: track for track in self._tracks if track.ready for turn in track.queue}
        # One that is spoken now is waited for.
        others = [turn for turn in waiting if not self._breaker.suspects(turn)] or list(waiting)
        enough = [turn for turn in others if turn.closed or _length(turn, horizon) >= self._breaker.limits.trial]
        turn = self._trial = self._breaker.choice(enough, self._now)
        if turn is None or self._breaker.suspects(turn):
            return  # the second attempt of a turn that may be at fault itself is no trial with a piece
        if not turn.closed or _length(turn, turn.last) > self._breaker.limits.trial:
            self._send_piece(waiting[turn], turn, horizon)

    def _send_piece(self, track: Track, turn: Turn, horizon: int) -> None:
        audio = turn.content(0, max(horizon, turn.last) if turn.closed else horizon)
        assert audio is not None
        start, end = audio[0], min(audio[1], audio[0] + self._breaker.limits.trial)
        utterance = UtteranceId(self._next_utterance)
        self._next_utterance += 1
        self._progress.commands += [
            Append(utterance, Sample(start), Sample(end), track.makes_up),
            Commit(utterance, max(0, SHORTEST_COMMIT - (end - start))),
        ]
        track.quota -= end - start
        due = self._now + (_PAST_ANSWER_WAIT if track.makes_up else _ANSWER_WAIT)
        self._asked[utterance] = Asked(turn, utterance, due, track.makes_up, piece=True)

    def _may_send(self, track: Track) -> bool:
        if not track.ready or not track.queue:
            return False
        return not self._breaker.holds_up or (track.queue[0] is self._trial and not self._tries_a_piece)

    @property
    def _tries_a_piece(self) -> bool:
        return any(asked.piece and asked.turn is self._trial for asked in self._asked.values())


def _length(turn: Turn, until: int) -> int:
    audio = turn.content(0, until)
    return 0 if audio is None else audio[1] - audio[0]

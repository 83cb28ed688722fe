"""The way to the transcriber: turns wait here, are sent one after another, and get the text that answers them.

There are two tracks with one utterance at a time each: one for what is said now, one for what is made up for after an
outage, so that the living do not wait for the past.

The lane knows utterances and answers; where turns begin and end is decided in cutter.py, and what becomes of a turn
with its text in merger.py.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from minuted_daemon.core.events import Append, Clear, Commit, TextSource, UtteranceId
from minuted_daemon.core.samples import RATE_HZ, Sample, samples
from minuted_daemon.core.turn import SHORTEST_COMMIT, Turn

_CATCH_UP = 4  # at most so many times as fast as real time
_ANSWER_WAIT = 8 * RATE_HZ
_PAST_ANSWER_WAIT = 30 * RATE_HZ
"""Nobody waits for it now; and four times as fast as real time, what was committed may still be on its way."""
_MAX_MISSES = 2
_FAILED_WAITS = tuple(samples(wait) for wait in (0.5, 4.0, 12.0))
"""A turn that the transcriber gave up on is asked for again so long after: it may have had too much to do."""
_LATE_ANSWER = 60 * RATE_HZ
_PAST = 10 * RATE_HZ
"""Turns that ended longer ago than this when a connection comes are made up for beside those of the present."""


@dataclass(slots=True)
class _Asked:
    turn: Turn
    utterance: UtteranceId
    due: int
    makes_up: bool = False
    failed: bool = False  # it was refused, and is asked for again when it is due


@dataclass(slots=True)
class _Track:
    """`quota`: how many samples may be sent at once. `ready`: a connection takes them."""

    makes_up: bool
    ready: bool
    queue: deque[Turn] = field(default_factory=deque)
    quota: int = 0

    def insert(self, turn: Turn) -> None:
        """Put a turn before those of which nothing was sent and that are open."""
        queue = self.queue
        place = next((i for i, other in enumerate(queue) if not other.closed or self.makes_up), len(queue))
        if place < len(queue) and queue[place].sent_to is not None:
            place += 1
        queue.insert(place, turn)


class Lane:
    """Sends turns as utterances and matches answers to them.

    `answered` collects turns that got their text (or will never get one); the owner takes them out.
    """

    def __init__(self, now: int = 0, generation: int = 0) -> None:
        """`generation`: the highest one given out before."""
        self.answered: list[Turn] = []
        self.corrected: list[Turn] = []  # settled with a provisional text, and answered after all
        self.commands: list[Append | Commit | Clear] = []
        # The past's connection is made when the first of it is sent: until told otherwise it is taken to be there.
        self._present, self._past = _Track(makes_up=False, ready=False), _Track(makes_up=True, ready=True)
        self._asked: dict[UtteranceId, _Asked] = {}
        self._late: dict[UtteranceId, _Asked] = {}
        self._superseded: dict[UtteranceId, Turn] = {}
        self._refused = False
        self._serves_both = False
        self._next_utterance = generation + 1
        self._now = now

    # --- turns ---

    def submit(self, turn: Turn) -> None:
        """Put a turn, open or closed, behind the others."""
        self._present.queue.append(turn)

    def withdraw(self, turn: Turn) -> None:
        """The turn no longer exists."""
        self.restart(turn)
        for track in self._tracks:
            if turn in track.queue:
                track.queue.remove(turn)

    def forget(self, turn: Turn) -> None:
        """The turn no longer exists, and no answer to it is taken."""
        if self.holds(turn):
            self.withdraw(turn)
        self._asked = {key: asked for key, asked in self._asked.items() if asked.turn is not turn}
        self._late = {key: asked for key, asked in self._late.items() if asked.turn is not turn}
        self._superseded = {key: other for key, other in self._superseded.items() if other is not turn}
        for done in (self.answered, self.corrected):
            if turn in done:
                done.remove(turn)

    def restart(self, turn: Turn) -> None:
        """Forget what was sent of a turn that has not been committed; it is sent anew."""
        if turn.utterance is not None:
            self.commands.append(Clear(turn.utterance))
        turn.forget_sent()

    def first(self, turn: Turn) -> None:
        """Send this waiting turn before an open one of which nothing was sent."""
        self._present.queue.remove(turn)
        self._present.insert(turn)

    # --- the connection ---

    def ready(self, makes_up: bool = False) -> None:
        """A fresh connection takes audio."""
        if self._refused:
            return
        track = self._past if makes_up else self._present
        self._requeue(track)
        regained = makes_up and self._serves_both  # the second connection, after the first one had served for both
        if makes_up:
            self._serves_both = False
        if regained or not (makes_up or self._serves_both):
            over = [turn for turn in self._present.queue if turn.closed and turn.end < self._now - _PAST]
            if regained:
                over = [turn for turn in over if turn.sent_to is None]
            gone = set(over)
            self._present.queue = deque(turn for turn in self._present.queue if turn not in gone)
            begun = [turn for turn in self._past.queue if turn.sent_to is not None]
            waiting = [turn for turn in self._past.queue if turn.sent_to is None]
            self._past.queue = deque([*begun, *sorted([*waiting, *over], key=lambda turn: turn.start)])
        track.ready = True

    def lost(self, makes_up: bool = False) -> None:
        """The connection is gone with all it owed: that is asked for again, and nothing is held against it."""
        track = self._past if makes_up else self._present
        track.ready = False
        self._requeue(track)

    def serve_both(self) -> None:
        """There is no second connection: the past goes over the first one, before what is said now."""
        self.lost(makes_up=True)
        self._serves_both = True
        begun = [turn for turn in self._present.queue if turn.sent_to is not None]
        waiting = [turn for turn in self._present.queue if turn.sent_to is None]
        self._present.queue = deque([*begun, *self._past.queue, *waiting])
        self._past.queue.clear()

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
            turn.partial = text if replaces else turn.partial + text
        return turn

    def completed(self, utterance: UtteranceId, text: str) -> None:
        """Take the final text of an utterance; the first one counts."""
        asked = self._asked.pop(utterance, None)
        if asked is not None:
            self._answer(asked.turn, text, TextSource.COMPLETED)
        elif utterance in self._superseded:
            superseded = self._superseded.pop(utterance)
            superseded.fallback, superseded.fallback_is_whole = text, True
        elif utterance in self._late:
            late = self._late.pop(utterance).turn
            if text and text != late.text:
                late.text, late.text_source = text, TextSource.COMPLETED
                self.corrected.append(late)

    def failed(self, utterance: UtteranceId) -> None:
        """The transcriber gave up on an utterance."""
        asked = self._asked.get(utterance)
        if asked is None:
            return
        failures, asked.turn.failures = asked.turn.failures, asked.turn.failures + 1
        if failures < len(_FAILED_WAITS):
            self._asked[utterance] = replace(asked, due=self._now + _FAILED_WAITS[failures], failed=True)
        else:
            del self._asked[utterance]
            self._give_up_on(asked)

    # --- time ---

    def advance(self, now: int, horizon: int) -> None:
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
        if self._refused:
            self._give_up([turn for track in self._tracks for turn in track.queue if turn.closed])
        for track in self._tracks:
            while track.ready and track.queue and self._send(track, track.queue[0], horizon):
                track.queue.popleft()

    def deadline(self) -> int | None:
        """When an answer is missed next."""
        return min((asked.due for asked in self._asked.values()), default=None)

    def holds(self, turn: Turn) -> bool:
        """Tell whether the turn waits to be sent."""
        return any(turn in track.queue for track in self._tracks)

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent or answered."""
        return not any(track.queue for track in self._tracks) and not self._asked

    def needed_from(self) -> int | None:
        """The oldest audio that may still be sent."""
        waiting = [turn for track in self._tracks for turn in track.queue]
        starts = [turn.start for turn in waiting] + [asked.turn.start for asked in self._asked.values()]
        return min(starts, default=None)

    def shed(self, before: int) -> None:
        """Audio before this position is gone: the turns that still need it get no more text than they have."""
        self._give_up([turn for track in self._tracks for turn in track.queue if turn.closed and turn.first < before])

    @property
    def _tracks(self) -> tuple[_Track, _Track]:
        return self._present, self._past

    def _send(self, track: _Track, turn: Turn, horizon: int) -> bool:
        """Send more of a turn; tell whether it is all sent and committed."""
        until = max(horizon, turn.last) if turn.closed else horizon
        piece = turn.content(turn.sent_to or 0, until)
        if piece is not None and track.quota > 0:
            start, end = piece[0], min(piece[1], piece[0] + track.quota)
            if turn.utterance is None:
                turn.utterance = UtteranceId(self._next_utterance)
                turn.sent_from = start
                self._next_utterance += 1
            self.commands.append(Append(turn.utterance, Sample(start), Sample(end), track.makes_up))
            track.quota -= end - start
            turn.sent_to = end
        if not turn.closed or turn.content(turn.sent_to or 0, until):
            return False
        if turn.utterance is None:  # all of its audio is in other commits
            turn.swallowed = True
            self._answer(turn, "", TextSource.NONE)
            return True
        self.commands.append(Commit(turn.utterance, max(0, SHORTEST_COMMIT - turn.sent)))
        wait = _PAST_ANSWER_WAIT if track.makes_up else _ANSWER_WAIT
        self._asked[turn.utterance] = _Asked(turn, turn.utterance, self._now + wait, track.makes_up)
        return True

    def _missed(self, asked: _Asked) -> None:
        asked.turn.misses += 1
        if asked.turn.misses < _MAX_MISSES:
            self._ask_again(asked)
        else:
            self._give_up_on(asked)

    def _ask_again(self, asked: _Asked) -> None:
        if self._refused:
            self._give_up_on(asked)
            return
        asked.turn.keep_partial()
        self._superseded[asked.utterance] = asked.turn
        asked.turn.forget_sent()
        (self._past if asked.makes_up and not self._serves_both else self._present).insert(asked.turn)

    def _give_up_on(self, asked: _Asked) -> None:
        turn = asked.turn
        turn.keep_partial()
        # The newest attempt may still be answered.
        self._late[asked.utterance] = _Asked(turn, asked.utterance, self._now + _LATE_ANSWER)
        self._answer(turn, turn.fallback, TextSource.PROVISIONAL if turn.fallback else TextSource.NONE)

    def _answer(self, turn: Turn, text: str, source: TextSource) -> None:
        turn.text, turn.text_source = text.strip(), source
        self._superseded = {key: other for key, other in self._superseded.items() if other is not turn}
        self.answered.append(turn)

    def _requeue(self, track: _Track) -> None:
        """Take back what was sent on a track, in the order in which it was sent."""
        unanswered = [asked for asked in self._asked.values() if asked.makes_up is track.makes_up]
        for asked in unanswered:
            del self._asked[asked.utterance]
        track.queue.extendleft(asked.turn for asked in reversed(unanswered))
        for turn in track.queue:
            turn.keep_partial()
            turn.forget_sent()

    def _give_up(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self.withdraw(turn)
            self._answer(turn, turn.fallback, TextSource.PROVISIONAL if turn.fallback else TextSource.NONE)

    def _turn_of(self, utterance: UtteranceId) -> Turn | None:
        if utterance in self._asked:
            return self._asked[utterance].turn
        heads = (track.queue[0] for track in self._tracks if track.queue)
        return next((turn for turn in heads if turn.utterance == utterance), None)

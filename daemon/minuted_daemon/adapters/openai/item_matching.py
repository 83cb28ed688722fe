"""Which utterance a text belongs to. The vendor names items of its own and never says which commit an item answers.

It works through what it is sent in order, so the answers to commits and clears come in the order of the commits and
clears; only texts come in any order. `_asked` holds the commits and clears not answered yet. Hence the rules:
- `committed` gives its item to the oldest commit. If it follows an item that no `committed` named, one was lost:
  which of several commits it answers cannot be told any more, and the connection is astray.
- An error answers the commit its event_id names; a commit error that names none answers the oldest.
- A delta of an item never seen belongs to the open utterance if nothing is being asked; after a clear it is dropped,
  and its item with it; after a commit it may belong to either side, and is held until one side claims the item: by
  `committed`, or by going on when nothing is asked any more.
- An item stays with its utterance, unless a `committed` gives it to another one.
- A text counts for the item a `committed` bound, and only the first of an item. One that comes before waits for it.
- A commit refused for another reason than being empty leaves its audio in the buffer, so what is committed next holds
  two utterances: its text belongs to neither, and it fails. A clear in between avoids that.
Pure: time enters as data.
"""

import re
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from minuted_daemon.adapters.openai.codec import Cleared, Committed, Completed, Delta, Refused, ServerEvent
from minuted_daemon.core.events import TextCompleted, TextFailed, TextGrew, TranscriberEvent, UtteranceId

_ITEMS = 256
"""So many items are remembered, most of them answered: what comes again of an older one is dropped."""
_EARLY = 64
_HELD_CHARS = 10_000
_EMPTY = "input_audio_buffer_commit_empty"


@dataclass(eq=False, slots=True)
class _Utterance:
    """`item` is the bound one. `text` is all given as TextGrew so far, from the items in `voices`."""

    id: UtteranceId
    item: str | None = None
    over: bool = False  # answered, or not wanted any more: nothing is given from here on
    glued: bool = False  # the audio of a refused commit is in its item as well
    text: str = ""
    voices: tuple[str, ...] = ()
    echo: str = ""

    def end(self) -> None:
        """Return nothing from here on, and keep no more than it takes to know that."""
        self.over = True
        self.text = self.echo = ""
        self.voices = ()


@dataclass(eq=False, slots=True)
class _Asked:
    """A commit or clear the vendor has not answered. Only commits have a deadline."""

    utterance: _Utterance
    event_id: str
    deadline_s: float | None

    @property
    def clears(self) -> bool:
        return self.deadline_s is None


class Routing:
    """One connection's items and utterances. Tell it what is sent before sending it; feed it what arrives.

    counts: what could not be placed, by why. astray: the answer to a commit was lost, and with it the order: nothing
    that is unanswered can be placed any more.
    """

    def __init__(self, answer_within_s: float) -> None:
        self._answer_within_s = answer_within_s
        self._open: _Utterance | None = None
        self._asked: deque[_Asked] = deque()
        self._owners: OrderedDict[str, _Utterance] = OrderedDict()
        self._early: OrderedDict[str, Completed | Refused] = OrderedDict()
        self._held: OrderedDict[str, str] = OrderedDict()
        self._unclean = False
        self._last: str | None = None  # the item committed last
        self.astray = False
        self.counts: Counter[str] = Counter()

    def appending(self, utterance: UtteranceId) -> None:
        """Audio of this utterance is about to be sent.

        Raises ValueError while another one is open: its audio would be glued to this one's.
        """
        if self._open is None:
            self._open = _Utterance(utterance, glued=self._unclean)
            self._unclean = False
        elif self._open.id != utterance:
            raise ValueError(f"utterance {self._open.id} is open: {utterance} cannot be appended to")

    def cleaning(self, event_id: str) -> bool:
        """Return whether a clear with this event id must be sent before the next audio, because of a refused commit."""
        if not self._unclean or self._open is not None:
            return False
        self._unclean = False
        self._asked.append(_Asked(_nobody(), event_id, None))
        self._drop_held()
        return True

    def committing(self, utterance: UtteranceId, event_id: str, now_s: float) -> None:
        """A commit with this event id is about to be sent. Raises ValueError as `appending` does."""
        self.appending(utterance)
        self._ask(event_id, now_s + self._answer_within_s)

    def clearing(self, utterance: UtteranceId, event_id: str) -> bool:
        """Drop an utterance; true if a clear with this event id must be sent for it.

        One that has been committed is only dropped here: its audio is out of the buffer, where another's may be.
        """
        if self._open is not None and self._open.id == utterance:
            self._open.end()
            self._ask(event_id, None)
            return True
        for known in (*(asked.utterance for asked in self._asked), *self._owners.values()):
            if known.id == utterance:
                known.end()
        return False

    def overdue(self, now_s: float) -> bool:
        """Return whether a commit has waited too long for its answer."""
        oldest = next((asked.deadline_s for asked in self._asked if asked.deadline_s is not None), None)
        return oldest is not None and oldest <= now_s

    def feed(self, event: ServerEvent) -> Sequence[TranscriberEvent]:
        """Take what arrived; return what it means for utterances."""
        match event:
            case Delta():
                return self._delta(event)
            case Committed():
                return self._committed(event)
            case Cleared():
                self._cleared()
            case Completed():
                return self._answered(event.item, event)
            case Refused(item=str(item)):
                return self._answered(item, event)
            case Refused():
                return self._refused(event)
            case _:
                self.counts["out_of_place"] += 1
        return ()

    def _ask(self, event_id: str, deadline_s: float | None) -> None:
        assert self._open is not None
        self._asked.append(_Asked(self._open, event_id, deadline_s))
        self._open = None
        self._drop_held()

    def _delta(self, delta: Delta) -> Sequence[TranscriberEvent]:
        owner = self._owners.get(delta.item)
        if owner is not None:
            return self._grow(owner, delta.item, delta.text)
        if self._asked and not self._asked[0].clears:
            held = self._held.get(delta.item, "")
            if len(held) < _HELD_CHARS:
                self._held[delta.item] = held + delta.text
            if len(self._held) > _EARLY:
                self._held.popitem(last=False)
            return ()
        owner = self._asked[0].utterance if self._asked else self._open
        if owner is None:
            self.counts["orphan_delta"] += 1
            return ()
        self._own(delta.item, owner)
        return self._grow(owner, delta.item, self._held.pop(delta.item, "") + delta.text)

    def _grow(self, owner: _Utterance, item: str, text: str) -> Sequence[TranscriberEvent]:
        if owner.over or owner.glued or not text:
            return ()
        if not owner.voices or item in owner.voices:
            owner.voices = owner.voices or (item,)
            fresh = text
        else:
            # The item bound at the commit is not the one deltas came under before. It may go on from there, or say
            # everything again; wait while it could be either.
            owner.echo += text
            if owner.text.startswith(owner.echo):
                return ()
            fresh = owner.echo.removeprefix(owner.text)
            owner.voices += (item,)
        owner.text += fresh
        return (TextGrew(owner.id, fresh),)

    def _committed(self, committed: Committed) -> Sequence[TranscriberEvent]:
        item = committed.item
        owner = self._owners.get(item)
        if owner is not None and owner.item == item:
            self.counts["committed_again"] += 1
            return ()
        commits = [asked for asked in self._asked if not asked.clears]
        last, self._last = self._last, item
        # The answer to the only commit there is cannot be another's.
        if self.astray or (len(commits) > 1 and committed.previous not in (None, last)):
            self.astray = True
            return ()
        if not commits:
            # Not ours to place: its text must not go to the next utterance.
            self.counts["committed_unasked"] += 1
            self._own(item, _nobody(item))
            return ()
        held = self._held.pop(item, "")
        asked = commits[0]
        self._forget(asked)
        asked.utterance.item = item
        self._own(item, asked.utterance)
        grown = self._grow(asked.utterance, item, held)
        early = self._early.pop(item, None)
        return (*grown, *self._answered(item, early)) if early is not None else grown

    def _cleared(self) -> None:
        asked = next((asked for asked in self._asked if asked.clears), None)
        if asked is None:
            self.counts["cleared_unasked"] += 1
        else:
            self._forget(asked)

    def _answered(self, item: str, answer: Completed | Refused) -> Sequence[TranscriberEvent]:
        owner = self._owners.get(item)
        if owner is None or owner.item != item:
            self._early.setdefault(item, answer)
            if len(self._early) > _EARLY:
                self._early.popitem(last=False)
                self.counts["unplaced_text"] += 1
            return ()
        if owner.over:
            self.counts["answered_again"] += 1
            return ()
        owner.end()
        if owner.glued:
            return (TextFailed(owner.id, "BUFFER_UNCLEAN"),)
        if isinstance(answer, Completed):
            return (TextCompleted(owner.id, answer.text.strip()),)
        return (TextFailed(owner.id, reason(answer)),)

    def _refused(self, error: Refused) -> Sequence[TranscriberEvent]:
        if error.event_id is not None:
            asked = next((asked for asked in self._asked if asked.event_id == error.event_id), None)
        elif error.code.startswith("input_audio_buffer_commit"):
            asked = next((asked for asked in self._asked if not asked.clears), None)
        else:
            asked = None
        if asked is None:
            self.counts["error"] += 1
            return ()
        utterance = asked.utterance
        if not asked.clears and error.code != _EMPTY:
            self._glue(asked)
        self._forget(asked)
        if utterance.over:
            return ()
        utterance.end()
        if error.code == _EMPTY:
            return (TextCompleted(utterance.id, ""),)
        return (TextFailed(utterance.id, reason(error)),)

    def _glue(self, refused: _Asked) -> None:
        """Mark what the audio of a refused commit is stuck to."""
        later = list(self._asked)[self._asked.index(refused) + 1 :]
        if later:
            later[0].utterance.glued = not later[0].clears
        elif self._open is not None:
            self._open.glued = True
        else:
            self._unclean = True

    def _forget(self, answered: _Asked) -> None:
        """One has its answer, and so has every clear before it, whether or not it was seen."""
        place = self._asked.index(answered)
        self._asked = deque(one for at, one in enumerate(self._asked) if at > place or (at < place and not one.clears))
        self._drop_held()

    def _drop_held(self) -> None:
        """With a clear next, what is still held came before it, and is dropped with what the clear drops."""
        if self._asked and self._asked[0].clears:
            for item in self._held:
                self._own(item, self._asked[0].utterance)
            self._held.clear()

    def _own(self, item: str, utterance: _Utterance) -> None:
        self._owners[item] = utterance
        if len(self._owners) > _ITEMS:
            self._owners.popitem(last=False)


def _nobody(item: str | None = None) -> _Utterance:
    return _Utterance(UtteranceId(-1), item=item, over=True)


def reason(error: Refused) -> str:
    """Return an error's code as a reason."""
    if "429" in error.message or error.code == "rate_limit_exceeded":
        return "RATE_LIMITED"
    return re.sub(r"[^A-Z0-9]+", "_", (error.code or error.kind).upper()[:64]).strip("_") or "FAILED"

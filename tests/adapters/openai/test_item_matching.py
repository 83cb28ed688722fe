"""The order logic alone: first by hand, then against a model of the vendor that answers in every legal order."""

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from minuted_daemon.adapters.openai.codec import Cleared, Committed, Completed, Delta, Refused, ServerEvent
from minuted_daemon.adapters.openai.item_matching import Routing
from minuted_daemon.core.events import TextCompleted, TextFailed, TextGrew, TranscriberEvent, UtteranceId

EMPTY = "input_audio_buffer_commit_empty"
U = UtteranceId


def feed(routing: Routing, *arriving: ServerEvent) -> list[TranscriberEvent]:
    return [told for happened in arriving for told in routing.feed(happened)]


def committed(routing: Routing, *utterances: int) -> None:
    for number in utterances:
        routing.appending(U(number))
        routing.committing(U(number), f"e{number}", 0.0)


def test_deltas_before_the_commit_belong_to_the_open_utterance() -> None:
    routing = Routing(5)
    routing.appending(U(1))
    assert feed(routing, Delta("x", "so"), Delta("x", " it")) == [TextGrew(U(1), "so"), TextGrew(U(1), " it")]
    routing.committing(U(1), "e1", 0)
    routing.appending(U(2))
    told = feed(routing, Delta("x", " goes"), Committed("x"), Delta("y", "next"), Completed("x", " So it goes. "))
    assert told == [TextGrew(U(1), " goes"), TextGrew(U(2), "next"), TextCompleted(U(1), "So it goes.")]


def test_a_new_item_behind_a_commit_is_held_until_it_is_clear_whose_it_is() -> None:
    routing = Routing(5)
    routing.appending(U(1))
    routing.committing(U(1), "e1", 0)
    routing.appending(U(2))
    assert feed(routing, Delta("x", "one"), Delta("y", "two"), Delta("x", " more")) == []
    assert feed(routing, Committed("x")) == [TextGrew(U(1), "one more")]
    assert feed(routing, Delta("y", " more")) == [TextGrew(U(2), "two more")]
    routing.committing(U(2), "e2", 0)
    assert feed(routing, Delta("z", "three"), Committed("y"), Completed("y", "2")) == [TextCompleted(U(2), "2")]


def test_audio_of_a_refused_commit_is_nobodys() -> None:
    routing = Routing(5)
    committed(routing, 1, 2)
    routing.appending(U(3))
    # The buffer holds 1 and 2, and what is committed as 2 is both.
    assert feed(routing, Refused("server_error", event_id="e1")) == [TextFailed(U(1), "SERVER_ERROR")]
    told = feed(routing, Committed("b"), Delta("b", "one two"), Delta("c", "three"), Completed("b", "one two"))
    assert told == [TextGrew(U(3), "three"), TextFailed(U(2), "BUFFER_UNCLEAN")]
    routing.committing(U(3), "e3", 0)
    routing.appending(U(4))
    assert feed(routing, Refused("server_error", event_id="e3")) == [TextFailed(U(3), "SERVER_ERROR")]
    assert not routing.cleaning("k4")  # too late
    routing.committing(U(4), "e4", 0)
    assert feed(routing, Committed("d"), Completed("d", "three four")) == [TextFailed(U(4), "BUFFER_UNCLEAN")]


def test_an_answer_that_is_lost_leaves_what_is_unanswered_to_be_asked_again() -> None:
    routing = Routing(5)
    committed(routing, 1, 2, 3)
    assert feed(routing, Committed("a")) == []
    assert not routing.astray
    assert feed(routing, Committed("c", "b"), Completed("c", "three"), Completed("b", "two")) == []
    assert routing.astray
    routing = Routing(5)
    committed(routing, 1)
    assert feed(routing, Committed("b", "a"), Completed("b", "one")) == [TextCompleted(U(1), "one")], (
        "it can be no other"
    )
    assert not routing.astray


def test_what_was_held_goes_with_a_clear() -> None:
    routing = Routing(5)
    committed(routing, 1)
    routing.appending(U(2))
    feed(routing, Delta("x", "two"))  # of 1 or of 2
    routing.clearing(U(2), "c2")
    committed(routing, 3)
    assert feed(routing, Refused(EMPTY), Cleared()) == [TextCompleted(U(1), "")]
    assert feed(routing, Committed("x"), Delta("x", "three")) == [TextGrew(U(3), "three")]


def test_a_clear_cleans_the_buffer_after_a_refused_commit() -> None:
    routing = Routing(5)
    committed(routing, 1)
    assert not routing.cleaning("k1")
    feed(routing, Refused("server_error", event_id="e1"))
    assert routing.cleaning("k2")
    assert not routing.cleaning("k3")
    committed(routing, 2)
    assert feed(routing, Delta("old", "one"), Cleared(), Committed("b"), Completed("b", "two")) == [
        TextCompleted(U(2), "two")
    ]
    routing.appending(U(3))
    routing.clearing(U(3), "k4")
    committed(routing, 4)
    feed(routing, Refused("server_error", event_id="e4"))
    assert routing.cleaning("k5")


def test_answers_in_any_order() -> None:
    routing = Routing(5)
    committed(routing, 1, 2, 3)
    told = feed(routing, Committed("a"), Committed("b"), Committed("c"), Completed("c", "3"), Completed("a", "1"))
    assert told == [TextCompleted(U(3), "3"), TextCompleted(U(1), "1")]
    assert feed(routing, Completed("a", "again"), Refused("x", item="a"), Delta("a", "late")) == []
    assert feed(routing, Refused("", "server_error", message="HTTP 429", item="b")) == [
        TextFailed(U(2), "RATE_LIMITED")
    ]


def test_a_text_before_its_committed_waits() -> None:
    routing = Routing(5)
    committed(routing, 1, 2)
    assert feed(routing, Completed("b", "two"), Refused("audio_unintelligible", item="a")) == []
    assert feed(routing, Committed("a")) == [TextFailed(U(1), "AUDIO_UNINTELLIGIBLE")]
    assert feed(routing, Committed("b")) == [TextCompleted(U(2), "two")]


def test_an_error_answers_the_commit_it_names_else_the_oldest() -> None:
    routing = Routing(5)
    committed(routing, 1, 2, 3)
    assert feed(routing, Refused(EMPTY, event_id="e2")) == [TextCompleted(U(2), "")]
    assert feed(routing, Refused(EMPTY)) == [TextCompleted(U(1), "")]
    assert feed(routing, Refused("invalid_value"), Refused("x", event_id="other")) == []
    assert feed(routing, Committed("c"), Completed("c", "three")) == [TextCompleted(U(3), "three")]


def test_what_comes_between_a_clear_and_its_answer_is_dropped() -> None:
    routing = Routing(5)
    routing.appending(U(1))
    feed(routing, Delta("x", "wrong"))
    assert routing.clearing(U(1), "c1")
    routing.appending(U(2))
    assert (
        feed(routing, Delta("x", " voice"), Delta("z", "stray"), Cleared(), Delta("x", " more"), Delta("z", "!")) == []
    )
    assert feed(routing, Delta("y", "right")) == [TextGrew(U(2), "right")]
    routing.committing(U(2), "e2", 0)
    assert feed(routing, Committed("x"), Delta("x", " one")) == [TextGrew(U(2), " one")]  # the item came back
    assert feed(routing, Completed("x", "right one")) == [TextCompleted(U(2), "right one")]


def test_a_committed_utterance_that_is_cleared_is_dropped_without_touching_the_buffer() -> None:
    routing = Routing(5)
    committed(routing, 1, 2)
    feed(routing, Committed("a"))
    routing.appending(U(3))
    assert not routing.clearing(U(1), "c1")
    assert not routing.clearing(U(2), "c2")
    assert not routing.clearing(U(9), "c9")
    assert feed(routing, Completed("a", "1"), Committed("b"), Delta("b", "2"), Completed("b", "2")) == []
    assert feed(routing, Delta("c", "3")) == [TextGrew(U(3), "3")]


def test_a_clear_whose_answer_is_lost_does_not_shift_the_commits() -> None:
    routing = Routing(5)
    routing.appending(U(1))
    routing.clearing(U(1), "c1")
    committed(routing, 2)
    routing.appending(U(3))
    assert feed(routing, Committed("b"), Delta("c", "3"), Completed("b", "2")) == [
        TextGrew(U(3), "3"),
        TextCompleted(U(2), "2"),
    ]
    assert feed(routing, Cleared(), Delta("c", "!")) == [TextGrew(U(3), "!")]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([" on", " we go"], "and so on we go"),  # goes on from there
        (["and", " so on", " we go"], "and so on we go"),  # says everything again
        (["an", " odd one"], "and soan odd one"),  # looked like it, but went on
    ],
)
def test_an_item_that_changes_its_name_at_the_commit(after: list[str], told: str) -> None:
    routing = Routing(5)
    routing.appending(U(1))
    grown = feed(routing, Delta("before", "and"), Delta("before", " so"))
    routing.committing(U(1), "e1", 0)
    routing.appending(U(2))
    grown += feed(routing, Committed("after"), *(Delta("after", text) for text in after))
    assert all(isinstance(one, TextGrew) and one.utterance == 1 for one in grown)
    assert "".join(one.text for one in grown if isinstance(one, TextGrew)) == told
    assert feed(routing, Completed("after", "And so on.")) == [TextCompleted(U(1), "And so on.")]
    assert feed(routing, Delta("after", "x"), Delta("before", "x")) == []


def test_commits_nobody_asked_for_take_no_utterance() -> None:
    routing = Routing(5)
    committed(routing, 1)
    assert (
        feed(routing, Committed("a"), Committed("a"), Committed("rogue"), Completed("rogue", "?"), Delta("rogue", "?"))
        == []
    )
    committed(routing, 2)
    assert feed(routing, Committed("b"), Completed("b", "2")) == [TextCompleted(U(2), "2")]
    assert routing.counts["committed_again"] == routing.counts["committed_unasked"] == 1


def test_deadlines_are_those_of_commits_alone() -> None:
    routing = Routing(5)
    assert not routing.overdue(1e9)
    routing.appending(U(1))
    routing.clearing(U(1), "c")
    assert not routing.overdue(1e9)
    routing.appending(U(2))
    routing.committing(U(2), "e", 10.0)
    assert not routing.overdue(14.9)
    assert routing.overdue(15.0)
    feed(routing, Committed("a"))
    assert not routing.overdue(1e9)


def test_two_utterances_cannot_share_the_buffer() -> None:
    routing = Routing(5)
    routing.appending(U(1))
    with pytest.raises(ValueError, match="utterance 1 is open"):
        routing.appending(U(2))


def test_memory_is_bounded() -> None:
    routing = Routing(5)
    for number in range(5000):
        committed(routing, number)
        feed(routing, Committed(f"i{number}"), Completed(f"stray{number}", "x"))
    assert len(routing._owners) <= 256
    assert len(routing._early) <= 64


# --- a model of the vendor --------------------------------------------------------------------------------------------


@dataclass
class Vendor:
    """Works through what it was sent in order; then lets texts of items out in any order.

    A stretch of audio is a list of words; each word is a delta, before the commit or after it.
    """

    renames: bool
    keeps_item: bool
    names_errors: bool
    slow_answers: bool
    lost: int = 0
    last: str | None = None
    answers: deque[tuple[ServerEvent, deque[ServerEvent]]] = field(default_factory=deque)
    sent: deque[tuple[str, str, str]] = field(default_factory=deque)
    out: list[ServerEvent] = field(default_factory=list)
    buffer: list[str] = field(default_factory=list)
    spoken: int = 0
    items: int = 0
    name: str = ""
    late: list[deque[ServerEvent]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fresh()

    def fresh(self) -> None:
        self.items += 1
        self.name, self.buffer, self.spoken = f"item{self.items}", [], 0

    def work(self) -> None:
        kind, words, event_id = self.sent.popleft()
        if kind == "append":
            self.buffer += words.split()
        elif kind == "clear":
            self.answer(Cleared())
            if self.keeps_item:
                self.buffer, self.spoken = [], 0
            else:
                self.fresh()
        elif words == "refuse":  # and the audio stays where it is
            self.answer(Refused("server_error", event_id=event_id))
        elif not self.buffer:
            self.answer(Refused(EMPTY, event_id=event_id if self.names_errors else None))
        else:
            name = f"{self.name}.renamed" if self.renames else self.name
            rest: list[ServerEvent] = [Delta(name, f"{word} ") for word in self.buffer[self.spoken :]]
            last = Completed(name, " ".join(self.buffer).upper() + " ")
            previous, self.last = self.last, name
            if words == "lose":
                self.lost += 1
                self.late.append(deque((*rest, last)))
            else:
                self.answer(Committed(name, previous), *rest, last, last)
            self.fresh()

    def answer(self, event: ServerEvent, *texts: ServerEvent) -> None:
        """Answers keep their order; slow ones come behind deltas of what follows."""
        self.answers.append((event, deque(texts)))
        if not self.slow_answers:
            self.tell()

    def tell(self) -> None:
        event, texts = self.answers.popleft()
        self.out.append(event)
        self.late.append(texts)

    def speak(self) -> None:
        if self.spoken < len(self.buffer):
            self.out.append(Delta(self.name, f"{self.buffer[self.spoken]} "))
            self.spoken += 1


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["", "refuse", "lose"]))
def test_each_utterance_gets_its_own_text_once(
    data: st.DataObject, renames: bool, keeps_item: bool, named: bool, slow: bool, fault: str
) -> None:
    # An error that names no commit is taken for the oldest's: with answers lost nobody could tell.
    vendor, routing = Vendor(renames, keeps_item, named or fault == "lose", slow), Routing(5)
    told: list[TranscriberEvent] = []
    words: dict[int, list[str]] = {}
    ended: dict[int, str] = {}
    number, steps = 1, data.draw(st.integers(1, 120))
    for step in range(steps):
        match data.draw(
            st.sampled_from(["append", "commit", "clear", "work", "speak", "late", "tell", "read", "read"])
        ):
            case "append":
                words.setdefault(number, []).append(f"u{number}w{step}")
                if routing.cleaning(f"k{step}"):
                    vendor.sent.append(("clear", "", f"k{step}"))
                routing.appending(U(number))
                vendor.sent.append(("append", words[number][-1], ""))
            case "commit":
                routing.committing(U(number), f"e{number}", 0)
                vendor.sent.append(("commit", fault if fault and data.draw(st.booleans()) else "", f"e{number}"))
                ended[number] = "commit"
                number += 1
            case "clear" if number in words:
                if routing.clearing(U(number), f"e{number}"):
                    vendor.sent.append(("clear", "", f"e{number}"))
                ended[number] = "clear"
                number += 1
            case "work" if vendor.sent:
                vendor.work()
            case "speak":
                vendor.speak()
            case "tell" if vendor.answers:
                vendor.tell()
            case "late" if vendor.late:
                item = vendor.late[data.draw(st.integers(0, len(vendor.late) - 1))]
                if item:
                    vendor.out.append(item.popleft())
            case "read" if vendor.out:
                told += routing.feed(vendor.out.pop(0))
    while vendor.sent:
        vendor.work()
    while vendor.answers:
        vendor.tell()
    for item in data.draw(st.permutations(vendor.late)):
        vendor.out += item
    for happened in vendor.out:
        told += routing.feed(happened)

    event(f"utterances ended: {min(len(ended), 5)}")
    finals = [one for one in told if not isinstance(one, TextGrew)]
    due = {u for u, how in ended.items() if how == "commit"}
    assert {one.utterance for one in finals} == due or (vendor.lost and routing.overdue(5.0) | routing.astray)
    assert {one.utterance for one in finals} <= due
    assert len(finals) == len({one.utterance for one in finals})
    for one in finals:
        assert fault == "refuse" or isinstance(one, TextCompleted)
        if isinstance(one, TextCompleted):
            assert one.text == " ".join(words.get(one.utterance, [])).upper()
    for utterance, own in words.items():
        grown = "".join(one.text for one in told if isinstance(one, TextGrew) and one.utterance == utterance).split()
        # Until a late refusal is heard, the refused item goes on with what was said next: its partial may show that.
        if not (slow and any(isinstance(one, TextFailed) and one.utterance == utterance for one in told)):
            assert [word for word in own if word in grown] == grown  # none of another's, none twice
        if ended.get(utterance) == "commit" and not (keeps_item or renames or slow or fault):
            assert grown == own

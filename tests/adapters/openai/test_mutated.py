"""Fields that are null, absent or of another type: no utterance stays without an answer for ever, and nothing raises.

The codec, the order logic and the lane together, in virtual time, against a vendor whose first messages are mutated.
"""

import json
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.adapters.openai.codec import Completed, Delta, OpenAICodec, Refused
from minuted_daemon.adapters.openai.item_matching import Routing
from minuted_daemon.core.diarization.timeline import Voice
from minuted_daemon.core.events import Append, Clear, Commit, TextCompleted, TextFailed, TextGrew
from minuted_daemon.core.samples import RATE_HZ, samples
from minuted_daemon.errors import Garbled
from tests.support.watched_queue import WatchedQueue, turn

TRANSCRIPTION = "conversation.item.input_audio_transcription."
ABSENT = object()
Mutation = tuple[str, Any]
FIELDS = ("type", "item_id", "previous_item_id", "delta", "transcript", "error", "content_index", "code", "message")
VALUES = (ABSENT, None, 7, True, 0.5, [], {}, {"text": "x"}, "", " ", "\ud83d", "x" * 300, {"code": 429, "type": None})


def read(body: object) -> object:
    return OpenAICodec().decode(json.dumps(body))


@pytest.mark.parametrize("transcript", [None, 7, [], {}, ABSENT])
def test_a_transcript_that_is_no_text_is_an_answer_without_one(transcript: Any) -> None:
    body = {"type": f"{TRANSCRIPTION}completed", "item_id": "x", "transcript": transcript}
    if transcript is ABSENT:
        del body["transcript"]
    assert read(body) == Completed("x", "")


def test_codes_may_be_numbers() -> None:
    body = {"type": f"{TRANSCRIPTION}failed", "item_id": "x", "error": {"code": 429, "message": None}}
    assert read(body) == Refused("429", item="x")


def test_halves_of_a_character_pass_as_they_come() -> None:
    assert read({"type": f"{TRANSCRIPTION}delta", "item_id": "x", "delta": "\ud83d"}) == Delta("x", "\ud83d")


def mutated(message: dict[str, Any], mutation: Mutation | None) -> str:
    if mutation is not None:
        name, value = mutation
        body = dict(message)
        body.pop(name, None)
        if value is not ABSENT:
            body[name] = value
        message = body
    return json.dumps(message)


class Vendor:
    """Answers each commit with two deltas and a text, or a failure; the first messages are mutated."""

    def __init__(self, mutations: list[Mutation | None], failures: list[bool]) -> None:
        self.mutations, self.failures = deque(mutations), deque(failures)
        self.items = 0

    def answers(self) -> list[str]:
        self.items += 1
        item, before = f"item{self.items}", f"item{self.items - 1}" if self.items > 1 else None
        committed = {"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": before}
        delta = {"type": f"{TRANSCRIPTION}delta", "item_id": item, "content_index": 0, "delta": "so it "}
        completed = {"type": f"{TRANSCRIPTION}completed", "item_id": item, "transcript": "So it goes.", "usage": None}
        failed = {"type": f"{TRANSCRIPTION}failed", "item_id": item, "error": {"code": "server_error", "message": "no"}}
        last = failed if self.failures and self.failures.popleft() else completed
        messages = [committed, delta, dict(delta, delta="goes"), last]
        return [mutated(one, self.mutations.popleft() if self.mutations else None) for one in messages]


class Connection:
    """What a session has to do with the vendor: a fresh codec and order for each connection."""

    def __init__(self, lane: WatchedQueue, vendor: Vendor) -> None:
        self.lane, self.vendor = lane, vendor
        self.now = samples(30.0)
        self.connect()

    def connect(self) -> None:
        self.codec, self.routing = OpenAICodec(), Routing(5.0)
        self.arriving: list[str] = []
        self.number = 0
        self.vendor.items = 0
        self.lane.ready()
        self.lane.ready(makes_up=True)

    def second(self) -> None:
        self.now += RATE_HZ
        for command in self.lane.step(self.now):
            self.send(command)
        arriving, self.arriving = self.arriving, []
        try:
            for message in arriving:
                event = self.codec.decode(message)
                for told in self.routing.feed(event) if event is not None else ():
                    self.tell(told)
        except Garbled:
            self.routing.astray = True
        if self.routing.astray or self.routing.overdue(self.now / RATE_HZ):
            self.lane.lost()
            self.lane.lost(makes_up=True)
            self.connect()

    def send(self, command: Append | Commit | Clear) -> None:
        self.number += 1
        name = f"e{self.number}"
        if isinstance(command, Append):
            if self.routing.cleaning(name):
                self.arriving.append('{"type": "input_audio_buffer.cleared"}')
            self.routing.appending(command.utterance)
        elif isinstance(command, Commit):
            self.routing.committing(command.utterance, name, self.now / RATE_HZ)
            self.arriving += self.vendor.answers()
        elif self.routing.clearing(command.utterance, name):
            self.arriving.append('{"type": "input_audio_buffer.cleared"}')

    def tell(self, event: object) -> None:
        if isinstance(event, TextGrew):
            self.lane.grew(event.utterance, event.text, event.replaces)
        elif isinstance(event, TextCompleted):
            self.lane.completed(event.utterance, event.text)
        elif isinstance(event, TextFailed):
            self.lane.failed(event.utterance, event.reason)


mutations = st.none() | st.tuples(st.sampled_from(FIELDS), st.sampled_from(VALUES))


@given(st.lists(mutations, max_size=40), st.lists(st.booleans(), max_size=8), st.integers(1, 6), st.booleans())
def test_every_utterance_is_answered_whatever_is_in_the_fields(
    changes: list[Mutation | None], failures: list[bool], count: int, claimed: bool
) -> None:
    lane = WatchedQueue()
    turns = [turn(n, 3.0 * n, length_s=2.0) for n in range(1, count + 1)]
    for one in turns:
        one.voice = Voice(int(claimed))
        lane.submit(one)
    connection = Connection(lane, Vendor(changes, failures))
    for _ in range(1500):
        connection.second()
        if lane.idle:
            break
    assert lane.idle
    assert sorted(one.number for one in lane.answered) == [one.number for one in turns]

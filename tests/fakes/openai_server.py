"""A stand-in for OpenAI Realtime transcription that hears a rendered meeting and writes its words down.

Here are the upgrade and the books. Faults at `upgrade` (counted from 1): status {status, retry_after, body, delay_s},
delay {delay_s}, hang, reset, and no_created (accepts, but never says session.created). For the rest see
openai_connection and standin.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.coverage_book import CoverageBook
from tests.fakes.meeting import RATE_HZ, Meeting
from tests.fakes.openai_connection import RealtimeConnection
from tests.fakes.openai_items import Bookkeeper, Knobs
from tests.fakes.standin import Connection, knobs_from, main
from tests.fakes.wire import Reply, Request, Socket


class OpenAIStandIn(Bookkeeper):
    """The upgrade, and what the sessions share."""

    def __init__(
        self,
        meetings: Sequence[Meeting],
        knobs: Knobs | None = None,
        script: Sequence[Mapping[str, Any]] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(meetings, knobs or Knobs(), script, seed)
        self._book = CoverageBook()
        self._words: Counter[tuple[str, str]] = Counter()
        self._commits: deque[dict[str, Any]] = deque(maxlen=2000)
        self._deltas: deque[tuple[str, str, float, float]] = deque(maxlen=5000)
        self._completed: OrderedDict[str, float] = OrderedDict()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def error_body(self, status: int) -> Any:
        codes = {401: "invalid_api_key", 403: "unsupported_country_region_territory", 429: "rate_limit_exceeded"}
        code = codes.get(status, "insufficient_quota" if status == 402 else "server_error")
        return {"error": {"type": "invalid_request_error", "code": code, "message": f"status {status}", "param": None}}

    async def respond(self, request: Request) -> Reply | None:
        if request.path != "/v1/realtime":
            return Reply(404, self.error_body(404))
        if not request.upgrade:
            return Reply(426, self.error_body(426))
        number = self.count("upgrade")
        if self.knobs.accept_s:
            await asyncio.sleep(self.knobs.accept_s)
        fault = self.fault("upgrade", number)
        if fault is not None and fault.do == "no_created":
            self.silent_greetings += 1
        elif (played := await self.http_fault(fault)) is not None:
            return played
        missing = request.bearer is None
        wrong = self.knobs.bad_key == "status" and self.knobs.key not in (None, request.bearer)
        return Reply(401, self.error_body(401)) if missing or wrong else None

    def connection(self, request: Request, socket: Socket, number: int) -> Connection:
        return RealtimeConnection(self, socket, number, request)

    def book_commit(
        self,
        connection: int,
        number: int,
        item_id: str,
        spans: Sequence[tuple[Meeting, float, float]],
        words: Sequence[tuple[str, str]],
    ) -> None:
        """Note which samples of which meeting a commit held."""
        again = 0
        for meeting, low, high in spans:
            again += self._book.add(meeting.name, round(low), round(high))
        self._words.update(words)
        self._commits.append(
            {
                "connection": connection,
                "number": number,
                "item_id": item_id,
                "spans": [[meeting.name, round(low), round(high)] for meeting, low, high in spans],
                "words": [text for _, text in words],
                "again_samples": again,
                "at": time.time(),
            }
        )

    def book_delta(self, meeting: str, word: str, heard_at: float) -> None:
        self._deltas.append((meeting, word, heard_at, time.time()))

    def book_completed(self, item_id: str) -> None:
        self._completed.setdefault(item_id, time.time())
        if len(self._completed) > 2000:
            self._completed.popitem(last=False)

    def summary(self) -> dict[str, Any]:
        return {
            "twice_committed_s": round(self._book.again / RATE_HZ, 4),
            "covered_s": round(self._book.covered / RATE_HZ, 3),
            "words_heard": len(self._words),
            "words_twice": {text: count for (_, text), count in self._words.items() if count > 1},
            "commits": [{**commit, "completed_at": self._completed.get(commit["item_id"])} for commit in self._commits],
            "deltas": [
                {"meeting": meeting, "word": word, "heard_at": heard_at, "sent_at": sent_at}
                for meeting, word, heard_at, sent_at in self._deltas
            ],
        }


def build(meetings: list[Meeting], knobs: dict[str, Any], script: list[dict[str, Any]], seed: int = 0) -> OpenAIStandIn:
    """Make the stand-in from plain data."""
    return OpenAIStandIn(meetings, knobs_from(Knobs, knobs), script, seed)


if __name__ == "__main__":
    main(build)

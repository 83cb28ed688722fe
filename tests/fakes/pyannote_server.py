"""A stand-in for pyannoteAI Live-1 that hears a rendered meeting and tells who speaks, as strictly as the vendor.

Here is the REST side. Faults at `post` and `upgrade` (counted from 1): status {status, retry_after, body, delay_s},
delay {delay_s}, hang, reset, nonsense {body}. For the rest see pyannote_stream and standin.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.meeting import Meeting
from tests.fakes.pyannote_stream import Knobs, LiveConnection, Stream, now_text
from tests.fakes.standin import Connection, StandIn, knobs_from, main
from tests.fakes.wire import Reply, Request, Socket


class PyannoteStandIn(StandIn):
    """The REST side, and what the streams share."""

    knobs: Knobs

    def __init__(
        self,
        meetings: Sequence[Meeting],
        knobs: Knobs | None = None,
        script: Sequence[Mapping[str, Any]] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(meetings, knobs or Knobs(), script, seed)
        self._streams: dict[str, Stream] = {}
        self._by_token: dict[str, Stream] = {}
        self._window = (0, 0)

    def error_body(self, status: int) -> Any:
        texts = {
            401: "Unauthorized",
            402: "Subscription required",
            403: "Streaming is disabled for this team",
            429: "Too many requests",
        }
        return {"requestId": secrets.token_hex(8), "message": texts.get(status, "Internal server error")}

    async def respond(self, request: Request) -> Reply | None:
        if request.upgrade:
            return await self._upgrade(request)
        if request.path == "/v1/live" and request.method == "POST":
            return await self._create(request)
        if request.path.startswith("/v1/live/") and request.method == "GET":
            return self._inspect(request)
        return Reply(404, {"message": "Not found"})

    def _authorised(self, request: Request) -> bool:
        return request.bearer is not None and self.knobs.key in (None, request.bearer)

    async def _create(self, request: Request) -> Reply:
        number = self.count("post")
        if self.knobs.post_s:
            await asyncio.sleep(self.knobs.post_s)
        if (played := await self.http_fault(self.fault("post", number))) is not None:
            return played
        if not self._authorised(request):
            return Reply(401, self.error_body(401))
        now = asyncio.get_running_loop().time()
        minute, posts = self._window
        posts = posts + 1 if minute == int(now // 60) else 1
        self._window = (int(now // 60), posts)
        reset_s = int(60 - now % 60) + 1
        limit = self.knobs.posts_per_minute
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - posts)),
            "X-RateLimit-Reset": str(reset_s),
        }
        if posts > limit:
            return Reply(429, self.error_body(429), {**headers, "Retry-After": str(reset_s)})
        live = sum(c.socket.is_open for c in self.connections)
        if live >= self.knobs.concurrent:
            return Reply(429, self.error_body(429), {**headers, "Retry-After": "1"})
        body: Any
        try:
            body = json.loads(request.body or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict) or body:
            errors = [{"field": name, "message": "unknown"} for name in (body if isinstance(body, dict) else ["body"])]
            return Reply(400, {"message": "Invalid request", "errors": errors}, headers)
        stream = Stream(secrets.token_hex(12), secrets.token_urlsafe(24), now)
        self._streams[stream.id] = self._by_token[stream.token] = stream
        url = f"ws://127.0.0.1:{self.port}/v1/live/stream?token={stream.token}"
        return Reply(200, {"id": stream.id, "url": url}, headers)

    def _inspect(self, request: Request) -> Reply:
        if not self._authorised(request):
            return Reply(401, self.error_body(401))
        stream = self._streams.get(request.path.rsplit("/", 1)[1])
        if stream is None:
            return Reply(404, {"message": "Not found"})
        body: dict[str, Any] = {
            "id": stream.id,
            "status": stream.status,
            "startedAt": stream.started_at,
            "completedAt": stream.completed_at,
            "input": {},
        }
        return Reply(200, body)

    async def _upgrade(self, request: Request) -> Reply | None:
        number = self.count("upgrade")
        stream = self._by_token.get(request.query.get("token", ""))
        if stream is None or stream.used or asyncio.get_running_loop().time() - stream.made > self.knobs.url_lifetime_s:
            self.count("bad_token")
            return Reply(403, {"message": "invalid token"})
        stream.used = True
        if self.knobs.cold_start_s:
            await asyncio.sleep(self.knobs.cold_start_s)
        return await self.http_fault(self.fault("upgrade", number))

    def connection(self, request: Request, socket: Socket, number: int) -> Connection:
        stream = self._by_token[request.query["token"]]
        stream.status, stream.started_at = "running", now_text()
        return LiveConnection(self, socket, number, stream)


def build(
    meetings: list[Meeting], knobs: dict[str, Any], script: list[dict[str, Any]], seed: int = 0
) -> PyannoteStandIn:
    """Make the stand-in from plain data."""
    return PyannoteStandIn(meetings, knobs_from(Knobs, knobs), script, seed)


if __name__ == "__main__":
    main(build)

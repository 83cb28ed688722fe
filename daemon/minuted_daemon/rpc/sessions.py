"""SessionService."""

# Names, arguments and documentation of the methods are the contract's.
# ruff: noqa: ARG002, D102, N802

from collections.abc import AsyncIterator
from contextlib import aclosing

from minuted.v1 import sessions_pb2 as pb
from minuted.v1.sessions_pb2_grpc import SessionServiceServicer
from minuted_daemon.core.records import LIVE_STATES, SessionId
from minuted_daemon.errors import NotFound, Stopping
from minuted_daemon.rpc import convert, requests
from minuted_daemon.rpc.status import Context
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.sessions import Sessions
from minuted_daemon.service.views import SessionView

POLL_S = 2.0
"""A watcher is told at once of what is announced, and this soon of what is not."""


class SessionService(SessionServiceServicer):
    """Starts, stops, pauses, erases, lists and watches sessions."""

    def __init__(self, sessions: Sessions, hub: Hub) -> None:
        self._sessions = sessions
        self._hub = hub

    async def StartSession(self, request: pb.StartSessionRequest, context: Context) -> pb.StartSessionResponse:
        view = await self._sessions.start(requests.start(request))
        return pb.StartSessionResponse(session=convert.session(view))

    async def StopSession(self, request: pb.StopSessionRequest, context: Context) -> pb.StopSessionResponse:
        view = await self._sessions.stop(requests.session_key(request))
        return pb.StopSessionResponse(session=convert.session(view))

    async def PauseSession(self, request: pb.PauseSessionRequest, context: Context) -> pb.PauseSessionResponse:
        view = await self._sessions.pause(requests.session_key(request))
        return pb.PauseSessionResponse(session=convert.session(view))

    async def ResumeSession(self, request: pb.ResumeSessionRequest, context: Context) -> pb.ResumeSessionResponse:
        view = await self._sessions.resume(requests.session_key(request))
        return pb.ResumeSessionResponse(session=convert.session(view))

    async def DeleteSession(self, request: pb.DeleteSessionRequest, context: Context) -> pb.DeleteSessionResponse:
        await self._sessions.delete(requests.session_key(request))
        return pb.DeleteSessionResponse()

    async def RedactSession(self, request: pb.RedactSessionRequest, context: Context) -> pb.RedactSessionResponse:
        left = await self._sessions.redact(*requests.redaction(request))
        return pb.RedactSessionResponse(
            start_offset=convert.offset(left.start), end_offset=convert.offset(left.end), turns=left.turns
        )

    async def GetSession(self, request: pb.GetSessionRequest, context: Context) -> pb.GetSessionResponse:
        view = await self._sessions.view_with_coverage(requests.session_key(request))
        return pb.GetSessionResponse(session=convert.session(view))

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        problems = requests.Problems()
        limit, token = requests.page(request, problems)
        problems.raise_any()
        page = await self._sessions.list(limit, token)
        return pb.ListSessionsResponse(
            sessions=[convert.session(view) for view in page.items], next_page_token=page.next_token or ""
        )

    async def RetryLinks(self, request: pb.RetryLinksRequest, context: Context) -> pb.RetryLinksResponse:
        retried = await self._sessions.retry(request.session or None)
        return pb.RetryLinksResponse(links=[convert.retried_link(one) for one in retried])

    async def WatchSessions(
        self, request: pb.WatchSessionsRequest, context: Context
    ) -> AsyncIterator[pb.WatchSessionsResponse]:
        told: dict[SessionId, bytes] = {}  # live sessions as last told
        async with aclosing(self._hub.touches(POLL_S)) as touches:
            first = True
            async for changed in touches:
                # Before anything is awaited: one that comes in between is told the next time, and only then.
                deletions = [self._hub.deletion(session_id) for session_id in sorted(changed)]
                views = await self._live() if first else await self._views(changed | told.keys())
                first = False
                for view in views:
                    message = convert.session(view)
                    essence = _essence(message)
                    if told.get(view.record.id) == essence:
                        continue
                    if view.record.state in LIVE_STATES:
                        told[view.record.id] = essence
                    else:
                        told.pop(view.record.id, None)
                    yield pb.WatchSessionsResponse(session=message)
                for deletion in deletions:
                    if deletion is not None:
                        told.pop(deletion.id, None)
                        yield pb.WatchSessionsResponse(session=convert.stored_session(deletion))
        raise Stopping

    async def _live(self) -> list[SessionView]:
        found: list[SessionView] = []
        token: str | None = None
        while len(found) < self._sessions.live_count():
            page = await self._sessions.list(requests.LARGEST_PAGE, token)
            found += [view for view in page.items if view.record.state in LIVE_STATES]
            token = page.next_token
            if token is None:
                break
        return found

    async def _views(self, ids: frozenset[SessionId]) -> list[SessionView]:
        found = []
        for session_id in sorted(ids):
            try:
                found.append(await self._sessions.view(session_id))
            except NotFound:  # deleted meanwhile: that is told otherwise
                continue
        return found


def _essence(message: pb.Session) -> bytes:
    """Return what makes a session's change worth telling: all but its clocks."""
    still = pb.Session()
    still.CopyFrom(message)
    for clock in ("duration", "diarizer_sent", "transcriber_sent"):
        still.ClearField(clock)
    return still.SerializeToString(deterministic=True)

"""SessionService."""

# Names, arguments and documentation of the methods are the contract's.
# ruff: noqa: ARG002, D102, N802

from collections.abc import AsyncIterator
from contextlib import aclosing

from minuted.v1 import sessions_pb2 as pb
from minuted.v1.sessions_pb2_grpc import SessionServiceServicer
from minuted_daemon.errors import Stopping
from minuted_daemon.rpc import convert, requests
from minuted_daemon.rpc.status import Context
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.feed.session_watch import SessionWatch
from minuted_daemon.service.sessions import Sessions


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
        async with aclosing(SessionWatch(self._sessions, self._hub).changes()) as changes:
            async for view in changes:
                yield pb.WatchSessionsResponse(session=convert.session(view))
        raise Stopping

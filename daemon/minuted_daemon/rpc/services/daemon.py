"""DaemonService: version, uptime and engines."""

# Names, arguments and documentation of the methods are the contract's.
# ruff: noqa: ARG002, D102, N802

import time
from importlib.metadata import version

from minuted.v1 import daemon_pb2 as pb
from minuted.v1.daemon_pb2_grpc import DaemonServiceServicer
from minuted_daemon.ports.minutes import MinutesReader
from minuted_daemon.rpc import convert
from minuted_daemon.rpc.status import Context
from minuted_daemon.service.sessions import Sessions


class DaemonService(DaemonServiceServicer):
    """Counts the uptime from its construction."""

    def __init__(self, sessions: Sessions, store: MinutesReader) -> None:
        self._sessions = sessions
        self._store = store
        self._started_s = time.time()
        self._started_at = time.monotonic()

    async def GetInfo(self, request: pb.GetInfoRequest, context: Context) -> pb.GetInfoResponse:
        auto_diarizer, auto_transcriber = self._sessions.auto()
        return pb.GetInfoResponse(
            version=version("minuted"),
            start_time=convert.time(self._started_s),
            uptime=convert.length(time.monotonic() - self._started_at),
            store_id=self._store.store_id,
            highest_seq=await self._store.highest_seq(),
            live_sessions=self._sessions.live_count(),
            engines=[convert.engine(info) for info in self._sessions.engines()],
            auto_diarizer=auto_diarizer,
            auto_transcriber=auto_transcriber,
        )

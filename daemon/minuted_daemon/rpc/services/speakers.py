"""SpeakerService, but for RenameSpeaker and MergeSpeakers, which this daemon does not offer yet."""

# Names, arguments and documentation of the methods are the contract's.
# ruff: noqa: ARG002, D102, N802

from minuted.v1 import speakers_pb2 as pb
from minuted.v1.speakers_pb2_grpc import SpeakerServiceServicer
from minuted_daemon.ports.minutes import MinutesReader
from minuted_daemon.rpc import convert, requests
from minuted_daemon.rpc.status import Context


class SpeakerService(SpeakerServiceServicer):
    """Lists a session's speakers."""

    def __init__(self, store: MinutesReader) -> None:
        self._store = store

    async def ListSpeakers(self, request: pb.ListSpeakersRequest, context: Context) -> pb.ListSpeakersResponse:
        session = await self._store.session(requests.session_key(request))
        speakers = await self._store.speakers(session.id)
        return pb.ListSpeakersResponse(speakers=[convert.speaker(record) for record in speakers])

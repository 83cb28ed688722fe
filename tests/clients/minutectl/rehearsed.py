"""A daemon that gives rehearsed answers: the contract's services on a real socket, nothing behind them."""

# ruff: noqa: N802  # gRPC names the methods

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from minuted.v1 import (
    daemon_pb2,
    daemon_pb2_grpc,
    devices_pb2,
    devices_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    speakers_pb2,
    speakers_pb2_grpc,
    turns_pb2,
    turns_pb2_grpc,
)
from minuted.v1.turns_pb2 import StreamTurnsResponse

END = object()


class Refusal(Exception):
    """What a service raises to refuse, as the real daemon would."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str) -> None:
        self.code, self.reason, self.message = code, reason, message


def refuse(context: grpc.ServicerContext, refusal: Refusal) -> None:
    detail = AnyMessage()
    detail.Pack(ErrorInfo(reason=refusal.reason, domain="minuted"))
    status = Status(code=refusal.code.value[0], message=refusal.message, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(refusal.code, refusal.message)


class Daemon(
    daemon_pb2_grpc.DaemonServiceServicer,
    devices_pb2_grpc.DeviceServiceServicer,
    sessions_pb2_grpc.SessionServiceServicer,
    speakers_pb2_grpc.SpeakerServiceServicer,
    turns_pb2_grpc.TurnServiceServicer,
):
    """`asked` holds every request. `script` is what StreamTurns gives: messages, a Refusal, or END."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[Any] = []
        self.refusal: Refusal | None = None
        self.script: queue.Queue[Any] = queue.Queue()
        self.turns = [turn("one", 1), turn("two", 2)]
        self.retried: list[Any] = []
        self.session = sessions_pb2.Session(
            id="01S",
            name="boardroom",
            seq=3,
            state=sessions_pb2.SESSION_STATE_RUNNING,
            device="default",
            diarizer="local",
            transcriber="local",
        )
        self.start()

    def start(self) -> None:
        self.server = grpc.server(ThreadPoolExecutor(8))
        daemon_pb2_grpc.add_DaemonServiceServicer_to_server(self, self.server)
        sessions_pb2_grpc.add_SessionServiceServicer_to_server(self, self.server)
        devices_pb2_grpc.add_DeviceServiceServicer_to_server(self, self.server)
        speakers_pb2_grpc.add_SpeakerServiceServicer_to_server(self, self.server)
        turns_pb2_grpc.add_TurnServiceServicer_to_server(self, self.server)
        assert self.server.add_insecure_port(self.address)
        self.server.start()

    def stop(self) -> None:
        stopped = self.server.stop(0)
        self.script.put(END)  # lets go of the thread that would give the next message
        self.script = queue.Queue()
        stopped.wait()

    def answer(self, request: Any, context: grpc.ServicerContext, give: Callable[[], Any]) -> Any:
        self.asked.append(request)
        if self.refusal:
            refuse(context, self.refusal)
        return give()

    def GetInfo(self, request, context):
        info = daemon_pb2.GetInfoResponse(
            version="0.1.0", store_id="01X", highest_seq=9, auto_diarizer="local", auto_transcriber="local"
        )
        return self.answer(request, context, lambda: info)

    def StartSession(self, request, context):
        return self.answer(request, context, lambda: sessions_pb2.StartSessionResponse(session=self.session))

    def StopSession(self, request, context):
        return self.answer(request, context, lambda: sessions_pb2.StopSessionResponse(session=self.session))

    def PauseSession(self, request, context):
        return self.answer(request, context, lambda: sessions_pb2.PauseSessionResponse(session=self.session))

    def RetryLinks(self, request, context):
        return self.answer(request, context, lambda: sessions_pb2.RetryLinksResponse(links=self.retried))

    def RedactSession(self, request, context):
        left = sessions_pb2.RedactSessionResponse(turns=2)
        left.start_offset.FromSeconds(750)
        left.end_offset.FromSeconds(780)
        return self.answer(request, context, lambda: left)

    def DeleteSession(self, request, context):
        return self.answer(request, context, sessions_pb2.DeleteSessionResponse)

    def ResumeSession(self, request, context):
        return self.answer(request, context, lambda: sessions_pb2.ResumeSessionResponse(session=self.session))

    def GetSession(self, request, context):
        return self.answer(request, context, lambda: sessions_pb2.GetSessionResponse(session=self.session))

    def ListSessions(self, request, context):
        return self.answer(request, context, lambda: sessions_pb2.ListSessionsResponse(sessions=[self.session]))

    def ListDevices(self, request, context):
        device = devices_pb2.Device(name="usb", description="A \x1b[2Jmicrophone", channels=2, rate_hz=48000)
        return self.answer(request, context, lambda: devices_pb2.ListDevicesResponse(devices=[device]))

    def StreamLevels(self, request, context):
        return self.answer(
            request, context, lambda: iter([devices_pb2.StreamLevelsResponse(rms_dbfs=-20, peak_dbfs=-9)])
        )

    def ListTurns(self, request, context):
        """Two pages."""
        at = int(request.page_token or 0)
        page = turns_pb2.ListTurnsResponse(turns=self.turns[at : at + 1])
        if at + 1 < len(self.turns):
            page.next_page_token = str(at + 1)
        return self.answer(request, context, lambda: page)

    def ExportTranscript(self, request, context):
        parts = [turns_pb2.ExportTranscriptResponse(data=part) for part in (b"WEB", b"VTT\n\xff")]
        return self.answer(request, context, lambda: iter(parts))

    def ListSpeakers(self, request, context):
        speaker = speakers_pb2.Speaker(id="01P", label="S1")
        return self.answer(request, context, lambda: speakers_pb2.ListSpeakersResponse(speakers=[speaker]))

    def RenameSpeaker(self, request, context):
        speaker = speakers_pb2.Speaker(id="01P", label="S1", display_name=request.display_name)
        return self.answer(request, context, lambda: speakers_pb2.RenameSpeakerResponse(speaker=speaker))

    def MergeSpeakers(self, request, context):
        speaker = speakers_pb2.Speaker(id="01P", label="S1")
        return self.answer(request, context, lambda: speakers_pb2.MergeSpeakersResponse(speaker=speaker))

    def StreamTurns(self, request, context) -> Iterator[StreamTurnsResponse]:
        self.answer(request, context, lambda: None)
        script = self.script
        while (item := script.get()) is not END:
            if isinstance(item, Refusal):
                refuse(context, item)
            yield item


def turn(text: str, seq: int, *, state: str = "FINAL", label: str = "S1", **more: Any) -> turns_pb2.Turn:
    made = turns_pb2.Turn(
        id=more.pop("id", f"01T{seq}"),
        session_id="01S",
        session_name="boardroom",
        seq=seq,
        text=text,
        state=turns_pb2.TurnState.Value(f"TURN_STATE_{state}"),
        attribution=turns_pb2.ATTRIBUTION_DIARIZED,
        **more,
    )
    made.speaker.label = label
    made.speaker.id = f"01P{label}"
    made.start_offset.FromMilliseconds(12_340)
    made.end_offset.FromMilliseconds(13_920)
    return made


def event(**what: Any) -> StreamTurnsResponse:
    return StreamTurnsResponse(**what)

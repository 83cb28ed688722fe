"""Every RPC as data: its method, its request, and how to read its answer. The two clients only carry it.

A function here has the name and the arguments of the clients' method, which says what it promises.
"""

# ruff: noqa: D103

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from minuted.v1 import daemon_pb2, devices_pb2, sessions_pb2, speakers_pb2, turns_pb2

R = TypeVar("R", bound=Message)
T = TypeVar("T")

DEADLINE_S = 15.0
DRAIN_DEADLINE_S = 90.0
"""A stop waits until every turn is final; the daemon's own limit is well below this."""
ERASE_DEADLINE_S = 120.0
"""The answer comes when the files hold no trace; a file of hours of audio is rewritten for that."""


@dataclass(frozen=True, slots=True)
class Call(Generic[R, T]):
    """One RPC. `result` extracts the answer from a response. Without `deadline_s` it lasts until it is ended."""

    rpc: str
    request: Message
    response: type[R]
    result: Callable[[R], T]
    deadline_s: float | None = DEADLINE_S

    @property
    def path(self) -> str:
        """The method's full name, as HTTP/2 carries it."""
        return f"/minuted.v1.{self.rpc}"


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """One page of a list. `next_token` is empty on the last one."""

    items: Sequence[T]
    next_token: str


def start(
    name: str,
    device: str,
    diarizer: str,
    transcriber: str,
    languages: Iterable[str],
    fallback: str,
    keep_audio: bool | None,
    channels: Iterable[int],
    mix: str,
) -> Call[sessions_pb2.StartSessionResponse, sessions_pb2.Session]:
    request = sessions_pb2.StartSessionRequest(
        name=name,
        device=device,
        diarizer=diarizer,
        transcriber=transcriber,
        languages=languages,
        fallback=fallback,
        keep_audio=keep_audio,
        channels=channels,
        mix=mix,
    )
    return Call("SessionService/StartSession", request, sessions_pb2.StartSessionResponse, lambda r: r.session)


def stop(session: str) -> Call[sessions_pb2.StopSessionResponse, sessions_pb2.Session]:
    request = sessions_pb2.StopSessionRequest(session=session)
    response = sessions_pb2.StopSessionResponse
    return Call("SessionService/StopSession", request, response, lambda r: r.session, DRAIN_DEADLINE_S)


def pause(session: str) -> Call[sessions_pb2.PauseSessionResponse, sessions_pb2.Session]:
    request = sessions_pb2.PauseSessionRequest(session=session)
    return Call("SessionService/PauseSession", request, sessions_pb2.PauseSessionResponse, lambda r: r.session)


def resume(session: str) -> Call[sessions_pb2.ResumeSessionResponse, sessions_pb2.Session]:
    request = sessions_pb2.ResumeSessionRequest(session=session)
    return Call("SessionService/ResumeSession", request, sessions_pb2.ResumeSessionResponse, lambda r: r.session)


def session(key: str) -> Call[sessions_pb2.GetSessionResponse, sessions_pb2.Session]:
    request = sessions_pb2.GetSessionRequest(session=key)
    return Call("SessionService/GetSession", request, sessions_pb2.GetSessionResponse, lambda r: r.session)


def sessions(page_size: int, token: str) -> Call[sessions_pb2.ListSessionsResponse, ListPage[sessions_pb2.Session]]:
    request = sessions_pb2.ListSessionsRequest(page_size=page_size, page_token=token)
    return Call(
        "SessionService/ListSessions",
        request,
        sessions_pb2.ListSessionsResponse,
        lambda r: ListPage(r.sessions, r.next_page_token),
    )


def delete(session: str) -> Call[sessions_pb2.DeleteSessionResponse, None]:
    request = sessions_pb2.DeleteSessionRequest(session=session)
    response = sessions_pb2.DeleteSessionResponse
    return Call("SessionService/DeleteSession", request, response, lambda _: None, ERASE_DEADLINE_S)


def redact(
    session: str, last_s: float | None, start_s: float | None, end_s: float | None
) -> Call[sessions_pb2.RedactSessionResponse, sessions_pb2.RedactSessionResponse]:
    request = sessions_pb2.RedactSessionRequest(
        session=session,
        last=None if last_s is None else _duration(last_s),
        start_offset=None if start_s is None else _duration(start_s),
        end_offset=None if end_s is None else _duration(end_s),
    )
    response = sessions_pb2.RedactSessionResponse
    return Call("SessionService/RedactSession", request, response, lambda r: r, ERASE_DEADLINE_S)


def _duration(length_s: float) -> Duration:
    whole, micros = divmod(round(length_s * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=micros * 1_000)


def retry(session: str) -> Call[sessions_pb2.RetryLinksResponse, Sequence[sessions_pb2.RetriedLink]]:
    request = sessions_pb2.RetryLinksRequest(session=session)
    return Call("SessionService/RetryLinks", request, sessions_pb2.RetryLinksResponse, lambda r: r.links)


def watch_sessions() -> Call[sessions_pb2.WatchSessionsResponse, sessions_pb2.Session]:
    request = sessions_pb2.WatchSessionsRequest()
    response = sessions_pb2.WatchSessionsResponse
    return Call("SessionService/WatchSessions", request, response, lambda r: r.session, None)


def turns(
    session: str, as_delivered: bool, page_size: int, token: str, exclude_suspect: bool = False
) -> Call[turns_pb2.ListTurnsResponse, ListPage[turns_pb2.Turn]]:
    request = turns_pb2.ListTurnsRequest(
        session=session,
        page_size=page_size,
        page_token=token,
        as_delivered=as_delivered,
        exclude_suspect=exclude_suspect,
    )
    response = turns_pb2.ListTurnsResponse
    return Call("TurnService/ListTurns", request, response, lambda r: ListPage(r.turns, r.next_page_token))


def search(
    query: str, session: str, page_size: int, token: str, exclude_suspect: bool = False
) -> Call[turns_pb2.SearchTurnsResponse, ListPage[turns_pb2.Turn]]:
    request = turns_pb2.SearchTurnsRequest(
        query=query, session=session, page_size=page_size, page_token=token, exclude_suspect=exclude_suspect
    )
    response = turns_pb2.SearchTurnsResponse
    return Call("TurnService/SearchTurns", request, response, lambda r: ListPage(r.turns, r.next_page_token))


def export(
    session: str, file_format: turns_pb2.ExportFormat, exclude_suspect: bool = False
) -> Call[turns_pb2.ExportTranscriptResponse, bytes]:
    request = turns_pb2.ExportTranscriptRequest(session=session, format=file_format, exclude_suspect=exclude_suspect)
    return Call("TurnService/ExportTranscript", request, turns_pb2.ExportTranscriptResponse, lambda r: r.data, None)


def watch(request: turns_pb2.StreamTurnsRequest) -> Call[turns_pb2.StreamTurnsResponse, turns_pb2.StreamTurnsResponse]:
    return Call("TurnService/StreamTurns", request, turns_pb2.StreamTurnsResponse, lambda r: r, None)


def speakers(session: str) -> Call[speakers_pb2.ListSpeakersResponse, Sequence[speakers_pb2.Speaker]]:
    request = speakers_pb2.ListSpeakersRequest(session=session)
    return Call("SpeakerService/ListSpeakers", request, speakers_pb2.ListSpeakersResponse, lambda r: r.speakers)


def rename(
    session: str, speaker: str, display_name: str
) -> Call[speakers_pb2.RenameSpeakerResponse, speakers_pb2.Speaker]:
    request = speakers_pb2.RenameSpeakerRequest(session=session, speaker=speaker, display_name=display_name)
    return Call("SpeakerService/RenameSpeaker", request, speakers_pb2.RenameSpeakerResponse, lambda r: r.speaker)


def merge(session: str, source: str, into: str) -> Call[speakers_pb2.MergeSpeakersResponse, speakers_pb2.Speaker]:
    # `from` is a word of Python's own.
    request = speakers_pb2.MergeSpeakersRequest(session=session, into=into, **{"from": source})
    return Call("SpeakerService/MergeSpeakers", request, speakers_pb2.MergeSpeakersResponse, lambda r: r.speaker)


def devices() -> Call[devices_pb2.ListDevicesResponse, Sequence[devices_pb2.Device]]:
    request = devices_pb2.ListDevicesRequest()
    return Call("DeviceService/ListDevices", request, devices_pb2.ListDevicesResponse, lambda r: r.devices)


def levels(device: str) -> Call[devices_pb2.StreamLevelsResponse, devices_pb2.StreamLevelsResponse]:
    request = devices_pb2.StreamLevelsRequest(device=device)
    return Call("DeviceService/StreamLevels", request, devices_pb2.StreamLevelsResponse, lambda r: r, None)


def info() -> Call[daemon_pb2.GetInfoResponse, daemon_pb2.GetInfoResponse]:
    return Call("DaemonService/GetInfo", daemon_pb2.GetInfoRequest(), daemon_pb2.GetInfoResponse, lambda r: r)

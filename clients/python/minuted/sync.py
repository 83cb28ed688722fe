"""The client for threads. Holds no knowledge of the contract: calls.py does."""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from minuted import calls
from minuted.address import OPTIONS, choose, target
from minuted.calls import Call, ListPage
from minuted.errors import Error, closed, from_call
from minuted.following import Following, Interrupted
from minuted.messages import (
    Device,
    ExportFormat,
    GetInfoResponse,
    RedactSessionResponse,
    RetriedLink,
    Session,
    Speaker,
    StreamLevelsResponse,
    StreamTurnsResponse,
    Turn,
)

R = TypeVar("R", bound=Message)
T = TypeVar("T")


def connect(address: str | None = None) -> "Client":
    """Return a client for the daemon at `address`, MINUTED_ADDRESS or the default. It connects with its first call.

    Raises InvalidAddress.
    """
    return Client(choose(address))


class Client:
    """A connection to one daemon. `session` is an id, or a name, which means the newest session of that name.

    Every method raises Error, or Unreachable. Iterators that are left early are best closed (`closing`). Any thread may
    close the client: whatever is under way, or asked for later, raises Error (CLIENT_CLOSED).
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(target(address), options=OPTIONS)
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every call and the connection."""
        self._closed.set()
        self._channel.close()

    # --- sessions ---

    def start(
        self,
        name: str,
        *,
        device: str = "",
        diarizer: str = "",
        transcriber: str = "",
        languages: Sequence[str] = (),
        fallback: str = "",
        keep_audio: bool | None = None,
        channels: Sequence[int] = (),
        mix: str = "",
    ) -> Session:
        """Start a session. Empty values are as the daemon is configured. The same call again returns the same session.

        fallback: `local` lets the local engine take over while one refuses, `none` does not.
        keep_audio: whether all audio is kept for good, on the daemon's machine.
        channels: those of the source that are heard, from 1 on. mix: how they become one: `best`, `mean`, `first` or
        `loudest`.
        """
        return self._ask(
            calls.start(name, device, diarizer, transcriber, languages, fallback, keep_audio, channels, mix)
        )

    def stop(self, session: str) -> Session:
        """Stop a session and wait until every turn is final."""
        return self._ask(calls.stop(session))

    def pause(self, session: str) -> Session:
        """Stop capturing without ending the session."""
        return self._ask(calls.pause(session))

    def resume(self, session: str) -> Session:
        """Capture again after a pause."""
        return self._ask(calls.resume(session))

    def session(self, session: str) -> Session:
        """Return one session, live or past, with its coverage: what became of its audio."""
        return self._ask(calls.session(session))

    def sessions(self, *, page_size: int = 100) -> Iterator[Session]:
        """All sessions, live and past, newest first."""
        return self._pages(lambda token: calls.sessions(page_size, token))

    def delete(self, session: str) -> None:
        """Remove an ended session with everything that belongs to it."""
        self._ask(calls.delete(session))

    def redact(
        self,
        session: str,
        *,
        last_s: float | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
    ) -> RedactSessionResponse:
        """Forget what was said in the last `last_s` seconds, or from `start_s` to `end_s` on the session's clock.

        Without `end_s`: up to now. The answer is the range that is now redacted.
        """
        return self._ask(calls.redact(session, last_s, start_s, end_s))

    def retry(self, session: str = "") -> Sequence[RetriedLink]:
        """Ask the engines that refused links of a live session, or of all, again now; at most once in 10 s.

        Returns every link that was refused, as it is after that.
        """
        return self._ask(calls.retry(session))

    def watch_sessions(self) -> Generator[Session, None, None]:
        """Every live session, then sessions as they change, also to DELETED. Ends with an Error; does not reconnect."""
        return self._stream(calls.watch_sessions())

    # --- turns ---

    def turns(
        self, session: str, *, as_delivered: bool = False, page_size: int = 500, exclude_suspect: bool = False
    ) -> Iterator[Turn]:
        """All final turns of a session, oldest first.

        as_delivered: each as it was when it first became final, also those that were replaced or withdrawn since.
        exclude_suspect: without those whose text looks invented (`turn.suspect`).
        """
        return self._pages(lambda token: calls.turns(session, as_delivered, page_size, token, exclude_suspect))

    def search(
        self, query: str, *, session: str = "", page_size: int = 100, exclude_suspect: bool = False
    ) -> Iterator[Turn]:
        """Find turns by their words, best match first."""
        return self._pages(lambda token: calls.search(query, session, page_size, token, exclude_suspect))

    def export(self, session: str, file_format: ExportFormat, *, exclude_suspect: bool = False) -> Iterator[bytes]:
        """Return a session's transcript as the parts of a file."""
        return self._stream(calls.export(session, file_format, exclude_suspect))

    def watch(
        self,
        session: str = "",
        *,
        after: int | None = None,
        partials: bool = True,
        exclude_suspect: bool = False,
    ) -> Generator[StreamTurnsResponse | Interrupted, None, None]:
        """Follow one session, or all, endlessly; reconnect at the cursor when the stream breaks.

        after: the last seq known, 0 for everything, None for what comes from now on. Every stored change comes once.
        exclude_suspect: turns whose text looks invented are left out, or sent as retracted if they were sent before.
        Raises Error when the daemon cannot be reached at first, or refuses.
        """
        following = Following(session, after, partials, exclude_suspect)
        while True:
            try:
                for response in self._stream(calls.watch(following.request())):
                    following.received(response)
                    yield response
                error = Error(grpc.StatusCode.UNAVAILABLE, "STREAM_ENDED", "the daemon ended the stream", {})
            except Error as failed:
                error = failed
            interrupted = following.broke(error)
            if interrupted:
                yield interrupted
            self._closed.wait(following.pause_s())

    # --- speakers, devices, daemon ---

    def speakers(self, session: str) -> Sequence[Speaker]:
        """A session's speakers, by label."""
        return self._ask(calls.speakers(session))

    def rename(self, session: str, speaker: str, display_name: str) -> Speaker:
        """Name a speaker (label or id); an empty name takes it away."""
        return self._ask(calls.rename(session, speaker, display_name))

    def merge(self, session: str, source: str, into: str) -> Speaker:
        """Make two speakers (labels or ids) one; `into` stays."""
        return self._ask(calls.merge(session, source, into))

    def devices(self) -> Sequence[Device]:
        """The inputs of the daemon's machine."""
        return self._ask(calls.devices())

    def levels(self, device: str = "") -> Generator[StreamLevelsResponse, None, None]:
        """The input level of a device, ten times a second."""
        return self._stream(calls.levels(device))

    def info(self) -> GetInfoResponse:
        """Version, uptime and engines of the daemon."""
        return self._ask(calls.info())

    # --- carrying ---

    def _ask(self, call: Call[R, T]) -> T:
        ask = self._channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.response.FromString,
        )
        with self._failures():
            return call.result(ask(call.request, timeout=call.deadline_s))

    def _stream(self, call: Call[R, T]) -> Generator[T, None, None]:
        ask = self._channel.unary_stream(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.response.FromString,
        )
        with self._failures():
            running = ask(call.request, timeout=call.deadline_s)
        try:
            while True:
                # An exception thrown into this generator is the caller's.
                with self._failures():
                    response = next(running, None)
                if response is None:
                    return
                yield call.result(response)
        finally:
            running.cancel()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Raise an Error for what gRPC raises. Its ValueErrors are those of a closed channel."""
        try:
            yield
        except (grpc.RpcError, ValueError) as error:
            if self._closed.is_set():
                raise closed(self.address) from error
            if isinstance(error, ValueError):
                raise
            raise from_call(error, self.address) from error

    def _pages(self, page: Callable[[str], Call[R, ListPage[T]]]) -> Iterator[T]:
        token = ""
        while True:
            got = self._ask(page(token))
            yield from got.items
            if not got.next_token:
                return
            token = got.next_token

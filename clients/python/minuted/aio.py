"""The client for asyncio. Holds no knowledge of the contract: calls.py does."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from types import TracebackType
from typing import Self, TypeVar

import grpc
import grpc.aio
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


def connect(address: str | None = None) -> "AsyncClient":
    """Return a client for the daemon at `address`, MINUTED_ADDRESS or the default. It connects with its first call.

    Raises InvalidAddress.
    """
    return AsyncClient(choose(address))


class AsyncClient:
    """A connection to one daemon. `session` is an id, or a name, which means the newest session of that name.

    Every method raises Error, or Unreachable. Iterators that are left early are best closed (`aclosing`). Any task may
    close the client: whatever is under way, or asked for later, raises Error (CLIENT_CLOSED).
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.aio.insecure_channel(target(address), options=OPTIONS)
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every call and the connection."""
        self._closed.set()
        await self._channel.close()

    # --- sessions ---

    async def start(
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
        return await self._ask(
            calls.start(name, device, diarizer, transcriber, languages, fallback, keep_audio, channels, mix)
        )

    async def stop(self, session: str) -> Session:
        """Stop a session and wait until every turn is final."""
        return await self._ask(calls.stop(session))

    async def pause(self, session: str) -> Session:
        """Stop capturing without ending the session."""
        return await self._ask(calls.pause(session))

    async def resume(self, session: str) -> Session:
        """Capture again after a pause."""
        return await self._ask(calls.resume(session))

    async def session(self, session: str) -> Session:
        """Return one session, live or past, with its coverage: what became of its audio."""
        return await self._ask(calls.session(session))

    def sessions(self, *, page_size: int = 100) -> AsyncIterator[Session]:
        """All sessions, live and past, newest first."""
        return self._pages(lambda token: calls.sessions(page_size, token))

    async def delete(self, session: str) -> None:
        """Remove an ended session with everything that belongs to it."""
        await self._ask(calls.delete(session))

    async def redact(
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
        return await self._ask(calls.redact(session, last_s, start_s, end_s))

    async def retry(self, session: str = "") -> Sequence[RetriedLink]:
        """Ask the engines that refused links of a live session, or of all, again now; at most once in 10 s.

        Returns every link that was refused, as it is after that.
        """
        return await self._ask(calls.retry(session))

    def watch_sessions(self) -> AsyncGenerator[Session, None]:
        """Every live session, then sessions as they change, also to DELETED. Ends with an Error; does not reconnect."""
        return self._stream(calls.watch_sessions())

    # --- turns ---

    def turns(
        self, session: str, *, as_delivered: bool = False, page_size: int = 500, exclude_suspect: bool = False
    ) -> AsyncIterator[Turn]:
        """All final turns of a session, oldest first.

        as_delivered: each as it was when it first became final, also those that were replaced or withdrawn since.
        exclude_suspect: without those whose text looks invented (`turn.suspect`).
        """
        return self._pages(lambda token: calls.turns(session, as_delivered, page_size, token, exclude_suspect))

    def search(
        self, query: str, *, session: str = "", page_size: int = 100, exclude_suspect: bool = False
    ) -> AsyncIterator[Turn]:
        """Find turns by their words, best match first."""
        return self._pages(lambda token: calls.search(query, session, page_size, token, exclude_suspect))

    def export(self, session: str, file_format: ExportFormat, *, exclude_suspect: bool = False) -> AsyncIterator[bytes]:
        """Return a session's transcript as the parts of a file."""
        return self._stream(calls.export(session, file_format, exclude_suspect))

    async def watch(
        self,
        session: str = "",
        *,
        after: int | None = None,
        partials: bool = True,
        exclude_suspect: bool = False,
    ) -> AsyncGenerator[StreamTurnsResponse | Interrupted, None]:
        """Follow one session, or all, endlessly; reconnect at the cursor when the stream breaks.

        after: the last seq known, 0 for everything, None for what comes from now on. Every stored change comes once.
        exclude_suspect: turns whose text looks invented are left out, or sent as retracted if they were sent before.
        Raises Error when the daemon cannot be reached at first, or refuses.
        """
        following = Following(session, after, partials, exclude_suspect)
        while True:
            try:
                async with aclosing(self._stream(calls.watch(following.request()))) as stream:
                    async for response in stream:
                        following.received(response)
                        yield response
                error = Error(grpc.StatusCode.UNAVAILABLE, "STREAM_ENDED", "the daemon ended the stream", {})
            except Error as failed:
                error = failed
            interrupted = following.broke(error)
            if interrupted:
                yield interrupted
            with suppress(TimeoutError):
                async with asyncio.timeout(following.pause_s()):
                    await self._closed.wait()

    # --- speakers, devices, daemon ---

    async def speakers(self, session: str) -> Sequence[Speaker]:
        """A session's speakers, by label."""
        return await self._ask(calls.speakers(session))

    async def rename(self, session: str, speaker: str, display_name: str) -> Speaker:
        """Name a speaker (label or id); an empty name takes it away."""
        return await self._ask(calls.rename(session, speaker, display_name))

    async def merge(self, session: str, source: str, into: str) -> Speaker:
        """Make two speakers (labels or ids) one; `into` stays."""
        return await self._ask(calls.merge(session, source, into))

    async def devices(self) -> Sequence[Device]:
        """The inputs of the daemon's machine."""
        return await self._ask(calls.devices())

    def levels(self, device: str = "") -> AsyncGenerator[StreamLevelsResponse, None]:
        """The input level of a device, ten times a second."""
        return self._stream(calls.levels(device))

    async def info(self) -> GetInfoResponse:
        """Version, uptime and engines of the daemon."""
        return await self._ask(calls.info())

    # --- carrying ---

    async def _ask(self, call: Call[R, T]) -> T:
        ask = self._channel.unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.response.FromString,
        )
        with self._failures():
            return call.result(await ask(call.request, timeout=call.deadline_s))

    async def _stream(self, call: Call[R, T]) -> AsyncGenerator[T, None]:
        ask = self._channel.unary_stream(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.response.FromString,
        )
        with self._failures():
            running = ask(call.request, timeout=call.deadline_s)
        responses = aiter(running)
        try:
            while True:
                # An exception thrown into this generator is the caller's.
                with self._failures():
                    response = await anext(responses, None)
                if response is None:
                    return
                yield call.result(response)
        finally:
            running.cancel()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Raise an Error for what gRPC raises. Closing the channel cancels, in a way, the tasks that wait for it."""
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise closed(self.address) if self._closed.is_set() else from_call(error, self.address) from error
        except grpc.aio.UsageError as error:
            if not self._closed.is_set():
                raise
            raise closed(self.address) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if not self._closed.is_set() or (task is not None and task.cancelling()):
                raise
            raise closed(self.address) from error

    async def _pages(self, page: Callable[[str], Call[R, ListPage[T]]]) -> AsyncIterator[T]:
        token = ""
        while True:
            got = await self._ask(page(token))
            for item in got.items:
                yield item
            if not got.next_token:
                return
            token = got.next_token

"""Asks the sound server which source this process records from. Runs in a capture worker; libpulse by ctypes, no more.

PulseAudio, and PipeWire in its place, move a stream to another microphone without a word to the stream's owner: the
answer to this question is the only sign. A question costs one message and is asked after each block has arrived, so
the server's answer is younger than every sample in the block.

Structures as in libpulse's introspect.h, up to the last field that is read: its ABI has only ever been added to.
"""

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ANSWER_S = 3.0
_CONNECT_S = 1.0
_NO_AUTOSPAWN = 1
_READY, _FAILED = 4, 5


class ServerAwayError(Exception):
    """The sound server ended the connection, or does not answer in time."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Where this process' stream comes from: the name of its source, and that of the server's default source.

    `asked`: the source that the stream asked for, "" where the server does not tell. PulseAudio refuses a stream whose
    source is not there; PipeWire gives it another one.
    """

    source: str
    default: str
    asked: str = ""


class _SampleSpec(ctypes.Structure):
    _fields_ = (("format", ctypes.c_int), ("rate", ctypes.c_uint32), ("channels", ctypes.c_uint8))


class _ChannelMap(ctypes.Structure):
    _fields_ = (("channels", ctypes.c_uint8), ("map", ctypes.c_int * 32))


class _Output(ctypes.Structure):
    """pa_source_output_info."""

    _fields_ = (
        ("index", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("owner_module", ctypes.c_uint32),
        ("client", ctypes.c_uint32),
        ("source", ctypes.c_uint32),
        ("sample_spec", _SampleSpec),
        ("channel_map", _ChannelMap),
        ("buffer_usec", ctypes.c_uint64),
        ("source_usec", ctypes.c_uint64),
        ("resample_method", ctypes.c_char_p),
        ("driver", ctypes.c_char_p),
        ("proplist", ctypes.c_void_p),
    )


class _Source(ctypes.Structure):
    """pa_source_info."""

    _fields_ = (("name", ctypes.c_char_p), ("index", ctypes.c_uint32))


class _Server(ctypes.Structure):
    """pa_server_info."""

    _fields_ = (
        ("user_name", ctypes.c_char_p),
        ("host_name", ctypes.c_char_p),
        ("server_version", ctypes.c_char_p),
        ("server_name", ctypes.c_char_p),
        ("sample_spec", _SampleSpec),
        ("default_sink_name", ctypes.c_char_p),
        ("default_source_name", ctypes.c_char_p),
    )


_ON_LISTED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_ON_SERVER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class SoundServer:
    """One connection. Not for several threads; never closed, because the process ends with it."""

    def __init__(self, pid: int) -> None:
        """Connect, within 1 s, to ask about the stream of process `pid`.

        Raises ServerAwayError where there is no sound server, or no libpulse.
        """
        self._pid = str(pid).encode()
        self._pulse = _load()
        self._loop = self._pulse.pa_mainloop_new()
        self._context = self._pulse.pa_context_new(self._pulse.pa_mainloop_get_api(self._loop), b"minuted")
        if self._pulse.pa_context_connect(self._context, None, _NO_AUTOSPAWN, None) < 0:
            raise ServerAwayError("no sound server")
        self._output: int | None = None
        self._source: int | None = None
        self._name = ""
        self._asked = ""
        self._turn(lambda: self._pulse.pa_context_get_state(self._context) == _READY, _CONNECT_S)

    def recording(self) -> Recording | None:
        """Return where the stream comes from now; None if the server knows no stream of this process.

        Raises ServerAwayError.
        """
        source = self._source_index()
        if source is None:
            return None
        if source != self._source:
            self._name = self._source_name(source)
            self._source = source
        return Recording(self._name, self._default_name(), self._asked)

    def _source_index(self) -> int | None:
        found: list[tuple[int, int, str]] = []

        def on_output(at: int) -> None:
            output = _Output.from_address(at)
            if self._pulse.pa_proplist_gets(output.proplist, b"application.process.id") == self._pid:
                asked = _text(self._pulse.pa_proplist_gets(output.proplist, b"target.object"))
                found.append((output.index, output.source, asked))

        if self._output is not None:
            self._list(self._pulse.pa_context_get_source_output_info, on_output, self._output)
        else:
            self._list(self._pulse.pa_context_get_source_output_info_list, on_output)
        if not found:
            return None
        self._output, source, self._asked = max(found)
        return source

    def _source_name(self, index: int) -> str:
        names: list[str] = []
        by_index = self._pulse.pa_context_get_source_info_by_index
        self._list(by_index, lambda at: names.append(_text(_Source.from_address(at).name)), index)
        return names[0] if names else ""

    def _default_name(self) -> str:
        names: list[str] = []

        def on_server(_context: int, at: int | None, _data: int) -> None:
            names.append(_text(_Server.from_address(at).default_source_name) if at else "")

        callback = _ON_SERVER(on_server)
        self._await(self._pulse.pa_context_get_server_info(self._context, callback, None), lambda: bool(names))
        return names[0]

    def _list(self, query: Any, take: Callable[[int], None], *arguments: int) -> None:
        ended: list[bool] = []

        def on_listed(_context: int, at: int | None, end: int, _data: int) -> None:
            if end:
                ended.append(True)
            elif at:
                take(at)

        callback = _ON_LISTED(on_listed)
        self._await(query(self._context, *arguments, callback, None), lambda: bool(ended))

    def _await(self, operation: int | None, is_done: Callable[[], bool]) -> None:
        if not operation:
            raise ServerAwayError("the sound server ended the connection")
        self._turn(is_done, _ANSWER_S)
        self._pulse.pa_operation_unref(operation)

    def _turn(self, is_done: Callable[[], bool], limit_s: float) -> None:
        """Let libpulse work until something is so."""
        deadline_s = time.monotonic() + limit_s
        while not is_done():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise ServerAwayError("the sound server does not answer")
            turned = (
                self._pulse.pa_mainloop_prepare(self._loop, int(left_s * 1e6)) >= 0
                and self._pulse.pa_mainloop_poll(self._loop) >= 0
                and self._pulse.pa_mainloop_dispatch(self._loop) >= 0
            )
            if not turned or self._pulse.pa_context_get_state(self._context) >= _FAILED:
                raise ServerAwayError("the sound server ended the connection")


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")


def _load() -> Any:
    try:
        pulse = ctypes.CDLL("libpulse.so.0")
    except OSError as error:
        raise ServerAwayError("no libpulse") from error
    pointer = ctypes.c_void_p
    pulse.pa_mainloop_new.restype = pointer
    pulse.pa_mainloop_get_api.restype = pointer
    pulse.pa_mainloop_get_api.argtypes = (pointer,)
    pulse.pa_mainloop_prepare.argtypes = (pointer, ctypes.c_int)
    pulse.pa_mainloop_poll.argtypes = (pointer,)
    pulse.pa_mainloop_dispatch.argtypes = (pointer,)
    pulse.pa_context_new.restype = pointer
    pulse.pa_context_new.argtypes = (pointer, ctypes.c_char_p)
    pulse.pa_context_connect.argtypes = (pointer, ctypes.c_char_p, ctypes.c_int, pointer)
    pulse.pa_context_get_state.argtypes = (pointer,)
    pulse.pa_operation_unref.argtypes = (pointer,)
    pulse.pa_proplist_gets.restype = ctypes.c_char_p
    pulse.pa_proplist_gets.argtypes = (pointer, ctypes.c_char_p)
    pulse.pa_context_get_server_info.restype = pointer
    pulse.pa_context_get_server_info.argtypes = (pointer, _ON_SERVER, pointer)
    pulse.pa_context_get_source_output_info_list.restype = pointer
    pulse.pa_context_get_source_output_info_list.argtypes = (pointer, _ON_LISTED, pointer)
    for query in (pulse.pa_context_get_source_output_info, pulse.pa_context_get_source_info_by_index):
        query.restype = pointer
        query.argtypes = (pointer, ctypes.c_uint32, _ON_LISTED, pointer)
    return pulse

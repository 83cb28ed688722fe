"""The daemon's side of a recording that is decoded in a process of its own: by libsndfile, or by ffmpeg."""

import json
import os
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minuted_daemon.adapters.capture.child_process import ChildProcess
from minuted_daemon.adapters.capture.listing.device_list import child_command, child_environment
from minuted_daemon.adapters.capture.recordings.decoding.__main__ import AU_FLOAT, AU_HEADER, LIBSNDFILE
from minuted_daemon.adapters.capture.recordings.decoding.decoder import Frames, Interrupted

_READ = 1 << 16
_LONGEST_PROMISE = 1 << 12
_LARGEST_ANSWER = 1 << 20
_SLACK_S = 0.2
"""Encoders pad, and what they promise of it differs; as much may be missing without being missed."""
_PADDED_S = 1.0
"""The same where a container's clock tells the length."""
_INPUT = "file:/proc/self/fd/0"
_DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tak,tta,voc,"
    "w64,wav,wv"
)
_KNOWS_LENGTH = frozenset({"mov", "asf", "matroska"})


class UndecodableError(Exception):
    """A decoder makes nothing of a file. `cut`: its index or its end is missing; `silent`: it holds no audio at all."""

    def __init__(self, cut: bool = False, silent: bool = False) -> None:
        super().__init__("cut" if cut else "silent" if silent else "unknown format")
        self.cut, self.silent = cut, silent


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a decoder may be silent, and how much processor time it may use."""

    stalled_s: float = 8.0
    opening_s: float = 4.0
    cpu_s: int = 3_600


class ProcessDecoder:
    """See decoder.Decoder. Owns its process."""

    remark = ""
    held: int | None = None

    def __init__(self, command: Sequence[str], descriptor: int, limits: Limits, promised_s: float | None) -> None:
        """`command`: what decodes the file behind the descriptor, which stays the caller's; see decoder.py.

        Raises UndecodableError, OSError if no process can be started.
        """
        self._process: ChildProcess | None = _started(command, descriptor, limits)
        self._limits = limits
        self._pending = bytearray()
        try:
            self.rate_hz, self.channels, self.promised = self._head()
        except BaseException:
            self.close()
            raise
        self.slack = round(_SLACK_S * self.rate_hz)
        if promised_s is not None:
            self.promised, self.slack = round(promised_s * self.rate_hz), round(_PADDED_S * self.rate_hz)

    def read(self, count: int) -> Frames:
        """See decoder.Decoder."""
        frame = 4 * self.channels
        try:
            whole = self._has(count * frame, self._limits.stalled_s)
        except TimeoutError as error:
            self.close()
            raise Interrupted("the decoder hangs", self._take(count)) from error
        frames = self._take(count)
        if not whole and self._process is not None and not self._ended_well():
            raise Interrupted("the decoder gave up", frames)
        return frames

    def skip(self, count: int) -> int:
        """See decoder.Decoder: where a codec would land is not to be relied on."""
        del count
        return 0

    def at_end(self) -> bool:
        """See decoder.Decoder: the process does not say."""
        return False

    def resume(self, lost: int) -> bool:
        """See decoder.Decoder: these decoders find their way by themselves, or not at all."""
        del lost
        return False

    def abort(self) -> None:
        """See decoder.Decoder."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """See decoder.Decoder."""
        process, self._process = self._process, None
        if process is not None:
            process.reap()

    def _head(self) -> tuple[int, int, int | None]:
        try:
            if not self._has(AU_HEADER.size, self._limits.opening_s):
                raise UndecodableError
            magic, begin, _, coding, rate_hz, channels = AU_HEADER.unpack_from(self._pending)
            if magic != b".snd" or coding != AU_FLOAT or not AU_HEADER.size <= begin <= _LONGEST_PROMISE:
                raise UndecodableError
            if not self._has(begin, self._limits.opening_s):
                raise UndecodableError
        except TimeoutError as error:
            raise UndecodableError from error
        promise = bytes(self._pending[AU_HEADER.size : begin]).strip(b"\0")
        del self._pending[:begin]
        return rate_hz, channels, int(promise) if promise.isdigit() else None

    def _has(self, count: int, limit_s: float) -> bool:
        """Have so many bytes; false if there are no more. Raises TimeoutError when nothing comes for so long."""
        ready = select.poll()
        if self._process is not None:
            ready.register(self._process.output, select.POLLIN)
        while len(self._pending) < count:
            if self._process is None:
                return False
            if not ready.poll(limit_s * 1000):
                raise TimeoutError
            data = os.read(self._process.output, max(_READ, count - len(self._pending)))
            if not data:
                return False
            self._pending += data
        return True

    def _take(self, count: int) -> Frames:
        size = min(count, len(self._pending) // (4 * self.channels)) * 4 * self.channels
        frames = np.frombuffer(bytes(self._pending[:size]), ">f4").astype(np.float32).reshape(-1, self.channels)
        del self._pending[:size]
        return frames

    def _ended_well(self) -> bool:
        process, self._process = self._process, None
        if process is None:
            return True
        process.wait(self._limits.opening_s)
        return process.reap() == 0


def by_libsndfile(descriptor: int, limits: Limits) -> ProcessDecoder:
    """Have libsndfile decode the file. Raises UndecodableError, OSError."""
    return ProcessDecoder([LIBSNDFILE], descriptor, limits, None)


def by_ffmpeg(program: str, descriptor: int, limits: Limits) -> ProcessDecoder:
    """Have ffmpeg decode the file's first audio stream. Raises UndecodableError, OSError.

    It may read this one file only, and no format that names others.
    """
    reading = ["-v", "quiet", "-protocol_whitelist", "file", "-format_whitelist", _DEMUXERS, "-threads", "1"]
    probed = _probed(_probe_of(program), reading, descriptor, limits)
    promised_s = _promised_s(probed)
    writing = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"]
    writing += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    command = [program, "-nostdin", *reading, "-i", _INPUT, *writing]
    return ProcessDecoder(command, descriptor, limits, promised_s)


def _probe_of(program: str) -> str:
    return str(Path(program).with_name("ffprobe"))


def _probed(program: str, reading: Sequence[str], descriptor: int, limits: Limits) -> Mapping[str, Any]:
    """Return what ffprobe says about the file."""
    entries = "format=format_name,duration,nb_streams:stream=codec_type,codec_name,duration,channels"
    process = _started([program, *reading, "-show_entries", entries, "-of", "json", _INPUT], descriptor, limits)
    answer = bytearray()
    deadline_s = time.monotonic() + limits.opening_s
    ready = select.poll()
    ready.register(process.output, select.POLLIN)
    try:
        while len(answer) < _LARGEST_ANSWER and ready.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
            data = os.read(process.output, _READ)
            if not data:
                break
            answer += data
    finally:
        process.reap()
    try:
        probed: Mapping[str, Any] = json.loads(answer)
        streams = probed["streams"]
        if not probed.get("format"):
            raise UndecodableError
    except (ValueError, KeyError, TypeError) as error:
        raise UndecodableError from error
    if not any(stream.get("codec_type") == "audio" for stream in streams):
        raise UndecodableError(silent=True)
    return probed


def _promised_s(probed: Mapping[str, Any]) -> float | None:
    """Return how long the audio should be, where the file tells that by more than an estimate."""
    form, streams = probed["format"], probed["streams"]
    names = str(form.get("format_name", "")).split(",")
    if _KNOWS_LENGTH.isdisjoint(names):
        return None
    first = next(stream for stream in streams if stream.get("codec_type") == "audio")
    duration = first.get("duration") or (form.get("duration") if len(streams) == 1 else None)
    try:
        return float(duration or "")
    except ValueError:
        return None


def _started(command: Sequence[str], descriptor: int, limits: Limits) -> ChildProcess:
    environment = {**child_environment(), "OPENBLAS_NUM_THREADS": "1"}
    arguments = child_command("recordings.decoding", str(os.getpid()), str(limits.cpu_s), *command)
    return ChildProcess(arguments, environment, descriptor)

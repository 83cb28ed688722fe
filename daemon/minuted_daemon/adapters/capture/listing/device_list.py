"""The daemon's side of listing: run the listing process under a deadline and name what it found."""

import asyncio
import json
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence

from minuted_daemon.adapters.capture.child_process import ChildProcess
from minuted_daemon.adapters.capture.listing.__main__ import NO_PORTAUDIO
from minuted_daemon.adapters.capture.listing.naming import ListedInput, NamedInput, name_inputs
from minuted_daemon.adapters.capture.listing.suggestions import likely_device
from minuted_daemon.errors import DeviceError, NotFound
from minuted_daemon.ports.capture import DeviceInfo

LISTING_S = 5.0
_READ = 65_536
_SECRET_MARKS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def child_environment() -> Mapping[str, str]:
    """The daemon's environment without what no audio process needs to know."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MINUTED_") and not any(mark in name.upper() for mark in _SECRET_MARKS)
    }


def child_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this package with this Python, whatever the working directory holds."""
    return [sys.executable, "-P", "-m", f"minuted_daemon.adapters.capture.{module}", *arguments]


async def list_inputs(limit_s: float = LISTING_S) -> list[NamedInput]:
    """List the inputs there are now, within the limit.

    Raises DeviceError (AUDIO_UNAVAILABLE).
    """
    listing = _Listing(limit_s)
    try:
        return await asyncio.to_thread(listing.run)
    finally:
        listing.abandon()


class _Listing:
    """One run of the listing process, in a thread."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: ChildProcess | None = None
        self._abandoned = False

    def run(self) -> list[NamedInput]:
        """See list_inputs."""
        try:
            process = ChildProcess(child_command("listing"), child_environment())
        except OSError as error:
            message = f"the process that lists audio devices cannot be started: {error.strerror}"
            raise DeviceError("AUDIO_UNAVAILABLE", message) from error
        self._process = process
        if self._abandoned:  # before there was anything to be killed
            process.kill()
        try:
            return name_inputs(_parse(self._output(process)))
        finally:
            process.reap()

    def abandon(self) -> None:
        """End the run: its result is not needed any more."""
        self._abandoned = True
        if self._process is not None:
            self._process.kill()

    def _output(self, process: ChildProcess) -> bytes:
        """All it writes, up to its end."""
        deadline_s = time.monotonic() + self._limit_s
        output = bytearray()
        ready = select.poll()
        ready.register(process.output, select.POLLIN)
        while ready.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
            data = os.read(process.output, _READ)
            if not data:
                return bytes(output)
            output += data
        raise DeviceError(
            "AUDIO_UNAVAILABLE",
            f"the audio system did not list its devices within {self._limit_s:.0f} s; is it hanging?",
        )


def _parse(output: bytes) -> list[ListedInput]:
    try:
        answer = json.loads(output)
        problem = answer.get("error")
        if problem is None:
            return [ListedInput(**item) for item in answer["inputs"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeviceError("AUDIO_UNAVAILABLE", "the process that lists audio devices crashed") from error
    if problem == NO_PORTAUDIO:
        raise DeviceError(
            "AUDIO_UNAVAILABLE",
            "PortAudio is not installed: install the Debian package libportaudio2",
            package="libportaudio2",
        )
    raise DeviceError("AUDIO_UNAVAILABLE", f"PortAudio cannot list its devices: {problem}")


def device_not_found(wanted: str, inputs: Sequence[NamedInput]) -> NotFound:
    """Return the refusal that names what was likely meant, and what there is."""
    names = ", ".join(item.name for item in inputs)
    there_are = f"there are: {names}" if names else "there are no inputs at all"
    what = "there is no default input" if wanted == "default" else f"there is no input {wanted!r}"
    hint = likely_device(wanted, [name for item in inputs for name in (item.name, item.listed.label)])
    said = f"{what}; {hint}; {there_are}" if hint else f"{what}; {there_are}"
    return NotFound("DEVICE_NOT_FOUND", said, device=wanted, devices=names)


def device_info(item: NamedInput) -> DeviceInfo:
    """The input as clients see it; channels and rate are those it is captured with."""
    listed = item.listed
    return DeviceInfo(item.name, listed.label, listed.host_api, item.channels, item.rate_hz, listed.is_default)

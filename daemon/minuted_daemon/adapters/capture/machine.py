"""All audio sources of this machine, as ports.Capture: devices by stable name and recordings by path."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace

from minuted_daemon.adapters.capture.listing.device_list import LISTING_S, device_info, device_not_found, list_inputs
from minuted_daemon.adapters.capture.listing.naming import DEFAULT, NamedInput, find_input
from minuted_daemon.adapters.capture.protocol.messages import Assignment
from minuted_daemon.adapters.capture.recordings.opener import Decoders
from minuted_daemon.adapters.capture.recordings.sources import open_file
from minuted_daemon.adapters.capture.shared_device import ATTACH_S, SharedDevice
from minuted_daemon.core.channels.choice import EVERY_CHANNEL, ChannelChoice
from minuted_daemon.core.session_rules import file_path, is_file
from minuted_daemon.errors import DeviceError, NotFound
from minuted_daemon.ports.capture import CaptureStream, DeviceInfo


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """How long the audio system is waited for."""

    listing_s: float = LISTING_S
    attach_s: float = ATTACH_S


class MachineCapture:
    """Implements ports.Capture. Sessions on the same device share its one stream and its one worker process."""

    def __init__(
        self,
        decoders: Decoders = Decoders(),  # noqa: B008  frozen
        limits: CaptureLimits = CaptureLimits(),
    ) -> None:
        """`decoders`: what recordings may be decoded with."""
        self._decoders = decoders
        self._limits = limits
        self._shared: dict[tuple[str, ChannelChoice], SharedDevice] = {}
        self._listing = asyncio.Lock()  # each listing opens every device: two at once would find them busy
        self._closed = False

    @property
    def shared(self) -> Collection[SharedDevice]:
        """The devices that sessions share, those included that are being opened or released."""
        return self._shared.values()

    async def devices(self) -> list[DeviceInfo]:
        """List the inputs there are now, those in use included.

        Raises DeviceError (AUDIO_UNAVAILABLE).
        """
        return [device_info(item) for item in await self._inputs()]

    async def open(
        self, device: str, *, wait: bool = False, skip_blocks: int = 0, choice: ChannelChoice = EVERY_CHANNEL
    ) -> CaptureStream:
        """Open a stable name, `default`, PortAudio's own name, or `file:PATH`.

        `wait`: a device that is not there is waited for; the stream begins with DOWN and silence. `skip_blocks`: where
        in a file to begin, for a session that goes on after a restart; devices know no past.

        Raises NotFound (DEVICE_NOT_FOUND), Invalid (FILE_NOT_FOUND, FILE_EMPTY, FILE_NOT_AUDIO, FILE_TRUNCATED,
        FILE_UNREADABLE), DeviceError (DEVICE_FAILED, AUDIO_UNAVAILABLE).
        """
        if is_file(device):
            return await open_file(file_path(device), skip_blocks, choice, self._decoders)
        shared = await self._device(device, wait, choice)
        try:
            return await shared.attach(wait)
        except DeviceError:
            if not wait or not shared.was_refused:
                raise
        # A session that did not wait for it had begun to open it a moment before.
        return await (await self._device(device, wait, choice)).attach(wait)

    async def close(self) -> None:
        """End every worker; every device's stream ends."""
        self._closed = True
        async with asyncio.TaskGroup() as group:
            for shared in tuple(self._shared.values()):
                group.create_task(shared.stop())

    async def _device(self, device: str, wait: bool, choice: ChannelChoice) -> SharedDevice:
        """Return the device, with a thread that holds it or is about to open it."""
        shared = self._in_use(device, choice)
        if shared is not None:
            return shared
        item = await self._find(device, wait)
        assignment = replace(_assignment(device, item), choice=choice)
        key = (assignment.name, choice)
        shared = self._shared.get(key)
        while shared is not None and shared.is_stopping:
            await shared.ended()
            if self._shared.get(key) is shared and not wait:
                raise DeviceError(
                    "DEVICE_FAILED", f"{assignment.name} has not been released yet", device=assignment.name
                )
            shared = self._shared.get(key)
        if shared is None:
            if self._closed:
                raise DeviceError("DEVICE_FAILED", "capture is closed", device=device)
            shared = self._shared[key] = SharedDevice(assignment, item, wait, self._forget, self._limits.attach_s)
            shared.start()
        return shared

    def _in_use(self, device: str, choice: ChannelChoice) -> SharedDevice | None:
        """A device in use needs no listing, which could not even see it if it allows only one user.

        Raises DeviceError (DEVICE_FAILED) if other channels of it are in use, or mixed otherwise: only a sound server
        gives the same microphone twice.
        """
        users = [shared for shared in self._shared.values() if not shared.is_stopping and shared.means(device)]
        same = next((shared for shared in users if shared.choice == choice), None)
        for shared in users:
            if same is None and shared.device is not None and not shared.device.is_server:
                message = f"{shared.name} is heard by another session with other channels or another mix"
                raise DeviceError("DEVICE_FAILED", f"{message}; use the same, or stop that one", device=shared.name)
        return same

    async def _find(self, device: str, wait: bool) -> NamedInput | None:
        try:
            inputs = await self._inputs()
            item = find_input(inputs, device)
            if item is None:
                raise device_not_found(device, inputs)
        except (NotFound, DeviceError):
            if not wait:
                raise
            return None
        return item

    async def _inputs(self) -> list[NamedInput]:
        async with self._listing:
            inputs = await list_inputs(self._limits.listing_s)
        # A device that allows one user is in use, so PortAudio cannot see it; and if it is the default, it still is.
        seen = {item.name for item in inputs}
        held = [shared.device for shared in self._shared.values() if shared.in_use and shared.device is not None]
        return [item for item in held if item.name not in seen] + inputs

    def _forget(self, shared: SharedDevice) -> None:
        key = (shared.name, shared.choice)
        if self._shared.get(key) is shared:
            del self._shared[key]


def _assignment(wanted: str, item: NamedInput | None) -> Assignment:
    """Return what is to be opened: the input, or whatever the sound server's default is at each time.

    Where ALSA alone says what the default is, it is the input it names now: the next one in its list would be a guess.
    """
    if wanted == DEFAULT and (item is None or item.is_server or item.name == DEFAULT):
        return Assignment(DEFAULT, follows=True)
    return Assignment(wanted) if item is None else Assignment(item.name, item.port)

"""All audio sources of this machine, as ports.Capture: devices by stable name and recordings by path."""

import asyncio

from minuted_daemon.adapters.capture.device import SharedDevice
from minuted_daemon.adapters.capture.files import open_file
from minuted_daemon.adapters.capture.inventory import device_info, device_not_found, list_inputs
from minuted_daemon.adapters.capture.naming import DEFAULT, NamedInput, find_input
from minuted_daemon.errors import DeviceError
from minuted_daemon.ports import CaptureStream, DeviceInfo

FILE_PREFIX = "file:"


class MachineCapture:
    """Implements ports.Capture. Sessions on the same device share its one stream and its one worker process."""

    def __init__(self) -> None:
        self._shared: dict[str, SharedDevice] = {}
        self._listing = asyncio.Lock()  # each listing opens every device: two at once would find them busy
        self._closed = False

    async def devices(self) -> list[DeviceInfo]:
        """List the inputs there are now, those in use included.

        Raises DeviceError (AUDIO_UNAVAILABLE).
        """
        return [device_info(item) for item in await self._inputs()]

    async def open(self, device: str, *, skip_blocks: int = 0) -> CaptureStream:
        """Open a stable name, `default`, PortAudio's own name, or `file:PATH`.

        `skip_blocks`: where in a file to begin, for a session that goes on after a restart; devices know no past.

        Raises NotFound (DEVICE_NOT_FOUND), Invalid (FILE_NOT_FOUND, FILE_EMPTY, FILE_NOT_AUDIO, FILE_TRUNCATED,
        FILE_UNREADABLE), DeviceError (DEVICE_FAILED, AUDIO_UNAVAILABLE).
        """
        if device.startswith(FILE_PREFIX):
            return await open_file(device.removeprefix(FILE_PREFIX), skip_blocks)
        item = self._in_use(device) or await self._find(device)
        shared = self._shared.get(item.name)
        while shared is not None and shared.is_stopping:
            await shared.ended()
            if self._shared.get(item.name) is shared:
                raise DeviceError("DEVICE_FAILED", f"{item.name} has not been released yet", device=item.name)
            shared = self._shared.get(item.name)
        if self._closed:
            raise DeviceError("DEVICE_FAILED", "capture is closed", device=item.name)
        if shared is None:
            shared = self._shared[item.name] = SharedDevice(item, self._forget)
            shared.start()
        return await shared.attach()

    async def close(self) -> None:
        """End every worker; every device's stream ends."""
        self._closed = True
        async with asyncio.TaskGroup() as group:
            for shared in tuple(self._shared.values()):
                group.create_task(shared.stop())

    def _in_use(self, device: str) -> NamedInput | None:
        """A device in use needs no listing, which could not even see it if it allows only one user."""
        if device == DEFAULT:
            return None
        return find_input([shared.device for shared in self._shared.values() if not shared.is_stopping], device)

    async def _find(self, device: str) -> NamedInput:
        inputs = await self._inputs()
        item = find_input(inputs, device)
        if item is None:
            raise device_not_found(device, inputs)
        return item

    async def _inputs(self) -> list[NamedInput]:
        async with self._listing:
            inputs = await list_inputs()
        # A device that allows one user is in use, so PortAudio cannot see it; and if it is the default, it still is.
        seen = {item.name for item in inputs}
        return [
            shared.device for name, shared in self._shared.items() if name not in seen and not shared.is_down
        ] + inputs

    def _forget(self, shared: SharedDevice) -> None:
        if self._shared.get(shared.device.name) is shared:
            del self._shared[shared.device.name]

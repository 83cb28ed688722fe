"""DeviceService, but for StreamLevels, which this daemon does not offer yet."""

# Names, arguments and documentation of the methods are the contract's.
# ruff: noqa: ARG002, D102, N802

from minuted.v1 import devices_pb2 as pb
from minuted.v1.devices_pb2_grpc import DeviceServiceServicer
from minuted_daemon.ports.capture import Capture
from minuted_daemon.rpc import convert
from minuted_daemon.rpc.status import Context


class DeviceService(DeviceServiceServicer):
    """Lists the inputs of this machine."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        devices = await self._capture.devices()
        return pb.ListDevicesResponse(devices=[convert.device(info) for info in sorted(devices, key=lambda d: d.name)])

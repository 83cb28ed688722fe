"""The only door to ONNX Runtime, which without this would tell its maker about the machine.

From version 1.29 on its wheels look up the maker's telemetry host, write a device id and a queue of events below the
home directory, and send what was done with which model. The variable turns all of it off, and is read once, while the
library is loaded; the function that the library offers for it comes too late for the device id. So nothing else may
import the library (import-linter), and it is loaded by the process that needs it, when it needs it.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"


class OnnxSession(Protocol):
    """A loaded model."""

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, NDArray[Any]], /) -> Sequence[NDArray[Any]]:
        """Return these outputs, or all of them, for the inputs by their names."""
        ...


def open_model(path: Path) -> OnnxSession:
    """Load a model, to be run on one core with no memory kept between runs. Takes up to a second, the first time."""
    onnxruntime = _runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False  # lengths vary: what was planned for one is kept in vain
    options.log_severity_level = 3
    session: OnnxSession = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session


def _runtime() -> Any:
    os.environ[TELEMETRY_OFF] = "1"  # whatever it was set to: nothing about a room leaves this machine by default
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    onnxruntime.disable_telemetry_events()
    return onnxruntime

"""ONNX Runtime tells its maker nothing: with telemetry on, loading a model leaves a device id in the home directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.quiet_network import unsuppressed

LOADING = """
import time
from minuted_daemon.adapters.local.worker import onnx_models
onnx_models.open_segmentation()
time.sleep(0.5)
"""


@pytest.mark.parametrize("asked", [{}, {"ORT_DISABLE_TELEMETRY": "0"}])
def test_loading_a_model_leaves_nothing_in_the_home_directory(asked: dict[str, str], tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    kept = {name: text for name, text in unsuppressed(os.environ).items() if not name.startswith("XDG_")}
    subprocess.run([sys.executable, "-c", LOADING], env={**kept, **home, **asked}, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

"""Whether the offline engine can be used here. Cheap: looks for the packages without importing them."""

from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec

LANGUAGES = ("en",)
"""What the offline transcriber understands, as first parts of BCP 47 codes."""
PACKAGES = ("onnxruntime", "kaldi_native_fbank", "moonshine_voice", "numpy")
_MODELS = ("segmentation-3.0.onnx", "campplus-192.onnx")


def local_engine_missing(needed: Sequence[str] = PACKAGES) -> str | None:
    """Name what the offline engine lacks, None if nothing."""
    packages = [package for package in needed if find_spec(package) is None]
    if packages:
        return f"the Python packages {', '.join(packages)} (install minuted[daemon,local])"
    models = files("minuted_daemon.adapters.local") / "models"
    lost = [model for model in _MODELS if not (models / model).is_file()]
    return f"the model files {', '.join(lost)} (install minuted again)" if lost else None

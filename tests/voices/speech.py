"""Text to speech with synthetic voices: Kokoro (`af_heart`, `bm_lewis`...) and Debian's flite (`flite:slt`...).

A voice's name tells the synthesiser. What was said once is kept in the cache, so a meeting can be staged anew in
seconds. The same text, voice and pace give the same sound on the same machine.
"""

import hashlib
import re
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from minuted_daemon.adapters.onnx import OnnxSession, open_model
from tests.fakes.meeting import RATE_HZ
from tests.voices.downloads import MODEL_SHA256, STYLE_SHAPE, KokoroFiles, kokoro_files

KOKORO_HZ = 24_000
FLITE = "flite:"
FRAME_S = 0.005
QUIET = 10 ** (-42 / 20)  # of the loudest frame: what is below at either end is not speech
EDGE_S = 0.015  # kept around speech
SPEAK_LIMIT_S = 60
_MARKS = re.compile(r"([;:,.!?—…]+\s*)")

Floats = NDArray[np.float32]


class Speech:
    """Says texts. Needs the Debian packages espeak-ng and flite; downloads the model when a Kokoro voice speaks."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def say(self, text: str, voice: str, pace: float = 1.0) -> Floats:
        """Return the sound of a text, shape (n,), 16 kHz, within -1..1, without silence at its ends.

        `pace` above 1 is faster. Raises ValueError where nothing can be heard, subprocess.SubprocessError where
        a synthesiser fails.
        """
        key = hashlib.sha256("\n".join((MODEL_SHA256, voice, f"{pace:.3f}", text)).encode()).hexdigest()[:32]
        kept = self._cache / "said" / f"{key}.flac"
        if not kept.exists():
            sound = self._flite(text, voice, pace) if voice.startswith(FLITE) else self._kokoro(text, voice, pace)
            kept.parent.mkdir(parents=True, exist_ok=True)
            fresh = kept.with_suffix(".fresh.flac")
            soundfile.write(fresh, np.clip(_trimmed(sound), -1, 1), RATE_HZ, subtype="PCM_24")
            fresh.replace(kept)
        return np.asarray(soundfile.read(kept, dtype="float32")[0], dtype=np.float32)

    @cached_property
    def _files(self) -> KokoroFiles:
        return kokoro_files(self._cache)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return self._files.phoneme_ids()

    @cached_property
    def _model(self) -> OnnxSession:
        return open_model(self._files.model)

    def _kokoro(self, text: str, voice: str, pace: float) -> Floats:
        spoken = phonemes(text, "en-us" if voice.startswith("a") else "en-gb")
        ids = [self._ids[phoneme] for phoneme in spoken if phoneme in self._ids]
        if not 0 < len(ids) < STYLE_SHAPE[0]:
            raise ValueError(f"a text of {len(ids)} phonemes cannot be said in one go")
        (sound,) = self._model.run(
            None,
            {
                "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
                "style": self._files.style(voice)[len(ids)][None],
                "speed": np.array([pace], dtype=np.float32),
            },
        )
        return np.asarray(soxr.resample(sound.ravel(), KOKORO_HZ, RATE_HZ, quality="HQ"), dtype=np.float32)

    def _flite(self, text: str, voice: str, pace: float) -> Floats:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "said.wav"
            subprocess.run(
                ["flite", "-voice", voice.removeprefix(FLITE), "--setf", f"duration_stretch={1 / pace:.3f}",
                 "-t", text, "-o", str(path)],
                check=True, timeout=SPEAK_LIMIT_S, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            sound, rate_hz = soundfile.read(path, dtype="float32")
        return np.asarray(soxr.resample(sound, rate_hz, RATE_HZ, quality="HQ"), dtype=np.float32)


def phonemes(text: str, accent: str) -> str:
    """Spell a text in IPA as espeak-ng (`en-us`, `en-gb`) pronounces it; punctuation stays, for it sets the tune."""
    spelt: list[str] = []
    for piece in _MARKS.split(text):
        if _MARKS.fullmatch(piece):
            spelt.append(piece)
        elif piece.strip():
            done = subprocess.run(
                ["espeak-ng", "-q", "--ipa", "-v", accent, piece],
                check=True, timeout=SPEAK_LIMIT_S, capture_output=True, text=True,
            )  # fmt: skip
            spelt.append(" ".join(done.stdout.split()))
    return "".join(spelt).strip()


def _trimmed(sound: Floats) -> Floats:
    """Cut silence off both ends. Raises ValueError where there is nothing else."""
    frame = round(FRAME_S * RATE_HZ)
    loudness = np.sqrt(np.mean(sound[: len(sound) // frame * frame].reshape(-1, frame) ** 2, axis=1))
    if not loudness.size or loudness.max() == 0:
        raise ValueError("nothing can be heard")
    heard = np.flatnonzero(loudness > loudness.max() * QUIET)
    edge = round(EDGE_S * RATE_HZ)
    return sound[max(0, int(heard[0]) * frame - edge) : (int(heard[-1]) + 1) * frame + edge]

"""The models themselves, for the worker process only: everything heavy is loaded here, and only when asked for."""

from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.clustering import Embedding
from minuted_daemon.adapters.local.diarization import SegmentationNetwork, VoiceNetwork
from minuted_daemon.core.samples import RATE_HZ

_FULL_SCALE = 32_768.0
_MEL_BINS = 80
_SILENCE_BEFORE = 1_600
_SILENCE_BEHIND = 6_400


class Recognizer(Protocol):
    """Tells what is said in a piece of audio."""

    def __call__(self, pcm: NDArray[np.int16]) -> str:
        """Give the text of int16 audio, shape (n,), 16 kHz; empty where nobody speaks."""
        ...


class _OnnxSession(Protocol):
    def run(self, outputs: None, inputs: Mapping[str, NDArray[np.float32]], /) -> Sequence[NDArray[np.float32]]: ...


def open_segmentation() -> SegmentationNetwork:
    """Load segmentation-3.0. A call takes about 0.05 s of one core."""
    session = _onnx_session("segmentation-3.0.onnx")

    def run(wave: NDArray[np.float32]) -> NDArray[np.float32]:
        (log_probabilities,) = session.run(None, {"wav": wave[None, None]})
        return np.asarray(log_probabilities[0], dtype=np.float32)

    return run


def open_voice() -> VoiceNetwork:
    """Load CAM++. A call takes about 0.02 s of one core for each second of audio."""
    import kaldi_native_fbank as knf

    session = _onnx_session("campplus-192.onnx")
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = RATE_HZ
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = _MEL_BINS

    def run(wave: NDArray[np.float32]) -> Embedding:
        bank = knf.OnlineFbank(options)
        bank.accept_waveform(RATE_HZ, (wave * _FULL_SCALE).tolist())
        bank.input_finished()
        features = np.stack([bank.get_frame(i) for i in range(bank.num_frames_ready)]).astype(np.float32)
        features -= features.mean(axis=0, keepdims=True)
        (embedding,) = session.run(None, {"fbank": features[None]})
        return np.asarray(embedding, dtype=np.float32).ravel()

    return run


def open_recognizer() -> Recognizer:
    """Load Moonshine tiny (English). A call takes about 0.05 s of one core for each second of audio."""
    import moonshine_voice
    from moonshine_voice import ModelArch
    from moonshine_voice import Transcriber as Moonshine

    model = Path(moonshine_voice.__file__).parent / "assets" / "tiny-en"
    moonshine = Moonshine(
        model_path=model,
        model_arch=ModelArch.TINY,
        options={"identify_speakers": "false", "return_audio_data": "false"},
    )
    before = np.zeros(_SILENCE_BEFORE, dtype=np.float32)
    behind = np.zeros(_SILENCE_BEHIND, dtype=np.float32)

    def run(pcm: NDArray[np.int16]) -> str:
        wave = np.concatenate((before, pcm.astype(np.float32) / _FULL_SCALE, behind))
        transcript = moonshine.transcribe_without_streaming(wave.tolist(), RATE_HZ)
        return " ".join(line.text.strip() for line in transcript.lines if line.text.strip())

    return run


def _onnx_session(file: str) -> _OnnxSession:
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False  # lengths vary: what was planned for one is kept in vain
    options.log_severity_level = 3
    with as_file(files("minuted_daemon.adapters.local") / "models" / file) as path:
        session: _OnnxSession = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return session

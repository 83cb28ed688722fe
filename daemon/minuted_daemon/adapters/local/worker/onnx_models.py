"""The models themselves, for the worker process only: everything heavy is loaded here, and only when asked for."""

from collections.abc import Sequence
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.worker.beam_search import SpeechDecoder, Tensor, read_vocabulary
from minuted_daemon.adapters.local.worker.diarization.pipeline import SegmentationNetwork, VoiceNetwork
from minuted_daemon.adapters.local.worker.diarization.voice_clustering import Embedding
from minuted_daemon.adapters.onnx import OnnxSession, open_model
from minuted_daemon.core.samples import RATE_HZ

_FULL_SCALE = 32_768.0
_MEL_BINS = 80
_LAYERS, _HEADS, _HEAD_WIDTH = 6, 8, 36
_STRIDE = 384  # samples a hidden state stands for: the decoder wants its mask in samples


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


def open_recognizer() -> SpeechDecoder:
    """Load Moonshine tiny (English). A call takes about 0.05 s of one core for each second of audio."""
    spec = find_spec("moonshine_voice")  # only the model is wanted: the package itself brings another runtime
    assert spec is not None
    assert spec.origin is not None
    model = Path(spec.origin).parent / "assets" / "tiny-en"
    encoder = open_model(model / "encoder_model.ort")
    decoder = open_model(model / "decoder_model_merged.ort")

    def encode(wave: Tensor) -> Tensor:
        mask = np.ones((1, len(wave)), dtype=np.int64)
        (hidden,) = encoder.run(None, {"input_values": wave[None], "attention_mask": mask})
        return np.asarray(hidden[0], dtype=np.float32)

    return SpeechDecoder(
        encode,
        lambda hidden: MoonshineContinuation(decoder, hidden),
        read_vocabulary((model / "tokenizer.bin").read_bytes()),
    )


class MoonshineContinuation:
    """The texts of one utterance with what the decoder remembers of each."""

    def __init__(self, decoder: OnnxSession, hidden: Tensor) -> None:
        self._decoder = decoder
        self._hidden = hidden
        self._spoken = _memory("decoder", 0)
        self._heard = _memory("encoder", len(hidden))
        self._first = True

    def __call__(self, rows: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """See decoding.Continuation."""
        count = len(rows)
        if not self._first and list(rows) != list(range(len(next(iter(self._spoken.values()))))):
            self._spoken = {name: value[list(rows)] for name, value in self._spoken.items()}
        heard = {name: np.broadcast_to(value, (count, *value.shape[1:])) for name, value in self._heard.items()}
        wanted = [_present(name) for name in (*self._spoken, *(self._heard if self._first else ()))]
        logits, *memory = self._decoder.run(
            ["logits", *wanted],
            {
                "encoder_attention_mask": np.ones((count, _STRIDE * len(self._hidden)), dtype=np.int64),
                "encoder_hidden_states": np.broadcast_to(self._hidden, (count, *self._hidden.shape)),
                "input_ids": np.array(tokens, dtype=np.int64)[:, None],
                "use_cache_branch": np.array([not self._first]),
                **self._spoken,
                **heard,
            },
        )
        self._spoken = dict(zip(self._spoken, memory[: len(self._spoken)], strict=True))
        if self._first:
            self._heard = dict(zip(self._heard, memory[len(self._spoken) :], strict=True))
        self._first = False
        return np.asarray(logits[:, -1], dtype=np.float32)


def _memory(part: str, length: int) -> dict[str, Tensor]:
    empty = np.zeros((1, _HEADS, length, _HEAD_WIDTH), dtype=np.float32)
    return {f"past_key_values.{layer}.{part}.{kind}": empty for layer in range(_LAYERS) for kind in ("key", "value")}


def _present(past: str) -> str:
    return past.replace("past_key_values", "present")


def _onnx_session(file: str) -> OnnxSession:
    with as_file(files("minuted_daemon.adapters.local") / "models" / file) as path:
        return open_model(path)

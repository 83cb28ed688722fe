"""Silero's voice-activity network, computed with numpy: 1.5 ms of one core a second of audio, 1.3 MB, no other package.

The network hears 32 ms at a time and remembers what came before. Its layers but the last are computed for all windows
of a call at once. One set of weights serves all streams; it is read when a stream is first asked something.
"""

import json
import struct
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
import structlog
from numpy.typing import NDArray

from minuted_daemon.core.voice.speech import WINDOW

MODEL = "silero-vad-16k.safetensors"
_CONTEXT = 64
"""So many samples of the window before are heard again with each."""
_STFT, _STFT_HOP = 256, 128
_STRIDES = (1, 2, 2, 1)
_HIDDEN = 128
_ON_ONE_CORE = 200_000
"""Products of more multiplications than about this are spread over threads, which wait for each other longer than
they work, above all where the machine is busy."""

Floats = NDArray[np.float32]
log = structlog.get_logger()


class _Network:
    """The weights, laid out for products with rows. Raises ValueError or KeyError where the file is damaged."""

    def __init__(self, content: bytes) -> None:
        weights = _tensors(content)
        self.taper = np.hanning(_STFT + 1)[:_STFT].astype(np.float32)
        self.layers = [
            (_rows(weights[f"conv{number}.weight"]), weights[f"conv{number}.bias"], stride)
            for number, stride in enumerate(_STRIDES, 1)
        ]
        self.heard = np.ascontiguousarray(weights["lstm_cell.weight_ih"].T)
        self.remembered = np.ascontiguousarray(weights["lstm_cell.weight_hh"].T)
        self.bias = weights["lstm_cell.bias_ih"] + weights["lstm_cell.bias_hh"]
        self.out = weights["final_conv.weight"].ravel()
        self.out_bias = weights["final_conv.bias"]

    def features(self, windows: Floats) -> Floats:
        """Return the memory cell's input for each window; shape (n, 576) to (n, 512)."""
        padded = np.concatenate((windows, windows[:, -2 : -_CONTEXT - 2 : -1]), axis=1)
        pieces = np.lib.stride_tricks.sliding_window_view(padded, _STFT, axis=1)[:, ::_STFT_HOP]
        x = np.abs(np.fft.rfft(pieces * self.taper, axis=2)).astype(np.float32)
        for weight, bias, stride in self.layers:
            x = _convolved(x, weight, bias, stride)
        return _product(x.reshape(len(windows), _HIDDEN), self.heard) + self.bias


class SileroStream:
    """One stream's memory. See core.voice.speech.SpeechModel."""

    def __init__(self, models: "SileroModels") -> None:
        self._models = models
        self._context: Floats = np.zeros(_CONTEXT, dtype=np.float32)
        self._output: Floats = np.zeros(_HIDDEN, dtype=np.float32)
        self._cell: Floats = np.zeros(_HIDDEN, dtype=np.float32)

    def chances(self, pcm: NDArray[np.int16]) -> Floats | None:
        """See SpeechModel."""
        network = self._models.network()
        if network is None:
            return None
        wave = np.concatenate((self._context, pcm.astype(np.float32) / np.float32(32768)))
        self._context = wave[-_CONTEXT:]
        windows = np.lib.stride_tricks.sliding_window_view(wave, _CONTEXT + WINDOW)[::WINDOW]
        inputs = network.features(windows)
        logits = np.empty(len(inputs), dtype=np.float32)
        for number, row in enumerate(inputs):
            gates = row + _product(self._output[None], network.remembered)[0]
            keep = _sigmoid(gates[: 2 * _HIDDEN])
            self._cell = keep[_HIDDEN:] * self._cell + keep[:_HIDDEN] * np.tanh(gates[2 * _HIDDEN : 3 * _HIDDEN])
            self._output = _sigmoid(gates[3 * _HIDDEN :]) * np.tanh(self._cell)
            logits[number] = (np.maximum(self._output, 0) * network.out).sum()
        return _sigmoid(logits + network.out_bias)


class SileroModels:
    """One for the daemon. A file that cannot be read is logged once; then there is no model, and energy judges."""

    def __init__(self, file: str = MODEL) -> None:
        self._file = file
        self._network: _Network | None = None
        self._missing = False

    def stream(self) -> SileroStream:
        """Return a stream with a memory of its own. Reads nothing yet."""
        return SileroStream(self)

    def network(self) -> _Network | None:
        """Return the network, None where it cannot be loaded. The first call takes some milliseconds."""
        if self._network is None and not self._missing:
            try:
                path = files("minuted_daemon.adapters.local") / "models" / self._file
                self._network = _Network(path.read_bytes())
            except (OSError, ValueError, KeyError) as error:
                self._missing = True
                log.warning("voice_model_not_loaded", error=type(error).__name__, remedy="install minuted again")
        return self._network


def _tensors(content: bytes) -> Mapping[str, Floats]:
    """Read a safetensors file of float32: the length of its JSON header, the header, and the numbers."""
    try:
        (length,) = struct.unpack_from("<Q", content)
        header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    except struct.error as error:
        raise ValueError("no header") from error
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        found[name] = np.frombuffer(body[begin:end], dtype="<f4").reshape(entry["shape"]).astype(np.float32)
    return found


def _rows(weight: Floats) -> Floats:
    """Lay a convolution's weights (out, in, 3) out for rows of three neighbours: (3 * in, out)."""
    return np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, weight.shape[0]))


def _convolved(x: Floats, weight: Floats, bias: Floats, stride: int) -> Floats:
    """Convolve along time, width 3, and cut off what is negative; shape (n, time, in) to (n, time / stride, out)."""
    count, length, width = x.shape
    padded = np.zeros((count, length + 2, width), dtype=np.float32)
    padded[:, 1:-1] = x
    taken = range(0, length, stride)
    rows = np.stack([padded[:, at : at + 3].reshape(count, -1) for at in taken], axis=1)
    y = _product(rows.reshape(-1, 3 * width), weight) + bias
    return np.asarray(np.maximum(y, 0).reshape(count, len(taken), -1), dtype=np.float32)


def _product(rows: Floats, weight: Floats) -> Floats:
    """Multiply some rows with a matrix, a few at a time; one row alone would go another way, which has threads."""
    count = max(2, _ON_ONE_CORE // weight.size)
    if len(rows) == 1:
        return np.asarray((np.repeat(rows, 2, axis=0) @ weight)[:1], dtype=np.float32)
    firsts = [min(at, len(rows) - 2) for at in range(0, len(rows), count)]
    done = np.empty((len(rows), weight.shape[1]), dtype=np.float32)
    for first in firsts:
        np.matmul(rows[first : first + count], weight, out=done[first : first + count])
    return done


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), dtype=np.float32)

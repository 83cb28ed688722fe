"""From audio to text with an encoder and an autoregressive decoder: a small beam search. Numpy only.

The networks are given to it; which model they are, and where its files lie, is decided in onnx_models.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.samples import RATE_HZ, samples

SILENCE_BEHIND = samples(0.4)
"""Digital silence after the audio: without it the last word is often lost. Silence before it costs first words."""
BEAM = 2
"""Hypotheses kept side by side for a text that counts."""
_TOKENS_A_SECOND = 6.5
"""More than anybody says; a model that goes on is going round in circles."""
_SPARE_TOKENS = 4
_BEGIN, _END = 1, 2
_LONG_LENGTH = 128
_WORD_BEGINS = "\N{LOWER ONE EIGHTH BLOCK}"

Tensor = NDArray[np.float32]

Encoder = Callable[[Tensor], Tensor]
"""What the decoder listens to, shape (frames, width), of float32 audio in [-1, 1), shape (n,)."""


class Continuation(Protocol):
    """Texts of one utterance that grow by a token at a time."""

    def __call__(self, rows: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Go on with texts `rows` of the step before, each by its token; return the logits, shape (rows, tokens).

        The first step goes on from one empty text with the token that begins all.
        """
        ...


Decoder = Callable[[Tensor], Continuation]
"""Begins a text for what the encoder gave."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A beginning of a text, and the sum of its tokens' log-probabilities."""

    tokens: tuple[int, ...] = ()
    score: float = 0.0

    @property
    def mean(self) -> float:
        """The score for each token, the end among them: long texts are not worse than short ones."""
        return self.score / (len(self.tokens) + 1)


@dataclass(slots=True)
class SpeechDecoder:
    """Recognizes one utterance at a time."""

    encoder: Encoder
    decoder: Decoder
    vocabulary: Sequence[bytes]
    _behind: Tensor = field(default_factory=lambda: np.zeros(SILENCE_BEHIND, dtype=np.float32))

    def __call__(self, pcm: NDArray[np.int16], beam: int = BEAM) -> str:
        """Return the text of int16 audio, shape (n,), 16 kHz; empty where there is no speech."""
        wave = np.concatenate((pcm.astype(np.float32) / 32_768.0, self._behind))
        most = round(len(pcm) / RATE_HZ * _TOKENS_A_SECOND) + _SPARE_TOKENS
        return spell(self._search(self.encoder(wave), beam, most), self.vocabulary)

    def _search(self, hidden: Tensor, beam: int, most_tokens: int) -> tuple[int, ...]:
        """Return the text with the best mean log-probability that the beam finds."""
        proceed = self.decoder(hidden)
        growing, ended = [_Text()], list[_Text]()
        logits = proceed([0], [_BEGIN])
        for _ in range(most_tokens):
            ranked = _best(growing, logits, 2 * beam - 1)
            ended += [_Text(growing[row].tokens, score) for row, token, score in ranked if token == _END]
            if len(ended) >= beam:
                break
            kept = [entry for entry in ranked if entry[1] != _END][:beam]
            growing = [_Text((*growing[row].tokens, token), score) for row, token, score in kept]
            logits = proceed([row for row, _, _ in kept], [token for _, token, _ in kept])
        return max(ended or growing, key=lambda text: text.mean).tokens


def _best(texts: Sequence[_Text], logits: Tensor, count: int) -> list[tuple[int, int, float]]:
    """Return the likeliest next tokens of all texts together, best first, as (text, token, score)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    scores += np.array([[text.score] for text in texts])
    flat = scores.ravel()
    places = np.argpartition(-flat, count)[:count]
    ranked = places[np.argsort(-flat[places])]
    return [(*divmod(int(place), logits.shape[1]), float(flat[place])) for place in ranked]


def read_vocabulary(data: bytes) -> list[bytes]:
    """Read the tokens' spellings: each after its length, which takes a second byte from 128 on.

    Raises ValueError if the data end within a token.
    """
    tokens: list[bytes] = []
    at = 0
    while at < len(data):
        length, at = data[at], at + 1
        if length >= _LONG_LENGTH:
            if at == len(data):
                raise ValueError("vocabulary ends within a length")
            length, at = data[at] * _LONG_LENGTH + length - _LONG_LENGTH, at + 1
        if at + length > len(data):
            raise ValueError("vocabulary ends within a token")
        tokens.append(data[at : at + length])
        at += length
    return tokens


def spell(tokens: Sequence[int], vocabulary: Sequence[bytes]) -> str:
    """Return the text of tokens without the marks of its beginning and end."""
    spelled = b"".join(vocabulary[token] for token in tokens if token > _END)
    return spelled.decode(errors="replace").replace(_WORD_BEGINS, " ").strip()

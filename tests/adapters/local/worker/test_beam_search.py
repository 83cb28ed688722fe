"""The beam search on a stand-in network that knows the probability of every next word."""

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.local.worker.beam_search import SILENCE_BEHIND, SpeechDecoder, read_vocabulary, spell
from minuted_daemon.adapters.local.worker.onnx_models import open_recognizer
from tests.bench.offline_recordings import STANDUP

VOCABULARY = [b"<unk>", b"<s>", b"</s>", *(f"\N{LOWER ONE EIGHTH BLOCK}{word}".encode() for word in "abcd")]
A, B, C, D = range(3, 7)
END = 2
Table = dict[tuple[int, ...], dict[int, float]]


class Network:
    """Gives the probabilities of a table; remembers what it was asked."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.heard: np.ndarray | None = None
        self.steps = 0

    def encoder(self, wave: np.ndarray) -> np.ndarray:
        self.heard = wave
        return np.zeros((5, 2), dtype=np.float32)

    def decoder(self, hidden: np.ndarray) -> "Continuation":
        assert hidden.shape == (5, 2)
        return Continuation(self)

    def text(self, beam: int, seconds: float = 2.0) -> str:
        decoder = SpeechDecoder(self.encoder, self.decoder, VOCABULARY)
        return decoder(np.full(round(16_000 * seconds), 16_384, dtype=np.int16), beam)


class Continuation:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.texts: list[tuple[int, ...]] = [()]

    def __call__(self, rows: list[int], tokens: list[int]) -> np.ndarray:
        if self.network.steps:
            self.texts = [(*self.texts[row], token) for row, token in zip(rows, tokens, strict=True)]
        else:
            assert (rows, tokens) == ([0], [1])
        self.network.steps += 1
        logits = np.full((len(self.texts), len(VOCABULARY)), -20.0, dtype=np.float32)
        for row, text in enumerate(self.texts):
            for token, probability in self.network.table.get(text, {END: 1.0}).items():
                logits[row, token] = np.log(probability)
        return logits


GARDEN_PATH: Table = {
    (): {A: 0.6, B: 0.4},
    (A,): {B: 0.4, C: 0.3, D: 0.2, END: 0.1},
    (B,): {C: 0.95, END: 0.05},
}


def test_one_hypothesis_takes_the_likeliest_word_each_time() -> None:
    assert Network({(): {A: 0.9, END: 0.1}, (A,): {B: 0.7, C: 0.3}}).text(beam=1) == "a b"
    assert Network(GARDEN_PATH).text(beam=1) == "a b"


def test_two_hypotheses_find_what_one_misses() -> None:
    assert Network(GARDEN_PATH).text(beam=2) == "b c"


def test_silence_is_an_empty_text() -> None:
    assert Network({(): {END: 0.9, A: 0.1}}).text(beam=2) == ""


def test_a_model_that_does_not_stop_is_stopped() -> None:
    endless = Network({(A,) * length: {A: 1.0} for length in range(200)})
    assert len(endless.text(beam=1, seconds=1.0).split()) < 15


def test_the_network_hears_the_audio_and_silence_behind_it() -> None:
    network = Network({})
    network.text(beam=1, seconds=0.5)
    assert network.heard is not None
    assert network.heard.dtype == np.float32
    np.testing.assert_array_equal(network.heard[:8_000], 0.5)
    np.testing.assert_array_equal(network.heard[8_000:], np.zeros(SILENCE_BEHIND))


def test_a_vocabulary_is_read() -> None:
    long = b"x" * 200
    assert read_vocabulary(b"\x02ab\x00" + bytes([200 % 128 + 128, 1]) + long) == [b"ab", b"", long]
    for broken in (b"\x05ab", b"\xff"):
        with pytest.raises(ValueError, match="vocabulary ends"):
            read_vocabulary(broken)


def test_words_are_spelled_without_marks() -> None:
    assert spell([1, A, B, 2], VOCABULARY) == "a b"


def test_the_real_networks_understand_a_sentence() -> None:
    pcm, _ = soundfile.read(STANDUP, dtype="int16")
    recognize = open_recognizer()
    text = recognize(pcm[int(12.3 * 16_000) : int(14.9 * 16_000)])
    assert text == "No, everything went through without problems."
    assert recognize(pcm[int(12.3 * 16_000) : int(14.9 * 16_000)], beam=1)
    longer = recognize(pcm[int(0.5 * 16_000) : int(12.3 * 16_000)])
    assert {"Good", "release", "plan", "migration", "errors?"} <= set(longer.split())

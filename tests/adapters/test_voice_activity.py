"""The real network on real sounds."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import structlog
from numpy.typing import NDArray

from minuted_daemon.adapters.voice_activity import SileroModels
from minuted_daemon.core.voice.speech import CHANCE, SHORTEST, WINDOW
from tests.bench.noise import send, short_words
from tests.bench.noise_sounds import KINDS, at_level, room_noise

MODELS = SileroModels()


def int16(sound: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.round(sound[: len(sound) // WINDOW * WINDOW] * 32767).astype(np.int16)


def test_a_stream_in_pieces_hears_what_one_hears_at_once() -> None:
    path = Path(__file__).parents[1] / "audio" / "standup.wav"
    pcm = soundfile.read(path, dtype="int16", stop=WINDOW * 120)[0]
    whole = MODELS.stream().chances(pcm)
    stream = MODELS.stream()
    pieces = [stream.chances(pcm[at : at + 3 * WINDOW]) for at in range(0, len(pcm), 3 * WINDOW)]
    assert whole is not None
    assert np.abs(np.concatenate(pieces) - whole).max() < 1e-4  # type: ignore[arg-type]
    assert whole[:10].max() < CHANCE < 0.9 < np.median(whole[25:])  # somebody speaks from 0.6 s on


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nobody_speaks_where_there_is_only_noise(kind: str) -> None:
    sound = KINDS[kind](30.0, 5) + room_noise(30.0, 6, "pink", -48.0)
    assert send(sound, MODELS, diarized=True).seconds <= 0.03 * 30


@pytest.mark.parametrize("shape", ["white", "pink", "brown"])
def test_a_session_does_not_begin_with_the_noise_of_the_room(shape: str) -> None:
    for room_db in (-48.0, -40.0, -35.0):
        for diarized in (True, False):
            assert send(room_noise(8.0, 7, shape, room_db), MODELS, diarized).seconds == 0


def test_single_short_words_are_heard() -> None:
    words = [word for name, word in short_words() if name.startswith(("Yes", "Mm-hm"))]
    for number, word in enumerate(words):
        said = np.concatenate([np.zeros(20_000), at_level(word, -38.0), np.zeros(20_000)])
        said += room_noise(len(said) / 16_000, number, "pink", -50.0)
        chances = MODELS.stream().chances(int16(said))
        assert chances is not None
        assert np.count_nonzero(chances > CHANCE) >= SHORTEST, number


def test_a_file_that_is_damaged_is_told_once_and_energy_decides() -> None:
    models = SileroModels("LICENSE-silero-vad.txt")
    with structlog.testing.capture_logs() as logs:
        assert models.stream().chances(np.zeros(WINDOW, dtype=np.int16)) is None
        assert models.stream().chances(np.zeros(WINDOW, dtype=np.int16)) is None
    assert [line["event"] for line in logs] == ["voice_model_not_loaded"]

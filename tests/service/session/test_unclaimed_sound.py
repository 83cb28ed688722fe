"""Sessions in which sound is heard that no diarizer claims: only speech is sent, and nothing is told as lost."""

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from minuted_daemon.adapters.voice_activity import SileroModels
from minuted_daemon.core.samples import BLOCK, RATE_HZ, WIDE_BLOCK
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.service.views import StartRequest
from tests.bench.noise import WORDS
from tests.bench.noise_sounds import music, room_noise
from tests.fakes_service.house import House
from tests.fakes_service.virtual_time import virtual_time


def blocks(sound: NDArray[np.float64]) -> list[AudioBlock]:
    pcm = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    pieces = (pcm[at : at + BLOCK] for at in range(0, len(pcm) - BLOCK + 1, BLOCK))
    return [AudioBlock(piece, np.resize(piece, WIDE_BLOCK), 0.0) for piece in pieces]


async def sent_s(sound: NDArray[np.float64], diarizer: str) -> float:
    """The seconds of a session's sound that the transcriber was sent; the coverage must say that nothing was lost."""
    house = House()
    house.speech_models = SileroModels()
    house.capture.script = blocks(sound)
    async with house.open() as registry:
        view = await registry.start(StartRequest("room", device="file:/scripted.wav", diarizer=diarizer))
        await house.ended(view.record.id)
        told = await registry.view_with_coverage(view.record.id)
    assert told.coverage is not None
    assert not told.coverage.lost
    assert told.coverage.pending == 0
    assert told.coverage.silence + told.coverage.text == told.heard
    return told.record.transcriber_sent / RATE_HZ


@pytest.mark.parametrize("diarizer", ["pyannote", "none"])
@virtual_time
async def test_music_is_not_sent_and_counts_as_silence(diarizer: str) -> None:
    assert await sent_s(music(20.0, 1) + room_noise(20.0, 2, "pink", -45.0), diarizer) == 0


@pytest.mark.parametrize("diarizer", ["pyannote", "none"])
@virtual_time
async def test_words_that_nobody_claims_are_sent(diarizer: str) -> None:
    words, _ = soundfile.read(WORDS.with_suffix(".flac"), stop=10 * RATE_HZ)
    assert await sent_s(np.asarray(words), diarizer) > 7

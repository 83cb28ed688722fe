"""Voices that are tones, and a printer that hears which: one voice has nothing in common with another."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.samples import BLOCK, RATE_HZ, WIDE_BLOCK
from minuted_daemon.errors import MinutedError
from minuted_daemon.ports.capture import AudioBlock

SILENCE = 0
_TONE_HZ = 200


def spoken(*stretches: tuple[float, int]) -> list[AudioBlock]:
    """Blocks for stretches of (seconds, number of the voice from 1 on, or SILENCE)."""
    voices = [voice for length_s, voice in stretches for _ in range(round(length_s * 10))]
    return [_block(voice, number) for number, voice in enumerate(voices)]


def _block(voice: int, number: int) -> AudioBlock:
    noise = np.random.default_rng(number).normal(0, 8, BLOCK)
    at = np.arange(number * BLOCK, (number + 1) * BLOCK) / RATE_HZ
    tone = 8_000 * np.sin(2 * np.pi * _TONE_HZ * voice * at) if voice else 0.0
    pcm = (noise + tone).astype(np.int16)
    return AudioBlock(pcm, np.resize(pcm, WIDE_BLOCK), 0.0)


class FakePrinter:
    """Prints are told apart by the loudest tone. `fault` is raised by every print; one takes `takes_s`."""

    def __init__(self) -> None:
        self.fault: MinutedError | None = None
        self.takes_s = 0.2
        self.heard: list[tuple[int, int]] = []
        """For each print, the voice and the number of samples."""
        self.attempts = 0
        self.closed = False

    async def print(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        self.attempts += 1
        await asyncio.sleep(self.takes_s)
        if self.fault is not None:
            raise self.fault
        power = np.abs(np.fft.rfft(pcm.astype(np.float64)))
        voice = round(float(np.argmax(power)) * RATE_HZ / len(pcm) / _TONE_HZ)
        self.heard.append((voice, len(pcm)))
        return np.asarray(np.eye(32, dtype=np.float32)[voice])

    async def close(self) -> None:
        self.closed = True

import numpy as np
import pytest

from minuted_daemon.adapters.capture.resampling import Rendered, Renderer, Silence


def tone(rate_hz: int, seconds: float, pitch_hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def render(renderer: Renderer, samples: np.ndarray, chunk: int) -> list[Rendered]:
    blocks = []
    for start in range(0, len(samples), chunk):
        blocks += renderer.feed(samples[start : start + chunk])
    return [*blocks, *renderer.finish()]


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("chunk", [333, 4_800])
def test_blocks_are_exact_aligned_and_complete(rate_hz: int, chunk: int) -> None:
    blocks = render(Renderer(rate_hz), tone(rate_hz, 1.05), chunk)
    assert [block.index for block in blocks] == list(range(11))
    narrow = np.concatenate([block.pcm for block in blocks]) / 32_768
    wide = np.concatenate([block.wide for block in blocks]) / 32_768
    assert len(narrow) == 11 * 1_600
    assert len(wide) == 11 * 2_400
    assert np.abs(narrow[1_000:15_000] - tone(16_000, 1.05)[1_000:15_000]).max() < 1e-3
    assert np.abs(wide[1_500:22_500] - tone(24_000, 1.05)[1_500:22_500]).max() < 1e-3
    assert not narrow[16_900:].any()


def test_the_wide_rendering_keeps_what_lies_above_8_khz() -> None:
    blocks = render(Renderer(48_000), tone(48_000, 1.0, pitch_hz=10_000), 4_800)[1:-1]
    assert np.abs(np.concatenate([block.wide for block in blocks])).max() > 15_000
    assert np.abs(np.concatenate([block.pcm for block in blocks])).max() < 10


@pytest.mark.parametrize(("gap", "before"), [(4_800, 0), (1_000, 7_001), (24_000, 4_800), (1, 10)])
def test_what_was_not_heard_is_silent_and_told(gap: int, before: int) -> None:
    renderer = Renderer(48_000)
    loud = np.full(12_000, 0.5, np.float32)
    blocks = [*renderer.feed(loud[:before]), *renderer.fill(gap), *renderer.feed(loud), *renderer.finish()]
    told = np.concatenate(
        [
            np.arange(block.index * 1_600 + silence.start, block.index * 1_600 + silence.end)
            for block in blocks
            for silence in block.silences
        ]
        or [np.zeros(0)]
    )
    assert np.array_equal(told, np.arange(round(before / 3), round((before + gap) / 3)))
    for block in blocks:
        for silence in block.silences:
            assert not block.pcm[silence.start : silence.end].any()
            assert not block.wide[silence.start * 3 // 2 : silence.end * 3 // 2].any()


def test_silences_are_placed_within_their_block() -> None:
    renderer = Renderer(16_000)
    blocks = [*renderer.feed(np.ones(800, np.float32)), *renderer.fill(1_600), *renderer.feed(np.ones(800, np.float32))]
    blocks += renderer.finish()
    assert [block.silences for block in blocks] == [(Silence(800, 1_600),), (Silence(0, 800),)]


def test_too_loud_is_clipped_and_never_wraps() -> None:
    blocks = render(Renderer(16_000), np.array([2.0, -2.0, 1.0, -1.0] * 400, np.float32), 1_600)
    assert blocks[0].pcm[:4].tolist() == [32_767, -32_768, 32_767, -32_768]


def test_digital_silence_stays_digital_silence() -> None:
    blocks = render(Renderer(44_100), np.zeros(44_100, np.float32), 4_410)
    assert not any(block.pcm.any() or block.wide.any() for block in blocks)

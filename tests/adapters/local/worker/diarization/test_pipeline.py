"""The whole stream on stand-in networks: each speaker is a constant level, which is also their embedding."""

import numpy as np

from minuted_daemon.adapters.local.worker.diarization.pipeline import LOOK_AHEAD, StreamDiarization
from minuted_daemon.adapters.local.worker.diarization.powerset import FIRST_CENTRE, STEP
from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerRelabelled, SpeakerStarted

S = 16_000
FRAMES = 589
LEVELS = (1_000, 2_000, 3_000)


class Networks:
    """Numbers the local speakers differently in each window, as the real one may."""

    def __init__(self, alike: bool = False) -> None:
        """alike: the segmentation cannot tell the last two people apart."""
        self.windows = 0
        self.alike = alike

    def segmentation(self, wave: np.ndarray) -> np.ndarray:
        self.windows += 1
        heard = np.round(wave[FIRST_CENTRE + STEP * np.arange(FRAMES)] * 32_768).astype(int)
        probabilities = np.full((FRAMES, 7), 0.001)
        probabilities[heard == 0, 0] = 0.99
        for person, level in enumerate(LEVELS):
            local = 1 if self.alike and person else person
            probabilities[heard == level, 1 + (local + self.windows) % 3] = 0.99
        return np.log(probabilities).astype(np.float32)

    def voice(self, wave: np.ndarray) -> np.ndarray:
        return np.array([(np.round(wave * 32_768) == level).mean() for level in LEVELS], dtype=np.float32)


def speech(*parts: tuple[int | None, float]) -> np.ndarray:
    return np.concatenate(
        [
            np.full(round(length * S), 0 if person is None else LEVELS[person], dtype=np.int16)
            for person, length in parts
        ]
    )


def run(
    pcm: np.ndarray, block: int = 1_600, alike: bool = False
) -> tuple[list[tuple[int, DiarizerEvent]], StreamDiarization, Networks]:
    networks = Networks(alike)
    stream = StreamDiarization(networks.segmentation, networks.voice)
    told: list[tuple[int, DiarizerEvent]] = []
    for at in range(0, len(pcm), block):
        stream.push(pcm[at : at + block])
        while stream.ready:
            stream.take_hop()
            told += [(stream.done, event) for event in stream.look()]
    stream.take_hop()
    told += [(stream.done, event) for event in stream.finish()]
    return told, stream, networks


def test_turns_of_three_people_are_told_once_each_and_in_time() -> None:
    pcm = speech((None, 1), (0, 4), (1, 3), (None, 1), (2, 3), (0, 2), (None, 2), (1, 4), (None, 4))
    told, stream, _ = run(pcm)
    starts = [(e.label, e.at / S) for _, e in told if isinstance(e, SpeakerStarted)]
    ends = [(e.label, e.at / S) for _, e in told if isinstance(e, SpeakerEnded)]
    assert [label for label, _ in starts] == ["A0", "A1", "A2", "A0", "A1"]
    np.testing.assert_allclose([at for _, at in starts], [1, 5, 9, 12, 16], atol=0.05)
    np.testing.assert_allclose([at for _, at in ends], [5, 8, 12, 14, 20], atol=0.05)
    assert not [e for _, e in told if isinstance(e, SpeakerRelabelled)]
    for done, event in told:
        assert not isinstance(event, SpeakerRelabelled)
        assert LOOK_AHEAD <= done - event.at <= LOOK_AHEAD + S // 2 + 600
    assert stream.done == len(pcm)


def test_a_change_that_the_segmentation_does_not_notice_is_heard_by_the_voice() -> None:
    pcm = speech((None, 1), (0, 2), (1, 3.9), (None, 0.1), (2, 3.9), (None, 0.1), (1, 5), (None, 4))
    told, _, _ = run(pcm, alike=True)
    starts = [(e.label, e.at / S) for _, e in told if isinstance(e, SpeakerStarted)]
    assert [label for label, _ in starts] == ["A0", "A1", "A2", "A1"]
    np.testing.assert_allclose([at for _, at in starts], [1, 3, 7, 11], atol=0.1)
    assert not [e for _, e in told if isinstance(e, SpeakerRelabelled)]
    for done, event in told:
        assert not isinstance(event, SpeakerRelabelled)
        assert done - event.at <= LOOK_AHEAD + S


def test_a_long_turn_is_told_early_and_ended_by_finish() -> None:
    pcm = speech((None, 0.5), (0, 14))
    told, stream, _ = run(pcm)
    (start_done, start), (end_done, end) = told
    assert start == SpeakerStarted("A0", start.at)
    assert start_done < 3 * S
    assert isinstance(end, SpeakerEnded)
    assert abs(end.at - len(pcm)) < 0.05 * S
    assert end_done == stream.done == len(pcm)


def test_digital_silence_costs_nothing_and_what_follows_is_heard() -> None:
    told, _, networks = run(np.concatenate((np.zeros(60 * S, dtype=np.int16), speech((1, 3), (None, 3)))))
    assert [type(e) for _, e in told] == [SpeakerStarted, SpeakerEnded]
    assert networks.windows <= 14


def test_block_sizes_make_no_difference() -> None:
    pcm = speech((None, 1), (0, 4), (1, 3.3), (None, 2.2))
    assert [e for _, e in run(pcm)[0]] == [e for _, e in run(pcm, block=777)[0]]


def test_a_stream_that_fell_behind_takes_longer_hops() -> None:
    pcm = speech((None, 1), (0, 4), (1, 3), (None, 3))
    told, _, networks = run(pcm, block=len(pcm))
    assert networks.windows < len(pcm) / (S // 2) * 0.7
    assert [e.label for _, e in told if isinstance(e, SpeakerStarted)] == ["A0", "A1"]


def test_an_empty_stream_finishes() -> None:
    assert run(np.zeros(0, dtype=np.int16))[0] == []

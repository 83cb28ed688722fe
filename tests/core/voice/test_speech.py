"""What a model's chances make of frames, and what the merge makes of that. The model here says what the test says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from minuted_daemon.core.events import (
    Append,
    Epoch,
    EpochOpened,
    SpeakerEnded,
    SpeakerStarted,
    SpeechJudged,
    TranscriberReady,
    VoiceObserved,
)
from minuted_daemon.core.merge.merger import Merger, MergeSettings
from minuted_daemon.core.samples import BLOCK, FRAME, Sample
from minuted_daemon.core.voice.activity import VoiceDetector, VoiceTrack
from minuted_daemon.core.voice.speech import NEAR, WINDOW, SpeechJudge, Verdict
from tests.support.merge_room import s

LOUD = 3000


class Told:
    """A model that takes for speech what is louder than LOUD; `asked` counts its windows."""

    def __init__(self, missing: bool = False) -> None:
        self.asked = 0
        self.missing = missing

    def chances(self, pcm: NDArray[np.int16]) -> NDArray[np.float32] | None:
        windows = np.abs(pcm.reshape(-1, WINDOW).astype(np.int32)).max(axis=1)
        self.asked += len(windows)
        return None if self.missing else (windows > LOUD).astype(np.float32)


def heard(judge: SpeechJudge, pcm: NDArray[np.int16], sound: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """The verdicts on the frames of a stream, to its end."""
    verdicts = np.zeros(len(pcm) // FRAME, dtype=np.uint8)
    at = 0
    for start in range(0, len(pcm), BLOCK):
        judged = judge.hear(Sample(start), pcm[start : start + BLOCK], sound is None or bool(sound[start // BLOCK]))
        assert judged is not None
        assert judged.start == at, "each frame is judged once, in order"
        verdicts[at // FRAME : at // FRAME + len(judged.verdicts)] = judged.verdicts
        at += len(judged.verdicts) * FRAME
        assert start + BLOCK - at <= s(0.5), "verdicts come soon"
    judged = judge.finish()
    assert judged is not None
    assert judged.start == at
    verdicts[at // FRAME :] = judged.verdicts
    return verdicts


def word(pcm: NDArray[np.int16], start_s: float, end_s: float, level: int = 2 * LOUD) -> None:
    pcm[s(start_s) : s(end_s)] = level


@pytest.mark.parametrize("from_s", [0.0, 0.05, 1.0, 1.013])
def test_a_word_is_speech_and_what_is_around_it_is_near(from_s: float) -> None:
    pcm = np.zeros(s(4), dtype=np.int16)
    word(pcm, from_s, from_s + 0.3)
    verdicts = heard(SpeechJudge(Told()), pcm)
    first, last = s(from_s) // FRAME, s(from_s + 0.3) // FRAME
    assert (verdicts[first + 2 : last - 2] == Verdict.SPEECH).all()
    near = np.flatnonzero(verdicts == Verdict.NEAR_SPEECH)
    assert near.max() >= last + NEAR // FRAME - 8
    assert near.max() <= last + NEAR // FRAME + 8
    assert (verdicts[last + NEAR // FRAME + 8 : s(3) // FRAME] == Verdict.NOT_SPEECH).all()


def test_what_is_shorter_than_any_word_is_not_speech() -> None:
    pcm = np.zeros(s(4), dtype=np.int16)
    word(pcm, 1.0, 1.02)
    word(pcm, 2.0, 2.03)
    assert (heard(SpeechJudge(Told()), pcm)[: s(3) // FRAME] == Verdict.NOT_SPEECH).all()


def test_long_speech_is_speech_throughout() -> None:
    pcm = np.zeros(s(40), dtype=np.int16)
    word(pcm, 2.0, 35.0)
    verdicts = heard(SpeechJudge(Told()), pcm)
    assert (verdicts[s(2.1) // FRAME : s(34.9) // FRAME] == Verdict.SPEECH).all()


def test_a_word_at_the_very_end_is_speech() -> None:
    pcm = np.zeros(s(3), dtype=np.int16)
    word(pcm, 2.8, 3.0)
    verdicts = heard(SpeechJudge(Told()), pcm)
    assert (verdicts[s(2.85) // FRAME :] == Verdict.SPEECH).all()


def test_the_model_is_asked_only_where_there_is_sound_and_hears_what_was_before() -> None:
    pcm = np.zeros(s(60), dtype=np.int16)
    word(pcm, 29.8, 30.2)
    sound = np.zeros(len(pcm) // BLOCK, dtype=np.bool_)
    sound[300] = True  # it is noticed late
    model = Told()
    verdicts = heard(SpeechJudge(model), pcm, sound)
    assert model.asked * WINDOW < s(2)
    assert (verdicts[s(29.9) // FRAME : s(30.1) // FRAME] == Verdict.SPEECH).all()
    assert (verdicts[: s(29) // FRAME] == Verdict.NOT_SPEECH).all()


def test_behind_a_gap_it_begins_anew() -> None:
    judge = SpeechJudge(Told())
    heard(judge, np.zeros(s(2), dtype=np.int16))
    judged = judge.hear(Sample(s(30)), np.full(BLOCK, 2 * LOUD, dtype=np.int16), sound=True)
    assert judged is not None
    assert (judged.start, judged.by_model) == (s(30), True)


def test_without_a_model_there_is_no_verdict_and_energy_decides() -> None:
    detector, track = VoiceDetector(Told(missing=True)), VoiceTrack()
    pcm = np.random.default_rng(1).normal(0, 20, s(4)).astype(np.int16)
    pcm[s(2) : s(2.5)] *= 100
    for at in range(0, len(pcm), BLOCK):
        track.append(detector.observe(Sample(at), pcm[at : at + BLOCK]))
    assert track.judged_to == len(pcm)
    assert track.spoken(0, len(pcm)) == s(0.5)


# --- the floor of the room --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room_db", [-60, -48, -40, -35, -20])
def test_the_room_is_known_before_it_is_judged(room_db: float) -> None:
    pcm = np.random.default_rng(2).normal(0, 32768 * 10 ** (room_db / 20), s(20)).astype(np.int16)
    detector, track = VoiceDetector(), VoiceTrack()
    for at in range(0, len(pcm), BLOCK):
        track.append(detector.observe(Sample(at), pcm[at : at + BLOCK]))
    assert track.spoken(0, len(pcm)) == 0


def test_speech_from_the_first_sample_is_not_the_room() -> None:
    """Energy alone: the first second is judged again once the quietest of it was heard, and claimed only then."""
    rng = np.random.default_rng(3)
    pcm = rng.normal(0, 30, s(4))
    pcm[: s(0.5)] = rng.normal(0, 3000, s(0.5))
    detector, track = VoiceDetector(), VoiceTrack()
    for at in range(0, len(pcm), BLOCK):
        track.append(detector.observe(Sample(at), pcm[at : at + BLOCK].astype(np.int16)))
        assert track.judged_to == (0 if at + BLOCK < s(1) else at + BLOCK)
    assert track.judged_to == len(pcm)
    assert track.speech(0, len(pcm)) == [(0, s(0.5))]


# --- the merge --------------------------------------------------------------------------------------------------------


class Judged:
    """A merge that hears sound in [start, end) of which a model says what it is."""

    def __init__(self, start_s: float, end_s: float, verdict: Verdict, diarized: bool = True) -> None:
        self.merger = Merger(MergeSettings())
        self.merger.feed(TranscriberReady())
        if diarized:
            self.merger.feed(EpochOpened(Epoch(1), Sample(0)))
        self.start, self.end, self.verdict = s(start_s), s(end_s), verdict
        self.at = 0
        self.sent: list[tuple[int, int]] = []

    def run(self, until_s: float) -> "Judged":
        """Verdicts are 0.4 s late."""
        while self.at < s(until_s):
            frames = np.arange(self.at, self.at + BLOCK, FRAME)
            voiced = (frames >= self.start) & (frames < self.end)
            late = frames - s(0.4)
            told = np.where((late >= self.start) & (late < self.end), self.verdict, Verdict.NOT_SPEECH)
            judged = SpeechJudged(Sample(max(0, self.at - s(0.4))), told[late >= 0].astype(np.uint8))
            level = np.where(voiced, -20, -60).astype(np.float32)
            self.merger.feed(VoiceObserved(Sample(self.at), voiced, level, judged))
            self.at += BLOCK
            self._take()
        return self

    def close(self) -> None:
        self.merger.close()
        for _ in range(20):
            self.at += BLOCK
            self._take()

    def _take(self) -> None:
        told = self.merger.advance(Sample(self.at))
        self.sent += [(output.start, output.end) for output in told if isinstance(output, Append)]


@pytest.mark.parametrize("diarized", [True, False])
def test_sound_that_nobody_claims_is_sent_only_if_it_is_speech(diarized: bool) -> None:
    tap = Judged(5, 5.4, Verdict.NOT_SPEECH, diarized).run(20)
    [(undecided_from, until)] = tap.merger.pending(Sample(tap.at))
    assert s(5.4) < undecided_from < until == tap.at
    tap.close()
    assert tap.sent == []
    spoken = Judged(5, 5.4, Verdict.SPEECH, diarized).run(20)
    assert spoken.sent
    assert min(start for start, _ in spoken.sent) <= s(5)
    assert max(end for _, end in spoken.sent) >= s(5.4)


def test_a_diarizer_that_claims_it_late_is_believed() -> None:
    late = Judged(5, 7, Verdict.NOT_SPEECH).run(15)
    assert late.sent == []
    for event in (SpeakerStarted("A", s(5)), SpeakerEnded("A", s(7))):
        late.merger.feed_diarization(Epoch(1), event, Sample(late.at))
    late.run(20)
    assert min(start for start, _ in late.sent) <= s(5)
    assert max(end for _, end in late.sent) >= s(7)


def test_quiet_speech_that_energy_does_not_notice_is_spoken_all_the_same() -> None:
    track = VoiceTrack()
    silence = np.zeros(100, dtype=np.bool_)
    verdicts = np.full(100, Verdict.NOT_SPEECH, dtype=np.uint8)
    verdicts[20:60] = Verdict.NEAR_SPEECH
    verdicts[30:50] = Verdict.SPEECH
    track.append(VoiceObserved(Sample(0), silence, np.full(100, -60, np.float32), SpeechJudged(Sample(0), verdicts)))
    assert track.speech(0, s(1)) == [(s(0.3), s(0.5))]
    assert track.spoken(0, s(0.4)) == s(0.1)


def test_what_was_forgotten_is_no_speech_whatever_is_said_of_it_later() -> None:
    track = VoiceTrack()
    voiced, level = np.ones(100, dtype=np.bool_), np.full(100, -20, dtype=np.float32)
    nothing = SpeechJudged(Sample(0), np.zeros(0, dtype=np.uint8))
    track.append(VoiceObserved(Sample(0), voiced[:80], level[:80], nothing))
    track.silence(s(0.2), s(0.8))
    told = SpeechJudged(Sample(0), np.full(100, Verdict.SPEECH, dtype=np.uint8))
    track.append(VoiceObserved(Sample(s(0.8)), voiced[80:], level[80:], told))
    assert track.speech(0, s(1)) == [(0, s(0.2)), (s(0.8), s(1))]

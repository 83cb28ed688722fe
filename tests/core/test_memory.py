"""What is kept for a session stays small however long it takes. These tests look inside: no result shows it."""

import numpy as np

from minuted_daemon.core.coverage import Claim, Ground, Ledger
from minuted_daemon.core.diarization.epochs import Epochs
from minuted_daemon.core.diarization.identity import Identity
from minuted_daemon.core.diarization.label_matching import SharedSpeech
from minuted_daemon.core.diarization.solo_speech import REACH, Solos
from minuted_daemon.core.diarization.timeline import Span, Voice
from minuted_daemon.core.events import Epoch, EpochClosed, EpochOpened, SpeakerEnded, SpeakerStarted
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.core.voice.clips import VoiceClips
from tests.support.merge_room import s

A, C, D = Voice(1), Voice(3), Voice(4)


def spans(*told: tuple[Voice, float, float]) -> list[Span]:
    return [Span(voice, s(start), s(end), order) for order, (voice, start, end) in enumerate(told)]


def test_solo_speech_is_bounded() -> None:
    solos = Solos(0, 0, samples(0.5))
    for second in range(3_600):
        solos.feed(SpeakerStarted(f"L{second % 7}", samples(second)))
        solos.feed(SpeakerEnded(f"L{second % 7}", samples(second + 0.9)))
        solos.advance(samples(second + 1), samples(second + 1))
    assert len(solos._timeline.spans(0)) < 20


def test_sums_are_bounded_and_the_longest_stay() -> None:
    shared = SharedSpeech()
    shared.add(spans((A, 0, 5)), spans((C, 0, 5)), 0, s(5))
    for n in range(2000):
        at = 5 + n / 100
        shared.add(spans((Voice(100 + n), at, at + 0.01)), spans((D, at, at + 0.01)), s(at), s(at + 0.01))
    assert len(shared._sums) <= 512
    assert shared.matches([], [], 0, 0, {})[C] == A


def test_epochs_that_are_long_over_are_forgotten() -> None:
    epochs = Epochs(Identity())
    for n in range(300):
        at, number = s(10.0 * n), Epoch(n + 1)
        epochs.opened(EpochOpened(number, Sample(at)))
        epochs.apply(number, SpeakerStarted("A", s(1)))
        epochs.apply(number, SpeakerEnded("A", s(3)))
        assert [(span.start, span.end) for span in epochs.spans(at)] == [(at + s(1), at + s(3))]
        epochs.closed(EpochClosed(number, Sample(at + s(9))))
        epochs.forget(at - s(60))
    assert len(epochs._epochs) <= 8
    assert len(epochs._voices) <= 8, "labels that never were speakers go with their epoch"
    assert len(epochs.spans(0)) <= 8


def test_what_is_hidden_for_hours_is_not_held() -> None:
    heard = Sample(10_000_000)
    ledger = Ledger(heard)
    ledger.enter([Claim(Sample(0), heard, Ground.MUTED)])
    ledger.enter(Claim(Sample(start), Sample(start + 50), Ground.TEXT) for start in range(0, heard, 1_000))
    assert len(ledger._open) == 1
    assert ledger.close().muted == heard


def test_recent_audio_for_clips_is_bounded() -> None:
    clips = VoiceClips()
    for start in range(0, samples(60.0), BLOCK):
        clips.hear(start, np.zeros(BLOCK, dtype=np.int16))
    assert sum(len(block.pcm) for block in clips._recent) <= REACH + BLOCK

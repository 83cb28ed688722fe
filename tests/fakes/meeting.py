"""Meetings whose audio can be recognised: true turn-taking, words that sound like nothing else, and their rendering.

Positions are samples at 16 kHz from the start of the meeting. Everything is decided by the meeting's name, so two
processes that load the same meeting hold the same words and the same sound.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE_HZ = 16_000
TIMELINES = Path(__file__).resolve().parent.parent / "timelines"

WORD_S = (0.18, 0.45)
WORD_GAP_S = (0.03, 0.12)
PAUSE_S = (0.2, 0.4)
LONG_SEGMENT_S = 4.0
PAUSE_SHARE = 0.08

BURST_RMS = 32768 * 10 ** (-21 / 20)
ROOM_RMS = 32768 * 10 ** (-60 / 20)
BURST_HZ = (150.0, 5500.0)
FADE = 80  # samples: 5 ms


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `text` is unique in its meeting and holds letters and digits only."""

    text: str
    speaker: str
    start: int
    end: int

    @property
    def middle(self) -> int:
        """The sample that decides to which side of a cut a word belongs; at a tie it is the first side."""
        return self.start + (self.end - self.start - 1) // 2


@dataclass(frozen=True, slots=True)
class Segment:
    """One speaker speaks in [start, end); one speaker's segments never overlap or touch."""

    speaker: str
    start: int
    end: int


@dataclass(frozen=True)
class Meeting:
    """Who spoke when, and which words: `words` by start, `segments` by start (equal starts in file order)."""

    name: str
    words: tuple[Word, ...] = field(repr=False)
    segments: tuple[Segment, ...] = field(repr=False)
    duration: int
    spec: str = ""
    seed: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", seed_of(self.name))

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Speakers in order of their first word."""
        return tuple(dict.fromkeys(segment.speaker for segment in self.segments))

    @cached_property
    def by_text(self) -> dict[str, Word]:
        """The word of each text."""
        return {word.text: word for word in self.words}

    @cached_property
    def boundaries(self) -> tuple[tuple[int, int, str], ...]:
        """Every start (1) and end (0) as (sample, kind, speaker), ends first where they fall together."""
        starts = [(segment.start, 1, segment.speaker) for segment in self.segments]
        ends = [(segment.end, 0, segment.speaker) for segment in self.segments]
        return tuple(sorted(starts + ends, key=lambda boundary: boundary[:2]))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.array([word.start for word in self.words], dtype=np.int64)

    @cached_property
    def _longest(self) -> int:
        return max((word.end - word.start for word in self.words), default=0)

    def words_between(self, start: int, end: int) -> Sequence[Word]:
        """All words that share a sample with [start, end), by start."""
        first = int(np.searchsorted(self._starts, start - self._longest, side="left"))
        last = int(np.searchsorted(self._starts, end, side="left"))
        return [word for word in self.words[first:last] if word.end > start]

    def index_of(self, word: Word) -> int:
        """Position of a word in `words`."""
        first = int(np.searchsorted(self._starts, word.start, side="left"))
        return self.words.index(word, first)

    def boundaries_between(self, start: float, end: float) -> Sequence[tuple[int, int, str]]:
        """The starts and ends in (start, end], in order."""
        first = bisect_right(self.boundaries, start, key=lambda boundary: boundary[0])
        last = bisect_right(self.boundaries, end, key=lambda boundary: boundary[0])
        return self.boundaries[first:last]

    def active_at(self, sample: int) -> list[str]:
        """Speakers whose segment holds this sample."""
        return [segment.speaker for segment in self.segments if segment.start <= sample < segment.end]

    def sound(self, start: int, end: int, seed: int = 0) -> NDArray[np.int16]:
        """The samples [start, end) of the rendering; the same whatever the cut. Outside the meeting: room noise."""
        return (_sound(self, start, end, seed)).astype(np.int16)


def seed_of(*parts: object) -> int:
    """Return a seed that is the same in every process."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big")


def load_meeting(name: str, start_s: float = 0.0, length_s: float | None = None) -> Meeting:
    """Read tests/timelines/<name>.rttm, shift [start_s, start_s + length_s) to 0 and fill every segment with words.

    An excerpt has a name of its own (`IB4010s600n180`), and so its own sound.
    """
    raw: list[Segment] = []
    for line in (TIMELINES / f"{name}.rttm").read_text().splitlines():
        parts = line.split()
        if parts and parts[0] == "SPEAKER":
            begin = round(float(parts[3]) * RATE_HZ)
            raw.append(Segment(parts[7], begin, begin + round(float(parts[4]) * RATE_HZ)))
    begin = round(start_s * RATE_HZ)
    until = begin + round(length_s * RATE_HZ) if length_s is not None else max(s.end for s in raw) + RATE_HZ
    clipped = [
        Segment(s.speaker, max(s.start, begin) - begin, min(s.end, until) - begin)
        for s in raw
        if s.start < until and s.end > begin
    ]
    own = name
    if start_s or length_s is not None:
        own = f"{name}s{start_s:g}" + (f"n{length_s:g}" if length_s is not None else "")
    spec = f"{name}:{start_s:g}:{'' if length_s is None else format(length_s, 'g')}"
    return meeting_of(own, clipped, until - begin, spec=spec)


def parse_spec(spec: str) -> Meeting:
    """Load `NAME[:START_S[:LENGTH_S]]` or `synthetic:SEED:SPEAKERS:MINUTES`, as `Meeting.spec` says it."""
    name, *rest = spec.split(":")
    if name == "synthetic":
        return synthetic_meeting(int(rest[0]), int(rest[1]), float(rest[2]))
    start_s = float(rest[0]) if rest and rest[0] else 0.0
    return load_meeting(name, start_s, float(rest[1]) if len(rest) > 1 and rest[1] else None)


def synthetic_meeting(seed: int, speakers: int = 4, minutes: float = 3.0) -> Meeting:
    """Random turn-taking with pauses, overlaps (some starts before the last end) and interjections."""
    rng = np.random.default_rng(seed_of("synthetic", seed, speakers, minutes))
    names = [f"P{number}" for number in range(1, speakers + 1)]
    until_s = minutes * 60
    segments: list[Segment] = []
    now_s = float(rng.uniform(0.2, 2.0))
    holder = -1
    while now_s < until_s - 0.5:
        others = [number for number in range(speakers) if number != holder]
        if others and (holder < 0 or rng.random() < 0.8):
            holder = int(rng.choice(others))
        length_s = min(float(rng.lognormal(0.7, 0.9)) + 0.15, 40.0, until_s - now_s - 0.1)
        segments.append(_segment(names[holder], now_s, now_s + length_s))
        for _ in range(int(rng.poisson(length_s / 8)) if speakers > 1 else 0):
            other = int(rng.choice([number for number in range(speakers) if number != holder]))
            at_s = now_s + float(rng.uniform(0, length_s))
            segments.append(_segment(names[other], at_s, min(at_s + float(rng.uniform(0.12, 0.8)), until_s - 0.05)))
        now_s = max(now_s + 0.05, now_s + length_s + float(rng.normal(0.15, 0.5)))
    own = f"syn{seed}p{speakers}m{minutes:g}".replace(".", "d")
    return meeting_of(own, segments, round(until_s * RATE_HZ), spec=f"synthetic:{seed}:{speakers}:{minutes:g}")


def meeting_of(name: str, segments: Iterable[Segment], duration: int, spec: str = "") -> Meeting:
    """Make a meeting of true segments: merge what one speaker says at once, and lay words into every segment."""
    merged = _merged(segments)
    spans = [(segment.speaker, start, end) for segment in merged for start, end in _spans(name, segment)]
    spans.sort(key=lambda span: span[1])
    slug = "".join(letter for letter in name.lower() if letter.isalnum())
    words = tuple(Word(f"{slug}w{n}", speaker, start, end) for n, (speaker, start, end) in enumerate(spans))
    return Meeting(name, words, tuple(merged), duration, spec)


def render(meeting: Meeting, rate_hz: int = RATE_HZ, seed: int = 0) -> NDArray[np.int16]:
    """The whole meeting as int16 mono at `rate_hz`. `seed` changes the room noise only."""
    pcm = meeting.sound(0, meeting.duration, seed)
    if rate_hz == RATE_HZ:
        return pcm
    return np.asarray(soxr.resample(pcm, RATE_HZ, rate_hz, quality="HQ"), dtype=np.int16)


def write_wav(path: Path | str, meeting: Meeting, rate_hz: int = RATE_HZ, seed: int = 0) -> None:
    """Write the rendering as a 16-bit mono WAV file."""
    soundfile.write(str(path), render(meeting, rate_hz, seed), rate_hz, subtype="PCM_16")


# --- words ------------------------------------------------------------------------------------------------------------


def _segment(speaker: str, start_s: float, end_s: float) -> Segment:
    return Segment(speaker, round(start_s * RATE_HZ), round(end_s * RATE_HZ))


def _merged(segments: Iterable[Segment]) -> list[Segment]:
    """Join one speaker's overlapping or touching segments."""
    done: list[Segment] = []
    latest: dict[str, int] = {}
    for segment in sorted(segments, key=lambda s: s.start):
        if segment.end <= segment.start:
            continue
        at = latest.get(segment.speaker)
        if at is not None and done[at].end >= segment.start:
            done[at] = Segment(segment.speaker, done[at].start, max(done[at].end, segment.end))
        else:
            latest[segment.speaker] = len(done)
            done.append(segment)
    return done


def _spans(name: str, segment: Segment) -> list[tuple[int, int]]:
    """Word spans that begin at the segment's start and end at its end."""
    rng = np.random.default_rng(seed_of(name, segment.speaker, segment.start))

    def draw(bounds: tuple[float, float]) -> int:
        return round(float(rng.uniform(*bounds)) * RATE_HZ)

    shortest, longest, gap_max = (round(s * RATE_HZ) for s in (*WORD_S, WORD_GAP_S[1]))
    pauses = segment.end - segment.start > LONG_SEGMENT_S * RATE_HZ
    spans: list[tuple[int, int]] = []
    at = segment.start
    while (left := segment.end - at) > 0:
        if left <= longest:
            spans.append((at, segment.end))
            break
        if left <= longest + gap_max + shortest:
            gap = min(draw(WORD_GAP_S), left - 2 * shortest)
            half = (left - gap) // 2
            spans += [(at, at + half), (at + half + gap, segment.end)]
            break
        length, gap = draw(WORD_S), draw(WORD_GAP_S)
        if pauses and left > 2 * RATE_HZ and rng.random() < PAUSE_SHARE:
            gap = draw(PAUSE_S)
        spans.append((at, at + length))
        at += length + gap
    return spans


# --- sound ------------------------------------------------------------------------------------------------------------


def _burst(meeting: Meeting, index: int) -> NDArray[np.float32]:
    """The sound of one word: noise within BURST_HZ that occurs nowhere else, with short fades."""
    word = meeting.words[index]
    length = word.end - word.start
    rng = np.random.default_rng([meeting.seed, index])
    size = 1 << max(8, (length - 1).bit_length())
    low, high = (round(hz * size / RATE_HZ) for hz in BURST_HZ)
    spectrum = np.zeros(size // 2 + 1, dtype=np.complex64)
    phases = rng.random(high - low, dtype=np.float32) * np.float32(2 * np.pi)
    spectrum[low:high] = np.exp(1j * phases) * rng.standard_exponential(high - low, dtype=np.float32)
    burst = np.fft.irfft(spectrum, size)[:length].astype(np.float32)
    rms = float(np.sqrt(np.mean(burst**2))) or 1.0
    burst *= np.float32(BURST_RMS / rms)
    ramp = np.sin(np.linspace(0, np.pi / 2, min(FADE, length // 2) + 1, dtype=np.float32)[1:]) ** 2
    burst[: len(ramp)] *= ramp
    burst[length - len(ramp) :] *= ramp[::-1]
    return burst


def _sound(meeting: Meeting, start: int, end: int, seed: int) -> NDArray[np.float32]:
    out = np.empty(end - start, dtype=np.float32)
    for second in range(start // RATE_HZ, -(-end // RATE_HZ)):
        room = np.random.default_rng([meeting.seed, seed, 1, second + 1_000_000])
        noise = room.standard_normal(RATE_HZ, dtype=np.float32) * np.float32(ROOM_RMS)
        begin = second * RATE_HZ
        low, high = max(start, begin), min(end, begin + RATE_HZ)
        out[low - start : high - start] = noise[low - begin : high - begin]
    for word in meeting.words_between(start, end):
        low, high = max(start, word.start), min(end, word.end)
        burst = _burst(meeting, meeting.index_of(word))
        out[low - start : high - start] += burst[low - word.start : high - word.start]
    return np.clip(np.rint(out), -32768, 32767)

"""A pause of a real microphone: it is released, nothing said meanwhile goes anywhere, and all stay who they are."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from minuted import Interval, IntervalKind, LinkHealth, Session, SessionState, Turn
from tests.e2e.daemon_process import DaemonProcess, run_daemon
from tests.e2e.live_run import PYANNOTE_KNOBS
from tests.e2e.talking import DEVICE_HZ, ROOM, begin_of_meeting_s, of, recording, up, watching
from tests.fakes.meeting import RATE_HZ
from tests.fakes.processes import openai_standin, pyannote_standin
from tests.rig.fixtures import Microphone, SoundServer
from tests.rig.hearing import workers_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TALK_S, PAUSE_S = 9.5, 4.0
EDGE_S = 0.4
"""What is said around the beginning and the end of a pause may be on either side."""
HARDWARE_S, SERVER_S = 1.0, 3.0


@dataclass
class Played:
    """What became of the meeting. `released` looks at the device in the pause; `resumed_s`: until audio came again."""

    released: bool = False
    resumed_s: float = 0.0
    told_in_pause: Sequence[Interval] = ()
    intervals: dict[str, Interval] = field(default_factory=dict)
    turns: Sequence[Turn] = ()
    session: Session = field(default_factory=Session)
    openai: Mapping[str, Any] = field(default_factory=dict)
    pyannote: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A device that hears the meeting from `begin` on. `in_use` tells whether anybody records from it."""

    name: str
    begin: Callable[[], None]
    in_use: Callable[[DaemonProcess], bool]


async def played(source: Source, place: Path) -> Played:
    """Hear the meeting with a pause in it."""
    seen = Played()
    with pyannote_standin([ROOM], knobs=PYANNOTE_KNOBS) as pyannote, openai_standin([ROOM]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            session = await client.start("room", device=source.name)
            await up(client, session.id)
            assert source.in_use(daemon)
            async with watching(client) as intervals:
                await asyncio.to_thread(source.begin)
                await asyncio.sleep(TALK_S)
                paused = await client.pause(session.id)
                assert paused.state == SessionState.SESSION_STATE_PAUSED
                assert paused.capture_link.health == LinkHealth.LINK_HEALTH_OFF
                seen.released = not source.in_use(daemon)
                await asyncio.sleep(PAUSE_S)
                assert not source.in_use(daemon)
                seen.told_in_pause = [one for one in intervals.values() if one.reason == "PAUSED"]
                began_s = time.monotonic()
                resumed = await client.resume(session.id)
                assert resumed.state == SessionState.SESSION_STATE_RUNNING
                seen.resumed_s = await up(client, session.id) - began_s
                assert source.in_use(daemon)
                await asyncio.sleep(ROOM.duration / RATE_HZ - TALK_S - PAUSE_S - seen.resumed_s + 1.0)
                await client.stop(session.id)
                seen.turns = [turn async for turn in client.turns(session.id)]
                seen.session = await client.session(session.id)
                seen.intervals = dict(intervals)
            seen.openai, seen.pyannote = openai.stats(), pyannote.stats()
    return seen


def check(seen: Played) -> None:
    (muted,) = [one for one in seen.intervals.values() if one.kind == IntervalKind.INTERVAL_KIND_MUTED]
    assert muted.reason == "PAUSED"
    begin_s, end_s = of(muted)
    assert end_s - begin_s == pytest.approx(PAUSE_S, abs=1.0)
    assert [one.id for one in seen.told_in_pause] == [muted.id], "it is told while it lasts"
    muted_s = seen.session.coverage.muted.ToNanoseconds() / 1e9
    assert muted_s == pytest.approx(end_s - begin_s), "the ledger agrees"
    opening = [of(one) for one in seen.intervals.values() if one.reason == "DEVICE_OPENING"]
    hears_s = max([end_s, *(end for _, end in opening)])

    shift_s = begin_of_meeting_s(seen.turns)
    quiet = ((begin_s - shift_s + EDGE_S) * RATE_HZ, (hears_s - shift_s - EDGE_S) * RATE_HZ)
    assert quiet[1] - quiet[0] > (PAUSE_S - 2 * EDGE_S - 1.0) * RATE_HZ
    forbidden = {word.text for word in ROOM.words if word.start > quiet[0] and word.end < quiet[1]}
    assert len(forbidden) > 5, "somebody spoke in the pause"

    told = [word for turn in seen.turns for word in turn.text.split()]
    heard = [word for commit in seen.openai["commits"] for word in commit["words"]]
    assert not forbidden & {*told, *heard}
    for commit in seen.openai["commits"]:
        for _, low, high in commit["spans"]:
            assert high <= quiet[0] or low >= quiet[1], "audio of the pause was sent"
    (stream,) = seen.pyannote["connections"]
    assert stream["silent_frames"] >= (end_s - begin_s - 0.5) / 0.1, "the diarizer is sent zeros"
    assert stream["pace_violations"] == 0
    for turn in seen.turns:
        start, end = turn.start_offset.ToNanoseconds() / 1e9, turn.end_offset.ToNanoseconds() / 1e9
        assert end <= begin_s + 1e-6 or start >= end_s - 1e-6

    # What was said outside is all there, and by whom it was said.
    margin = EDGE_S * RATE_HZ
    outside = {
        word.text for word in ROOM.words if word.end < quiet[0] - 2 * margin or word.start > quiet[1] + 2 * margin
    }
    assert len(told) == len(set(told))
    assert outside <= set(told), sorted(outside - set(told))
    before, behind = (people(part) for part in sides(seen.turns, begin_s))
    both = before.keys() & behind.keys()
    assert len(both) >= 2, (before, behind)
    assert {one: before[one] for one in both} == {one: behind[one] for one in both}
    assert len({before[one] for one in both}) == len(both)


def sides(turns: Sequence[Turn], cut_s: float) -> tuple[list[Turn], list[Turn]]:
    before = [turn for turn in turns if turn.start_offset.ToNanoseconds() < cut_s * 1e9]
    return before, [turn for turn in turns if turn not in before]


def people(turns: Sequence[Turn]) -> dict[str, str]:
    """Who in the meeting each speaker of the minutes is who has five words or more: whoever said most of them."""
    said: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for turn in turns:
        said[turn.speaker.id].update(ROOM.by_text[word].speaker for word in turn.text.split())
    return {one: counted.most_common(1)[0][0] for one, counted in said.items() if counted.total() >= 5}


class TalkingMicrophone(Microphone):
    """A microphone of the rig that hears a meeting. Its clock is the machine's: the recording is put where that is."""

    def __init__(self, folder: Path) -> None:
        super().__init__("talk", folder)
        self.recording = folder / "talk.raw"
        self._sound = recording()
        # Longer than the test, so that it does not come round; silent until `begin`.
        self._line = np.memmap(self.recording, np.int16, "w+", shape=(DEVICE_HZ * 180,))
        self.definition = (
            f'pcm.talk {{ type rtmic file "{self.recording}" ctl "{folder}/talk.ctl" rate {DEVICE_HZ} channels 1 }}\n'
        )

    def begin(self) -> None:
        """Let the meeting begin in a moment."""
        since = int((time.monotonic() + 0.3) * DEVICE_HZ) % len(self._line)
        self._line[:] = np.roll(np.pad(self._sound, (0, len(self._line) - len(self._sound))), since)
        self._line.flush()


async def test_a_pause_of_an_alsa_device(
    rig_plugin: Path, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    microphone = TalkingMicrophone(tmp_path)
    configuration = tmp_path / "alsa.conf"
    configuration.write_text(
        f'</usr/share/alsa/alsa.conf>\npcm_type.rtmic {{ lib "{rig_plugin}" }}\n{microphone.definition}'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/no-server")
    seen = await played(Source("talk", microphone.begin, lambda daemon: bool(workers_of(daemon.pid))), place)
    print(f"resumed within {seen.resumed_s:.2f} s")
    assert seen.released
    check(seen)
    assert seen.resumed_s < HARDWARE_S


async def test_a_pause_of_a_source_of_a_sound_server(sound_server: SoundServer, tmp_path: Path, place: Path) -> None:
    talk = tmp_path / "talk.wav"
    soundfile.write(talk, recording(), DEVICE_HZ, subtype="PCM_16")
    with later(lambda: sound_server.playing(talk, latency_ms=500)) as begin:
        seen = await played(Source("front_mic", begin, lambda _: bool(sound_server.recorders())), place)
    print(f"resumed within {seen.resumed_s:.2f} s")
    assert seen.released
    check(seen)
    assert seen.resumed_s < SERVER_S


@contextmanager
def later(context: Callable[[], Any]) -> Iterator[Callable[[], None]]:
    """Enter a context when it is called, and leave it at the end of the block."""
    entered: list[Any] = []

    def enter() -> None:
        entered.append(context())
        entered[0].__enter__()

    try:
        yield enter
    finally:
        for one in entered:
            one.__exit__(None, None, None)

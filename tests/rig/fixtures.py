"""Microphones without a sound card: an ALSA plugin that can be unplugged, and a private PulseAudio."""

import contextlib
import ctypes.util
import json
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_PACKAGES = "libportaudio2 libasound2-dev libasound2-plugins pulseaudio pulseaudio-utils gcc (make debian-test)"


def missing_tools() -> list[str]:
    """Name what the rig needs and this machine does not have."""
    libraries = Path("/usr/lib") / (sysconfig.get_config_var("MULTIARCH") or "")
    there = {
        "gcc": shutil.which("gcc"),
        "pulseaudio": shutil.which("pulseaudio"),
        "paplay": shutil.which("paplay"),
        "libportaudio2": ctypes.util.find_library("portaudio"),
        "libasound2-dev": Path("/usr/include/alsa/asoundlib.h").exists(),
        "libasound2-plugins": (libraries / "alsa-lib/libasound_module_pcm_pulse.so").exists(),
    }
    return [name for name, found in there.items() if not found]


class Microphone:
    """One device of the plugin.

    It plays `recording` (raw int16, at its rate) over and over, or else a ramp: the number of the sample modulo 32768.
    """

    def __init__(
        self, name: str, folder: Path, rate_hz: int = 48_000, channels: int = 1, recording: Path | None = None
    ) -> None:
        self.name = name
        self._control_path = folder / f"{name}.ctl"
        self._control_path.write_bytes(bytes(16))
        with self._control_path.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 16)
        plays = "" if recording is None else f'file "{recording}" '
        settings = f'ctl "{self._control_path}" rate {rate_hz} channels {channels} {plays}'
        self.definition = f"pcm.{name} {{ type rtmic {settings}}}\n"

    @property
    def opens(self) -> int:
        """How often it was opened, listings included."""
        return int(struct.unpack_from("<i", self._control, 8)[0])

    @property
    def overruns(self) -> int:
        return int(struct.unpack_from("<i", self._control, 12)[0])

    def plug_in(self) -> None:
        self._set(0)

    def unplug(self) -> None:
        self._set(1)

    def freeze(self) -> None:
        self._set(2)

    def run_at(self, times: float) -> None:
        """Let its clock run that much faster than real time."""
        struct.pack_into("<i", self._control, 4, round((times - 1) * 1e6))

    def _set(self, mode: int) -> None:
        struct.pack_into("<i", self._control, 0, mode)


class Rig:
    """An ALSA configuration with microphones `usb0` (48 kHz mono), `usb1` (44.1 kHz stereo), and `more` like usb0.

    `talker` plays `speech` (raw int16 at 16 kHz), if there is some.
    """

    def __init__(self, plugin: Path, folder: Path, more: Iterable[str] = (), speech: Path | None = None) -> None:
        self.usb0 = Microphone("usb0", folder)
        self.usb1 = Microphone("usb1", folder, rate_hz=44_100, channels=2)
        self.more = {name: Microphone(name, folder) for name in more}
        self.talker = Microphone("talker", folder, 16_000, recording=speech)
        self.configuration = folder / "alsa.conf"
        self.configuration.write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm_type.rtmic {{ lib "{plugin}" }}\n'
            f"{self.usb0.definition}{self.usb1.definition}{''.join(mic.definition for mic in self.more.values())}"
            f"{self.talker.definition if speech else ''}"
            'pcm.front_mic { type pulse device "room_a.monitor" }\n'
            'pcm.gone_mic { type pulse device "no_such_source" }\n'
            'pcm.fed_mic { type pulse device "pipe_mic" }\n'
        )


class SoundServer:
    """A private PulseAudio. What is played into sink `room_a` is heard by `front_mic`; `fed_mic` hears the pipe source.

    Both rooms and the pipe are there after a start, and `room_a.monitor` is the default source.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = f"unix:{folder}/native"
        self.start()

    def start(self) -> None:
        script = _HERE / "pulse-up.sh"
        output = subprocess.run(["bash", str(script), str(self._folder)], capture_output=True, check=True)
        self._pid = int(output.stdout)
        # Else it may be the pipe source, into which nobody plays.
        self.make_default("room_a")
        self._rooms = {"room_a": "", "room_b": ""}
        for line in self.control("list", "short", "modules").splitlines():
            number, *rest = line.split("\t")
            self._rooms |= {room: number for room in self._rooms if f"sink_name={room}" in rest[1]}

    @property
    def pipe(self) -> Path:
        """What the pipe source reads: mono int16 at 48 kHz."""
        return self._folder / "pipe_mic"

    def control(self, *arguments: str) -> str:
        """Run pactl and give what it says."""
        command = ["pactl", "--server", self.address, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout

    def make_default(self, room: str) -> None:
        self.control("set-default-source", f"{room}.monitor")

    def take_away(self, room: str) -> None:
        """Unplug a room: its source is gone, and the server moves who records from it."""
        self.control("unload-module", self._rooms[room])

    def bring_back(self, room: str) -> None:
        settings = (f"sink_name={room}", "rate=48000", "channels=1", "norewinds=1")
        self._rooms[room] = self.control("load-module", "module-null-sink", *settings).strip()

    def take_all_away(self) -> None:
        """Unplug everything: nothing is left to be recorded from. Only a new start brings the pipe back."""
        self.control("unload-module", "module-pipe-source")
        for room in self._rooms:
            self.take_away(room)

    def starve(self, room: str) -> None:
        """Have a room's source give nothing more, as if its hardware had fallen silent."""
        self.control("suspend-sink", room, "1")

    def feed(self, room: str) -> None:
        self.control("suspend-sink", room, "0")

    def move_recordings(self, room: str) -> None:
        """Have everybody record from a room."""
        for line in self.control("list", "short", "source-outputs").splitlines():
            self.control("move-source-output", line.split("\t")[0], f"{room}.monitor")

    def recorders(self) -> dict[int, str]:
        """Which process records from which source."""
        sources = dict(line.split("\t")[:2] for line in self.control("list", "short", "sources").splitlines())
        found: dict[int, str] = {}
        for output in json.loads(self.control("-f", "json", "list", "source-outputs")):
            found[int(output["properties"]["application.process.id"])] = sources.get(str(output["source"]), "")
        return found

    @contextlib.contextmanager
    def playing(
        self, recording: Path, room: str = "room_a", latency_ms: int = 50
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Play a recording into the room, to the end of the block at most. Gives the player.

        With more latency a player on a busy machine stumbles less, and begins later.
        """
        player = subprocess.Popen(
            ["paplay", f"--latency-msec={latency_ms}", f"--device={room}", str(recording)],
            env=os.environ | {"PULSE_SERVER": self.address},
            stderr=subprocess.DEVNULL,
        )
        try:
            yield player
        finally:
            player.kill()
            player.wait()

    def pause(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self._pid)
            os.kill(self._pid, signal.SIGKILL)
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(2000)
            os.close(descriptor)


def build_plugin(folder: Path) -> Path:
    """Compile the ALSA plugin."""
    plugin = folder / "libasound_module_pcm_rtmic.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-o", str(plugin), str(_HERE / "pcm_rtmic.c"), "-lasound"], check=True
    )
    return plugin


@pytest.fixture(scope="session")
def rig_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled ALSA plugin."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine; needed: {_PACKAGES}")
    return build_plugin(tmp_path_factory.mktemp("rig"))


@pytest.fixture
def rig(rig_plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Two microphones that PortAudio sees, in this process' environment."""
    rig = Rig(rig_plugin, tmp_path)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(rig.configuration))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/no-server")
    return rig


@pytest.fixture
def sound_server(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """A sound server beside the two microphones."""
    server = SoundServer(tmp_path / "pulse")
    monkeypatch.setenv("PULSE_SERVER", server.address)
    yield server
    server.go_on()
    server.stop()

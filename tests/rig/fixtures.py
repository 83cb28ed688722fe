"""Microphones without a sound card: an ALSA plugin that can be unplugged, and a private PulseAudio."""

import contextlib
import ctypes.util
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import sysconfig
from collections.abc import Iterator
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
    """One device of the plugin. Without a recording it plays a ramp: sample number modulo 32768."""

    def __init__(self, name: str, folder: Path, rate_hz: int = 48_000, channels: int = 1) -> None:
        self.name = name
        self._control_path = folder / f"{name}.ctl"
        self._control_path.write_bytes(bytes(16))
        with self._control_path.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 16)
        self.definition = f'pcm.{name} {{ type rtmic ctl "{self._control_path}" rate {rate_hz} channels {channels} }}\n'

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

    def _set(self, mode: int) -> None:
        struct.pack_into("<i", self._control, 0, mode)


class Rig:
    """An ALSA configuration with microphones `usb0` (48 kHz mono) and `usb1` (44.1 kHz stereo)."""

    def __init__(self, plugin: Path, folder: Path) -> None:
        self.usb0 = Microphone("usb0", folder)
        self.usb1 = Microphone("usb1", folder, rate_hz=44_100, channels=2)
        self.configuration = folder / "alsa.conf"
        self.configuration.write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm_type.rtmic {{ lib "{plugin}" }}\n'
            f"{self.usb0.definition}{self.usb1.definition}"
            'pcm.front_mic { type pulse device "room_a.monitor" }\n'
            'pcm.gone_mic { type pulse device "no_such_source" }\n'
        )


class SoundServer:
    """A private PulseAudio. What is played into sink `room_a` is heard by `front_mic`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = f"unix:{folder}/native"
        self.start()

    def start(self) -> None:
        script = _HERE / "pulse-up.sh"
        output = subprocess.run(["bash", str(script), str(self._folder)], capture_output=True, check=True)
        self._pid = int(output.stdout)
        # Else it may be the pipe source, into which nobody plays.
        subprocess.run(["pactl", "--server", self.address, "set-default-source", "room_a.monitor"], check=True)

    @contextlib.contextmanager
    def playing(self, recording: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """Play a recording into the room, to the end of the block at most. Gives the player."""
        player = subprocess.Popen(
            ["paplay", "--latency-msec=50", "--device=room_a", str(recording)],
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


@pytest.fixture(scope="session")
def rig_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled ALSA plugin."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine; needed: {_PACKAGES}")
    plugin = tmp_path_factory.mktemp("rig") / "libasound_module_pcm_rtmic.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-o", str(plugin), str(_HERE / "pcm_rtmic.c"), "-lasound"], check=True
    )
    return plugin


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

"""Stable names for inputs: what an administrator writes into a configuration and finds again after a reboot.

Pure but for reading sysfs; runs in the daemon and in its workers, so numpy and PortAudio must not be imported here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

DEFAULT = "default"
_HARDWARE = re.compile(r"^(?P<card>.*): (?P<pcm>.*) \(hw:(?P<number>\d+),(?P<device>\d+)\)$")
_MANY_CHANNELS = 32
"""A PCM that takes this many channels is no microphone but a door to a sound server, which mixes by itself."""
_SERVER_RATE_HZ = 48_000


@dataclass(frozen=True, slots=True)
class ListedInput:
    """An input as PortAudio lists it now. `index` is good for one process only."""

    index: int
    label: str
    host_api: str
    channels: int
    rate_hz: int
    is_default: bool


@dataclass(frozen=True, slots=True)
class NamedInput:
    """An input under its stable name.

    `base` is the name without a port, `port` where the card is plugged in ("" where unknown). channels and rate_hz are
    what to open it with. `is_server`: not a device but a door to a sound server.
    """

    name: str
    base: str
    port: str
    listed: ListedInput
    channels: int
    rate_hz: int
    is_server: bool


def name_inputs(listed: Iterable[ListedInput], sound_class: Path = Path("/sys/class/sound")) -> list[NamedInput]:
    """Name inputs in the order they are listed; names are unique and need no quoting in a shell.

    A card is named after what it calls itself, never after its number, and gets `@port` only beside another one of
    the same name. PCMs of the ALSA configuration (sound servers among them) keep their own names.
    """
    named = [_named(item, sound_class) for item in listed]
    shared = {base for base, count in Counter(item.base for item in named).items() if count > 1}
    named = [
        replace(item, name=f"{item.base}@{item.port}") if item.base in shared and item.port else item for item in named
    ]
    result: list[NamedInput] = []
    taken: Counter[str] = Counter()
    for item in named:
        taken[item.name] += 1
        result.append(item if taken[item.name] == 1 else replace(item, name=f"{item.name}-{taken[item.name]}"))
    return result


def find_input(inputs: Sequence[NamedInput], wanted: str, port: str = "") -> NamedInput | None:
    """Return the input an administrator means: a stable name, `default`, a name with its port, or PortAudio's own name.

    A name that fits several inputs means the one at `port`, or none: a guess could be another room's microphone.
    """
    if wanted == DEFAULT:
        return next((item for item in inputs if item.listed.is_default), None)
    for fits in (
        [item for item in inputs if item.name == wanted and (not port or item.port == port)],
        [item for item in inputs if f"{item.base}@{item.port}" == wanted],
        [item for item in inputs if item.base == wanted and item.port == port],
        [item for item in inputs if item.base == wanted],
        [item for item in inputs if item.listed.label == wanted],
    ):
        if len(fits) == 1:
            return fits[0]
    return None


def _named(item: ListedInput, sound_class: Path) -> NamedInput:
    hardware = _HARDWARE.match(item.label)
    if hardware is None:
        base = _shell_friendly(item.label)
        if base == DEFAULT and not item.is_default:
            base = f"{DEFAULT}-{_shell_friendly(item.host_api).lower()}"
        if item.channels >= _MANY_CHANNELS:
            return NamedInput(base, base, "", item, 1, _SERVER_RATE_HZ, is_server=True)
        return NamedInput(base, base, "", item, item.channels, item.rate_hz, is_server=False)
    base = _shell_friendly(hardware["card"]).lower()
    if hardware["device"] != "0":
        base = f"{base}-{hardware['device']}"
    port = _port(sound_class / f"card{hardware['number']}" / "device")
    return NamedInput(base, base, port, item, item.channels, item.rate_hz, is_server=False)


def _port(link: Path) -> str:
    """Where a card sits: "1-2" for a USB port, "0000:00:1f.3" for a PCI slot, "" where the kernel does not say."""
    try:
        return link.resolve(strict=True).name.partition(":1.")[0]
    except OSError:
        return ""


def _shell_friendly(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "input"

"""What a session may be called and made of: names, devices, settings. The one place for these rules."""

import re
import unicodedata
from dataclasses import dataclass

SESSION_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def is_session_name(name: str) -> bool:
    """Return whether a session may have this name."""
    return SESSION_NAME.fullmatch(name) is not None


FILE = "file:"
"""A device of this prefix is a recording; its path follows."""
LONGEST_DEVICE = 4096
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
MOST_LANGUAGES = 32


def is_file(device: str) -> bool:
    """Return whether a device is a recording, whose sample clock stands still while it is not read."""
    return device.startswith(FILE)


def file_path(device: str) -> str:
    """Return the path of a recording, as it is written after `file:`; empty for any other device."""
    return device.removeprefix(FILE) if is_file(device) else ""


def device_problem(device: str) -> str:
    """Return what is wrong with a device's name, empty if nothing is."""
    if len(device) > LONGEST_DEVICE or not is_name(device):
        return f"must be at most {LONGEST_DEVICE} characters, without control characters or line breaks"
    if is_file(device) and not file_path(device).startswith("/"):
        return f"must give an absolute path after {FILE}"
    return ""


def is_language(code: str) -> bool:
    """Return whether a text has the form of a BCP 47 code."""
    return LANGUAGE.fullmatch(code) is not None


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What a session of this name uses where StartSession does not say; `autostart` starts it with the daemon."""

    device: str = "default"
    diarizer: str = "auto"
    transcriber: str = "auto"
    autostart: bool = False
    languages: tuple[str, ...] = ()
    fallback: str = "none"
    keep_audio: bool = False
    channels: tuple[int, ...] = ()
    mix: str = "best"


_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of surrogate pairs, and what separates lines and paragraphs."""


def is_name(text: str) -> bool:
    """Return whether a text can be a name: spaces of all kinds, joiners and emoji can be part of one."""
    return text.isprintable() or not any(unicodedata.category(letter) in _REFUSED for letter in text)

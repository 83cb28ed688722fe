"""PortAudio as the listing process and the workers load it: through sounddevice, with names of any bytes.

A card's name is bytes that its maker or the user chose, and ALSA cuts it at 31 of them, wherever that is; sounddevice
takes each for UTF-8 and raises UnicodeDecodeError, so that one such card made every device unusable, and could not be
opened itself. Nothing heavy (numpy) may be imported here.
"""

from typing import Any


def load_portaudio() -> Any:
    """Import sounddevice, for which a byte that is not UTF-8 is the replacement character from then on.

    Raises OSError where PortAudio is not installed.
    """
    import sounddevice  # importing it is what may fail

    # All text that PortAudio gives, names and errors, goes through this one function of sounddevice's.
    read = getattr(sounddevice, "_ffi_string", None)
    if read is not None and not hasattr(read, "tolerant"):
        sounddevice._ffi_string = _tolerant(read)  # noqa: SLF001 - it has no public way to decode names otherwise
    return sounddevice


def _tolerant(read: Any) -> Any:
    def text(data: Any) -> bytes:
        return bytes(read(data)).decode(errors="replace").encode()

    text.tolerant = True  # type: ignore[attr-defined]
    return text

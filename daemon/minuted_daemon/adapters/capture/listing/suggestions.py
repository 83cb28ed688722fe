"""What was likely meant by the name of a device that is not there. Pure."""

from collections.abc import Sequence
from difflib import get_close_matches

from minuted_daemon.core.session_rules import FILE

_RECORDINGS = (
    *(".wav", ".wave", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".caf", ".w64", ".rf64", ".au"),
    *(".snd", ".m4a", ".mp4", ".aac", ".webm", ".mka", ".mkv", ".amr", ".wma"),
)


def likely_device(wanted: str, known: Sequence[str]) -> str | None:
    """Return a hint for a person who asked for `wanted` where only `known` is there; None where there is none."""
    folded = wanted.strip().casefold()
    if folded.startswith(FILE):
        return f"a recording is named with small letters and no space before it: {FILE}{wanted.strip()[5:]}"
    if "://" in wanted:
        return f"a recording is a file of the daemon's machine: {FILE} and its path"
    if "/" in wanted or folded.endswith(_RECORDINGS):
        return f"a recording is named by {FILE} and its path: {FILE}{wanted}"
    same = [name for name in known if name.casefold() == folded]
    near = same or get_close_matches(folded, [name.casefold() for name in known], n=1, cutoff=0.75)
    meant = next((name for name in known if near and name.casefold() == near[0].casefold()), None)
    return f"did you mean {meant}?" if meant and wanted != meant else None

"""What a transcription session is configured with: which model takes which option, and what to do if one is refused.

Pure. The vendor's defaults are never used: they include turn detection on the server, which would cut by itself.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minuted_daemon.core.samples import WIDE_RATE_HZ

Fields = Mapping[str, object]
"""The optional fields of `transcription`, by the vendor's names."""


@dataclass(frozen=True, slots=True)
class _Model:
    """What a family of models takes. `languages` names the field: a list under `languages`, one under `language`."""

    languages: str
    keywords: bool
    delay: bool


_MODELS = {
    "gpt-live-transcribe": _Model("languages", keywords=True, delay=True),
    "gpt-transcribe": _Model("languages", keywords=True, delay=False),
    "gpt-realtime-whisper": _Model("language", keywords=False, delay=True),
    "gpt-4o": _Model("language", keywords=False, delay=False),
    "whisper": _Model("language", keywords=False, delay=False),
}
_UNHEARD_OF = _MODELS["gpt-live-transcribe"]  # a later model; an option it refuses is dropped


def transcription_fields(model: str, languages: Sequence[str], keywords: Sequence[str], delay: str | None) -> Fields:
    """Give the optional fields this model takes. Keywords lose what the vendor refuses: angle brackets, line ends."""
    takes = next((takes for family, takes in _MODELS.items() if model.startswith(family)), _UNHEARD_OF)
    fields: dict[str, object] = {}
    if languages:
        fields[takes.languages] = list(languages) if takes.languages == "languages" else languages[0]
    cleaned = [" ".join(re.sub(r"[<>\r\n]", " ", keyword).split()) for keyword in keywords]
    if takes.keywords and any(cleaned):
        fields["keywords"] = [keyword for keyword in cleaned if keyword]
    if takes.delay and delay:
        fields["delay"] = delay
    return fields


def session_update(model: str, fields: Fields, event_id: str) -> str:
    """Give the message that configures a session: 24 kHz PCM in, no turn detection, this model and its fields."""
    return json.dumps(
        {
            "type": "session.update",
            "event_id": event_id,
            "session": {
                "type": "transcription",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": WIDE_RATE_HZ},
                        "turn_detection": None,
                        "transcription": {"model": model, **fields},
                    }
                },
            },
        }
    )


def without_refused(fields: Fields, param: str, message: str) -> Fields:
    """Give the fields without the one an error is about, without any where it does not say (as with keywords).

    They come back unchanged where it is about something else: then dropping options cannot help.
    """
    named = {name for name in fields if re.search(rf"\b{name}\b", param or message)}
    if not named and param and not param.endswith("transcription"):
        return fields
    return {name: value for name, value in fields.items() if named and name not in named}

"""The session object of a Realtime transcription: defaults, deep merge and the rules each model has.

Pure: no sockets, no clock. A refused update leaves the session as it was.
"""

import copy
from collections.abc import Mapping
from typing import Any

STREAMING = frozenset({"gpt-live-transcribe", "gpt-realtime-whisper"})
AFTER_COMMIT = frozenset(
    {"gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15", "whisper-1"}
)
DELAYS = ("minimal", "low", "medium", "high", "xhigh")
PROMPT_LIMIT = 1024
LOGPROBS = "item.input_audio_transcription.logprobs"

# Fields of session.audio.input.transcription each model takes, beside `model`.
ALLOWED: Mapping[str, frozenset[str]] = {
    "gpt-live-transcribe": frozenset({"languages", "keywords", "prompt", "delay"}),
    "gpt-realtime-whisper": frozenset({"language", "delay"}),
    "gpt-transcribe": frozenset({"languages", "keywords", "prompt"}),
}
OLDER = frozenset({"language", "prompt"})
KNOWN = frozenset({"model", "language", "languages", "keywords", "prompt", "delay"})

SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
}


class Refused(Exception):
    """An update that is answered by an error. `echo`: the error carries the client's event_id."""

    def __init__(self, code: str, message: str, param: str | None = None, echo: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.echo = echo


def default_session(session_id: str, expires_at: int) -> dict[str, Any]:
    """What session.created tells: server_vad is on and nothing is transcribed."""
    return {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": session_id,
        "expires_at": expires_at,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": dict(SERVER_VAD),
            }
        },
        "include": None,
    }


def merged(session: Mapping[str, Any], update: Any) -> dict[str, Any]:
    """The session after an update: only fields that are present change. Raises Refused."""
    if not isinstance(update, dict):
        raise Refused("missing_required_parameter", "Missing required parameter: 'session'.", "session")
    if update.get("type") != "transcription":
        raise Refused("invalid_value", "session.type must be 'transcription'.", "session.type")
    _only(update, {"type", "audio", "include"}, "session")
    audio = _object(update.get("audio", {}), "session.audio")
    _only(audio, {"input"}, "session.audio")
    given = _object(audio.get("input", {}), "session.audio.input")
    _only(given, {"format", "transcription", "noise_reduction", "turn_detection"}, "session.audio.input")

    new = copy.deepcopy(dict(session))
    into = new["audio"]["input"]
    if "include" in update:
        new["include"] = _include(update["include"])
    if "format" in given:
        into["format"] = _format(given["format"])
    if "noise_reduction" in given:
        into["noise_reduction"] = _noise_reduction(given["noise_reduction"], into["noise_reduction"])
    if "transcription" in given:
        into["transcription"] = _transcription(given["transcription"], into["transcription"])
    if "turn_detection" in given:
        into["turn_detection"] = _turn_detection(given["turn_detection"], into["turn_detection"])
    model = (into["transcription"] or {}).get("model")
    asked = given.get("turn_detection") is not None or ("transcription" in given and _asked_for(session, into))
    if model in STREAMING and asked:
        raise Refused(
            "invalid_value",
            f"Turn detection is not supported for {model}.",
            "session.audio.input.turn_detection",
        )
    return new


def _asked_for(session: Mapping[str, Any], into: Mapping[str, Any]) -> bool:
    """True if turn detection is on because a client asked for it, not by default."""
    now = into["turn_detection"]
    return now is not None and now != SERVER_VAD and session["audio"]["input"]["turn_detection"] == now


def told(session: Mapping[str, Any]) -> dict[str, Any]:
    """What session.updated echoes: all but keywords and delay."""
    out = copy.deepcopy(dict(session))
    transcription = out["audio"]["input"]["transcription"]
    if transcription is not None:
        transcription.pop("keywords", None)
        transcription.pop("delay", None)
    return out


def _object(value: Any, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("invalid_type", f"Invalid type for '{param}': expected an object.", param)
    return value


def _only(given: Mapping[str, Any], names: set[str] | frozenset[str], param: str) -> None:
    for name in given:
        if name not in names:
            raise Refused("unknown_parameter", f"Unknown parameter: '{param}.{name}'.", f"{param}.{name}")


def _include(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or any(item != LOGPROBS for item in value):
        raise Refused("invalid_value", f"session.include supports '{LOGPROBS}'.", "session.include")
    return list(value)


def _format(value: Any) -> dict[str, Any]:
    param = "session.audio.input.format"
    given = _object(value, param)
    _only(given, {"type", "rate"}, param)
    if given.get("type") in ("audio/pcmu", "audio/pcma"):
        raise Refused("invalid_value", "This stand-in decodes audio/pcm only.", f"{param}.type")
    if given.get("type") != "audio/pcm":
        raise Refused("invalid_value", "Supported formats: audio/pcm, audio/pcmu, audio/pcma.", f"{param}.type")
    if given.get("rate", 24000) != 24000:
        raise Refused("invalid_value", "audio/pcm is supported at a rate of 24000 only.", f"{param}.rate")
    return {"type": "audio/pcm", "rate": 24000}


def _noise_reduction(value: Any, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    param = "session.audio.input.noise_reduction"
    if value is None:
        return None
    given = _object(value, param)
    _only(given, {"type", "strength"}, param)
    after = {"strength": 1, **(before or {}), **given}
    if after.get("type") not in ("near_field", "far_field"):
        raise Refused("invalid_value", "Supported values: near_field, far_field.", f"{param}.type")
    return after


def _turn_detection(value: Any, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    param = "session.audio.input.turn_detection"
    if value is None:
        return None
    given = _object(value, param)
    if given.get("type") not in ("server_vad", "semantic_vad"):
        raise Refused("invalid_value", "Supported values: server_vad, semantic_vad.", f"{param}.type")
    return {**SERVER_VAD, **(before or {}), **given}


def _transcription(value: Any, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    param = "session.audio.input.transcription"
    if value is None:
        return None
    given = _object(value, param)
    _only(given, KNOWN, param)
    after = {**(before or {}), **given}
    model = after.get("model")
    if model not in STREAMING and model not in AFTER_COMMIT:
        raise Refused("invalid_value", f"Invalid value: '{model}'.", f"{param}.model")
    after = {name: v for name, v in after.items() if name in given or name in ALLOWED.get(model, OLDER) | {"model"}}
    if "language" in after and "languages" in after and after["language"] and after["languages"]:
        raise Refused("invalid_value", "'language' and 'languages' exclude each other.", f"{param}.languages")
    for name in given:
        if name != "model" and name not in ALLOWED.get(model, OLDER) and given[name] not in (None, "", []):
            raise Refused("invalid_value", f"'{name}' is not supported for {model}.", f"{param}.{name}")
    for name in ("languages", "keywords"):
        items = after.get(name)
        if items is not None and (not isinstance(items, list) or not all(isinstance(i, str) and i for i in items)):
            raise Refused("invalid_type", f"'{name}' must be a list of strings.", f"{param}.{name}")
    for keyword in after.get("keywords") or []:
        if any(sign in keyword for sign in "<>\r\n"):
            raise Refused("invalid_value", "A keyword holds a forbidden character.", f"{param}.keywords", echo=False)
    prompt = after.get("prompt")
    if prompt is not None and (not isinstance(prompt, str) or len(prompt) > PROMPT_LIMIT):
        raise Refused("string_above_max_length", f"At most {PROMPT_LIMIT} characters.", f"{param}.prompt", echo=False)
    if after.get("delay") is not None and after["delay"] not in DELAYS:
        raise Refused("invalid_value", f"Supported values: {', '.join(DELAYS)}.", f"{param}.delay")
    return after

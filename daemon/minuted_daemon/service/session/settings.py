"""From what a client asked for, and what is configured under that name, to a session's settings."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

import structlog

from minuted_daemon.core.channels.choice import MIXES, MOST_CHANNELS, ChannelChoice
from minuted_daemon.core.records import SessionRecord, SessionSettings
from minuted_daemon.core.session_rules import FILE, SESSION_NAME, SessionConfig, is_file, is_name, is_session_name
from minuted_daemon.errors import Invalid
from minuted_daemon.service.engines.catalog import FALLBACKS, NONE, Diarizers, Transcribers
from minuted_daemon.service.views import StartRequest

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_MAX_DEVICE = 4096
_MAX_LANGUAGES = 32


def settings_of(
    request: StartRequest, configured: Mapping[str, SessionConfig], diarizers: Diarizers, transcribers: Transcribers
) -> SessionSettings:
    """Fill in what is configured, check everything, and resolve `auto`.

    Raises Invalid (INVALID_REQUEST, naming every mistake), then WrongState (KEY_MISSING, ENGINE_MISSING).
    """
    preset = configured.get(request.name, SessionConfig())
    device = request.device or preset.device
    diarizer = request.diarizer or preset.diarizer
    transcriber = request.transcriber or preset.transcriber
    languages = request.languages or preset.languages
    fallback = request.fallback or preset.fallback
    channels = request.channels or preset.channels
    mix = request.mix or preset.mix
    keep_audio = preset.keep_audio if request.keep_audio is None else request.keep_audio

    mistakes: dict[str, str] = {}
    if not is_session_name(request.name):
        mistakes["name"] = f"name must match {SESSION_NAME.pattern} (at most 63 characters)"
    if mistake := _device_mistake(device):
        mistakes["device"] = mistake
    if diarizer not in diarizers.names:
        mistakes["diarizer"] = f"diarizer must be one of {', '.join(diarizers.names)}"
    if transcriber not in transcribers.names:
        mistakes["transcriber"] = f"transcriber must be one of {', '.join(transcribers.names)}"
    if diarizer == transcriber == NONE:
        mistakes["transcriber"] = "diarizer and transcriber cannot both be none: there would be nothing to do"
    if len(languages) > _MAX_LANGUAGES or not all(_LANGUAGE.fullmatch(language) for language in languages):
        mistakes["languages"] = f"languages must be at most {_MAX_LANGUAGES} BCP 47 codes, such as en or pt-BR"
    if fallback not in FALLBACKS:
        mistakes["fallback"] = f"fallback must be one of {', '.join(FALLBACKS)}"
    if len(set(channels)) != len(channels) or not all(1 <= channel <= MOST_CHANNELS for channel in channels):
        mistakes["channels"] = f"channels must be different numbers from 1 to {MOST_CHANNELS}"
    if mix not in MIXES:
        mistakes["mix"] = f"mix must be one of {', '.join(MIXES)}"
    if mistakes:
        raise Invalid("INVALID_REQUEST", "; ".join(mistakes.values()), fields=",".join(mistakes))

    return SessionSettings(
        device,
        diarizers.resolved(diarizer),
        transcribers.resolved(transcriber),
        tuple(languages),
        fallback,
        keep_audio,
        tuple(channels),
        mix,
    )


def choice_of(settings: SessionSettings) -> ChannelChoice:
    """Return which channels of its source a session hears, and how."""
    return ChannelChoice(settings.channels, settings.mix)


def _device_mistake(device: str) -> str:
    if len(device) > _MAX_DEVICE or not is_name(device):
        return f"device must be at most {_MAX_DEVICE} characters, without control characters or line breaks"
    if is_file(device) and not PurePosixPath(device.removeprefix(FILE)).is_absolute():
        return "device must give an absolute path after file:"
    return ""


def facts_of(record: SessionRecord) -> dict[str, str]:
    """Return what a log may hold of a session's settings: a file's path says too much."""
    device = "file" if record.settings.device.startswith("file:") else record.settings.device
    return {"device": device, "diarizer": record.settings.diarizer, "transcriber": record.settings.transcriber}


def log_of(record: SessionRecord) -> structlog.stdlib.BoundLogger:
    """Return the log of one session."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger().bind(session=record.name, session_id=record.id)
    return bound

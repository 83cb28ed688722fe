"""From what a client asked for, and what is configured under that name, to a session's settings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from minuted_daemon.core.channels.choice import MIXES, MOST_CHANNELS, ChannelChoice
from minuted_daemon.core.records import SessionRecord, SessionSettings
from minuted_daemon.core.session_rules import (
    MOST_LANGUAGES,
    SESSION_NAME,
    SessionConfig,
    device_problem,
    is_file,
    is_language,
    is_session_name,
)
from minuted_daemon.errors import Invalid
from minuted_daemon.service.engines.catalog import FALLBACKS, NONE, Diarizers, Transcribers
from minuted_daemon.service.views import StartRequest


def settings_of(
    request: StartRequest, configured: Mapping[str, SessionConfig], diarizers: Diarizers, transcribers: Transcribers
) -> SessionSettings:
    """Fill in what is configured, check everything, and resolve `auto`.

    Raises Invalid (INVALID_REQUEST, naming every mistake), then WrongState (KEY_MISSING, ENGINE_MISSING).
    """
    preset = configured.get(request.name, SessionConfig())
    wanted = replace(
        request,
        device=request.device or preset.device,
        diarizer=request.diarizer or preset.diarizer,
        transcriber=request.transcriber or preset.transcriber,
        languages=request.languages or preset.languages,
        fallback=request.fallback or preset.fallback,
        keep_audio=preset.keep_audio if request.keep_audio is None else request.keep_audio,
        channels=request.channels or preset.channels,
        mix=request.mix or preset.mix,
    )
    if problems := problems_of(wanted, diarizers.names, transcribers.names):
        raise Invalid.fields(problems)
    return SessionSettings(
        wanted.device,
        diarizers.resolved(wanted.diarizer),
        transcribers.resolved(wanted.transcriber),
        tuple(wanted.languages),
        wanted.fallback,
        bool(wanted.keep_audio),
        tuple(wanted.channels),
        wanted.mix,
    )


def problems_of(wanted: StartRequest, diarizers: Sequence[str], transcribers: Sequence[str]) -> dict[str, str]:
    """Return what is wrong with each field of a request in which nothing is left out, given the engines' names."""
    problems: dict[str, str] = {}
    if not is_session_name(wanted.name):
        problems["name"] = f"must match {SESSION_NAME.pattern} (at most 63 characters)"
    if problem := device_problem(wanted.device):
        problems["device"] = problem
    if wanted.diarizer not in diarizers:
        problems["diarizer"] = f"must be one of {', '.join(diarizers)}"
    if wanted.transcriber not in transcribers:
        problems["transcriber"] = f"must be one of {', '.join(transcribers)}"
    if wanted.diarizer == wanted.transcriber == NONE:
        problems["transcriber"] = "must not be none where the diarizer is none, too"
    if len(wanted.languages) > MOST_LANGUAGES or not all(map(is_language, wanted.languages)):
        problems["languages"] = f"must be at most {MOST_LANGUAGES} BCP 47 codes, such as en or pt-BR"
    if wanted.fallback not in FALLBACKS:
        problems["fallback"] = f"must be one of {', '.join(FALLBACKS)}"
    channels = wanted.channels
    if len(set(channels)) != len(channels) or not all(1 <= channel <= MOST_CHANNELS for channel in channels):
        problems["channels"] = f"must be different numbers from 1 to {MOST_CHANNELS}"
    if wanted.mix not in MIXES:
        problems["mix"] = f"must be one of {', '.join(MIXES)}"
    return problems


def choice_of(settings: SessionSettings) -> ChannelChoice:
    """Return which channels of its source a session hears, and how."""
    return ChannelChoice(settings.channels, settings.mix)


def facts_of(record: SessionRecord) -> dict[str, str]:
    """Return what a log may hold of a session's settings: a file's path says too much."""
    device = "file" if is_file(record.settings.device) else record.settings.device
    return {"device": device, "diarizer": record.settings.diarizer, "transcriber": record.settings.transcriber}


def log_of(record: SessionRecord) -> structlog.stdlib.BoundLogger:
    """Return the log of one session."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger().bind(session=record.name, session_id=record.id)
    return bound

"""What `minuted check` checks beyond the settings themselves: this machine, and settings that are legal but odd."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minuted_daemon.adapters.local.availability import LANGUAGES, local_engine_missing
from minuted_daemon.adapters.openai.dialects import is_azure
from minuted_daemon.adapters.openai.settings import MODELS, Hints, fitted
from minuted_daemon.addresses import UnixAddress, parse_listen
from minuted_daemon.config.engines import ENGINES
from minuted_daemon.config.network_problems import network_remarks, network_summary
from minuted_daemon.config.settings import Config, OpenAIConfig, vendor_urls
from minuted_daemon.config.sources import DEFAULT_FILE
from minuted_daemon.core.session_rules import SessionConfig, file_path

_OUT_OF_THE_UNITS_REACH = ("/home/", "/root/", "/tmp/", "/var/tmp/")  # noqa: S108
_LONGEST_PYANNOTE_STREAM_S = 18_000.0


@dataclass(frozen=True, slots=True)
class Checkup:
    """`problems` keep the daemon from running, `remarks` do not; `summary` says what it would use."""

    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    summary: tuple[str, ...]


def inspect(config: Config, environ: Mapping[str, str] | None = None) -> Checkup:
    """Look at everything `run` would use. Creates and changes nothing."""
    way = (config.network.proxy, environ or {}, vendor_urls(config))
    return Checkup(
        tuple(_problems(config)),
        (*_remarks(config), *network_remarks(*way)),
        (*_summary(config), *network_summary(*way)),
    )


def store_file(config: Config) -> Path:
    """Return the database's path."""
    return Path(config.storage_url.removeprefix("sqlite:///")).absolute()


def _problems(config: Config) -> list[str]:
    problems = []
    state_dir = config.daemon.state_dir
    if why := _not_writable(state_dir):
        problems.append(f"daemon.state_dir: {why}; run minuted as its owner, or choose another directory")
    problems += [
        f"daemon.listen: {place.path} is a directory; name a socket in it, such as unix:{place.path}/minuted.sock"
        for place in map(parse_listen, config.daemon.listen)
        if isinstance(place, UnixAddress) and place.path.is_dir()
    ]
    store = store_file(config)
    made = (state_dir, *(parent for parent in state_dir.parents if not parent.exists()))
    if store.is_dir():
        problems.append(f"storage.url: {store} is a directory; name a file")
    elif store.exists() and not store.is_file():
        problems.append(f"storage.url: {store} is no regular file; move it away, or name another file")
    elif store.exists() and not os.access(store, os.R_OK | os.W_OK):
        problems.append(f"storage.url: {store} cannot be read and written; run minuted as its owner")
    elif store.parent not in made and not store.parent.exists():
        problems.append(f"storage.url: there is no directory {store.parent}; make it, or choose another one")
    elif store.parent not in made and (why := _not_writable(store.parent)):
        problems.append(f"storage.url: {why}; run minuted as its owner, or choose another directory")
    return problems


def _not_writable(directory: Path) -> str | None:
    """Return why a directory is not writable and cannot be created, None if it is or can."""
    for place in (directory, *directory.parents):
        try:
            mode = place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return f"{directory} cannot be reached ({error.strerror})"
        if not stat.S_ISDIR(mode):
            return f"{place} is not a directory"
        if os.access(place, os.W_OK | os.X_OK):
            return None
        what = "is not writable" if place == directory else f"cannot be made, for {place} is not writable"
        return f"{directory} {what}"
    return f"{directory} cannot be made"


def _remarks(config: Config) -> list[str]:
    remarks = _openai_remarks(config.openai)
    if config.pyannote.max_stream_s > _LONGEST_PYANNOTE_STREAM_S:
        remarks.append("pyannote.max_stream_s: is more than the 18000 s after which pyannote ends a stream")
    for address in config.daemon.listen:
        remarks += _sandbox_remarks(config, "daemon.listen", address.partition("unix:")[2])
    for name, session in config.sessions.items():
        for engine in ENGINES:
            if engine.key and getattr(session, engine.role) == engine.name and not config.key(engine.name):
                without = f"{engine.name} cannot be used without a key ({engine.key.file})"
                remarks.append(f"sessions.{name}.{engine.role}: {without}")
        if (file := file_path(session.device)) and not Path(file).exists():
            remarks.append(f"sessions.{name}.device: there is no file {file}")
        remarks += _sandbox_remarks(config, f"sessions.{name}.device", file)
        remarks += [f"sessions.{name}.{remark}" for remark in _local_remarks(config, session)]
        if session.languages and config.openai.api_key:
            told = fitted(config.openai.model, Hints(languages=session.languages)).remarks
            remarks += [f"sessions.{name}.{option}: {remark}" for option, remark in told.items()]
    return remarks


def _openai_remarks(openai: OpenAIConfig) -> list[str]:
    remarks = []
    if not any(openai.model.startswith(family) for family in MODELS) and "/" not in openai.model:
        remarks.append(f"openai.model: {openai.model} is unknown to this release, which knows {', '.join(MODELS)}")
    hints = Hints(openai.languages, openai.keywords, openai.delay, openai.noise_reduction, openai.prompt)
    remarks += [f"openai.{option}: {remark}" for option, remark in fitted(openai.model, hints).remarks.items()]
    if is_azure(openai.base_url) and "/openai" not in openai.base_url:
        form = "https://RESOURCE.openai.azure.com/openai/v1, or .../openai?api-version=VERSION"
        remarks.append(f"openai.base_url: an address at Azure has the form {form}")
    return remarks


def _sandbox_remarks(config: Config, key: str, path: str) -> list[str]:
    """Return a remark if the unit of these settings keeps the service away from a path."""
    if config.file != DEFAULT_FILE or not path.startswith(_OUT_OF_THE_UNITS_REACH):
        return []
    better = "/run/minuted" if key == "daemon.listen" else "/var/lib/minuted or /srv"
    return [f"{key}: minuted.service shares neither /home, /root, /tmp nor /var/tmp with others; use {better}"]


def _local_remarks(config: Config, session: SessionConfig) -> list[str]:
    """Return what the offline engine cannot do for a session that uses it, or may fall back to it."""
    remarks = []
    local = {"local", "none" if config.openai.api_key else "auto"}
    falls_back = session.fallback == "local"
    if falls_back and (missing := local_engine_missing()):
        remarks.append(f"fallback: the offline engine cannot take over, it lacks {missing}")
    foreign = [language for language in session.languages if language.lower().split("-")[0] not in LANGUAGES]
    if foreign and (session.transcriber in local or (falls_back and session.transcriber != "none")):
        remarks.append(
            f"languages: the offline transcriber knows only {', '.join(LANGUAGES)}, and will get "
            f"{', '.join(foreign)} wrong{'' if session.transcriber in local else ' should it have to take over'}"
        )
    return remarks


def _summary(config: Config) -> list[str]:
    auto = {
        role: next(one.name for one in ENGINES if one.role == role and not one.key_missing(config.key(one.name)))
        for role in ("diarizer", "transcriber")
    }
    lines = [
        f"ok: {config.file or 'defaults and environment, no file'}",
        f"listen: {', '.join(config.daemon.listen)}",
        f"state_dir: {config.daemon.state_dir}",
        f"store: {store_file(config)}",
        f"auto means: {', '.join(f'{role} {engine}' for role, engine in auto.items())}",
    ]
    for name, session in sorted(config.sessions.items()):
        start = "started with the daemon" if session.autostart else "started on request"
        lines.append(f"session {name}: {session.device}, {session.diarizer}+{session.transcriber}, {start}")
    return lines

"""The daemon's configuration as typed, frozen values, and the one function that reads it.

Which keys there are, their defaults and their bounds stand here; sources.py finds the values, values.py checks
each, engines.py lists the engines, credentials.py reads the vendors' keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from minuted_daemon.config import values
from minuted_daemon.config.credentials import read_key
from minuted_daemon.config.engines import KEYS, choices
from minuted_daemon.config.listen import listen
from minuted_daemon.config.network_problems import network_problems
from minuted_daemon.config.sources import DEFAULT_FILE, Entry, Source, read_source
from minuted_daemon.core.channels.choice import MIXES, MOST_CHANNELS
from minuted_daemon.core.session_rules import SessionConfig, is_session_name
from minuted_daemon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    """Where the daemon is reached and keeps its state. `listen`: `unix:/PATH`, or HOST:PORT on loopback."""

    listen: tuple[str, ...] = ("unix:/run/minuted/minuted.sock",)
    state_dir: Path = Path("/var/lib/minuted")


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """Where the minutes are stored."""

    url: str = ""  # empty: minuted.db in state_dir


@dataclass(frozen=True, slots=True)
class PyannoteConfig:
    """The diarizing vendor. `base_url` has no slash at its end."""

    base_url: str = "https://api.pyannote.ai"
    max_stream_s: float = 18_000.0
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    """The transcribing vendor. `base_url` has no slash at its end; `delay` None leaves it to the vendor.

    `noise_reduction` and `prompt`: empty leaves them out.
    """

    base_url: str = "https://api.openai.com/v1"
    model: str = "gpt-live-transcribe"
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    delay: str | None = None
    noise_reduction: str = ""
    prompt: str = ""
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MergeConfig:
    """How turns are cut; see core/merge/merger.py."""

    hold_back_s: float | None = None  # None: auto
    join_gap_s: float = 0.8
    max_turn_s: float = 20.0
    freeze_s: float = 300.0
    voice_activity: str = "model"


@dataclass(frozen=True, slots=True)
class LinksConfig:
    """How the links to the vendors are kept; see service/retries/."""

    retry_refused_s: float = 600.0


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """How many RPCs clients may have under way; see rpc/budgets.py. Control is never refused."""

    streams: int = 1_000
    streams_per_connection: int = 500
    reads: int = 100


@dataclass(frozen=True, slots=True)
class SpoolConfig:
    """How much audio of all sessions is kept while it is needed; beyond either bound the oldest is dropped."""

    max_gb: float = 10.0
    max_age_h: float = 24.0


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The way to the vendors. `ca_file`: authorities to trust beside the system's.

    `proxy`: an address, `none`, or empty for the environment's variables (proxies.py); it may hold a password.
    """

    ca_file: Path | None = None
    proxy: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. `file` is the file it was read from, None without one."""

    daemon: DaemonConfig = DaemonConfig()
    storage: StorageConfig = StorageConfig()
    pyannote: PyannoteConfig = PyannoteConfig()
    openai: OpenAIConfig = OpenAIConfig()
    limits: LimitsConfig = LimitsConfig()
    links: LinksConfig = LinksConfig()
    merge: MergeConfig = MergeConfig()
    spool: SpoolConfig = SpoolConfig()
    network: NetworkConfig = NetworkConfig()
    sessions: Mapping[str, SessionConfig] = field(default_factory=dict)
    file: Path | None = None

    @property
    def storage_url(self) -> str:
        """Where the minutes are stored: the database's URL, also where none is set."""
        return self.storage.url or f"sqlite:///{self.daemon.state_dir.absolute() / 'minuted.db'}"

    def key(self, engine: str) -> str | None:
        """Return the key of an engine, None if it has none or needs none."""
        return getattr(self, engine).api_key if engine in KEYS else None


# A key has the name of its field, except these.
_FIELD_OF_KEY = {"hold_back": "hold_back_s"}

SETTINGS: Mapping[str, Mapping[str, values.Setting]] = {
    "daemon": {"listen": values.texts(listen, least=1), "state_dir": values.text(values.path)},
    "storage": {"url": values.text(values.storage_url)},
    "pyannote": {"base_url": values.text(values.base_url), "max_stream_s": values.number(1, 86_400, "seconds")},
    "openai": {
        "base_url": values.text(values.base_url_with_query),
        "model": values.text(values.model),
        "languages": values.texts(values.language),
        "keywords": values.texts(values.keyword),
        "delay": values.text(values.delay),
        "noise_reduction": values.text(values.noise_reduction),
        "prompt": values.text(values.prompt),
    },
    "limits": {
        "streams": values.whole(1, 100_000),
        "streams_per_connection": values.whole(1, 100_000),
        "reads": values.whole(1, 10_000),
    },
    "links": {"retry_refused_s": values.number(1, 86_400, "seconds")},
    "merge": {
        "hold_back": values.automatic_or(values.number(0, 10, "seconds")),
        "join_gap_s": values.number(0, 10, "seconds"),
        "max_turn_s": values.number(1, 300, "seconds"),
        "freeze_s": values.number(0, 86_400, "seconds"),
        "voice_activity": values.text(values.one_of("model", "energy")),
    },
    "spool": {"max_gb": values.number(0.001, 10_000, "gigabytes"), "max_age_h": values.number(0.001, 8_760, "hours")},
    "network": {"ca_file": values.text(values.optional_path), "proxy": values.text(values.proxy)},
    "sessions": {
        "device": values.text(values.device),
        "diarizer": values.text(values.one_of(*choices("diarizer"))),
        "transcriber": values.text(values.one_of(*choices("transcriber"))),
        "autostart": values.flag(),
        "languages": values.texts(values.language),
        "fallback": values.text(values.one_of("none", "local")),
        "keep_audio": values.flag(),
        "channels": values.whole_numbers(1, MOST_CHANNELS),
        "mix": values.text(values.one_of(*MIXES)),
    },
}


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration from a file (None: the default one if there is one) and the environment, which wins.

    Raises ConfigError (CONFIG_INVALID) whose `problems` name every mistake there is, one line each.
    """
    source = read_source(path, environ)
    problems = source.problems
    taken: dict[tuple[str, ...], dict[str, object]] = {}
    for section, entries in source.sections.items():
        if section[0] not in SETTINGS:
            problems.extend(
                f"{entry.origin}: there is no section [{section[0]}]; {values.suggestion(section[0], list(SETTINGS))}"
                for entry in list(entries.values())[:1] or [Entry(None, f"[{section[0]}] (in {source.file})")]
            )
            continue
        taken[section] = _checked(section, entries, problems)
    config = _built(taken, source)
    config = _with_keys(config, environ, problems)
    _check_together(config, problems)
    problems += network_problems(config.network.ca_file, config.network.proxy, environ, vendor_urls(config))
    if problems:
        count = len(problems)
        message = problems[0] if count == 1 else f"the configuration has {count} mistakes: {'; '.join(problems)}"
        raise ConfigError("CONFIG_INVALID", message, tuple(problems))
    return config


def _checked(section: tuple[str, ...], entries: Mapping[str, Entry], problems: list[str]) -> dict[str, object]:
    """Return the section's fields, and put what is wrong with its keys into `problems`."""
    settings = SETTINGS[section[0]]
    fields: dict[str, object] = {}
    if section[0] == "sessions" and not is_session_name(section[1]):
        rule = "use small letters, digits and dashes, a letter first, no dash last, at most 63"
        problems.append(f"sessions.{section[1]!a}: is no session name; {rule}")
    for key, entry in entries.items():
        setting = settings.get(key)
        if setting is None:
            problems.append(f"{entry.origin}: {_unknown_key(section[0], key, entry)}")
            continue
        value = setting.from_text(str(entry.value)) if entry.variable else entry.value
        try:
            fields[_FIELD_OF_KEY.get(key, key)] = setting.check(value)
        except ValueError as error:
            problems.append(f"{entry.origin}: {error}")
    return fields


def _unknown_key(section: str, key: str, entry: Entry) -> str:
    if (own := KEYS.get(section)) and key.endswith(("key", "token", "secret")):
        places = f"the file {own.file} (mode 0600) or into {own.variable}"
        return f"keys do not stand in the configuration; put it into {places}"
    known = list(SETTINGS[section])
    if not entry.variable:
        return f"there is no such key; {values.suggestion(key, known)}"
    stem = entry.variable.rpartition("__")[0]
    return f"there is no such setting; {values.suggestion(entry.variable, [f'{stem}__{k.upper()}' for k in known])}"


def _built(taken: Mapping[tuple[str, ...], dict[str, object]], source: Source) -> Config:
    """Make the values; a field that was wrong keeps its default, so that the rest can still be checked."""

    def made(section: str) -> dict[str, object]:
        return taken.get((section,), {})

    # The types were settled by SETTINGS, which a type checker cannot see; tests/config/test_settings.py checks them.
    return Config(
        daemon=replace(DaemonConfig(), **made("daemon")),  # type: ignore[arg-type]
        storage=replace(StorageConfig(), **made("storage")),  # type: ignore[arg-type]
        pyannote=replace(PyannoteConfig(), **made("pyannote")),  # type: ignore[arg-type]
        openai=replace(OpenAIConfig(), **made("openai")),  # type: ignore[arg-type]
        limits=replace(LimitsConfig(), **made("limits")),  # type: ignore[arg-type]
        links=replace(LinksConfig(), **made("links")),  # type: ignore[arg-type]
        merge=replace(MergeConfig(), **made("merge")),  # type: ignore[arg-type]
        spool=replace(SpoolConfig(), **made("spool")),  # type: ignore[arg-type]
        network=replace(NetworkConfig(), **made("network")),  # type: ignore[arg-type]
        sessions={
            section[1]: replace(SessionConfig(), **fields)  # type: ignore[arg-type]
            for section, fields in taken.items()
            if section[0] == "sessions"
        },
        file=source.file,
    )


def _with_keys(config: Config, environ: Mapping[str, str], problems: list[str]) -> Config:
    directories = [(config.file or DEFAULT_FILE).absolute().parent, config.daemon.state_dir]
    directories = list(dict.fromkeys(directories))
    sections = {
        name: replace(getattr(config, name), api_key=read_key(key.file, key.variable, directories, environ, problems))
        for name, key in KEYS.items()
    }
    return replace(config, **sections)


def vendor_urls(config: Config) -> tuple[str, ...]:
    """Return the addresses of the vendors whose keys are there."""
    vendors = (getattr(config, name) for name in KEYS)
    return tuple(vendor.base_url for vendor in vendors if vendor.api_key)


def _check_together(config: Config, problems: list[str]) -> None:
    """Check rules that concern several values."""
    for name, session in config.sessions.items():
        if session.diarizer == "none" and session.transcriber == "none":
            problems.append(f"sessions.{name}: diarizer and transcriber cannot both be none; leave one at auto")
    merge = config.merge
    if merge.join_gap_s >= merge.max_turn_s:
        problems.append(f"merge.join_gap_s: must be less than merge.max_turn_s, which is {merge.max_turn_s:g}")

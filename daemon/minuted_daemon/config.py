"""The daemon's configuration as typed, frozen values. Reading it from TOML and the environment is below."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    listen: tuple[str, ...] = ("unix:/run/minuted/minuted.sock",)
    state_dir: Path = Path("/var/lib/minuted")


@dataclass(frozen=True, slots=True)
class StorageConfig:
    url: str = ""  # empty: minuted.db in state_dir


@dataclass(frozen=True, slots=True)
class PyannoteConfig:
    base_url: str = "https://api.pyannote.ai"
    max_stream_s: float = 18_000.0
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    base_url: str = "https://api.openai.com/v1"
    model: str = "gpt-live-transcribe"
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    delay: str | None = None
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MergeConfig:
    hold_back_s: float | None = None  # None: auto
    join_gap_s: float = 0.8
    max_turn_s: float = 20.0
    freeze_s: float = 300.0


@dataclass(frozen=True, slots=True)
class SpoolConfig:
    max_gb: float = 10.0
    max_age_h: float = 24.0


@dataclass(frozen=True, slots=True)
class SessionConfig:
    device: str = "default"
    diarizer: str = "auto"
    transcriber: str = "auto"
    autostart: bool = False
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    daemon: DaemonConfig = DaemonConfig()
    storage: StorageConfig = StorageConfig()
    pyannote: PyannoteConfig = PyannoteConfig()
    openai: OpenAIConfig = OpenAIConfig()
    merge: MergeConfig = MergeConfig()
    spool: SpoolConfig = SpoolConfig()
    sessions: Mapping[str, SessionConfig] = field(default_factory=dict)

"""The engines there are: name, role, and the key that each needs. How one is built stands in app.py."""

from dataclasses import dataclass

from minuted_daemon.errors import WrongState


@dataclass(frozen=True, slots=True)
class Key:
    """Where a vendor's key comes from: a credential or file of this name, else a variable."""

    file: str
    variable: str


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """One engine in one role. Its settings, if it has any, stand in the section of its name, its key with them."""

    name: str
    role: str
    key: Key | None = None

    def key_missing(self, key: str | None) -> WrongState | None:
        """Return why it cannot be used with this key, None if it can."""
        if self.key is None or key:
            return None
        remedy = f"set {self.key.variable}, or put it into the credential file {self.key.file}"
        message = f"{self.name} needs a key: {remedy}, and start the daemon again"
        return WrongState("KEY_MISSING", message, engine=self.name, variable=self.key.variable)


ENGINES = (
    EngineEntry("pyannote", "diarizer", Key("pyannoteai_api_key", "PYANNOTEAI_API_KEY")),
    EngineEntry("local", "diarizer"),
    EngineEntry("openai", "transcriber", Key("openai_api_key", "OPENAI_API_KEY")),
    EngineEntry("local", "transcriber"),
)
"""In each role the one that `auto` prefers comes first."""
KEYS = {engine.name: engine.key for engine in ENGINES if engine.key is not None}


def choices(role: str) -> tuple[str, ...]:
    """Return what a session may name in a role."""
    return ("auto", *(engine.name for engine in ENGINES if engine.role == role), "none")

"""Brings a database's tables to HEAD. Alembic is loaded only where there is something to do: it takes its time."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from minuted_daemon.adapters.storage.schema import HEAD
from minuted_daemon.errors import ConfigError

if TYPE_CHECKING:
    from alembic.config import Config

_OURS = {"store", "sessions", "turns"}
"""Tables that every version has."""


def scripts() -> Path:
    """Return the folder of the migrations: beside this package's own in an installation, at the top of a checkout."""
    package = Path(__file__).parents[3]
    for folder in (package / "migrations", package.parents[1] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise ConfigError("INSTALLATION_BROKEN", f"the migrations are missing from {package}: install minuted again")


def alembic_config(connection: Connection) -> "Config":
    """Return the settings under which Alembic works on this connection, within its transaction."""
    from alembic.config import Config

    config = Config()
    # The value goes through ConfigParser, to which a percent sign is special.
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection, path: Path) -> None:
    """Bring the tables to HEAD, all or nothing: the caller's transaction decides.

    Raises ConfigError (DATABASE_TOO_NEW, DATABASE_UNUSABLE).
    """
    if known_revision(connection, path) == HEAD:
        return
    from alembic import command

    command.upgrade(alembic_config(connection), HEAD)
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise RuntimeError(f"migration to {HEAD} left a row of {broken[0]} without its {broken[2]}")


def known_revision(connection: Connection, path: Path) -> str | None:
    """Return the migration the tables are at, None for an empty database. Reads only.

    Raises ConfigError (DATABASE_TOO_NEW, DATABASE_UNUSABLE).
    """
    revision = _revision(connection, path)
    if revision in (None, HEAD):
        return revision
    from alembic.script import ScriptDirectory

    scripts_there = ScriptDirectory.from_config(alembic_config(connection)).walk_revisions()
    if revision not in {script.revision for script in scripts_there}:
        raise ConfigError(
            "DATABASE_TOO_NEW",
            f"the database {path} is of a newer minuted (its tables are at {revision}, here {HEAD} is the newest): "
            "install that version again, or name another file in [storage] url",
            path=str(path),
            revision=revision,
        )
    return revision


def _revision(connection: Connection, path: Path) -> str | None:
    tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").scalars())
    version = None
    if "alembic_version" in tables:
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if version is None and tables <= {"alembic_version"}:
        return None
    if not tables >= _OURS:
        text = f"the database {path} belongs to another program: name another file in [storage] url"
        raise ConfigError("DATABASE_UNUSABLE", text, path=str(path))
    if version is None:
        text = f"the database {path} does not tell which version of minuted made it: restore a backup"
        raise ConfigError("DATABASE_UNUSABLE", text, path=str(path))
    return str(version)

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from minuted_daemon.adapters.storage.database import migrate as migrating
from minuted_daemon.adapters.storage.database.migrate import alembic_config, migrate, scripts
from minuted_daemon.adapters.storage.database.sqlite_engines import write_engine
from minuted_daemon.adapters.storage.schema import HEAD, metadata
from minuted_daemon.errors import ConfigError


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    path.touch()
    engine = write_engine(path, foreign_keys=False)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        yield connection


def tables(connection: Connection) -> set[str]:
    return set(connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").scalars())


def shape(connection: Connection) -> dict[str, object]:
    """What comparing by Alembic leaves out: checks, primary keys' columns, STRICT and WITHOUT ROWID, cascades."""
    facts: dict[str, object] = {}
    for name in tables(connection) - {"alembic_version"}:
        inspector = inspect(connection)
        checks = {(check["name"], check["sqltext"]) for check in inspector.get_check_constraints(name)}
        foreign = {
            (key["name"], key["referred_table"], str(key["options"])) for key in inspector.get_foreign_keys(name)
        }
        kind = connection.exec_driver_sql("SELECT wr, strict FROM pragma_table_list WHERE name = ?", (name,)).one()
        facts[name] = (checks, foreign, tuple(kind), inspector.get_pk_constraint(name))
    return facts


def test_head_is_the_newest_script(connection: Connection) -> None:
    assert ScriptDirectory.from_config(alembic_config(connection)).get_heads() == [HEAD]


def test_the_migrated_tables_are_those_of_the_schema(connection: Connection, path: Path, tmp_path: Path) -> None:
    migrate(connection, path)
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    assert compare_metadata(context, metadata) == []

    other = tmp_path / "created.db"
    other.touch()
    created = write_engine(other)
    with created.begin() as fresh:
        metadata.create_all(fresh)
        assert shape(fresh) == shape(connection)
    created.dispose()


def test_all_the_way_down_and_up_again(connection: Connection, path: Path) -> None:
    migrate(connection, path)
    there = tables(connection)
    assert there == {*metadata.tables, "alembic_version"}
    command.downgrade(alembic_config(connection), "base")
    assert tables(connection) == {"alembic_version"}
    migrate(connection, path)
    assert tables(connection) == there


def test_each_step_can_be_taken_back(connection: Connection) -> None:
    config = alembic_config(connection)
    for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions())):
        before = shape(connection)
        command.upgrade(config, script.revision)
        after = shape(connection)
        command.downgrade(config, "-1")
        assert shape(connection) == before
        command.upgrade(config, script.revision)
        assert shape(connection) == after


def test_a_migration_taken_back_midway_leaves_everything_as_it_was(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        transaction = connection.begin()
        migrate(connection, path)
        assert tables(connection)
        transaction.rollback()
    with engine.begin() as connection:
        assert tables(connection) == set()


def test_a_database_of_a_newer_version_is_refused(connection: Connection, path: Path) -> None:
    migrate(connection, path)
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError) as refusal:
        migrate(connection, path)
    assert refusal.value.reason == "DATABASE_TOO_NEW"
    assert "9999" in refusal.value.message


def test_migrations_inside_the_package_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (scripts() / "versions").is_dir()
    package = tmp_path / "site-packages" / "minuted_daemon"
    monkeypatch.setattr(migrating, "__file__", str(package / "adapters" / "storage" / "database" / "migrate.py"))
    with pytest.raises(ConfigError):
        scripts()
    (package / "migrations").mkdir(parents=True)
    (package / "migrations" / "env.py").touch()
    assert scripts() == package / "migrations"

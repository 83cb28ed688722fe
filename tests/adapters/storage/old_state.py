"""A state directory as version 0004 of the tables left it after kill -9, with its two files of JSON; made by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic import command

from minuted_daemon.adapters.storage.database.migrate import alembic_config
from minuted_daemon.adapters.storage.database.sqlite_engines import write_engine

SECRET = "the merger is off"
SESSIONS: Mapping[str, str] = {
    "01RUNNING": "running",
    "01PAUSED": "paused",
    "01DRAINED": "stopped",  # by the daemon's own end, as the next one
    "01DRAINING": "stopping",
    "01STOPPED": "stopped",  # by a person
    "01DELETED": "stopped",
    "01REDACTED": "stopped",
}
"""Each stands for what it is called. Names are the ids in small letters."""
INTERRUPTED = {"01DRAINED": False, "01DRAINING": True}
REDACTION = {"interval_id": "01GONE", "start": 16_000, "end": 32_000, "start_wall_s": 1_795_000_001.5}


def make_old_state(directory: Path, at_s: float) -> Path:
    """Make the directory, interrupted at this wall time; return where its database is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "minuted.db"
    path.touch()
    engine = write_engine(path, foreign_keys=False)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0004")
        connection.exec_driver_sql("INSERT INTO store VALUES (1, 'the-store', 100)")
        for number, (session_id, state) in enumerate(SESSIONS.items(), 1):
            ended_s = None if state in ("running", "paused") else at_s
            settings = ("no_such_microphone", "pyannote", "none", "[]")
            values = (
                session_id,
                session_id.lower(),
                *settings,
                state,
                1.795e9,
                ended_s,
                160_000,
                "",
                "",
                number,
                number,
            )
            connection.exec_driver_sql(
                "INSERT INTO sessions (id, name, device, diarizer, transcriber, languages, state, created_s, ended_s, "
                "heard, reason, detail, created_seq, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            turn = (f"{session_id}T", session_id, f"{SECRET}, {session_id}", 10 + number)
            connection.exec_driver_sql(
                'INSERT INTO turns (id, session_id, revision, start, "end", attribution, text, text_source, life, '
                "start_wall_s, seq) VALUES (?, ?, 0, 16000, 32000, 'unknown', ?, 'completed', 'final', 1.8e9, ?)",
                turn,
            )
    engine.dispose()
    write_files(directory, {"at_s": at_s, "paused": INTERRUPTED}, old_erasures())
    return path


def old_erasures() -> list[dict[str, Any]]:
    """Return what the old file held of one whole session, and of a stretch of another."""
    whole = {"session_id": "01DELETED", "session_name": "01deleted"}
    return [whole, {"session_id": "01REDACTED", "session_name": "01redacted", **REDACTION}]


def write_files(directory: Path, interrupted: Any, erasures: Any) -> None:
    """Write both files as the old version wrote them."""
    (directory / "interrupted.json").write_text(json.dumps(interrupted))
    (directory / "erasures.json").write_text(json.dumps(erasures))

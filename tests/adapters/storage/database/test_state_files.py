"""What older versions kept in two files beside the database is taken into it at the start."""

import json
from pathlib import Path

import pytest

from minuted_daemon.adapters.storage.database.state_files import read_state_files
from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.core.records import IntervalId, IntervalKind, IntervalRecord, SessionId
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.store import REDACTED, ErasureRequest, Interruption
from tests.adapters.storage.old_state import INTERRUPTED, SESSIONS, make_old_state, old_erasures, write_files

AT_S = 1_795_000_100.25
FILES = ("erasures.json", "interrupted.json")
WISHES = [
    ErasureRequest(SessionId("01DELETED"), "01deleted"),
    ErasureRequest(
        SessionId("01REDACTED"),
        "01redacted",
        IntervalRecord(
            IntervalId("01GONE"),
            SessionId("01REDACTED"),
            IntervalKind.MUTED,
            Sample(16_000),
            Sample(32_000),
            1_795_000_001.5,
            reason=REDACTED,
        ),
    ),
]


async def taken_in(directory: Path) -> tuple[dict[str, bool], list[ErasureRequest], dict[str, str]]:
    """Open the store; return which sessions go on paused, what is to be erased, and all states."""
    store = await open_store(f"sqlite:///{directory}/minuted.db", directory)
    try:
        interrupted = await store.interrupted()
        assert {mark.at_s for _, mark in interrupted} <= {AT_S}
        states = {record.id: record.state.value for record in (await store.sessions(100, None)).items}
        return {record.id: mark.paused for record, mark in interrupted}, [*await store.erasures()], {**states}
    finally:
        await store.close()


async def test_an_old_state_directory_loses_and_doubles_nothing(tmp_path: Path) -> None:
    make_old_state(tmp_path, AT_S)
    for _ in range(2):
        assert await taken_in(tmp_path) == (INTERRUPTED, WISHES, SESSIONS)
        assert not any((tmp_path / name).exists() for name in FILES)
    # Killed between the commit and the removal of the files: they are there again.
    write_files(tmp_path, {"at_s": AT_S, "paused": INTERRUPTED}, old_erasures())
    assert await taken_in(tmp_path) == (INTERRUPTED, WISHES, SESSIONS)


async def test_killed_before_the_commit_the_files_are_all_there_is(tmp_path: Path) -> None:
    make_old_state(tmp_path, AT_S)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    read_state_files(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before
    assert await taken_in(tmp_path) == (INTERRUPTED, WISHES, SESSIONS)


async def test_a_file_that_cannot_be_removed_is_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would bring back the sessions that people end from now on."""
    make_old_state(tmp_path, AT_S)

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        with pytest.raises(StoreError, match=r"interrupted\.json of an older version cannot be removed") as told:
            await taken_in(tmp_path)
    assert told.value.reason == "STORE_FAILED"
    assert await taken_in(tmp_path) == (INTERRUPTED, WISHES, SESSIONS)


FIT = '"session_id": "01ROOM", "session_name": "a", "interval_id": "01GONE"'


@pytest.mark.parametrize(
    "content",
    [
        "[{",
        "5",
        '["text"]',
        '[{"session_id": 5, "session_name": "a"}]',
        '[{"session_id": "01ROOM", "session_name": null}]',
        '[{"session_id": "../../../etc", "session_name": "a"}]',
        '[{"session_id": "", "session_name": "a"}]',
        '[{"session_id": "01ROOM", "session_name": "a", "interval_id": 1, "start": 1, "end": 5, "start_wall_s": 0}]',
        f'[{{{FIT}, "start": "x", "end": 5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": 1, "end": 5.5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": true, "end": 5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": -1, "end": 5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": 5, "end": 5, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": 1, "end": {1 << 70}, "start_wall_s": 0}}]',
        f'[{{{FIT}, "start": 1, "end": 5, "start_wall_s": null}}]',
        f'[{{{FIT}, "start": 1, "end": 5, "start_wall_s": NaN}}]',
        f'[{{{FIT}, "start": 1, "end": 5, "start_wall_s": 1{"0" * 400}}}]',
        f'[{{{FIT}, "start": 1, "start_wall_s": 0}}]',
    ],
)
def test_damaged_erasures_are_told_and_left_for_a_person_to_look_at(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "erasures.json").write_text(content)
    read = read_state_files(tmp_path)
    assert (read.interruptions, read.erasures, read.files) == ({}, (), [])
    read.remove()
    assert (tmp_path / "erasures.json").read_text() == content, "it is left as it is"
    told = capsys.readouterr().out
    assert "erasures.json" in told
    assert "remove it" in told


@pytest.mark.parametrize(
    "content", ["", "[]", '{"at_s": 1}', '{"at_s": "x", "paused": {}}', '{"at_s": 1, "paused": []}', "\ud800"]
)
def test_a_damaged_interruption_is_told_and_goes(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "interrupted.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    read = read_state_files(tmp_path)
    assert read.interruptions == {}
    read.remove()
    assert not path.exists()
    assert "interrupted.json" in capsys.readouterr().out


def test_damage_to_one_file_does_not_cost_the_other(tmp_path: Path) -> None:
    write_files(tmp_path, {"at_s": AT_S, "paused": INTERRUPTED}, "damaged")
    assert read_state_files(tmp_path).interruptions["01DRAINING"] == Interruption(AT_S, paused=True)  # type: ignore[index]
    (tmp_path / "interrupted.json").write_text("{")
    (tmp_path / "erasures.json").write_text(json.dumps(old_erasures()))
    assert read_state_files(tmp_path).erasures == WISHES

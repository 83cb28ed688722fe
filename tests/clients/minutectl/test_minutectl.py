"""The command line client against a rehearsed daemon on a real socket."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from minutectl.cli import main
from minutectl.refusals import Refusals
from minuted import Link, LinkHealth, RetriedLink, Session
from minuted.v1 import sessions_pb2, speakers_pb2, turns_pb2
from tests.clients.minutectl.rehearsed import Daemon, Refusal, event, turn

MINUTECTL = [sys.executable, "-m", "minutectl"]


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    daemon = Daemon(f"unix:{tmp_path}/minuted.sock")
    monkeypatch.setenv("MINUTED_ADDRESS", daemon.address)
    yield daemon
    daemon.stop()


def ran(*arguments: str, expect: int = 0) -> tuple[list[str], list[str]]:
    """Run minutectl as a process and give the lines it wrote."""
    done = subprocess.run([*MINUTECTL, *arguments], capture_output=True, text=True, check=False, timeout=15)
    assert done.returncode == expect, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def misused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command line that is wrong and return what is said about it."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    told = capfd.readouterr()
    assert (left.value.code, told.out) == (2, "")
    return told.err


class Running:
    """minutectl as a process that goes on."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*MINUTECTL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stdout
        assert self.process.stderr
        self.out, self.err = self.process.stdout, self.process.stderr

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)


# --- one question, one answer ---


def test_json_is_the_protos_mapping_one_object_a_line(daemon: Daemon) -> None:
    lines, notices = ran("turns", "boardroom", "--json")
    assert [json.loads(line)["text"] for line in lines] == ["one", "two"]
    assert json.loads(lines[0]) == {
        "id": "01T1",
        "session_id": "01S",
        "session_name": "boardroom",
        "seq": "1",
        "speaker": {"id": "01PS1", "label": "S1"},
        "text": "one",
        "state": "TURN_STATE_FINAL",
        "start_offset": "12.340s",
        "end_offset": "13.920s",
        "attribution": "ATTRIBUTION_DIARIZED",
    }
    assert notices == []


@pytest.mark.parametrize(
    "place", [("--json", "info"), ("info", "--json")], ids=["json before the command", "json behind it"]
)
def test_options_are_taken_before_and_behind_the_command(
    daemon: Daemon, place: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINUTED_ADDRESS", "unix:/nowhere")
    assert main(["--address", daemon.address, *place]) == 0
    assert main([*place, "--address", daemon.address]) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [info["highest_seq"] for info in told] == ["9", "9"]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["--last", "5m"], {"last": Duration(seconds=300)}),
        (["--from", "12:30"], {"start_offset": Duration(seconds=750)}),
        (
            ["--from", "90", "--to", "1:02:03.5"],
            {"start_offset": Duration(seconds=90), "end_offset": Duration(seconds=3723, nanos=500_000_000)},
        ),
    ],
)
def test_what_is_to_be_forgotten(
    daemon: Daemon, options: list[str], asked: dict[str, Duration], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["redact", "boardroom", *options]) == 0
    assert daemon.asked == [sessions_pb2.RedactSessionRequest(session="boardroom", **asked)]
    assert capfd.readouterr().out == "redacted 12:30.0 to 13:00.0, 2 turns\n"
    assert main(["--json", "redact", "boardroom", *options]) == 0
    assert json.loads(capfd.readouterr().out) == {"start_offset": "750s", "end_offset": "780s", "turns": 2}


def test_a_session_is_removed(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["delete", "boardroom"]) == 0
    assert main(["delete", "boardroom", "--json"]) == 0
    assert daemon.asked == 2 * [sessions_pb2.DeleteSessionRequest(session="boardroom")]
    assert capfd.readouterr().out == "boardroom is removed\n"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "--last --from is required"),
        (["--to", "1:00"], "--last --from is required"),
        (["--last", "soon"], "takes a time"),
        (["--last=-5m"], "takes a time"),
        (["--last", "0"], "more than nothing"),
        (["--last", "5m", "--from", "1:00"], "not allowed with"),
        (["--last", "5m", "--to", "1:00"], "not allowed with"),
        (["--from", "2:00", "--to", "1:00"], "must be after --from"),
        (["--last"], "expected one argument"),
    ],
)
def test_a_redaction_that_says_nothing_clear_asks_nothing(
    daemon: Daemon, options: list[str], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert problem in misused(["redact", "boardroom", *options], capfd)
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("arguments", "request_", "line"),
    [
        (["stop", "boardroom"], sessions_pb2.StopSessionRequest(session="boardroom"), "boardroom: running"),
        (["pause", "boardroom"], sessions_pb2.PauseSessionRequest(session="boardroom"), "boardroom: running"),
        (["resume", "boardroom"], sessions_pb2.ResumeSessionRequest(session="boardroom"), "boardroom: running"),
        (["sessions"], sessions_pb2.ListSessionsRequest(page_size=100), "boardroom: running"),
        (["speakers", "boardroom"], speakers_pb2.ListSpeakersRequest(session="boardroom"), "S1  -  01P"),
        (
            ["rename", "boardroom", "S1", "Ada"],
            speakers_pb2.RenameSpeakerRequest(session="boardroom", speaker="S1", display_name="Ada"),
            "S1  Ada",
        ),
        (
            ["merge", "boardroom", "S2", "S1"],
            speakers_pb2.MergeSpeakersRequest(session="boardroom", into="S1", **{"from": "S2"}),
            "S1",
        ),
        (
            ["start", "boardroom", "--diarizer", "none"],
            sessions_pb2.StartSessionRequest(name="boardroom", diarizer="none"),
            "boardroom: running",
        ),
        (
            ["start", "boardroom", "--channels", "2, 1", "--mix", "first"],
            sessions_pb2.StartSessionRequest(name="boardroom", channels=[2, 1], mix="first"),
            "boardroom: running",
        ),
        (
            ["start", "boardroom", "--fallback", "local"],
            sessions_pb2.StartSessionRequest(name="boardroom", fallback="local"),
            "boardroom: running",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_a_command_asks_and_prints(
    daemon: Daemon, arguments: list[str], request_: object, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    assert daemon.asked == [request_]
    assert line in capfd.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["id"].startswith("01")


def test_turns_as_they_were_delivered(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["turns", "boardroom", "--as-delivered"]) == 0
    assert main(["turns", "--as-delivered", "boardroom", "--json"]) == 0
    assert main(["turns", "boardroom"]) == 0
    assert [request.as_delivered for request in daemon.asked] == [True] * 4 + [False] * 2
    assert capfd.readouterr().out.splitlines()[:2] == ["00:12.3  S1  one", "00:12.3  S1  two"]


def test_turns_that_look_invented_can_be_left_out(daemon: Daemon) -> None:
    assert main(["turns", "boardroom", "--no-suspect"]) == main(["turns", "boardroom"]) == 0
    assert [one.exclude_suspect for one in daemon.asked] == [True] * 2 + [False] * 2
    with Running("watch", "--json", "--no-suspect") as watch:
        daemon.script.put(event(turn=turn("Shall we?", 5)))
        watch.out.readline()
    assert daemon.asked[-1] == turns_pb2.StreamTurnsRequest(include_partials=True, exclude_suspect=True)


def test_what_is_not_as_it_was_meant_is_said(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    link = daemon.session.transcriber_link
    link.health, link.reason = sessions_pb2.LINK_HEALTH_CONNECTING, "LANGUAGE_NOT_KNOWN"
    link.detail = "The local transcriber knows only en."
    daemon.session.diarizer_sent.FromMilliseconds(61_000)
    daemon.session.transcriber_sent.FromMilliseconds(30_500)
    for arguments in (["start", "boardroom"], ["start", "boardroom", "--json"]):
        assert main(arguments) == 0
        assert capfd.readouterr().err == "minutectl: transcriber: The local transcriber knows only en.\n"
    assert main(["sessions"]) == 0
    told = capfd.readouterr()
    assert "boardroom: running, degraded (transcriber connecting: The local transcriber knows only en.)" in told.out
    assert "local+local  sent 01:01.0+00:30.5" in told.out
    assert told.err == ""


def refused(since: datetime, again: datetime) -> Link:
    link = Link(health=LinkHealth.LINK_HEALTH_REFUSED, reason="KEY_REJECTED", detail="OpenAI refuses the key.")
    link.since.FromDatetime(since)
    link.next_attempt.FromDatetime(again)
    return link


def test_a_refusal_is_told_with_its_times_and_the_remedy(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    daemon.session.transcriber_link.CopyFrom(refused(now, now))
    at = now.astimezone().strftime("%H:%M")
    assert main(["sessions"]) == 0
    assert (
        f"boardroom: running, degraded (transcriber refused: OpenAI refuses the key. (since {at}; asked again at {at}, "
        "or now with minutectl retry))"
    ) in capfd.readouterr().out
    daemon.session.transcriber_link.health = LinkHealth.LINK_HEALTH_DOWN
    daemon.session.transcriber_link.since.FromDatetime(datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    assert main(["sessions"]) == 0
    day = datetime(2026, 1, 2, 3, 4, tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    assert f"transcriber down: OpenAI refuses the key. (since {day}))" in capfd.readouterr().out


def test_links_are_asked_again_and_what_came_of_it_is_said(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["retry"]) == 0
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "minutectl: no link is refused\n")
    now = datetime.now(UTC)
    up = Link(health=LinkHealth.LINK_HEALTH_UP)
    link = refused(now, now)
    daemon.retried = [
        RetriedLink(
            session_id="01S", session_name="boardroom", role="diarizer", engine="pyannote", asked=True, link=up
        ),
        RetriedLink(session_name="boardroom", role="transcriber", engine="openai", asked=True, link=link),
        RetriedLink(role="transcriber", engine="openai", link=link),
    ]
    assert main(["retry", "boardroom"]) == 0
    again = f"OpenAI refuses the key. (asked again at {now.astimezone().strftime('%H:%M')})"
    assert capfd.readouterr().out.splitlines() == [
        "boardroom: diarizer pyannote accepts again",
        f"boardroom: transcriber openai refuses still: {again}",
        f"ended sessions: transcriber openai asked less than 10 s ago, refuses: {again}",
    ]
    assert main(["retry", "--json"]) == 0
    first, *_ = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert first["asked"] is True
    assert first["link"] == {"health": "LINK_HEALTH_UP"}
    assert [request.session for request in daemon.asked] == ["", "boardroom", ""]


def test_who_follows_hears_of_a_refusal_once_and_of_its_end() -> None:
    told = Refusals("boardroom")
    now = datetime.now(UTC)
    session = Session(id="01S", name="boardroom", diarizer="pyannote", transcriber="openai")
    session.transcriber_link.CopyFrom(refused(now, now))
    at = now.astimezone().strftime("%H:%M")
    assert told.news(session) == [
        f"boardroom: transcriber openai refuses: OpenAI refuses the key. (since {at}; asked again at {at}, "
        "or now with minutectl retry)"
    ]
    assert told.news(session) == []
    session.transcriber_link.health = LinkHealth.LINK_HEALTH_UP
    assert told.news(session) == ["boardroom: transcriber openai accepts again"]
    assert told.news(session) == []
    session.name = "attic"
    session.transcriber_link.CopyFrom(refused(now, now))
    assert told.news(session) == []


def test_turns_for_a_person(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    daemon.turns[1].speaker.display_name = "Ada\x1b[31m"
    assert main(["turns", "boardroom"]) == 0
    assert capfd.readouterr().out == "00:12.3  S1  one\n00:12.3  Ada[31m  two\n"


def test_control_characters_do_not_reach_the_terminal(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    assert "\x1b" not in capfd.readouterr().out
    daemon.turns = [turn("a\x9b2J\u2028b\nc\u202e", 1)]
    assert main(["turns", "boardroom", "--json"]) == 0
    out = capfd.readouterr().out
    assert json.loads(out)["text"] == "a\x9b2J\u2028b\nc\u202e"
    assert out.removesuffix("\n").isprintable()
    assert main(["turns", "boardroom"]) == 0
    assert capfd.readouterr().out == "00:12.3  S1  a2J b c\n"


def test_export_writes_the_bytes_as_they_are(daemon: Daemon) -> None:
    done = subprocess.run(
        [*MINUTECTL, "export", "boardroom", "--format", "vtt"], capture_output=True, check=True, timeout=15
    )
    assert done.stdout == b"WEBVTT\n\xff"
    assert daemon.asked[0].format == turns_pb2.EXPORT_FORMAT_VTT


def test_levels_end_with_the_stream(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["levels", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"rms_dbfs": -20.0, "peak_dbfs": -9.0}


def test_files_get_an_absolute_path(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(["start", "boardroom", "--device", "file:a b.wav"])
    main(["start", "boardroom", "--device", "file:/x.wav"])
    main(["start", "boardroom", "--device", "default"])
    assert [request.device for request in daemon.asked] == [f"file:{tmp_path}/a b.wav", "file:/x.wav", "default"]


def covered(daemon: Daemon) -> None:
    """Give the rehearsed session a coverage that adds up to its 3723.45 s."""
    told = daemon.session.coverage
    daemon.session.duration.FromNanoseconds(3_723_450_000_000)
    told.text.FromNanoseconds(3_000_062_500_000)
    told.silence.FromNanoseconds(700_000_000_000)
    told.muted.FromNanoseconds(0)
    told.pending.FromNanoseconds(3_350_000_000)
    for reason, nanos in (("DEVICE_LOST", 20_000_000_000), ("NO_TEXT\x1b[2J", 37_500_000)):
        told.lost.add(reason=reason).duration.FromNanoseconds(nanos)


def test_coverage_is_shown_below_each_session_and_adds_up(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    covered(daemon)
    assert main(["sessions", "--coverage"]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert "1:02:03.4" in first
    assert second == (
        "    text 50:00.0  silence 11:40.0  muted 00:00.0  pending 00:03.4  "
        "lost: DEVICE_LOST 00:20.0, NO_TEXT[2J 00:00.0"
    ), "rounded so that what is shown adds up to what is shown above"
    assert [type(asked).__name__ for asked in daemon.asked] == ["ListSessionsRequest", "GetSessionRequest"]
    assert daemon.asked[1].session == "01S"


def test_coverage_as_json_is_the_session_with_it(daemon: Daemon) -> None:
    covered(daemon)
    (line,), _ = ran("--json", "sessions", "--coverage")
    told = json.loads(line)
    assert told["duration"] == "3723.450s"
    assert told["coverage"] == {
        "text": "3000.062500s",
        "silence": "700s",
        "muted": "0s",
        "pending": "3.350s",
        "lost": [
            {"reason": "DEVICE_LOST", "duration": "20s"},
            {"reason": "NO_TEXT\x1b[2J", "duration": "0.037500s"},
        ],
    }


def test_a_coverage_that_is_not_known_and_one_without_losses_say_so(
    daemon: Daemon, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["sessions", "--coverage"]) == 0
    daemon.session.coverage.text.FromNanoseconds(1)
    assert main(["sessions", "--coverage"]) == 0
    _, unknown, _, well = capfd.readouterr().out.splitlines()
    assert "not known" in unknown
    assert well.endswith("nothing lost")


# --- refusals ---


def test_a_refusal_is_one_line_and_exit_code_1(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    daemon.refusal = Refusal(grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND", "there is no session boardroom")
    for command in (["turns", "boardroom"], ["watch", "boardroom"], ["export", "boardroom", "--format", "srt"]):
        assert main(command) == 1
        told = capfd.readouterr()
        assert (told.out, told.err) == ("", "minutectl: there is no session boardroom\n")


def test_what_the_daemon_cannot_do_yet(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "budget"]) == 1
    told = capfd.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize("command", [["info"], ["watch"], ["turns", "x", "--json"]])
@pytest.mark.parametrize("address", ["unix:/nowhere/minuted.sock", "127.0.0.1:1"])
def test_no_daemon_is_exit_code_69(address: str, command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--address", address, *command]) == 69
    told = capfd.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert address in told.err


@pytest.mark.parametrize("address", ["/run/a.sock", "http://127.0.0.1:7310", "127.0.0.1", "127.0.0.1:99999"])
@pytest.mark.parametrize("option", [True, False])
def test_what_is_no_address_is_exit_code_2(
    address: str, option: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINUTED_ADDRESS", "127.0.0.1:1" if option else address)
    assert main(["info", *(["--address", address] if option else [])]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert f'{"--address" if option else "MINUTED_ADDRESS"}: "{address}"' in told.err


def test_a_place_that_is_no_socket_is_told_as_what_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for name, cause in (("", f"unix:{tmp_path}/minuted.sock"), ("/file", "no socket"), ("/none", "is it running?")):
        assert main(["info", "--address", f"unix:{tmp_path}{name}"]) == 69
        assert cause in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], ["required: COMMAND"]),
        (["--fast"], ["required: COMMAND"]),
        (["wacth", "--json"], ["'wacth'", "'watch'"]),
        (["rename", "boardroom"], ["required: LABEL, DISPLAY_NAME"]),
        (["turns", "boardroom", "--fast"], ["unrecognized arguments: --fast"]),
        (["turns", "boardroom", "--no"], ["unrecognized arguments: --no"]),
        (["turns", "a", "b"], ["unrecognized arguments: b"]),
        (["export", "a"], ["required: --format"]),
        (["export", "a", "--format", "pdf"], ["'pdf'", "'seglst'"]),
        (["watch", "--after", "-1"], ["--after: takes a number from 0 on"]),
        (["watch", "--after", str(2**63)], ["--after: takes a number from 0 on"]),
        (["start", "a", "--channels", "1,x"], ["--channels: takes numbers"]),
        (["start", "a", "--device", "--address"], ["--device: expected one argument"]),
        (["turns", ""], ["NAME: must not be empty"]),
        (["info", "--address"], ["--address: expected one argument"]),
    ],
)
def test_a_mistake_in_the_command_line_is_told_in_one_line_after_the_usage(
    arguments: list[str], named: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    told = misused(arguments, capfd)
    assert told.startswith("usage: minutectl")
    assert all(word in told.splitlines()[-1] for word in named), told


def test_what_is_not_utf_8_is_one_clear_line(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "a\udcff"
    odd.mkdir()
    assert main(["start", "boardroom", "--device", f"file:{odd}/x.wav"]) == 2
    monkeypatch.chdir(odd)
    assert main(["start", "boardroom", "--device", "file:x.wav"]) == 2
    monkeypatch.setenv("MINUTED_ADDRESS", f"unix:{odd}/s")
    assert main(["info"]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    where = f"{tmp_path}/a\\udcff"
    assert told.err.splitlines() == [
        f'minutectl: "{what}" is not text in UTF-8'
        for what in (f"file:{where}/x.wav", f"file:{where}/x.wav", f"{where}/s")
    ]
    assert not daemon.asked


def test_a_name_may_begin_with_a_dash_behind_two(daemon: Daemon) -> None:
    assert main(["rename", "boardroom", "S1", "--json", "--", "--Ada"]) == 0
    assert daemon.asked[0].display_name == "--Ada"


def test_an_empty_name_takes_the_old_one_away(daemon: Daemon) -> None:
    assert main(["rename", "boardroom", "S1", ""]) == 0


def test_help_loads_nothing_it_does_not_need() -> None:
    program = (
        "import sys; from minutectl.cli import main\n"
        "try: main(['watch', '--help'])\n"
        "except SystemExit: print(sorted({'grpc', 'rich', 'google.protobuf'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=10)
    assert told.stdout.endswith("\n[]\n")


# --- watching ---


def test_watch_json_prints_every_message_at_once(daemon: Daemon) -> None:
    with Running("watch", "boardroom", "--json", "--after", "4") as watch:
        daemon.script.put(event(turn=turn("Shall", 0, state="PARTIAL")))
        assert json.loads(watch.out.readline())["turn"]["state"] == "TURN_STATE_PARTIAL"
        daemon.script.put(event(turn=turn("Shall we?", 5)))
        assert json.loads(watch.out.readline())["turn"]["seq"] == "5"
        daemon.script.put(event(heartbeat={"seq": 5}))
        assert json.loads(watch.out.readline()) == {"heartbeat": {"seq": "5"}}
        assert watch.interrupt() == 0
        assert watch.err.read() == ""
    assert daemon.asked[0] == turns_pb2.StreamTurnsRequest(session="boardroom", after_seq=4, include_partials=True)


def test_finals_only(daemon: Daemon) -> None:
    with Running("watch", "--json", "--finals") as watch:
        daemon.script.put(event(turn=turn("Shall we?", 5)))
        watch.out.readline()
    assert daemon.asked[0] == turns_pb2.StreamTurnsRequest(include_partials=False)


def test_watch_in_a_pipe_prints_a_line_for_each_change(daemon: Daemon) -> None:
    interval = turns_pb2.Interval(kind=turns_pb2.INTERVAL_KIND_MUTED, session_name="boardroom", seq=3)
    interval.end_offset.FromSeconds(3_690)
    for item in (
        event(turn=turn("Shall we begin?", 5)),
        event(turn=turn("Shall we?", 6, revision=1)),
        event(turn=turn("", 7, state="RETRACTED", label="S2")),
        event(turn=turn("Bye! Bye!", 7, suspect={"reason": turns_pb2.SUSPECT_REASON_REPETITION})),
        event(turn=turn("Bye.", 7, revision=2, suspect={"reason": turns_pb2.SUSPECT_REASON_NO_SPEECH})),
        event(turn=turn("hm", 8, label="")),
        event(interval=interval),
        event(speaker={"session_name": "boardroom", "seq": 9, "speaker": {"label": "S1", "display_name": "Ada"}}),
        event(session=daemon.session),
        event(caught_up={"seq": 9}),
    ):
        daemon.script.put(item)
    daemon.script.queue[5].turn.attribution = turns_pb2.ATTRIBUTION_UNKNOWN
    with Running("watch", "boardroom") as watch:
        assert [watch.out.readline() for _ in range(9)] == [
            "00:12.3  S1  Shall we begin?\n",
            "00:12.3  S1  Shall we?  [corrected]\n",
            "00:12.3  S2    [withdrawn]\n",
            "00:12.3  S1  Bye! Bye!  [suspect: endless repetition]\n",
            "00:12.3  S1  Bye.  [corrected]  [suspect: no speech under it]\n",
            "00:12.3  ?  hm\n",
            "00:00.0  --  muted until 1:01:30.0\n",
            "--  S1 is Ada\n",
            "--  boardroom: running\n",
        ]
        assert watch.interrupt() == 0
    assert daemon.asked[0].include_partials is False


def test_watching_all_sessions_names_them(daemon: Daemon) -> None:
    with Running("watch") as watch:
        daemon.script.put(event(turn=turn("Shall we begin?", 5)))
        assert watch.out.readline() == "boardroom  00:12.3  S1  Shall we begin?\n"


def test_watch_comes_back_at_its_cursor_and_says_so(daemon: Daemon) -> None:
    with Running("watch", "--json", "--after", "0") as watch:
        daemon.script.put(event(turn=turn("one", 5)))
        watch.out.readline()
        daemon.stop()
        assert "lost minuted at" in watch.err.readline()
        daemon.start()
        daemon.script.put(event(turn=turn("two", 6)))
        assert json.loads(watch.out.readline())["turn"]["seq"] == "6"
        assert "again" in watch.err.readline()
        assert watch.interrupt() == 0
    assert [request.after_seq for request in daemon.asked] == [0, 5]


def test_a_reader_that_goes_ends_the_watch_quietly(daemon: Daemon) -> None:
    with Running("watch") as watch:
        daemon.script.put(event(turn=turn("one", 5)))
        watch.out.readline()
        watch.out.close()
        daemon.script.put(event(heartbeat={"seq": 5}))  # nothing that would be printed
        assert watch.process.wait(10) == 0
        assert watch.err.read() == ""
        watch.out = watch.err  # for __exit__
        watch.process.stdout = None


def test_output_that_cannot_be_written(daemon: Daemon) -> None:
    command = " ".join([*MINUTECTL, "turns", "boardroom"])
    for redirection, code, told in ((">&-", 0, ""), (">/dev/full", 1, "cannot write: No space left on device")):
        done = subprocess.run(
            ["sh", "-c", f"{command} {redirection}"], stderr=subprocess.PIPE, text=True, check=False, timeout=15
        )
        assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


def test_a_terminal_shows_partials_in_place_and_finals_above(daemon: Daemon) -> None:
    try:
        leader, follower = pty.openpty()
    except OSError:
        pytest.skip("this machine has no terminals (is /dev/pts mounted?)")
    environ = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [*MINUTECTL, "watch", "boardroom"], stdin=follower, stdout=follower, stderr=follower, env=environ
    )
    os.close(follower)

    def until(text: bytes) -> bytes:
        seen = b""
        while text not in seen:
            assert select.select([leader], [], [], 10)[0], seen
            seen += os.read(leader, 65_536)
        return seen

    try:
        daemon.script.put(event(turn=turn("Shall we\x1b[2J", 0, state="PARTIAL", id="01T")))
        seen = until(b"Shall we")
        assert b"\x1b[2J" not in seen
        assert b"S1" in seen
        daemon.script.put(event(turn=turn("Shall we begin", 0, state="PARTIAL", id="01T")))
        assert b"\x1b[2K" in until(b"begin")  # what was there is taken back
        daemon.script.put(event(turn=turn("Shall we begin?", 5, id="01T")))
        until(b"begin?")
        process.send_signal(signal.SIGINT)
        assert b"\x1b[?25h" in until(b"\x1b[?25h")  # the cursor is shown again
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    assert daemon.asked[0].include_partials is True

"""`minuted demo` against a rehearsed daemon: what it shows, what it keeps, and how it fails."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Runs `minuted demo` with another daemon in the place of the real one.
DEMO = """
import sys
from minuted_daemon import cli
play = cli._demo
def _demo():
    from minuted_daemon import demo
    demo.DAEMON = (sys.executable, "-c", {daemon!r})
    return play()
cli._demo = _demo
sys.exit(cli.main(["demo"]))
"""
DAEMON = """
import json, os, signal, sys, threading, tomllib
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.clients.minutectl.rehearsed import Daemon, event, turn
told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())
config = tomllib.loads(Path(sys.argv[-1]).read_text())["daemon"]
daemon = Daemon(config["listen"][0])
for text, seq in (("Good morning.", 11), ("Sure.", 12)):
    daemon.script.put(event(turn=turn(text, seq)))
{script}
told.wait(15)
Path(config["state_dir"], "seen.json").write_text(json.dumps(dict(
    environ=sorted(os.environ), devices=[r.device for r in daemon.asked if type(r).__name__ == "StartSessionRequest"],
    after=[r.after_seq for r in daemon.asked if type(r).__name__ == "StreamTurnsRequest"],
)))
daemon.stop()
"""
ENDS = """
daemon.session.state = 5
daemon.script.put(event(session=daemon.session))
"""
# Ends the connection with an error, and itself: gRPC has something to remark on then.
BREAKS = """
import socket, time
daemon.stop()
path = config["listen"][0].removeprefix("unix:")
Path(path).unlink(missing_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
connection, _ = listener.accept()
connection.sendall(bytes.fromhex("000000040000000000" "0000080700000000007fffffff00000002"))  # SETTINGS, GOAWAY
time.sleep(1)
os._exit(3)
"""


def started(home: Path, script: str, **environ: str) -> subprocess.Popen[str]:
    daemon = DAEMON.format(root=str(ROOT), script=script)
    return subprocess.Popen(
        [sys.executable, "-c", DEMO.format(daemon=daemon)],
        cwd=home,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_shows_the_turns_and_says_how_to_read_them_again(tmp_path: Path) -> None:
    for _ in range(2):  # a second time works as well
        running = started(tmp_path, ENDS, OPENAI_API_KEY="x", MINUTED_MERGE__JOIN_GAP_S="nonsense")
        out, err = running.communicate(timeout=18)
        assert running.returncode == 0, err
        assert "S1  Good morning.\n" in out
        assert out.index("Good morning.") < out.index("Sure.")
    told = out.splitlines()
    assert told[-3].endswith("run --config demo/minuted.toml & sleep 5")
    assert told[-2].endswith(f"--address unix:{tmp_path}/demo/minuted.sock turns demo")
    assert told[-1] == "  kill %1"
    config = tomllib.loads((tmp_path / "demo" / "minuted.toml").read_text())
    assert config["daemon"]["state_dir"] == str(tmp_path / "demo")
    seen = json.loads((tmp_path / "demo" / "seen.json").read_text())
    assert not {"OPENAI_API_KEY", "MINUTED_MERGE__JOIN_GAP_S"} & set(seen["environ"])
    assert seen["after"] == [9]
    assert Path(seen["devices"][0].removeprefix("file:")).stat().st_size > 100_000


def test_a_session_that_fails_is_a_failure(tmp_path: Path) -> None:
    script = "daemon.session.state = 6; daemon.session.failure.detail = 'the file is gone'\n"
    running = started(tmp_path, script + "daemon.script.put(event(session=daemon.session))")
    _, err = running.communicate(timeout=18)
    assert running.returncode == 1
    assert err == "minuted: the demo failed: the session failed: the file is gone\n"


@pytest.mark.parametrize("script", ["sys.exit('no\\nroom left')", "daemon.stop(); os._exit(3)", BREAKS])
def test_a_daemon_that_dies_is_a_failure(tmp_path: Path, script: str) -> None:
    running = started(tmp_path, script)
    _, err = running.communicate(timeout=18)
    assert running.returncode == 1
    assert len(err.splitlines()) == 1
    assert "exit code" in err


def test_an_interrupt_stops_the_daemon_and_is_quiet(tmp_path: Path) -> None:
    running = started(tmp_path, "")
    assert running.stdout
    while "Sure." not in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=18)
    assert (running.returncode, err) == (130, "")
    assert (tmp_path / "demo" / "seen.json").exists()  # the daemon came to its own end


def test_a_directory_too_deep_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    running = started(deep, ENDS)
    out, err = running.communicate(timeout=18)
    assert running.returncode == 0, err
    socket = Path(out.splitlines()[-2].split()[-3].removeprefix("unix:"))
    shutil.rmtree(socket.parent)

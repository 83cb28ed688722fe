"""`minuted demo`: a recorded meeting through a daemon of its own, shown live as any other client would see it.

It knows the daemon from outside only (command line, gRPC). What it stores is kept, to be read again.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from minutectl import lines
from minuted import Client, Error, Interrupted, Session, SessionState, StreamTurnsResponse, Unreachable, connect

RECORDING = Path(__file__).with_name("demo.flac")
NAME = "demo"
DAEMON = (sys.executable, "-m", "minuted_daemon", "run")

_READY_S = 60.0
_WHOLE_S = 300.0  # the recording lasts 63 s
_STOP_S = 20.0
_LONGEST_SOCKET_PATH = 100
_ENDED = (SessionState.SESSION_STATE_STOPPED, SessionState.SESSION_STATE_FAILED)
_VENDOR_KEYS = ("PYANNOTEAI_API_KEY", "OPENAI_API_KEY", "CREDENTIALS_DIRECTORY")


class Failed(Exception):
    """The demo did not come to its end; the text says why."""


def demo(directory: Path) -> int:
    """Run the demo in `directory` (made if it is not there; what is in it is kept) and return the exit code, 0.

    Raises Failed; KeyboardInterrupt once the daemon has been stopped.
    """
    home = directory.absolute()
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        address, config_file = _configure(home)
    except OSError as error:
        raise Failed(f"{home} cannot be written ({error.strerror}); run it in a directory of yours") from error
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _daemon(config_file, home / "minuted.log") as running, connect(address) as room:
            _say("Starting the daemon and its offline engines.")
            seq = _ready(room, running)
            session = _follow(room, running, seq)
            turns = sum(1 for _ in room.turns(session.id))
            speakers = len(room.speakers(session.id))
    except Error as error:
        raise Failed(f"{error} (see {home / 'minuted.log'})") from error
    finally:
        signal.signal(signal.SIGTERM, before)
    if not turns:
        raise Failed("the recording was played, but it made no turn")
    _say(f"\n{turns} turns of {speakers} speakers are stored in {home}. To read them again:")
    _say(f"  {_command('minuted', 'run', '--config', _short(config_file))} & sleep 5")
    _say(f"  {_command('minutectl', '--address', address, 'turns', NAME)}")
    _say("  kill %1")
    return 0


def _configure(home: Path) -> tuple[str, Path]:
    """Write the daemon's configuration; return the address and the file."""
    socket = home / "minuted.sock"
    if len(bytes(socket)) > _LONGEST_SOCKET_PATH:  # a socket's path may not be as long as a file's
        socket = Path(tempfile.mkdtemp(prefix="minuted-")) / "minuted.sock"
    address = f"unix:{socket}"
    config_file = home / "minuted.toml"
    config_file.write_text(f"[daemon]\nlisten = [{_toml(address)}]\nstate_dir = {_toml(str(home))}\n")
    return address, config_file


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def _daemon(config_file: Path, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon, its log in a file, unreachable for Ctrl-C; stop it at the end.

    Raises Failed if it ended by itself, or badly.
    """
    # The demo must not depend on how this machine's own daemon is configured, nor reach a vendor.
    environ = {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith("MINUTED_") and "__" in name) and name not in _VENDOR_KEYS
    }
    command = [*DAEMON, "--config", str(config_file)]
    with log_file.open("wb") as log:
        running = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    watchdog = threading.Timer(_WHOLE_S, running.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield running
    except BaseException:
        _stop(running)
        raise
    else:
        code = _stop(running)
        if code != 0:
            raise Failed(f"the daemon ended with exit code {code}{_last_words(log_file)}")
    finally:
        watchdog.cancel()


def _stop(running: subprocess.Popen[bytes]) -> int:
    running.terminate()
    try:
        return running.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        running.kill()
        return running.wait()


def _ready(room: Client, running: subprocess.Popen[bytes]) -> int:
    """Wait until the daemon answers and return its highest seq."""
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            return int(room.info().highest_seq)
        except Unreachable:
            code = running.poll()
            if code is not None:
                raise Failed(f"the daemon ended with exit code {code} at its start{_log_tail(running)}") from None
            if time.monotonic() > deadline:
                raise Failed(f"the daemon did not answer within {_READY_S:g} s{_log_tail(running)}") from None
            time.sleep(0.1)


def _follow(room: Client, running: subprocess.Popen[bytes], seq: int) -> Session:
    """Start the session and show its turns until it has ended; return its last state."""
    for left in room.sessions():
        if left.name == NAME and left.state not in _ENDED:  # a demo that was killed; a new one is a new session
            room.stop(left.id)
    session = room.start(NAME, device=f"file:{RECORDING}", diarizer="local", transcriber="local")
    _say("A meeting of three people, in real time; captions follow with the engines' delay.\n")
    with ExitStack() as stack:
        show, partials = _screen(stack)
        for event in room.watch(session.id, after=seq, partials=partials):
            if isinstance(event, Interrupted):
                code = running.poll()
                if code is not None:
                    raise Failed(f"the daemon ended with exit code {code} in the middle{_log_tail(running)}")
                continue
            show(event)
            if event.WhichOneof("event") == "session" and event.session.state in _ENDED:
                session = event.session
                break
    if session.state == SessionState.SESSION_STATE_FAILED:
        raise Failed(f"the session failed: {session.failure.detail or session.failure.reason}")
    return session


def _screen(stack: ExitStack) -> tuple[Callable[[StreamTurnsResponse], None], bool]:
    """Return what shows an event, and whether it can show turns that are still growing."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
        from rich.console import Console

        from minutectl.captions import Captions

        return stack.enter_context(Captions(Console(), with_session=False)).show, True

    def show(event: StreamTurnsResponse) -> None:
        line = lines.event_line(event)
        if line is not None:
            _say(line)

    return show, False


def _log_tail(running: subprocess.Popen[bytes]) -> str:
    return _last_words(Path(str(running.args[-1])).with_name("minuted.log")) if isinstance(running.args, list) else ""


def _last_words(log_file: Path) -> str:
    """Return the last line of the daemon's log, as the end of a sentence."""
    written = log_file.read_text(errors="replace").strip().splitlines()
    return f": {lines.plain(written[-1])}" if written else ""


def _command(program: str, *arguments: str) -> str:
    """Return a command that works as it stands: by its name where the shell finds it, else by its path."""
    beside = Path(sys.executable).parent / program
    known = shutil.which(program)
    name = program if known and Path(known).resolve() == beside.resolve() else _short(beside)
    return shlex.join([name, *arguments])


def _short(path: Path) -> str:
    """Return a path as one would write it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

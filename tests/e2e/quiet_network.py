"""A network of its own in which nothing answers: what a program looks up there, and which files it leaves behind.

`python quiet_network.py REPORT COMMAND...`, as root in `unshare --net --mount`: runs the command with a resolver that
knows no name, and writes the names that were asked for into REPORT, one a line.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_SIOCSIFFLAGS = 0x8914
_UP = 0x1
_SUPPRESSING = {"CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}
"""With one of these set, ONNX Runtime is quiet by itself: the program has to be quiet without."""


def why_not_here() -> str | None:
    """Say why no network can be made here; None if one can."""
    if os.geteuid() != 0:
        return "a network of its own needs root"
    if shutil.which("unshare") is None:
        return "a network of its own needs unshare (util-linux)"
    probe = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private", "true"], capture_output=True, check=False
    )
    return None if probe.returncode == 0 else "this machine lets nobody make a network (unshare --net --mount)"


def quiet(command: Sequence[str], report: Path) -> list[str]:
    """Return the command that runs `command` in a network of its own and writes `report`."""
    here = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, str(Path(__file__))]
    return [*here, str(report), *command]


def unsuppressed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what alone would keep ONNX Runtime quiet."""
    return {name: text for name, text in environ.items() if name not in _SUPPRESSING}


def _run(report: Path, command: Sequence[str]) -> int:
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        fcntl.ioctl(resolver, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP))
        resolver.bind(("127.0.0.1", 53))
        threading.Thread(target=_refuse_names, args=(resolver, asked), daemon=True).start()
        with tempfile.NamedTemporaryFile("w") as configuration:
            configuration.write("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
            configuration.flush()
            place = os.path.realpath("/etc/resolv.conf")
            if Path(place).exists():  # without one, the resolver on this machine is asked
                subprocess.run(["mount", "--bind", configuration.name, place], check=True)
            code = subprocess.run(command, check=False).returncode
    report.write_text("".join(f"{name}\n" for name in asked))
    return code


def _refuse_names(resolver: socket.socket, asked: list[str]) -> None:
    while True:
        query, sender = resolver.recvfrom(512)
        asked.append(_name(query))
        resolver.sendto(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:], sender)  # no such name


def _name(query: bytes) -> str:
    """Return the name that a query asks for."""
    labels, at = [], 12
    while at < len(query) and query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    return ".".join(labels)


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), sys.argv[2:]))

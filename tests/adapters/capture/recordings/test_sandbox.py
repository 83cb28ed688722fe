"""A recording that the service's sandbox hides is told as hidden, and nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minuted_daemon.adapters.capture.recordings.sandbox import covering, read_mounts, why_hidden
from tests.e2e.quiet_network import why_not_here

ROOT_LINE = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw"
PRIVATE_TMP = (
    "412 27 254:0 /tmp/systemd-private-0f-minuted.service-AbCdEf/tmp /tmp rw,nosuid shared:9 - ext4 /dev/vda rw"
)
PRIVATE_ON_TMPFS = "413 27 0:35 /systemd-private-0f-minuted.service-AbCdEf/tmp /tmp rw - tmpfs tmpfs rw"
NO_HOME = "415 27 0:25 /systemd/inaccessible/dir /home ro,nosuid,noexec master:2 - tmpfs tmpfs rw,mode=755"
EMPTY_HOME = "416 27 0:41 / /home ro,nosuid,noexec - tmpfs tmpfs rw,mode=755"
PUT_OVER = r"417 27 254:0 /srv/b\040c /srv/a rw - ext4 /dev/vda rw"
OWN_DISK = "418 27 254:16 / /home rw - ext4 /dev/vdb rw"
SUBVOLUME = "419 27 0:50 /@home /home rw - btrfs /dev/vda rw,subvol=/@home"
SUBVOLUME_ROOT = "26 1 0:50 /@ / rw - btrfs /dev/vda rw,subvol=/@"
LATER = "420 27 254:32 / /tmp rw - ext4 /dev/vdc rw"


@pytest.mark.parametrize(
    ("path", "lines", "service", "point"),
    [
        ("/tmp/a.wav", [ROOT_LINE, PRIVATE_TMP], False, "/tmp"),
        ("/tmp/a.wav", [ROOT_LINE, PRIVATE_ON_TMPFS], False, "/tmp"),
        ("/home/ada/a.wav", [ROOT_LINE, NO_HOME], False, "/home"),
        ("/home/ada/a.wav", [ROOT_LINE, EMPTY_HOME], True, "/home"),
        ("/srv/a/a.wav", [ROOT_LINE, PUT_OVER], False, "/srv/a"),
        ("/srv/ab/a.wav", [ROOT_LINE, PUT_OVER], True, None),
        ("/home/ada/a.wav", [ROOT_LINE, EMPTY_HOME], False, None),
        ("/home/ada/a.wav", [ROOT_LINE, OWN_DISK], True, None),
        ("/home/ada/a.wav", [SUBVOLUME_ROOT, SUBVOLUME], True, None),
        ("/home/ada/a.wav", [ROOT_LINE, PRIVATE_TMP], True, None),
        ("/tmp/a.wav", [ROOT_LINE, PRIVATE_TMP, LATER], True, None),
        ("/srv/a.wav", [ROOT_LINE], True, None),
    ],
)
def test_what_covers_a_path(path: str, lines: list[str], service: bool, point: str | None) -> None:
    mount = covering(path, read_mounts("\n".join(lines)), is_service=service)
    assert (mount and mount.point) == point


def test_nothing_is_hidden_here(tmp_path: Path) -> None:
    assert why_hidden(str(tmp_path / "absent.wav")) is None


OPENING = """
import asyncio, sys
from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.errors import Invalid
async def opened(path):
    return await MachineCapture().open(f"file:{path}")
for path in sys.argv[1:]:
    try:
        asyncio.run(opened(path))
    except Invalid as error:
        print(error.reason, error)
"""


def test_a_hidden_recording_is_told_as_hidden(tmp_path: Path) -> None:
    if reason := why_not_here():
        pytest.skip(reason)
    for name in ("home/ada", "tmp", "own", "closed"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    recordings = [tmp_path / "home/ada/meeting.wav", tmp_path / "tmp/meeting.wav"]
    for recording in recordings:
        recording.touch()
    for parent in (*tmp_path.parents[: len(tmp_path.parents) - 2], tmp_path):
        parent.chmod(parent.stat().st_mode | 0o011)
    script = (
        f"mount --bind {tmp_path}/closed {tmp_path}/home; mount --bind {tmp_path}/own {tmp_path}/tmp;"
        ' exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
    )
    command = ["unshare", "-m", "--propagation", "private", "bash", "-ec", script, "-"]
    done = subprocess.run(
        [*command, sys.executable, "-c", OPENING, *map(str, recordings)],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    home, temporary = done.stdout.splitlines()
    assert home.startswith("FILE_UNREADABLE")
    assert f"kept out of {tmp_path}/home" in home
    assert temporary.startswith("FILE_NOT_FOUND")
    assert f"has a {tmp_path}/tmp of its own" in temporary
    assert all("/var/lib/minuted" in line for line in (home, temporary))

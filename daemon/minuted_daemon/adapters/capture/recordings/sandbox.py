"""What a service manager's sandbox does to paths: a recording that is there for everybody may not be for the daemon.

systemd's ProtectHome= puts an empty directory without permissions over /home, /root and /run/user; PrivateTmp= puts a
directory of the service's own over /tmp and /var/tmp. From inside, both look like a wrong path or wrong permissions,
which is what a person would then try to mend. proc_pid_mountinfo(5), systemd.exec(5).
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_COVERED = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - where they are looked for, not written
_ELSEWHERE = "put the recording under /var/lib/minuted or /srv, where the daemon's user may read it"


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo: the directory `root` of a file system, seen at `point`."""

    device: str
    root: str
    point: str
    kind: str


def why_hidden(path: str, *, denied: bool = False, environ: Mapping[str, str] = os.environ) -> str | None:
    """Say why a path that cannot be reached may be there all the same, and where to put it; None if nothing hides it.

    `denied`: it could not be opened for lack of permission, and not because it is not there. Reads the mounts of this
    process, and looks at the directory that hides it.
    """
    try:
        mounts = read_mounts(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
        mount = covering(os.path.realpath(path), mounts, is_service="INVOCATION_ID" in environ)
        closed = mount is not None and not Path(mount.point).stat().st_mode & 0o777
    except (OSError, ValueError):
        return None
    if mount is None:
        return None
    if closed:
        return f"is out of reach: the service is kept out of {mount.point} (ProtectHome in its unit); {_ELSEWHERE}"
    if denied:
        return None
    return f"is out of reach: the service has a {mount.point} of its own (PrivateTmp in its unit); {_ELSEWHERE}"


def covering(path: str, mounts: Sequence[Mount], *, is_service: bool) -> Mount | None:
    """Return the mount that puts another directory where others see `path`; None if there is none.

    It is one of systemd's; or, in a service, an empty file system over one of the directories systemd hides; or a
    directory of a file system that can be seen as a whole elsewhere, which is how one directory is put over another.
    """
    over = [mount for mount in mounts if _is_below(path, mount.point)]
    if not over:
        return None
    longest = max(len(mount.point) for mount in over)
    mount = [mount for mount in over if len(mount.point) == longest][-1]  # a later one covers those before it
    by_systemd = "/systemd-private-" in mount.root or "/systemd/inaccessible/" in mount.root
    empty = is_service and mount.kind == "tmpfs" and mount.point in _COVERED
    put_over = mount.root != "/" and any(
        other.device == mount.device and other.point != mount.point and _is_below(mount.root, other.root)
        for other in mounts
    )
    return mount if by_systemd or empty or put_over else None


def read_mounts(text: str) -> list[Mount]:
    """Read mountinfo. Raises ValueError on what it cannot be."""
    mounts = []
    for line in text.splitlines():
        front, _, back = line.partition(" - ")
        device, root, point = front.split(" ")[2:5]
        mounts.append(Mount(device, _unescaped(root), _unescaped(point), back.partition(" ")[0]))
    return mounts


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")

"""Where the vendors' keys come from. A key is never repeated in a message, and a file others can read is refused."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from minuted_daemon.config.text_file import MARK, wide_encoding

_MOST_BYTES = 4096


def read_key(
    name: str, variable: str, directories: Sequence[Path], environ: Mapping[str, str], problems: list[str]
) -> str | None:
    """Return the key from a systemd credential, else a file of that name, else a variable; None where there is none.

    White space around it is cut off, a byte order mark too, and an empty key is none. What is wrong goes to `problems`.
    """
    if credentials := environ.get("CREDENTIALS_DIRECTORY"):
        key = _from_file(Path(credentials) / name, problems, private=True)
        if key:
            return key
    for directory in directories:
        key = _from_file(directory / name, problems, private=False)
        if key:
            return key
    return _checked(environ.get(variable, ""), variable, problems)


def _from_file(file: Path, problems: list[str], *, private: bool) -> str | None:
    """Read a key file. `private` files are guarded by the service manager, whatever their mode says."""
    try:
        # O_NONBLOCK: a named pipe must not hold up the start.
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read(_MOST_BYTES + 1) or b""
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        # An unreadable directory is not meant for the daemon; an unreadable key file is a mistake.
        if file.parent.exists() and _is_listed(file):
            problems.append(f"{file}: cannot be read; give it to the user of minuted (chown) with mode 0600")
        return None
    except OSError as error:
        problems.append(f"{file}: cannot be read ({error.strerror}); it must be a file that holds the key")
        return None
    if mode & 0o077 and not private:
        problems.append(f"{file}: can be read by others (mode {mode:04o}); run: chmod 600 {file}")
        return None
    if (encoding := wide_encoding(content)) is not None:
        problems.append(f"{file}: is {encoding}, or no text at all; save it as plain text (UTF-8), the key alone")
        return None
    return _checked(content.decode(errors="replace"), str(file), problems)


def _is_listed(file: Path) -> bool:
    try:
        file.stat()
    except OSError:
        return False
    return True


def _checked(content: str, origin: str, problems: list[str]) -> str | None:
    key = content.strip().removeprefix(MARK).strip()
    if not key:
        return None
    if len(key) > _MOST_BYTES or not key.isascii() or not key.isprintable() or " " in key:
        problems.append(f"{origin}: does not hold a key; it must be one word of ASCII characters and nothing else")
        return None
    return key

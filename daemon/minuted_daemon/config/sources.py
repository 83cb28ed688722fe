"""Where configured values come from: a TOML file and environment variables, side by side, still unchecked.

What the keys mean is config.py's business; here is only how they are found and what they are called in a message.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minuted_daemon.config.text_file import MARK, wide_encoding

DEFAULT_FILE = Path("/etc/minuted/minuted.toml")
PREFIX = "MINUTED_"


@dataclass(frozen=True, slots=True)
class Entry:
    """One value as found. `origin` names it for a person; `variable` is its environment variable, if it came so."""

    value: object
    origin: str
    variable: str | None = None


@dataclass(slots=True)
class Source:
    """All values found. `sections` maps (section,) or ("sessions", name) to its keys."""

    file: Path | None
    sections: dict[tuple[str, ...], dict[str, Entry]]
    problems: list[str]


def read_source(file: Path | None, environ: Mapping[str, str]) -> Source:
    """Read the file (else the default one, if there is one) and the variables, which win. Faults become problems."""
    source = Source(file, {}, [])
    _read_file(source)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and "__" in variable.removeprefix(PREFIX):
            _take_variable(source, variable, environ[variable])
    return source


def _read_file(source: Source) -> None:
    file = source.file or DEFAULT_FILE
    try:
        raw = file.read_bytes()
        if (encoding := wide_encoding(raw)) is not None:
            source.problems.append(f"{file}: is {encoding}, or no text at all; save it as UTF-8 text")
            return
        content = raw.removeprefix(MARK.encode()).decode()
        tables = tomllib.loads(content)
    except FileNotFoundError:
        if source.file:
            source.problems.append(f"{file}: there is no such file; name another one with --config")
        return
    except OSError as error:
        source.problems.append(f"{file}: cannot be read ({error.strerror}); let the user of minuted read it")
        return
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - (error.object.rfind(b"\n", 0, error.start) + 1) + 1
        source.problems.append(f"{file}:{line}:{column}: is not UTF-8; save it as UTF-8 text")
        return
    except tomllib.TOMLDecodeError as error:
        source.problems.append(_syntax_problem(file, content, str(error)))
        return
    except ValueError:
        source.problems.append(f"{file}: holds a number of thousands of digits, which nothing here takes; correct it")
        return
    finally:
        source.file = file if source.file or file.exists() else None
    for section, table in tables.items():
        _take_table(source, file, (section,), table)


def _syntax_problem(file: Path, content: str, message: str) -> str:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if match is None:
        return f"{file}: is not TOML: {message}"
    what, line, column = match.groups()
    if line is None:  # at the end of the document
        lines = content.splitlines() or [""]
        line, column = str(len(lines)), str(len(lines[-1]) + 1)
    return f"{file}:{line}:{column}: is not TOML: {what}"


def _take_table(source: Source, file: Path, section: tuple[str, ...], table: object) -> None:
    if not isinstance(table, dict):
        what = "must be a section" if section[0] == "sessions" else "stands in no section; put it below one"
        source.problems.append(f"{'.'.join(section)} (in {file}): {what}, such as [daemon] or [sessions.boardroom]")
        return
    if section == ("sessions",):
        for name, settings in table.items():
            _take_table(source, file, ("sessions", name), settings)
        return
    keys = source.sections.setdefault(section, {})
    for key, value in table.items():
        keys[key] = Entry(value, f"{'.'.join((*section, key))} (in {file})")


def _take_variable(source: Source, variable: str, value: str) -> None:
    section, _, rest = variable.removeprefix(PREFIX).partition("__")
    path: tuple[str, ...] = (section.lower(),)
    key = rest
    if section == "SESSIONS":
        # A session's name has dashes where a variable has underscores; no name has underscores of its own.
        name, _, key = rest.rpartition("__")
        path = ("sessions", name.lower().replace("_", "-"))
    if variable != variable.upper() or not rest or not key or not all(path):
        known = "MINUTED_SECTION__KEY or MINUTED_SESSIONS__NAME__KEY, in capitals"
        source.problems.append(f"{variable} (in the environment): is no setting; settings are {known}")
        return
    source.sections.setdefault(path, {})[key.lower()] = Entry(value, f"{variable} (in the environment)", variable)

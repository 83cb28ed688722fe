"""What a configured value may be: one `Setting` for each sort of value, from TOML or from an environment variable.

A setting raises ValueError with what the value must be; it never repeats a value that could be a secret.
"""

import math
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from minuted_daemon.addresses import is_loopback
from minuted_daemon.config.proxies import NO_PROXY_AT_ALL, parse_proxy
from minuted_daemon.core.session_rules import FILE, file_path, is_file, is_language, is_name

DELAYS = ("minimal", "low", "medium", "high", "xhigh")
NOISE_REDUCTIONS = ("near_field", "far_field")

_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NAME_BYTES, _PATH_BYTES = 255, 4_095  # what the system takes
_MOST_BITS = 1_000  # of a whole number that is written out; Python writes out no number of thousands of digits


@dataclass(frozen=True, slots=True)
class Setting:
    """How one key's value is read. `from_text` turns an environment variable into what TOML would have given.

    `check` returns the value for the field, or raises ValueError.
    """

    check: Callable[[object], object]
    from_text: Callable[[str], object] = str


def shown(value: object) -> str:
    """Return a value for an error message; what is long, and could be a secret, only by its size."""
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 24 and value.isprintable() else f"a text of {len(value)} characters"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return "one of hundreds of digits"
    if isinstance(value, int | float):
        return str(value)[:40]
    if isinstance(value, list):
        return "a list"
    return "a section" if isinstance(value, dict) else "a date or time"


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return a remark that names the nearest known word, or all of them where none is near."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def number(low: float, high: float, unit: str) -> Setting:
    """A number in [low, high]."""

    def check(value: object) -> float:
        # A whole number may be too great to be made a float, but not to be compared with one.
        odd = isinstance(value, float) and not math.isfinite(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or odd:
            raise ValueError(f"must be a number of {unit} from {low:g} to {high:g}, not {shown(value)}")
        if not low <= value <= high:
            raise ValueError(f"must be from {low:g} to {high:g} {unit}, not {shown(value)}")
        return float(value)

    return Setting(check, _number_from_text)


def whole(low: int, high: int) -> Setting:
    """A whole number in [low, high]."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value % 1:
            raise ValueError(f"must be a whole number from {low} to {high}, not {shown(value)}")
        return int(value)

    return Setting(check, _number_from_text)


def automatic_or(setting: Setting) -> Setting:
    """The word `auto`, which means None, or what the other setting takes."""

    def check(value: object) -> object:
        if value == "auto":
            return None
        try:
            return setting.check(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "auto"') from None

    return Setting(check, setting.from_text)


def flag() -> Setting:
    """True or false."""

    def check(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {shown(value)}")
        return value

    return Setting(check, lambda text: _FLAGS.get(text.strip().lower(), text))


def text(check_text: Callable[[str], object]) -> Setting:
    """One text, checked further by `check_text`."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(f"must be a text in quotes, not {shown(value)}")
        return check_text(value)

    return Setting(check)


def texts(check_text: Callable[[str], object], *, least: int = 0) -> Setting:
    """A list of different texts; as a variable, a TOML array or texts with commas between them."""

    def check(value: object) -> tuple[object, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError('must be a list of texts, such as ["one", "two"]')
        if len(value) < least:
            raise ValueError(f"must list at least {least}")
        wrong: list[str] = []
        taken: list[object] = []
        for item in value:
            try:
                taken.append(check_text(item))
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValueError("; ".join(wrong))
        if len(set(taken)) != len(taken):
            raise ValueError("must not list the same thing twice")
        return tuple(taken)

    return Setting(check, _list_from_text)


def whole_numbers(low: int, high: int) -> Setting:
    """A list of different whole numbers in [low, high]; as a variable, a TOML array or numbers with commas between."""

    def check(value: object) -> tuple[int, ...]:
        if not isinstance(value, list) or not all(type(item) is int and low <= item <= high for item in value):
            raise ValueError(f"must be a list of whole numbers from {low} to {high}, such as [1, 2]")
        if len(set(value)) != len(value):
            raise ValueError("must not list the same thing twice")
        return tuple(value)

    def from_text(value: str) -> object:
        items = _list_from_text(value)
        if not isinstance(items, list):
            return items
        texts = [str(item) for item in items]
        return [int(item) if item.isascii() and item.isdecimal() else item for item in texts]

    return Setting(check, from_text)


def _number_from_text(value: str) -> object:
    try:
        return float(value)
    except ValueError:
        return value


def _list_from_text(value: str) -> object:
    if value.lstrip().startswith("["):
        try:
            return tomllib.loads(f"value = {value}")["value"]
        except ValueError:
            return value
    return [item.strip() for item in value.split(",")] if value.strip() else []


def one_of(*known: str) -> Callable[[str], str]:
    """Make a check that takes only these words."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be {', '.join(known[:-1])} or {known[-1]}, not {shown(value)}")
        return value

    return check


def any_word(value: str) -> str:
    """Take a non-empty word that any release of the vendor may know."""
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", value):
        raise ValueError("must be a name of letters, digits, dots, colons and dashes")
    return value


def model(value: str) -> str:
    """Take a model's name, of any release of any maker of the protocol: `OWNER/NAME` too."""
    if not re.fullmatch(r"[A-Za-z0-9._:@+/-]{1,200}", value):
        raise ValueError("must be a model's name of letters, digits, dots, colons, slashes and dashes")
    return value


def noise_reduction(value: str) -> str:
    """Take the place of the microphone; empty leaves noise reduction off."""
    return one_of(*NOISE_REDUCTIONS)(value) if value else ""


def prompt(value: str) -> str:
    """Take an instruction to the model; how much of it a model takes is the adapter's business."""
    if any(not c.isprintable() and c not in "\n\t" for c in value):
        raise ValueError("must not hold control characters")
    return value.strip()


def delay(value: str) -> str | None:
    """Take a delay level; empty leaves it to the vendor."""
    return one_of(*DELAYS)(value) if value else None


def language(value: str) -> str:
    """Take a BCP 47 code."""
    if not is_language(value):
        raise ValueError(f'{shown(value)} is not a language code such as "en" or "pt-BR"')
    return value


def keyword(value: str) -> str:
    """Take a word to expect. The vendor refuses a whole configuration for one of these characters."""
    if not value.strip() or not value.isprintable() or "<" in value or ">" in value:
        raise ValueError("a keyword must not be empty nor hold <, >, line breaks or control characters")
    return value.strip()


def path(value: str) -> Path:
    """Take a path; a relative one counts from the working directory."""
    if not value or "\0" in value or value.startswith("~"):
        raise ValueError("must be a path such as /var/lib/minuted")
    taken = Path(value).absolute()
    if len(bytes(taken)) > _PATH_BYTES or any(len(os.fsencode(name)) > _NAME_BYTES for name in taken.parts):
        raise ValueError(f"must be a path of at most {_PATH_BYTES} bytes, and each name in it of {_NAME_BYTES}")
    return taken


def device(value: str) -> str:
    """Take a device's stable name, `default`, or `file:PATH`; a relative path counts from the working directory."""
    if not value or not is_name(value):
        raise ValueError("must be a device name, default, or file:PATH, without control characters")
    if value.startswith(("/", "./", "../", "~/")):
        raise ValueError("is a path; a recording is named by file: and its path, as file:/srv/meeting.wav")
    if not is_file(value):
        return value
    if value == FILE:
        raise ValueError(f"must name a file after {FILE}")
    return f"{FILE}{path(file_path(value))}"


def base_url(value: str) -> str:
    """Take an https:// address, or http:// on this machine; return it without a slash at its end."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be an address such as https://api.example.com") from None
    if parts.scheme not in ("https", "http") or not host or any(c.isspace() for c in value):
        raise ValueError("must be an address such as https://api.example.com")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user, password, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must begin with https:// (http:// is taken only for this machine itself)")
    return value.rstrip("/")


def base_url_with_query(value: str) -> str:
    """Take an address as `base_url` does, and a query (`?api-version=2025-04-01-preview`), but no key in it."""
    plain, mark, query = value.partition("?")
    address = base_url(plain)
    if not mark:
        return address
    if any(c.isspace() for c in query) or "#" in query:
        raise ValueError("must hold no fragment, and no white space in its query")
    if any(re.search("key|token|secret", name, re.IGNORECASE) for name, _ in parse_qsl(query, keep_blank_values=True)):
        raise ValueError("must hold no key in its query; keys come from a credential, a file or a variable")
    return f"{address}?{query}"


def optional_path(value: str) -> Path | None:
    """Take a path; empty means none."""
    return path(value) if value else None


def proxy(value: str) -> str:
    """Take a proxy's address, `none`, or nothing. It may hold a password, so that it is never repeated."""
    value = value.strip()
    if value and value != NO_PROXY_AT_ALL:
        parse_proxy(value, "network.proxy")
    return value


def storage_url(value: str) -> str:
    """Take an SQLite file's URL; empty means minuted.db in state_dir."""
    if value and (not value.startswith("sqlite:///") or len(value) == len("sqlite:///") or "?" in value):
        raise ValueError("must be sqlite:/// and a path (sqlite:////var/lib/minuted/minuted.db); only SQLite is there")
    if value == "sqlite:///:memory:":
        raise ValueError("must name a file: minutes kept in memory would be lost")
    if value:
        path(value.removeprefix("sqlite:///"))
    return value

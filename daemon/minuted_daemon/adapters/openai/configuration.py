"""How a session comes to its settings: what is asked for, and what is asked for next where the vendor refuses a part.

Pure. A refusal costs the part it names and nothing else: one keyword, one language, the end of a list that is too long;
where it names nothing, one option after the other. Transcription never ends because of a hint.
"""

import re

from minuted_daemon.adapters.openai import faults
from minuted_daemon.adapters.openai.codec import Refused
from minuted_daemon.adapters.openai.dialects import Dialect, session_update
from minuted_daemon.adapters.openai.item_matching import reason
from minuted_daemon.adapters.openai.settings import MODELS, Hints, fitted, shortened
from minuted_daemon.errors import Rejected, VendorError

_EACH = 8
"""So many entries of a list are left out one by one; then the list goes as a whole."""
_ORDER = ("keywords", "prompt", "noise_reduction", "delay", "languages", "language")
"""What is left out first where a refusal does not say what it is about: what matters least."""
_TOO_LONG = re.compile(r"above_max|too_long|too_many|max_length|maximum|at most|too many|too long", re.IGNORECASE)


class Configuration:
    """One session's settings while they are agreed on."""

    def __init__(self, model: str, hints: Hints, dialect: Dialect) -> None:
        self._model = model
        self._dialect = dialect
        fit = fitted(model, hints, dialect.takes(model))
        self._fields = dict(fit.fields)
        self._remarks = list(fit.remarks.values())
        self._each = 0
        self.dropped: list[str] = []
        """The names of what the vendor refused so far, in order."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out, a sentence each."""
        return tuple(dict.fromkeys(self._remarks))

    def message(self, event_id: str) -> str:
        """Return what asks for the settings."""
        return session_update(self._dialect, self._model, self._fields, event_id)

    def give_up_hints(self) -> None:
        """Ask for nothing optional any more: there is no time to find out what is taken."""
        for name in list(self._fields):
            self._drop(name)

    def refused(self, error: Refused, event_id: str) -> VendorError | None:
        """Take a refusal: return None where `message` now asks for less, else the error that ends the connection."""
        named = next((name for name in _ORDER if name in self._fields and _names(error, name)), None)
        if named is None and not faults.names_setting(error, event_id):
            return faults.unconfigured(error)
        if named is not None:
            self._lessen(named, error)
            return None
        unnamed = not error.param or error.param.endswith(("transcription", "session", "audio.input"))
        if unnamed and (first := next((name for name in _ORDER if name in self._fields), None)) is not None:
            self._drop(first)
            return None
        message = "OpenAI refuses the session's settings; check openai.model and its options."
        return Rejected("CONFIG_REJECTED", message, code=reason(error))

    def _lessen(self, name: str, error: Refused) -> None:
        """Leave out of one option what an error is about."""
        value = self._fields[name]
        if isinstance(value, list):
            at = _entry(name, value, error)
            if at is not None and len(value) > 1 and self._each < _EACH:
                self._each += 1
                self._refuse(name, f"OpenAI refused one of the {name}.")
                self._fields[name] = value[:at] + value[at + 1 :]
                return
            if _TOO_LONG.search(f"{error.code} {error.message}") and len(value) > 1:
                kept = value[: _limit(error, len(value))]
                self._refuse(name, f"OpenAI takes fewer {name}: it was given {len(kept)} of {len(value)}.")
                self._fields[name] = kept
                return
            if name == "languages" and len(value) == 1:
                self._drop(name)
                if not any(self._model.startswith(family) for family in MODELS):
                    self._fields["language"] = value[0]  # a deployment of any name may be a model that takes one
                return
        if (
            name == "prompt"
            and isinstance(value, str)
            and len(value) > 64
            and _TOO_LONG.search(f"{error.code} {error.message}")
        ):
            self._fields[name] = shortened(value, _limit(error, len(value)))
            self._refuse(name, "OpenAI takes a shorter prompt: only its beginning was given.")
            return
        self._drop(name)

    def _drop(self, name: str) -> None:
        del self._fields[name]
        self._refuse(name, f"OpenAI refused {name}.")

    def _refuse(self, name: str, remark: str) -> None:
        self.dropped.append(name)
        self._remarks.append(remark)


def _names(error: Refused, name: str) -> bool:
    word = name.removesuffix("s")  # "Unsupported language 'xx'" is about languages
    return re.search(rf"\b{word}s?\b", error.param or error.message) is not None


def _entry(name: str, value: list[object], error: Refused) -> int | None:
    """Return which entry of a list an error is about: by its number, or because the message quotes it."""
    if match := re.search(rf"\b{name}(?:\[(\d+)\]|\.(\d+))", f"{error.param} {error.message}"):
        at = int(match.group(1) or match.group(2))
        return at if at < len(value) else None
    quoted = re.findall(r"['\"“‘`]([^'\"”’`]+)['\"”’`]", error.message)
    return next((at for at, entry in enumerate(value) if entry in quoted), None)


def _limit(error: Refused, length: int) -> int:
    """Return how long a value may be: what the message says, if it says less than there is; else half."""
    numbers = [int(digits) for digits in re.findall(r"\b\d{1,6}\b", error.message)]
    said = [number for number in numbers if 0 < number < length]
    return max(said) if said else max(1, length // 2)

"""What a transcription session is configured with: which model takes which hint, and what is left out where it is not.

Pure. Hints are hints: each is fitted to the model before it is sent, shortened or left out alone, and what was left out
is said. The vendor's defaults are never used: they include turn detection on the server, which would cut by itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minuted_daemon.adapters.openai.languages import vendor_language

Fields = Mapping[str, object]
"""The optional fields of a session, by the vendor's names: those of `transcription`, and `noise_reduction`."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What the vendor is told beforehand, as configured; empty says nothing. Languages are BCP 47 codes."""

    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    delay: str | None = None
    noise_reduction: str = ""
    prompt: str = ""


MANY = 1000


@dataclass(frozen=True, slots=True)
class Takes:
    """What a family of models takes. `languages`: how many it may be told, in a list where it may be more than one."""

    languages: int
    keywords: bool = False
    delay: bool = False
    prompt: bool = True


MODELS: Mapping[str, Takes] = {
    "gpt-live-transcribe": Takes(languages=MANY, keywords=True, delay=True),
    "gpt-transcribe": Takes(languages=MANY, keywords=True),
    "gpt-realtime-whisper": Takes(languages=1, delay=True, prompt=False),
    "gpt-4o-transcribe-diarize": Takes(languages=1, prompt=False),
    "gpt-4o": Takes(languages=1),
    "whisper": Takes(languages=1),
}
"""By the beginning of a model's name, the longest first. Source: the vendor's guide, and its types."""

_UNHEARD_OF = MODELS["gpt-live-transcribe"]  # a later model; what it refuses is left out
_LOCAL = Takes(languages=1)  # OWNER/NAME: a model of another maker's server, which takes what whisper takes
PROMPT_CHARS = 1024
"""The vendor's limit, in code points."""
_KEYWORDS, _KEYWORD_CHARS, _KEYWORDS_CHARS = 500, 200, 16_000
"""No limit is documented: only what no list of names reaches is cut off, and what the vendor refuses is shortened."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What to send, and what was left out of it: a sentence for each option of the configuration."""

    fields: Fields
    remarks: Mapping[str, str]


def taken_by(model: str) -> Takes:
    """Return what a model takes, by its name."""
    if "/" in model:
        return _LOCAL
    return next((takes for family, takes in MODELS.items() if model.startswith(family)), _UNHEARD_OF)


def fitted(model: str, hints: Hints, takes: Takes | None = None) -> Fitted:
    """Return the hints as a model takes them. `takes`: what a server takes that is not asked by the model's name."""
    takes = taken_by(model) if takes is None else takes
    fields: dict[str, object] = {}
    remarks: dict[str, str] = {}
    _fit_languages(model, hints.languages, takes, fields, remarks)
    keywords = _cleaned(hints.keywords)
    if keywords and not takes.keywords:
        remarks["keywords"] = f"{model} takes no keywords."
    elif keywords:
        fields["keywords"] = _within(keywords)
        if (left := len(keywords) - len(_within(keywords))) > 0:
            remarks["keywords"] = f"{left} of {len(keywords)} keywords are too long or too many, and are left out."
    if hints.delay and takes.delay:
        fields["delay"] = hints.delay
    elif hints.delay:
        remarks["delay"] = f"{model} takes no delay."
    prompt = " ".join(hints.prompt.split())
    if prompt and takes.prompt:
        fields["prompt"] = shortened(prompt, PROMPT_CHARS)
        if len(prompt) > PROMPT_CHARS:
            remarks["prompt"] = f"Of the prompt only the first {PROMPT_CHARS} characters are taken."
    elif prompt:
        remarks["prompt"] = f"{model} takes no prompt."
    if hints.noise_reduction:
        fields["noise_reduction"] = hints.noise_reduction
    return Fitted(fields, remarks)


def _fit_languages(
    model: str, languages: Sequence[str], takes: Takes, fields: dict[str, object], remarks: dict[str, str]
) -> None:
    codes = {code: vendor_language(code, regions=takes.languages > 1) for code in languages}
    known = list(dict.fromkeys(code for code in codes.values() if code is not None))
    left_out = []
    if foreign := [code for code, taken in codes.items() if taken is None]:
        left_out.append(
            f"{', '.join(foreign)} {'are no languages' if len(foreign) > 1 else 'is no language'} it knows."
        )
    if takes.languages > 1 and known:
        fields["languages"] = known
    elif takes.languages == 1 and len(known) == 1:
        fields["language"] = known[0]
    elif known and not takes.languages:
        left_out.append(f"{model} takes no language.")
    elif known:
        left_out.append(f"{model} takes one language, so that none of {', '.join(known)} is named.")
    if left_out:
        remarks["languages"] = " ".join(left_out)


def _cleaned(keywords: Sequence[str]) -> list[str]:
    """Return keywords without what the vendor refuses: angle brackets, line ends, and the same one twice."""
    clean = (" ".join(re.sub(r"[<>\x00-\x1f\x7f]", " ", keyword).split()) for keyword in keywords)
    return list(dict.fromkeys(keyword for keyword in clean if keyword))


def _within(keywords: Sequence[str]) -> list[str]:
    kept: list[str] = []
    chars = 0
    for keyword in keywords:
        chars += len(keyword)
        if len(keyword) <= _KEYWORD_CHARS and chars <= _KEYWORDS_CHARS and len(kept) < _KEYWORDS:
            kept.append(keyword)
    return kept


def shortened(text: str, chars: int) -> str:
    """Return the beginning of a text, at most `chars` long, cut between words where it has any."""
    if len(text) <= chars:
        return text
    return text[: chars + 1].rpartition(" ")[0] or text[:chars]

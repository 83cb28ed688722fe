"""What OpenAI's refusals, errors and closes mean, as errors of errors.py. Pure; third-party types stay out.

No message of the vendor's goes into an error: they quote part of the key, and may quote what was said.
"""

import json
from collections.abc import Mapping

from minuted_daemon.adapters.network.errors import LOST, Closing, common_closure, common_refusal, gateway_refusal
from minuted_daemon.adapters.openai.codec import Refused
from minuted_daemon.errors import Rejected, Unavailable, VendorError

_LONGEST_SESSION_S = 3660.0
_USUAL_SESSION_S = 3300.0  # the vendor's limit is 60 min

_KEY = "OpenAI refuses the key; check the credential openai_api_key."
_QUOTA = "The OpenAI account has used up its quota or has no billing."
_ACCESS = "OpenAI denies this account, project or country access."
_CONFIG = "OpenAI refuses the session's settings; check openai.model and its options."

_FATAL: dict[str, tuple[type[Rejected] | type[Unavailable], str, str]] = {
    "invalid_api_key": (Rejected, "KEY_REJECTED", _KEY),
    "insufficient_quota": (Rejected, "QUOTA_EXHAUSTED", _QUOTA),
    "billing_hard_limit_reached": (Rejected, "QUOTA_EXHAUSTED", _QUOTA),
    "unsupported_country_region_territory": (Rejected, "ACCESS_DENIED", _ACCESS),
    "missing_model": (Rejected, "CONFIG_REJECTED", _CONFIG),
    "invalid_model": (Rejected, "CONFIG_REJECTED", _CONFIG),
    "model_not_found": (Rejected, "CONFIG_REJECTED", _CONFIG),
    "beta_api_shape_disabled": (Rejected, "CONFIG_REJECTED", _CONFIG),
    "session_expired": (Unavailable, "SESSION_EXPIRED", "The session with OpenAI has reached its age limit."),
    "rate_limit_exceeded": (Unavailable, "RATE_LIMITED", "OpenAI has had too much in too short a time."),
}
_VENDORS_OWN = frozenset({"server_error", "rate_limit_error", "rate_limit_exceeded", "internal_error", "api_error"})
_SETTINGS = frozenset(
    {"model", "transcription", "language", "languages", "keywords", "delay", "prompt", "noise_reduction"}
    | {"turn_detection", "format", "rate"}
)
_ABOUT_VALUES = frozenset(
    {"invalid_value", "invalid_type", "invalid_parameter", "unknown_parameter", "unsupported_parameter"}
    | {"unsupported_value", "missing_required_parameter", "string_above_max_length", "array_above_max_length"}
)
"""Codes of errors that say what is wrong with a message of ours; before any audio that is the configuration."""
_PER_ITEM = frozenset({"rate_limit_exceeded"})
_FATAL_KINDS = {"authentication_error": "invalid_api_key", "insufficient_quota": "insufficient_quota"}


def fatal(error: Refused) -> VendorError | None:
    """Return the error that ends the connection, None where it goes on.

    A rate limit that names an item or one of our messages costs only that one.
    """
    code = error.code if error.code in _FATAL else _FATAL_KINDS.get(error.kind, "")
    if code not in _FATAL or (code in _PER_ITEM and (error.item or error.event_id)):
        return None
    kind, reason, message = _FATAL[code]
    return kind(reason, message, code=code)


def names_setting(error: Refused, event_id: str) -> bool:
    """Return whether an error that comes while a session is configured is about its settings, sent under `event_id`.

    Anything else has nothing to do with them: the vendor failed, or speaks of something else.
    """
    if error.item is not None or error.event_id not in (None, event_id):
        return False
    if error.kind in _VENDORS_OWN or error.code in _VENDORS_OWN:
        return False
    about = error.param.startswith("session") or error.param.rpartition(".")[2] in _SETTINGS
    return about or error.event_id == event_id or (not error.param and error.code in _ABOUT_VALUES)


def unconfigured(error: Refused) -> VendorError:
    """Return the error for a session that could not be configured, though nothing is wrong with its settings."""
    return Unavailable("CONFIG_FAILED", "OpenAI failed while a session was configured.", code=error.code[:64])


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error for a refused upgrade. Header names are lower case."""
    code = str(status)
    if foreign := gateway_refusal("OpenAI", status, headers, body):
        return foreign
    if status == 401:
        return Rejected("KEY_REJECTED", _KEY, status=code)
    if status == 402:
        return Rejected("QUOTA_EXHAUSTED", _QUOTA, status=code)
    if status == 403:
        return Rejected("ACCESS_DENIED", _ACCESS, status=code)
    if status == 429 and _error_code(body) in ("insufficient_quota", "billing_hard_limit_reached"):
        return Rejected("QUOTA_EXHAUSTED", _QUOTA, status=code)
    return common_refusal("OpenAI", status, headers) or Rejected(
        "CONFIG_REJECTED", f"OpenAI refuses the connection (HTTP {status}).", status=code
    )


def closure(how: Closing) -> VendorError:
    """Return the error for a connection that closed."""
    if fault := common_closure("OpenAI", how):
        return fault
    code, text = how.code, how.text
    if code >= 3000 and (known := fatal(Refused(code=text.rpartition(".")[2]))):
        return known
    if code == 3000:
        return Rejected("KEY_REJECTED", _KEY, close_code="3000")
    if code in (4000, 4004):
        return Rejected("CONFIG_REJECTED", _CONFIG, close_code=str(code))
    if code == 1001 and any(word in text.lower() for word in ("expired", "maximum", "duration")):
        return Unavailable("SESSION_EXPIRED", "The session with OpenAI has reached its age limit.", close_code="1001")
    lost = "The connection to OpenAI was lost." if code == LOST else "OpenAI closed the connection."
    return Unavailable(f"CLOSED_{code}", lost, close_code=str(code))


def lifetime_s(expires_at: float | None, now_s: float) -> float:
    """Return how long a session just opened will live; what the vendor usually grants where its answer makes no sense.

    Both times in seconds since 1970, `now_s` by the vendor's clock where it showed it.
    """
    left_s = -1.0 if expires_at is None else expires_at - now_s
    return left_s if 0 < left_s <= _LONGEST_SESSION_S else _USUAL_SESSION_S


def _error_code(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return str(error.get("code") or error.get("type"))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return ""

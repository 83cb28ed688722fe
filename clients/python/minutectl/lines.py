"""Messages as lines: JSON for programs, plain text for people and pipes. Pure; nothing here writes or asks."""

import json
import re
import unicodedata
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from minuted import (
    Attribution,
    Device,
    GetInfoResponse,
    Interval,
    IntervalKind,
    Link,
    LinkHealth,
    RedactSessionResponse,
    RetriedLink,
    Session,
    SessionState,
    Speaker,
    StreamLevelsResponse,
    StreamTurnsResponse,
    SuspectReason,
    Turn,
    TurnState,
)

# What JSON allows inside a text, but would end a line for some readers, or drive a terminal.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TENTH = 100_000_000
"""Nanoseconds in a tenth of a second."""
_SUSPECT = {
    SuspectReason.SUSPECT_REASON_NO_SPEECH: "no speech under it",
    SuspectReason.SUSPECT_REASON_BOILERPLATE: "a stock phrase of transcribers",
    SuspectReason.SUSPECT_REASON_REPETITION: "endless repetition",
    SuspectReason.SUSPECT_REASON_TOO_FAST: "faster than anybody speaks",
    SuspectReason.SUSPECT_REASON_CUMULATIVE: "repeats the turn before",
}
_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def as_json(message: Message) -> str:
    """Return a message as one line of proto3 JSON, fields named as in the .proto files."""
    line = json.dumps(MessageToDict(message, preserving_proto_field_name=True), ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def plain(text: str) -> str:
    """Return a text from outside without characters that could drive a terminal or break a line."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(" " if char.isspace() else char for char in text if char.isspace() or _is_harmless(char))


def _is_harmless(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cs") and char not in _DIRECTIONS


def clock(offset: Duration) -> str:
    """Return a place on the sample clock as `12:34.5`, with hours in front from the first one on."""
    return _clock(offset.ToNanoseconds() // _TENTH)


def _clock(tenths: int) -> str:
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}:' if hours else ''}{minutes:02}:{rest // 10:02}.{rest % 10}"


def who(speaker: Speaker) -> str:
    """Return what to call a speaker: the display name, else the label."""
    return plain(speaker.display_name or speaker.label or speaker.id)


def holder(turn: Turn) -> str:
    """Return the name of a turn's speaker, `?` where it is unknown."""
    known = turn.HasField("speaker") and turn.attribution != Attribution.ATTRIBUTION_UNKNOWN
    return who(turn.speaker) if known else "?"


def suspicion(turn: Turn) -> str:
    """Return why a turn's text looks invented as a mark to put after it, empty if it does not."""
    if not turn.HasField("suspect"):
        return ""
    return f"[suspect: {_SUSPECT.get(turn.suspect.reason, 'looks invented')}]"


def turn_line(turn: Turn, *, with_session: bool = False) -> str:
    """Return a turn as `00:12.3  S1  Shall we begin?`, marked if it was changed, taken back or looks invented."""
    mark = ""
    if turn.state == TurnState.TURN_STATE_RETRACTED:
        mark = "  [withdrawn]"
    elif turn.revision:
        mark = "  [corrected]"
    elif turn.state == TurnState.TURN_STATE_PARTIAL:
        mark = " ..."
    if turn.HasField("suspect") and turn.state != TurnState.TURN_STATE_RETRACTED:
        mark += f"  {suspicion(turn)}"
    prefix = f"{plain(turn.session_name)}  " if with_session else ""
    return f"{prefix}{clock(turn.start_offset)}  {holder(turn)}  {plain(turn.text)}{mark}"


def interval_line(interval: Interval, *, with_session: bool = False) -> str:
    """Return a stretch without attributable speech as `00:12.3  --  muted until 00:30.0`."""
    kind = IntervalKind.Name(interval.kind).removeprefix("INTERVAL_KIND_").lower()
    reason = f" ({plain(interval.reason)})" if interval.reason else ""
    prefix = f"{plain(interval.session_name)}  " if with_session else ""
    return f"{prefix}{clock(interval.start_offset)}  --  {kind} until {clock(interval.end_offset)}{reason}"


def redaction_line(left: RedactSessionResponse) -> str:
    """Return what a redaction left as `redacted 12:30.0 to 13:00.0, 3 turns`."""
    turns = f"{left.turns} turn{'' if left.turns == 1 else 's'}"
    return f"redacted {clock(left.start_offset)} to {clock(left.end_offset)}, {turns}"


def event_line(event: StreamTurnsResponse, *, with_session: bool = False) -> str | None:
    """Return a streamed event as a line for a person, None for what concerns only programs."""
    match event.WhichOneof("event"):
        case "turn":
            return turn_line(event.turn, with_session=with_session)
        case "interval":
            return interval_line(event.interval, with_session=with_session)
        case "session":
            return f"--  {session_state(event.session)}"
        case "speaker":
            change = event.speaker
            if not change.speaker.display_name:
                return None
            prefix = f"{plain(change.session_name)}  " if with_session else ""
            return f"{prefix}--  {plain(change.speaker.label)} is {plain(change.speaker.display_name)}"
        case _:
            return None


def state(session: Session) -> str:
    """Return a session's state as a word."""
    return SessionState.Name(session.state).removeprefix("SESSION_STATE_").lower()


def session_state(session: Session) -> str:
    """Return what a session is doing, and what is wrong with it, as one line."""
    line = f"{plain(session.name)}: {state(session)}"
    if session.HasField("failure"):
        return f"{line} ({plain(session.failure.detail or session.failure.reason)})"
    faults = [
        f"{name} {LinkHealth.Name(link.health).removeprefix('LINK_HEALTH_').lower()}"
        + (f": {plain(link.detail or link.reason)}" if link.detail or link.reason else "")
        + times(link)
        for name, link in _links(session)
        if link.reason or link.health in (LinkHealth.LINK_HEALTH_DOWN, LinkHealth.LINK_HEALTH_REFUSED)
    ]
    return f"{line}, degraded ({'; '.join(faults)})" if faults else line


def times(link: Link) -> str:
    """Return since when a link is away, and when a refused one is asked again; empty for one that is not."""
    if not link.HasField("since"):
        return ""
    since = f"since {_time_of_day(link.since)}"
    if link.health != LinkHealth.LINK_HEALTH_REFUSED or not link.HasField("next_attempt"):
        return f" ({since})"
    return f" ({since}; asked again at {_time_of_day(link.next_attempt)}, or now with minutectl retry)"


def _time_of_day(when: Timestamp) -> str:
    """Return a time as this machine's clock shows it, with the day where it is another one."""
    local = when.ToDatetime(UTC).astimezone()
    return local.strftime("%H:%M" if local.date() == datetime.now(UTC).astimezone().date() else "%Y-%m-%d %H:%M")


def retried_line(retried: RetriedLink) -> str:
    """Return the outcome of asking again as `boardroom: transcriber openai accepts again`."""
    session = plain(retried.session_name) or "ended sessions"
    what = f"{session}: {plain(retried.role)} {plain(retried.engine)}"
    link = retried.link
    if link.health == LinkHealth.LINK_HEALTH_UP and not link.reason:
        return f"{what} accepts again"
    if link.health != LinkHealth.LINK_HEALTH_REFUSED:
        state = LinkHealth.Name(link.health).removeprefix("LINK_HEALTH_").lower()
        return f"{what} asked again, now {state}" + (f": {plain(link.detail)}" if link.detail else "")
    verb = "refuses still" if retried.asked else "asked less than 10 s ago, refuses"
    when = f" (asked again at {_time_of_day(link.next_attempt)})" if link.HasField("next_attempt") else ""
    return f"{what} {verb}: {plain(link.detail or link.reason)}{when}"


def remarks(session: Session) -> list[str]:
    """Return a remark for each link of a session that works, or soon will, but not as it was asked to."""
    well = (LinkHealth.LINK_HEALTH_CONNECTING, LinkHealth.LINK_HEALTH_UP)
    return [
        f"{name}: {plain(link.detail or link.reason)}"
        for name, link in _links(session)
        if link.reason and link.health in well
    ]


def _links(session: Session) -> tuple[tuple[str, Link], ...]:
    return (
        ("capture", session.capture_link),
        ("diarizer", session.diarizer_link),
        ("transcriber", session.transcriber_link),
    )


def session_line(session: Session) -> str:
    """Return a session as one line of a list."""
    began = session.start_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%SZ")
    sent = f"{clock(session.diarizer_sent)}+{clock(session.transcriber_sent)}"
    engines = f"{plain(session.diarizer)}+{plain(session.transcriber)}  sent {sent}"
    return (
        f"{session.id}  {began}  {clock(session.duration):>10}  {session_state(session)}  "
        f"{plain(session.device)}  {engines}"
    )


def coverage_lines(session: Session) -> list[str]:
    """Return a session and, below it, its coverage; the lengths shown add up to that of the session."""
    if not session.HasField("coverage"):
        return [session_line(session), "    coverage not known: the daemon could not read its store in time"]
    coverage = session.coverage
    parts = [
        ("text", coverage.text),
        ("silence", coverage.silence),
        ("muted", coverage.muted),
        ("pending", coverage.pending),
    ]
    parts += [(plain(loss.reason), loss.duration) for loss in coverage.lost]
    at = 0
    shown: list[str] = []
    for name, length in parts:
        # Between the rounded places where it would begin and end, were the parts laid end to end.
        begun, at = at, at + length.ToNanoseconds()
        shown.append(f"{name} {_clock(at // _TENTH - begun // _TENTH)}")
    lost = f"lost: {', '.join(shown[4:])}" if coverage.lost else "nothing lost"
    return [session_line(session), f"    {'  '.join(shown[:4])}  {lost}"]


def device_line(device: Device) -> str:
    """Return an input as one line; `*` stands before the default one."""
    mark = "*" if device.is_default else " "
    details = f"{plain(device.host_api)}, {device.channels} channels, {device.rate_hz} Hz"
    return f"{mark} {plain(device.name)}  {plain(device.description)}  ({details})"


def level_line(level: StreamLevelsResponse) -> str:
    """Return a measured level as a bar of 60 dB with its figures."""
    filled = max(0, min(30, round((level.rms_dbfs + 60) / 2)))
    return f"{'#' * filled:<30}  {level.rms_dbfs:6.1f} dBFS  peak {level.peak_dbfs:6.1f} dBFS"


def speaker_line(speaker: Speaker) -> str:
    """Return a speaker as one line."""
    return f"{plain(speaker.label)}  {plain(speaker.display_name) or '-'}  {speaker.id}"


def info_lines(info: GetInfoResponse) -> list[str]:
    """Return version, uptime and engines of the daemon as lines."""
    engines = [
        f"{engine.role} {engine.name}: {'available' if engine.available else f'not available ({engine.reason})'}"
        for engine in info.engines
    ]
    return [
        f"minuted {plain(info.version)}, up {clock(info.uptime)}, since {info.start_time.ToJsonString()}",
        f"store {info.store_id}, highest seq {info.highest_seq}",
        f"{info.live_sessions} live session{'' if info.live_sessions == 1 else 's'}",
        f"auto means diarizer {info.auto_diarizer}, transcriber {info.auto_transcriber}",
        *(plain(line) for line in engines),
    ]

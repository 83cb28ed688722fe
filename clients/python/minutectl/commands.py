"""The subcommands: each sends one request to the daemon and prints its answer."""

import os
import select
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from minutectl import lines, refusals
from minuted import Client, Error, ExportFormat, Interrupted, Session, StreamTurnsResponse
from minuted.v1.turns_pb2 import ExportTranscriptResponse

M = TypeVar("M", bound=Message)


def start(room: Client, args: Namespace) -> None:
    """Start a session; a file's path becomes absolute, because the daemon has another working directory."""
    device = args.device
    if device.startswith("file:") and device != "file:":
        path = Path(device.removeprefix("file:"))
        device = f"file:{(path.expanduser() if path.parts[0] == '~' else path).absolute()}"
    session = room.start(
        args.name,
        device=device,
        diarizer=args.diarizer,
        transcriber=args.transcriber,
        fallback=args.fallback,
        keep_audio=args.keep_audio,
        channels=args.channels,
        mix=args.mix,
    )
    for remark in lines.remarks(session):
        _notice(remark)
    _session(args, session)


def stop(room: Client, args: Namespace) -> None:
    """Stop a session."""
    _session(args, room.stop(args.name))


def pause(room: Client, args: Namespace) -> None:
    """Pause a session."""
    _session(args, room.pause(args.name))


def resume(room: Client, args: Namespace) -> None:
    """Resume a session."""
    _session(args, room.resume(args.name))


def delete(room: Client, args: Namespace) -> None:
    """Remove a session."""
    room.delete(args.name)
    if not args.json:
        _line(f"{args.name} is removed")


def redact(room: Client, args: Namespace) -> None:
    """Erase part of a session."""
    left = room.redact(args.name, last_s=args.last, start_s=args.start, end_s=args.to)
    _each(args, [left], lines.redaction_line)


def sessions(room: Client, args: Namespace) -> None:
    """List sessions; with --coverage also the coverage of each, which takes a request for each."""
    listed = room.sessions()
    if args.coverage:
        _each(args, _with_coverage(room, listed), lambda one: "\n".join(lines.coverage_lines(one)))
    else:
        _each(args, listed, lines.session_line)


def _with_coverage(room: Client, listed: Iterable[Session]) -> Iterator[Session]:
    for session in listed:
        try:
            yield room.session(session.id)
        except Error as error:
            if error.reason != "SESSION_NOT_FOUND":  # deleted meanwhile
                raise


def devices(room: Client, args: Namespace) -> None:
    """List inputs."""
    _each(args, room.devices(), lines.device_line)


def levels(room: Client, args: Namespace) -> None:
    """Show an input's level until interrupted: in place on a terminal, else a line each."""
    in_place = sys.stdout.isatty() and not args.json
    for level in room.levels(args.device):
        if in_place:
            sys.stdout.write(f"\r{lines.level_line(level)}")
            sys.stdout.flush()
        else:
            _line(lines.as_json(level) if args.json else lines.level_line(level))


def watch(room: Client, args: Namespace) -> None:
    """Follow the minutes until interrupted."""
    events = room.watch(
        args.name or "", after=args.after, partials=_wants_partials(args), exclude_suspect=args.no_suspect
    )
    if not args.json and _is_a_screen():
        _watch_on_screen(room, args, events)
    else:
        _watch_as_lines(room, args, events)


def _wants_partials(args: Namespace) -> bool:
    """Partials go to programs and to the live view; in plain lines they would only repeat themselves."""
    return not args.finals and (args.json or _is_a_screen())


def _is_a_screen() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def _watch_as_lines(room: Client, args: Namespace, events: Iterable[StreamTurnsResponse | Interrupted]) -> None:
    lost = False
    refusals.follow(room, args.name or "", _notice)
    for event in events:
        if isinstance(event, Interrupted):
            lost = True
            _notice(_lost(room))
            continue
        if lost:
            lost = False
            _notice(f"connected to minuted at {room.address} again")
        line = lines.as_json(event) if args.json else lines.event_line(event, with_session=not args.name)
        if line is not None:
            _line(line)
        _check_reader()


def _watch_on_screen(room: Client, args: Namespace, events: Iterable[StreamTurnsResponse | Interrupted]) -> None:
    from rich.console import Console

    from minutectl.captions import Captions

    with Captions(Console(), with_session=not args.name) as captions:
        refusals.follow(room, args.name or "", captions.remark)
        for event in events:
            if isinstance(event, Interrupted):
                captions.interrupted(_lost(room))
            else:
                captions.show(event)


def _lost(room: Client) -> str:
    return f"lost minuted at {room.address}; trying to reach it again"


def turns(room: Client, args: Namespace) -> None:
    """Print a session's turns."""
    listed = room.turns(args.name, as_delivered=args.as_delivered, exclude_suspect=args.no_suspect)
    _each(args, listed, lines.turn_line)


def search(room: Client, args: Namespace) -> None:
    """Find turns."""
    found = room.search(args.query, exclude_suspect=args.no_suspect)
    _each(args, found, lambda turn: lines.turn_line(turn, with_session=True))


def export(room: Client, args: Namespace) -> None:
    """Write a transcript's bytes as they are; with --json each part as its message."""
    file_format: Any = ExportFormat.Value(f"EXPORT_FORMAT_{args.format.upper()}")
    for part in room.export(args.name, file_format, exclude_suspect=args.no_suspect):
        if args.json:
            _line(lines.as_json(ExportTranscriptResponse(data=part)))
        else:
            sys.stdout.buffer.write(part)
    sys.stdout.flush()


def speakers(room: Client, args: Namespace) -> None:
    """List a session's speakers."""
    _each(args, room.speakers(args.name), lines.speaker_line)


def rename(room: Client, args: Namespace) -> None:
    """Name a speaker."""
    _each(args, [room.rename(args.name, args.label, args.display_name)], lines.speaker_line)


def merge(room: Client, args: Namespace) -> None:
    """Make two speakers one."""
    _each(args, [room.merge(args.name, args.duplicate, args.into)], lines.speaker_line)


def retry(room: Client, args: Namespace) -> None:
    """Ask engines that refused again now."""
    links = room.retry(args.name or "")
    _each(args, links, lines.retried_line)
    if not links:
        _notice("no link is refused")


def info(room: Client, args: Namespace) -> None:
    """Show version, uptime and engines of the daemon."""
    _each(args, [room.info()], lambda info: "\n".join(lines.info_lines(info)))


COMMANDS: Mapping[str, Callable[[Client, Namespace], None]] = {
    command.__name__: command
    for command in (
        start,
        stop,
        pause,
        resume,
        delete,
        redact,
        sessions,
        devices,
        levels,
        watch,
        turns,
        search,
        export,
        speakers,
        rename,
        merge,
        retry,
        info,
    )
}


def _session(args: Namespace, session: Session) -> None:
    _each(args, [session], lambda one: f"{lines.session_state(one)}  {one.id}")


def _each(args: Namespace, messages: Iterable[M], line: Callable[[M], str]) -> None:
    for message in messages:
        _line(lines.as_json(message) if args.json else line(message))


def _line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _notice(text: str) -> None:
    sys.stderr.write(f"minutectl: {text}\n")
    sys.stderr.flush()


def _check_reader() -> None:
    """Raise BrokenPipeError once standard output has no reader any more, even if there is nothing to write."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return
    if any(happened & (select.POLLERR | select.POLLNVAL) for _, happened in poll.poll(0)):
        raise BrokenPipeError

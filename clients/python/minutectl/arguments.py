"""The grammar of the command line: subcommands, their arguments, and what each value may be. No command runs here."""

import argparse
import re
from collections.abc import Sequence

COMMANDS = {
    "start": "start a session",
    "stop": "stop a session and wait until its minutes are final",
    "pause": "stop capturing, without ending the session",
    "resume": "capture again",
    "delete": "remove an ended session with everything that belongs to it",
    "redact": "forget what was said in part of a session",
    "sessions": "list sessions, live and past, newest first",
    "devices": "list the inputs of the daemon's machine",
    "levels": "show the level of an input",
    "watch": "follow the minutes of one session, or of all",
    "turns": "print a session's turns, oldest first",
    "search": "find turns by their words",
    "export": "write a session's transcript as a file to standard output",
    "speakers": "list a session's speakers",
    "rename": "give a speaker a name",
    "merge": "make two speakers one; INTO stays",
    "retry": "ask engines that refused again now",
    "info": "show version, uptime and engines of the daemon",
}
FORMATS = ("srt", "vtt", "txt", "md", "json", "rttm", "stm", "seglst")

_OF_A_SESSION = (
    "start",
    "stop",
    "pause",
    "resume",
    "delete",
    "redact",
    "turns",
    "export",
    "speakers",
    "rename",
    "merge",
)
_OF_ANY_SESSION = ("watch", "retry")
_WITH_TURNS = ("watch", "turns", "search", "export")
_HIGHEST_SEQ = 2**63 - 1
_CHANNEL = re.compile(r"\d{1,4}", re.ASCII)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2}(?:\.\d{1,6})?)|(\d{1,9}(?:\.\d{1,6})?)([smh])?", re.ASCII)


def parse(arguments: Sequence[str], version: str) -> argparse.Namespace:
    """Read a command line; `command` is the subcommand, the other fields are named like the arguments.

    Leaves with SystemExit: 0 after --help and --version, 2 after a mistake, which is reported on standard error.
    """
    parser, commands = _parsers(version)
    found = parser.parse_args(arguments, argparse.Namespace(address=None, json=False))
    if found.command == "redact":
        if found.last is not None and found.to is not None:
            commands["redact"].error("argument --to: not allowed with argument --last")
        if found.start is not None and found.to is not None and found.to <= found.start:
            commands["redact"].error("argument --to: must be after --from")
    return found


def _parsers(version: str) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of the whole line, and that of each subcommand."""
    # Taken before and after the subcommand. Defaults of the second parser would undo what the first one found.
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    everywhere.add_argument(
        "--address",
        metavar="A",
        help="where minuted is: unix:PATH or HOST:PORT (else MINUTED_ADDRESS, else unix:/run/minuted/minuted.sock)",
    )
    everywhere.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser = argparse.ArgumentParser(
        "minutectl", description="Minutes of the room, from minuted.", parents=[everywhere], allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"minutectl {version}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    commands = {
        name: subparsers.add_parser(name, help=text, description=f"{text}.", parents=[everywhere], allow_abbrev=False)
        for name, text in COMMANDS.items()
    }
    _add_positionals(commands)
    _add_options(commands)
    return parser, commands


def _add_positionals(commands: dict[str, argparse.ArgumentParser]) -> None:
    for name in _OF_A_SESSION:
        commands[name].add_argument("name", metavar="NAME", type=_word, help="a session's name or id")
    for name in _OF_ANY_SESSION:
        commands[name].add_argument("name", metavar="NAME", nargs="?", help="a session's name or id; without it: all")
    commands["search"].add_argument("query", metavar="QUERY", type=_word)
    commands["rename"].add_argument("label", metavar="LABEL", type=_word, help="the speaker's label, such as S1")
    commands["rename"].add_argument("display_name", metavar="DISPLAY_NAME", help="the name; empty takes it away")
    commands["merge"].add_argument("duplicate", metavar="FROM", type=_word, help="the speaker who goes")
    commands["merge"].add_argument("into", metavar="INTO", type=_word, help="the speaker who stays")


def _add_options(commands: dict[str, argparse.ArgumentParser]) -> None:
    start = commands["start"].add_argument
    start("--device", metavar="D", default="", help="an input's name, default, or file:PATH")
    start("--diarizer", metavar="X", default="", help="auto, pyannote, local or none")
    start("--transcriber", metavar="X", default="", help="auto, openai, local or none")
    start("--fallback", metavar="F", default="", help="local (takes over while an engine refuses) or none")
    start("--channels", metavar="1,2", type=_channels, default=[], help="the channels of the source; without it: all")
    start("--mix", metavar="M", default="", help="how channels become one: best, mean, first or loudest")
    start(
        "--keep-audio",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether all audio is kept for good, as a FLAC file on the daemon's machine",
    )
    text = "what became of the audio of each: text, silence, muted, pending, and lost by reason"
    commands["sessions"].add_argument("--coverage", action="store_true", help=text)
    begin = commands["redact"].add_mutually_exclusive_group(required=True)
    text = "how much of it up to now, or up to its end: 90, 90s, 5m, 1h or 1:30"
    begin.add_argument("--last", metavar="5m", type=_length, help=text)
    begin.add_argument("--from", metavar="12:30", dest="start", type=_time, help="where it begins, as `turns` shows it")
    text = "where it ends; without it: now, or at the session's end"
    commands["redact"].add_argument("--to", metavar="13:00", type=_time, help=text)
    text = "each turn as it was first delivered, also those replaced or withdrawn since"
    commands["turns"].add_argument("--as-delivered", action="store_true", help=text)
    text = "begin after this change; 0 for everything there is"
    commands["watch"].add_argument("--after", metavar="SEQ", type=_seq, help=text)
    commands["watch"].add_argument("--finals", action="store_true", help="leave out turns that are still growing")
    commands["levels"].add_argument("--device", metavar="D", default="", help="an input's name")
    commands["export"].add_argument("--format", choices=FORMATS, required=True)
    for name in _WITH_TURNS:
        commands[name].add_argument("--no-suspect", action="store_true", help="leave out turns that look invented")


def _word(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _seq(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) <= _HIGHEST_SEQ:
        return int(text)
    raise argparse.ArgumentTypeError(f'takes a number from 0 on, not "{text}"')


def _channels(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")] if text else []
    if all(_CHANNEL.fullmatch(word) for word in words):
        return [int(word) for word in words]
    raise argparse.ArgumentTypeError(f'takes numbers such as 1 or 1,2, not "{text}"')


def _time(text: str) -> float:
    """Read 90, 90s, 5m, 1h, 1:30 or 1:02:03.5 as seconds."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f'takes a time such as 12:30, 1:02:03, 90s, 5m or 1h, not "{text}"')
    hours, minutes, rest, number, unit = match.groups()
    if rest is not None:
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(rest)
    return float(number) * _UNITS[unit or "s"]


def _length(text: str) -> float:
    if (length_s := _time(text)) == 0:
        raise argparse.ArgumentTypeError("must be more than nothing")
    return length_s

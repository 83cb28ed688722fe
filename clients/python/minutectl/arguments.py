"""The command line's grammar. Every mistake in a line is told at once, so nothing here stops at the first one."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

FORMATS = ("srt", "vtt", "txt", "md", "json", "rttm", "stm", "seglst")
_HIGHEST_SEQ = 2**63 - 1


class UsageError(Exception):
    """The command line is wrong. `problems` names everything that is."""

    def __init__(self, usage: str, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.usage = usage
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: the arguments it cannot do without, and those it can."""

    help: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


COMMANDS = {
    "start": Command("start a session", ("NAME",)),
    "stop": Command("stop a session and wait until its minutes are final", ("NAME",)),
    "pause": Command("stop capturing, without ending the session", ("NAME",)),
    "resume": Command("capture again", ("NAME",)),
    "delete": Command("remove an ended session with all that belongs to it", ("NAME",)),
    "redact": Command("forget what was said in a stretch of a session", ("NAME",)),
    "sessions": Command("list sessions, live and past, newest first"),
    "devices": Command("list the inputs of the daemon's machine"),
    "levels": Command("show the level of an input"),
    "watch": Command("follow the minutes of one session, or of all", (), ("NAME",)),
    "turns": Command("print a session's turns, oldest first", ("NAME",)),
    "search": Command("find turns by their words", ("QUERY",)),
    "export": Command("write a session's transcript as a file to standard output", ("NAME",)),
    "speakers": Command("list a session's speakers", ("NAME",)),
    "rename": Command("give a speaker a name", ("NAME", "LABEL", "DISPLAY_NAME")),
    "merge": Command("make two speakers one; INTO stays", ("NAME", "FROM", "INTO")),
    "retry": Command("ask engines that refused again now", (), ("NAME",)),
    "info": Command("tell what daemon this is"),
}


_OPTION_USAGE = {
    "sessions": " [--coverage]",
    "start": " [--device D] [--diarizer X] [--transcriber X] [--fallback F] [--keep-audio] [--channels 1,2] [--mix M]",
    "redact": " --last 5m | --from 12:30 [--to 13:00]",
    "turns": " [--as-delivered] [--no-suspect]",
    "watch": " [--after SEQ] [--finals] [--no-suspect]",
    "search": " [--no-suspect]",
    "export": f" --format {{{','.join(FORMATS)}}} [--no-suspect]",
    "levels": " [--device D]",
}
_OPTIONS = {
    "sessions": ("--coverage",),
    "start": (
        "--device",
        "--diarizer",
        "--transcriber",
        "--fallback",
        "--keep-audio",
        "--no-keep-audio",
        "--channels",
        "--mix",
    ),
    "redact": ("--last", "--from", "--to"),
    "turns": ("--as-delivered", "--no-suspect"),
    "watch": ("--after", "--finals", "--no-suspect"),
    "search": ("--no-suspect",),
    "export": ("--format", "--no-suspect"),
    "levels": ("--device",),
}
_OPTIONS_ANYWHERE = ("--address", "--json", "--help", "-h", "--version")
_CHANNEL_DIGITS = 4
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2}(?:\.\d{1,6})?)|(\d{1,9}(?:\.\d{1,6})?)([smh])?", re.ASCII)
_NO_VALUE = "\0"  # what an option gets whose value is missing; no argument can be this


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(self.format_usage(), [message])


def parse(arguments: Sequence[str], version: str) -> argparse.Namespace:
    """Read a command line. The fields are named like the arguments, in small letters; `command` is the subcommand.

    Raises UsageError; leaves with SystemExit for --help and --version.
    """
    # Positional arguments are picked by hand: argparse loses them behind options, and stops at the first mistake.
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    head, tail = arguments[:end], list(arguments[end + 1 :])
    top = _top(version)
    found, rest = _anywhere().parse_known_args(head, argparse.Namespace(json=False, address=None))
    command = next((word for word in rest if not _is_option(word)), None)
    if command is None:
        _, unknown = top.parse_known_args(rest)  # answers --help and --version
        problems = [f"a command is missing: one of {', '.join(COMMANDS)}", *_unknown(unknown, ())]
        raise UsageError(top.format_usage(), problems)
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        known = _OPTIONS_ANYWHERE + sum(_OPTIONS.values(), ())
        options = [word for word in rest if _is_option(word) and word.partition("=")[0] not in known]
        raise UsageError(top.format_usage(), [f'there is no command "{command}"; {hint}', *_unknown(options, ())])
    rest.remove(command)
    found.command = command
    child = _child(command)
    _, unknown = child.parse_known_args(rest, found)
    words = [word for word in unknown if not _is_option(word)] + tail
    problems = [*_placed(found, words), *_wrong(found)]
    problems += _unknown([word for word in unknown if _is_option(word)], _OPTIONS.get(command, ()))
    if problems:
        raise UsageError(child.format_usage(), problems)
    return found


def _is_option(word: str) -> bool:
    return len(word) > 1 and word.startswith("-") and " " not in word


def _anywhere(*, with_help: bool = False, **settings: Any) -> _Parser:
    """Make a parser of the options that are taken before and after the subcommand."""
    parser = _Parser(add_help=with_help, allow_abbrev=False, **settings)
    where = "where minuted is: unix:PATH or HOST:PORT (else MINUTED_ADDRESS, else unix:/run/minuted/minuted.sock)"
    _valued(parser, "--address", "A", argparse.SUPPRESS, where)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON, one object a line")
    return parser


def _valued(parser: _Parser, option: str, metavar: str, default: str | None, text: str) -> None:
    """Add an option that takes a value, without argparse stopping where the value is missing."""
    parser.add_argument(option, metavar=metavar, nargs="?", const=_NO_VALUE, default=default, help=text)


def _top(version: str) -> _Parser:
    commands = "\n".join(f"  {name:<10} {command.help}" for name, command in COMMANDS.items())
    parser = _anywhere(
        with_help=True,
        prog="minutectl",
        usage="minutectl [--json] [--address A] COMMAND ...",
        description="Minutes of the room, from minuted.",
        epilog=f"commands:\n{commands}\n\n`minutectl COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minutectl {version}")
    return parser


def _child(name: str) -> _Parser:
    command = COMMANDS[name]
    arguments = "".join(f" {argument}" for argument in command.required)
    arguments += "".join(f" [{argument}]" for argument in command.optional)
    usage = f"minutectl {name}{arguments}{_OPTION_USAGE.get(name, '')} [--json] [--address A]"
    child = _anywhere(with_help=True, prog=f"minutectl {name}", usage=usage, description=f"{command.help}.")
    match name:
        case "start":
            child.add_argument(
                "--device",
                metavar="D",
                nargs="?",
                const=_NO_VALUE,
                default="",
                help="an input's name, default, or file:PATH",
            )
            child.add_argument(
                "--diarizer", metavar="X", nargs="?", const=_NO_VALUE, default="", help="auto, pyannote, local or none"
            )
            child.add_argument(
                "--transcriber", metavar="X", nargs="?", const=_NO_VALUE, default="", help="auto, openai, local or none"
            )
            _valued(child, "--fallback", "F", "", "local (takes over while an engine refuses) or none")
            _valued(child, "--channels", "1,2", "", "which channels of the source are heard; without it: all of them")
            _valued(child, "--mix", "M", "", "how they become one: best, mean, first or loudest")
            child.add_argument(
                "--keep-audio",
                action=argparse.BooleanOptionalAction,
                default=None,
                help="whether all audio is kept for good, as a FLAC file on the daemon's machine",
            )
        case "sessions":
            text = "what became of the audio of each: text, silence, muted, pending, and lost by reason"
            child.add_argument("--coverage", action="store_true", help=text)
        case "redact":
            _valued(child, "--last", "5m", None, "how much of it up to now, or up to its end: 90, 90s, 5m, 1h or 1:30")
            _valued(child, "--from", "12:30", None, "where it begins, as `turns` shows it")
            _valued(child, "--to", "13:00", None, "where it ends; without it: now, or at the session's end")
        case "turns":
            text = "each turn as it was first delivered, also those replaced or withdrawn since"
            child.add_argument("--as-delivered", action="store_true", help=text)
        case "watch":
            child.add_argument(
                "--after",
                metavar="SEQ",
                nargs="?",
                const=_NO_VALUE,
                help="begin behind this change; 0 for everything there is",
            )
            child.add_argument("--finals", action="store_true", help="leave out turns that are still growing")
        case "levels":
            _valued(child, "--device", "D", "", "an input's name")
        case "export":
            _valued(child, "--format", "F", None, ", ".join(FORMATS))
        case _:
            pass
    if "--no-suspect" in _OPTIONS.get(name, ()):
        child.add_argument("--no-suspect", action="store_true", help="leave out turns whose text looks invented")
    return child


def _placed(found: argparse.Namespace, words: Sequence[str]) -> list[str]:
    """Return each word its name in `found`; say what is missing, empty or too much."""
    command = COMMANDS[found.command]
    names = (*command.required, *command.optional)
    for index, name in enumerate(names):
        setattr(found, name.lower(), words[index] if index < len(words) else None)
    problems = [f"{name} is missing" for name in command.required[len(words) :]]
    # A speaker's name is taken away by giving an empty one.
    problems += [
        f"{name} is empty"
        for name, word in zip(names, words, strict=False)
        if not word and (name in command.required) and name != "DISPLAY_NAME"
    ]
    return problems + [f'"{word}" is one argument too many' for word in words[len(names) :]]


def _wrong(found: argparse.Namespace) -> list[str]:
    problems = [f"--{name} needs a value" for name, value in sorted(vars(found).items()) if value == _NO_VALUE]
    if problems:
        return problems
    if found.command == "watch" and found.after is not None:
        digits = found.after if found.after.isascii() and found.after.isdecimal() else ""
        if digits and int(digits) <= _HIGHEST_SEQ:
            found.after = int(digits)
        else:
            problems.append(f'--after takes a number from 0 on, not "{found.after}"')
    if found.command == "start":
        words = [word.strip() for word in found.channels.split(",")] if found.channels else []
        if all(word.isascii() and word.isdecimal() and 0 < len(word) <= _CHANNEL_DIGITS for word in words):
            found.channels = [int(word) for word in words]
        else:
            problems.append(f'--channels takes numbers such as 1 or 1,2, not "{found.channels}"')
    if found.command == "redact":
        problems += _wrong_stretch(found)
    if found.command == "export":
        if found.format is None:
            problems.append(f"--format is missing: one of {', '.join(FORMATS)}")
        elif found.format not in FORMATS:
            problems.append(f'--format "{found.format}" is unknown: one of {", ".join(FORMATS)}')
    return problems


def _wrong_stretch(found: argparse.Namespace) -> list[str]:
    """Put seconds in place of words; say what does not make a stretch."""
    problems = []
    for name in ("last", "from", "to"):
        word = getattr(found, name)
        if word is not None:
            setattr(found, name, _seconds(word))
            if getattr(found, name) is None:
                problems.append(f'--{name} takes a time such as 12:30, 1:02:03, 90s, 5m or 1h, not "{word}"')
    since, until = getattr(found, "from"), found.to
    if problems:
        return problems
    if found.last is None and since is None:
        return ["what is to be forgotten? --last, or --from"]
    if found.last is not None and (since is not None or until is not None):
        problems.append("--last goes without --from and --to")
    if found.last == 0:
        problems.append("--last takes more than nothing")
    if since is not None and until is not None and until <= since:
        problems.append("--to must be behind --from")
    return problems


def _seconds(word: str) -> float | None:
    """Read 90, 90s, 5m, 1h, 1:30, 1:02:03.5; None for anything else."""
    match = _TIME.fullmatch(word)
    if match is None:
        return None
    hours, minutes, rest, number, unit = match.groups()
    if rest is not None:
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(rest)
    return float(number) * _UNITS[unit or "s"]


def _unknown(options: Sequence[str], known: Sequence[str]) -> list[str]:
    problems: list[str] = []
    for option in options:
        near = get_close_matches(option.partition("=")[0], (*known, *_OPTIONS_ANYWHERE), n=1)
        problems.append(f"unknown option {option}" + (f"; did you mean {near[0]}?" if near else ""))
    return problems

"""The live view of `watch` on a terminal: settled turns scroll up, growing ones change in place below them."""

import signal
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from minutectl import lines
from minuted import Speaker, StreamTurnsResponse, Turn, TurnState

_COLOURS = ("cyan", "yellow", "green", "magenta", "bright_blue", "bright_red", "bright_green", "bright_magenta")

_ROWS_WITHOUT_HEAD = 3
"""A caption of so few rows shows its newest words and nothing else."""


class Captions:
    """A context manager: while it is open, it owns the terminal. Pass every event in order."""

    def __init__(self, console: Console, *, with_session: bool) -> None:
        self._console = console
        self._with_session = with_session
        self._growing: dict[str, Turn] = {}
        self._names: dict[str, Speaker] = {}
        self._notice = ""
        # What does not fit has been left out already: rich itself would cut off the end.
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, _leave)  # so that the cursor is shown again
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
        signal.signal(signal.SIGTERM, self._before)

    def show(self, event: StreamTurnsResponse) -> None:
        """Show one event."""
        self._notice = ""
        match event.WhichOneof("event"):
            case "turn":
                self._turn(event.turn)
            case "speaker":
                self._names[event.speaker.speaker.id] = event.speaker.speaker
                self._above(event)
            case "session" | "interval":
                self._above(event)
            case _:
                pass
        self._refresh()

    def remark(self, sentence: str) -> None:
        """Say something beside the minutes."""
        self._console.print(Text(sentence, style="dim italic"))

    def interrupted(self, notice: str) -> None:
        """Drop what was growing, and say why nothing comes."""
        self._growing.clear()
        self._notice = notice
        self._refresh()

    def _turn(self, turn: Turn) -> None:
        if turn.state == TurnState.TURN_STATE_PARTIAL:
            self._growing[turn.id] = turn
            return
        was_growing = self._growing.pop(turn.id, None)
        if turn.state == TurnState.TURN_STATE_RETRACTED and (was_growing or not turn.seq):
            return  # it was only ever seen growing
        self._console.print(self._caption(turn))

    def _above(self, event: StreamTurnsResponse) -> None:
        line = lines.event_line(event, with_session=self._with_session)
        if line is not None:
            self._console.print(Text(line, style="dim"))

    def _head(self, turn: Turn) -> Text:
        head = Text()
        if self._with_session:
            head.append(f"{lines.plain(turn.session_name)}  ", style="dim")
        head.append(f"{lines.clock(turn.start_offset)}  ", style="dim")
        head.append(f"{self._name(turn)}  ", style=f"bold {_colour(turn)}")
        return head

    def _caption(self, turn: Turn) -> Text:
        caption = self._head(turn)
        growing = turn.state == TurnState.TURN_STATE_PARTIAL
        withdrawn = turn.state == TurnState.TURN_STATE_RETRACTED
        style = _colour(turn) if growing else ("strike dim" if withdrawn else "")
        caption.append(lines.plain(turn.text), style=style)
        if withdrawn or turn.revision:
            caption.append("  [withdrawn]" if withdrawn else "  [corrected]", style="dim")
        if turn.HasField("suspect") and not withdrawn:
            caption.append(f"  {lines.suspicion(turn)}", style="dim")
        return caption

    def _name(self, turn: Turn) -> str:
        speaker = self._names.get(turn.speaker.id)
        return lines.who(speaker) if speaker and turn.HasField("speaker") else lines.holder(turn)

    def _refresh(self) -> None:
        growing = sorted(self._growing.values(), key=lambda turn: turn.start_offset.ToNanoseconds())
        captions = [(self._head(turn).append("..."), self._caption(turn)) for turn in growing]
        if self._notice:
            captions.append((Text("..."), Text(self._notice, style="dim italic")))
        self._live.update(_Newest(captions), refresh=True)


class _Newest:
    """Captions below each other, each with the head it has where its first words are left out.

    Where the terminal has too few rows for them, the last rows of each are shown.
    """

    def __init__(self, captions: Sequence[tuple[Text, Text]]) -> None:
        self._captions = captions

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        captions = [console.render_lines(caption, options, pad=False) for _, caption in self._captions]
        given = share_rows([len(rows) for rows in captions], options.size.height)
        shown: list[list[Segment]] = []
        for (head, _), rows, count in zip(self._captions, captions, given, strict=True):
            if len(rows) > count > _ROWS_WITHOUT_HEAD:
                shown += [console.render_lines(head, options, pad=False)[0], *rows[len(rows) - count + 1 :]]
            else:
                shown += rows[len(rows) - count :]
        for number, row in enumerate(shown):
            if number:
                yield Segment.line()
            yield from row


def share_rows(wanted: Sequence[int], height: int) -> list[int]:
    """Return how many rows of the terminal's each caption gets: what it wants, or as many as the others.

    Where there is not even one row for each, the last captions get one.
    """
    given = [0] * len(wanted)
    left = height
    waiting = sorted(range(max(0, len(wanted) - height), len(wanted)), key=lambda index: wanted[index])
    for place, index in enumerate(waiting):
        given[index] = min(wanted[index], left // (len(waiting) - place))
        left -= given[index]
    return given


def _colour(turn: Turn) -> str:
    digits = "".join(char for char in turn.speaker.label if char.isascii() and char.isdigit())
    return _COLOURS[(int(digits) - 1) % len(_COLOURS)] if digits else "white"


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)

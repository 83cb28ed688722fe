"""What a capture worker is told to open, and what it says it opened. No numpy here: see faults.py."""

import dataclasses
import json
from dataclasses import dataclass

from minuted_daemon.adapters.capture.listing.naming import ListedInput, NamedInput
from minuted_daemon.adapters.capture.protocol.faults import HEADER
from minuted_daemon.core.channels.choice import ChannelChoice

OPENED = b"O"
LATER = "later"
"""Behind the assignment: get ready, and open the device only when told to."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The input with this name, at this port where that is known; see naming.find_input.

    `home`: the sound server's source it must come from, "" where any will do at first. `follows`: it is whatever is
    the default source; the worker gives up when that changes. `choice`: which channels of it are heard, and how.
    """

    name: str
    port: str = ""
    home: str = ""
    follows: bool = False
    choice: ChannelChoice = ChannelChoice()  # noqa: RUF009  frozen


@dataclass(frozen=True, slots=True)
class Opened:
    """The input that was opened, and the sound server's source that it is ("" if it is none of a server's)."""

    device: NamedInput
    home: str


def pack_assignment(assignment: Assignment) -> str:
    """Encode an assignment as an argument of the worker's command line."""
    return json.dumps(dataclasses.asdict(assignment))


def unpack_assignment(text: str) -> Assignment:
    """Decode a worker's argument."""
    fields = json.loads(text)
    choice = fields.pop("choice")
    return Assignment(**fields, choice=ChannelChoice(tuple(choice["channels"]), choice["mix"]))


def pack_opened(opened: Opened) -> bytes:
    """Encode for the pipe."""
    payload = json.dumps(dataclasses.asdict(opened)).encode()
    return HEADER.pack(OPENED, len(payload)) + payload


def unpack_opened(payload: bytes) -> Opened:
    """Decode what follows the header. Raises ValueError on anything a worker does not say."""
    try:
        fields = json.loads(payload)
        device = fields["device"]
        return Opened(NamedInput(**{**device, "listed": ListedInput(**device["listed"])}), fields["home"])
    except (KeyError, TypeError) as error:
        raise ValueError("an opened device of a wrong form") from error

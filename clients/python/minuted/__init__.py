"""The client library of minuted.

    with minuted.connect() as room:
        room.start("boardroom")
        for event in room.watch("boardroom", after=0):
            ...

`minuted.connect` returns a client for threads, `minuted.aio.connect` one for asyncio. Messages are the contract's own
generated types, here under their short names.
"""

from minuted import aio
from minuted.address import ADDRESS_VARIABLE, DEFAULT_ADDRESS, InvalidAddress
from minuted.aio import AsyncClient
from minuted.errors import Error, Unreachable
from minuted.following import Interrupted
from minuted.messages import *  # noqa: F403  # messages.py says in __all__ what it gives
from minuted.messages import __all__ as _messages
from minuted.sync import Client, connect

__all__ = [
    "ADDRESS_VARIABLE",
    "DEFAULT_ADDRESS",
    "AsyncClient",
    "Client",
    "Error",
    "Interrupted",
    "InvalidAddress",
    "Unreachable",
    "aio",
    "connect",
    *_messages,
]

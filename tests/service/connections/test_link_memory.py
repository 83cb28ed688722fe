"""A connection that is over is not kept: with it would stay all that its engine still knows of it, for hours."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest
import structlog

from minuted_daemon.errors import Unavailable
from minuted_daemon.service.connections.transcriber_connection import TranscriberOpener
from minuted_daemon.service.connections.transcriber_link import TranscriberLink
from minuted_daemon.service.retries.gate import Retries
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.spools import FakeSpool
from tests.fakes_service.transcriber import FakeTranscriber
from tests.fakes_service.virtual_time import virtual_time
from tests.support.diarizer_meeting import LIFETIME_S, Meeting
from tests.support.diarizer_sink import Sink


def down() -> Unavailable:
    """A fresh one each time: it holds on to where it was raised."""
    return Unavailable("VENDOR_DOWN", "the vendor is down")


def is_kept(streams: list[object], broke: bool = False) -> bool:
    """Whether anybody but the fake engine holds the first of its streams, which it gives away here."""
    first = weakref.ref(streams.pop(0))
    if broke:  # a stream keeps its fault, and a fault where it was met: only the collector gets them apart
        gc.collect()
    return first() is not None


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """It may come after many minutes only: what ends as it should goes without it."""
    gc.disable()
    yield
    gc.enable()


@virtual_time
@pytest.mark.parametrize("breaks", [True, False])
async def test_a_transcriber_s(breaks: bool) -> None:
    engine, sink = FakeTranscriber(), Sink()
    engine.lifetime_s = None if breaks else 20.0
    link = TranscriberLink(
        TranscriberOpener(engine, (), FakeSpool()),
        Retries(lambda: 0.5),
        sink,
        sink.healths.append,
        structlog.get_logger(),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(link.run())
        await asyncio.sleep(1.0)
        assert is_kept([*engine.streams]), "it is in use"
        if breaks:
            engine.streams[0].break_now(down())
        await asyncio.sleep(19.0)
        assert len(engine.streams) == 2
        assert not is_kept(engine.streams, breaks)
        task.cancel()


@virtual_time
@pytest.mark.parametrize("breaks", [True, False])
async def test_a_diarizer_s(breaks: bool) -> None:
    engine = FakeDiarizer()
    held = Meeting(engine, None if breaks else LIFETIME_S)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(held.link.run())
        await held.speak_until(1.0)
        if breaks:
            engine.streams[0].break_now(down())
        await held.speak_until(LIFETIME_S + 5.0)
        assert len(engine.streams) == 2
        assert not is_kept(engine.streams, breaks)
        task.cancel()

"""Pause, resume, delete and redact over a real server: what is asked arrives, and what is refused says why."""

import grpc
import pytest

import minuted
from minuted.aio import AsyncClient
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.service.views import Stretch
from tests.rpc.conftest import Room


def at(position_s: float) -> Sample:
    return Sample(samples(position_s))


async def test_a_session_is_paused_and_resumed(client: AsyncClient) -> None:
    await client.start("boardroom")
    assert (await client.pause("boardroom")).state == minuted.SessionState.SESSION_STATE_PAUSED
    assert (await client.resume("boardroom")).state == minuted.SessionState.SESSION_STATE_RUNNING


async def test_what_has_ended_is_neither_paused_nor_resumed(client: AsyncClient) -> None:
    await client.start("boardroom")
    await client.stop("boardroom")
    for ask in (client.pause, client.resume):
        with pytest.raises(minuted.Error) as refused:
            await ask("boardroom")
        assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_ENDED")
        with pytest.raises(minuted.Error) as unknown:
            await ask("nowhere")
        assert unknown.value.reason == "SESSION_NOT_FOUND"


async def test_an_ended_session_is_deleted_and_a_live_one_is_not(room: Room, client: AsyncClient) -> None:
    started = await client.start("boardroom")
    with pytest.raises(minuted.Error) as refused:
        await client.delete("boardroom")
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_LIVE")
    await client.stop("boardroom")
    await client.delete("boardroom")
    assert room.sessions.deleted == [started.id]


async def test_what_is_to_be_redacted_arrives(room: Room, client: AsyncClient) -> None:
    await client.start("boardroom")
    left = await client.redact("boardroom", last_s=300.0)
    assert (left.start_offset.ToMilliseconds(), left.end_offset.ToMilliseconds(), left.turns) == (1000, 3000, 3)
    await client.redact("boardroom", start_s=0.5, end_s=13.25)
    await client.redact("boardroom", start_s=0.0)
    assert room.sessions.redacted == [
        Stretch(last=at(300.0)),
        Stretch(start=at(0.5), end=at(13.25)),
        Stretch(),
    ]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "start_offset"),
        ({"last_s": 0.0}, "last"),
        ({"last_s": -5.0}, "last"),
        ({"last_s": 5.0, "start_s": 1.0}, "last"),
        ({"end_s": 5.0}, "start_offset"),
        ({"start_s": 5.0, "end_s": 5.0}, "end_offset"),
        ({"start_s": -1.0}, "start_offset"),
        ({"last_s": 1e11}, "last"),
    ],
)
async def test_a_redaction_that_says_nothing_clear_is_refused(
    client: AsyncClient, room: Room, asked: dict[str, float], field: str
) -> None:
    await client.start("boardroom")
    with pytest.raises(minuted.Error) as refused:
        await client.redact("boardroom", **asked)
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert field in refused.value.facts
    assert room.sessions.redacted == []

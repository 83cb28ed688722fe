"""A session's end: the shortest limit and the first reason count."""

import asyncio

import structlog

from minuted_daemon.service.session.status import DRAIN_LIMIT_S, INTERNAL_FAULT, Ending
from tests.fakes_service.virtual_time import virtual_time


def ending() -> Ending:
    return Ending(structlog.get_logger())


@virtual_time
async def test_asking_again_can_only_shorten_the_limit() -> None:
    one = ending()
    assert not one.asked
    one.stop(10.0)
    one.stop(20.0)
    one.begin()
    assert one.asked
    assert one.left_s == 10.0
    one.stop(3.0)
    await asyncio.sleep(1.0)
    assert one.left_s == 2.0
    await asyncio.sleep(5.0)
    assert one.left_s == 0.0


@virtual_time
async def test_an_end_nobody_limited_has_the_usual_limit() -> None:
    one = ending()
    assert one.left_s == 0.0
    one.begin()
    assert one.left_s == DRAIN_LIMIT_S


@virtual_time
async def test_the_first_reason_counts() -> None:
    one = ending()
    assert one.failure is None
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        one.fault("merge_fault")
    one.fail("DEVICE_LOST", "the device is gone")
    await one.wait_asked()
    assert one.failure == INTERNAL_FAULT

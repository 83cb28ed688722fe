"""The one place that decides about retries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.errors import (
    DeviceError,
    Garbled,
    Invalid,
    MinutedError,
    NotFound,
    Rejected,
    Unavailable,
    WrongState,
)
from minuted_daemon.service.retries.policy import REFUSED_AGAIN_S, RefusalPolicy, RetryPolicy, may_pass

DOWN = Unavailable("VENDOR_DOWN", "it is down")


def delays(policy: RetryPolicy, count: int, at_s: float = 0.0, *, opens: bool = True) -> list[float]:
    found = []
    for _ in range(count):
        if opens:
            policy.opened(at_s)
        delay_s = policy.failed(at_s, DOWN)
        assert delay_s is not None
        found.append(delay_s)
    return found


def test_the_first_retry_is_soon_and_later_ones_back_off_to_thirty_seconds() -> None:
    assert delays(RetryPolicy(lambda: 0.5), 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_where_nothing_opens_it_is_tried_often_enough_to_be_back_soon_and_not_in_step() -> None:
    assert delays(RetryPolicy(lambda: 0.5), 8, opens=False) == [0.5, 1, 2, 4, 4.8, 4.8, 4.8, 4.8]
    latest = delays(RetryPolicy(lambda: 0.999), 9, opens=False)[-1]
    soonest = delays(RetryPolicy(lambda: 0.0), 9, opens=False)[-1]
    assert 3.5 < soonest < latest - 2.0
    assert latest <= 6.0


def test_a_vendor_that_says_it_is_too_much_is_left_alone_longer() -> None:
    policy = RetryPolicy(lambda: 0.5)
    found = [policy.failed(0.0, Unavailable("RATE_LIMITED", "slow down")) for _ in range(8)]
    assert found == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("random", [0.0, 0.999])
def test_jitter_stays_within_a_quarter_and_below_the_bounds(random: float) -> None:
    found = delays(RetryPolicy(lambda: random), 8)
    assert found[0] <= 1.0
    assert all(
        abs(delay_s - plain) <= plain / 4 for delay_s, plain in zip(found[1:], [1, 2, 4, 8, 16, 30], strict=False)
    )
    assert max(found) <= 30.0


def test_a_minute_of_health_refills_the_budget() -> None:
    policy = RetryPolicy(lambda: 0.5)
    delays(policy, 5)
    policy.opened(100.0)
    assert policy.failed(160.0, DOWN) == 0.5


def test_a_connection_that_breaks_at_once_does_not_refill_it() -> None:
    policy = RetryPolicy(lambda: 0.5)
    found = []
    for attempt in range(6):
        policy.opened(attempt * 40.0)
        found.append(policy.failed(attempt * 40.0 + 10.0, DOWN))
    assert found == [0.5, 1, 2, 4, 8, 16]


def test_old_health_counts_once() -> None:
    policy = RetryPolicy(lambda: 0.5)
    policy.opened(0.0)
    assert policy.failed(100.0, DOWN) == 0.5
    assert policy.failed(200.0, DOWN) == 1.0


def test_a_refusal_says_itself_when_to_ask_again() -> None:
    policy = RetryPolicy(lambda: 0.5)
    assert policy.failed(0.0, Rejected("KEY_REJECTED", "no")) == REFUSED_AGAIN_S
    assert policy.failed(0.0, Rejected("KEY_REJECTED", "no", 7.0)) == 7.0


def test_what_never_worked_is_asked_about_seldom() -> None:
    policy = RefusalPolicy(lambda: 0.0, 60.0)
    assert [policy.refused(at) for at in (0.0, 60.0)] == [60.0, 60.0]


def test_what_had_worked_is_asked_about_three_times_soon() -> None:
    policy = RefusalPolicy(lambda: 0.0, 60.0)
    policy.accepted(0.0)
    assert [policy.refused(at) for at in (9.0, 10.0, 14.0, 29.0, 89.0)] == [1.0, 4.0, 15.0, 60.0, 60.0]


def test_what_is_taken_and_refused_by_turns_makes_no_storm() -> None:
    policy = RefusalPolicy(lambda: 0.0, 60.0)
    found = []
    for at in range(0, 500, 50):
        policy.accepted(at)
        found.append(policy.refused(at + 40.0))
    assert found == [1.0, 4.0, 15.0, *[60.0] * 7]
    policy.accepted(1000.0)
    assert policy.refused(1060.0) == 1.0, "it worked for a minute"


@given(st.floats(0.0, 0.999), st.floats(1.0, 86_400.0))
def test_a_refusal_is_never_asked_about_sooner(random: float, again_s: float) -> None:
    delay_s = RefusalPolicy(lambda: random, again_s).refused(0.0)
    assert again_s <= delay_s <= 1.05 * again_s


def test_the_engine_that_accepts_again_is_asked_at_once() -> None:
    assert RetryPolicy(lambda: 0.5).failed(3.0, Unavailable("TAKEN_BACK", "the engine accepts again")) == 0.0


def test_another_engine_is_asked_at_once_and_begins_afresh() -> None:
    policy = RetryPolicy(lambda: 0.5)
    assert [policy.failed(at, DOWN) for at in (0.0, 1.0, 2.0)] == [0.5, 1.0, 2.0]
    assert policy.failed(3.0, Unavailable("FELL_BACK", "the local one takes over")) == 0.0


def test_garbled_is_tried_again() -> None:
    assert RetryPolicy(lambda: 0.5).failed(0.0, Garbled("BAD_ANSWER", "what")) == 0.5


@pytest.mark.parametrize(("wish_s", "least", "most"), [(7.0, 7.0, 8.0), (0.0, 0.5, 0.5), (1e9, 3600.0, 3601.0)])
def test_a_vendors_wish_is_kept(wish_s: float, least: float, most: float) -> None:
    delay_s = RetryPolicy(lambda: 0.5).failed(0.0, Unavailable("RATE_LIMITED", "slow down", retry_after_s=wish_s))
    assert delay_s is not None
    assert least <= delay_s <= most


def test_a_wish_never_shortens_the_back_off() -> None:
    policy = RetryPolicy(lambda: 0.5)
    delays(policy, 7)
    assert policy.failed(0.0, Unavailable("RATE_LIMITED", "slow down", retry_after_s=1.0)) == 30.0


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (DeviceError("DEVICE_FAILED", "busy"), True),
        (NotFound("DEVICE_NOT_FOUND", "unplugged"), True),
        (NotFound("SESSION_NOT_FOUND", "?"), False),
        (Invalid("INVALID_REQUEST", "?"), False),
        (WrongState("DISK_FULL", "no room"), True),
        (WrongState("KEY_MISSING", "no key"), False),
    ],
)
def test_what_may_pass_by_itself(error: MinutedError, passes: bool) -> None:
    assert may_pass(error) is passes

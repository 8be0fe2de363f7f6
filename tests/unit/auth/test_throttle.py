"""Guessing is slowed down, and honest people are not."""

from __future__ import annotations

import pytest

from sdrest.auth.rate import RateLimit
from sdrest.auth.throttle import LoginThrottle
from sdrest.core.errors import TooManyRequests


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> LoginThrottle:
    return LoginThrottle(max_failures=3, lockout_seconds=160, clock=clock)


def fail(throttle: LoginThrottle, account: str, address: str, times: int) -> None:
    for _ in range(times):
        throttle.begin(account, address)


def wait_of(throttle: LoginThrottle, account: str, address: str) -> int:
    with pytest.raises(TooManyRequests) as caught:
        throttle.begin(account, address)
    return caught.value.retry_after_seconds


def test_an_account_is_locked_from_every_address(throttle: LoginThrottle) -> None:
    fail(throttle, "ann", "192.0.2.1", 3)
    assert wait_of(throttle, "ann", "192.0.2.2") == 11
    throttle.begin("bob", "192.0.2.1")


def test_each_further_failure_doubles_the_wait_up_to_the_longest(throttle: LoginThrottle, clock: Clock) -> None:
    fail(throttle, "ann", "a", 3)
    waits = []
    for _ in range(6):
        wait = wait_of(throttle, "ann", "b")
        waits.append(wait - 1)
        clock.now += wait
        throttle.begin("ann", "c")
    assert waits == [10, 20, 40, 80, 160, 160]


def test_attempts_at_the_same_time_all_count(throttle: LoginThrottle) -> None:
    # None of the three has been judged when the fourth begins.
    fail(throttle, "ann", "a", 3)
    with pytest.raises(TooManyRequests):
        throttle.begin("ann", "a")


def test_success_forgives_the_account(throttle: LoginThrottle) -> None:
    for number in range(10):
        fail(throttle, "ann", f"a{number}", 2)
        throttle.begin("ann", "b")
        throttle.succeeded("ann", "b")


def test_an_address_is_locked_for_all_accounts_and_a_good_login_does_not_buy_guesses(throttle: LoginThrottle) -> None:
    for number in range(11):
        fail(throttle, f"user{number}", "a", 1)
    throttle.begin("mine", "a")
    throttle.succeeded("mine", "a")
    throttle.begin("user11", "a")
    assert wait_of(throttle, "user12", "a") == 11
    throttle.begin("user12", "b")


def test_what_could_not_be_judged_does_not_count(throttle: LoginThrottle) -> None:
    for _ in range(20):
        throttle.begin("ann", "a")
        throttle.abandoned("ann", "a")


def test_failures_are_forgotten_in_time(throttle: LoginThrottle, clock: Clock) -> None:
    fail(throttle, "ann", "a", 2)
    clock.now += 161
    fail(throttle, "ann", "a", 2)
    throttle.begin("ann", "a")


def test_the_rate_limit_lets_bursts_through_and_refills(clock: Clock) -> None:
    limit = RateLimit(60, clock=clock)
    for _ in range(60):
        limit.take("ann")
    with pytest.raises(TooManyRequests) as caught:
        limit.take("ann")
    assert caught.value.retry_after_seconds == 1
    limit.take("bob")
    clock.now += 1
    limit.take("ann")


def test_no_rate_limit_is_no_limit() -> None:
    limit = RateLimit(0)
    for _ in range(1000):
        limit.take("ann")

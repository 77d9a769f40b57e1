"""Accounts: clocks that stand still, one account for many messages."""

from ceylon import Budget
from ceylon.core.budgets import Account


class Watch:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_two_who_ask_at_one_time_stop_the_clock_once() -> None:
    watch = Watch()
    account = Account(Budget(seconds=10), watch)
    watch.time = 1.0
    account.rest(1.0)
    watch.time = 5.0
    account.rest(5.0)
    watch.time = 20.0
    account.go_on(20.0)
    assert account.seconds_left == 9.0
    assert account.left().seconds == 9.0
    watch.time = 101.0
    account.check_time()
    account.go_on(101.0)

    assert account.ends == 110.0


def test_a_run_inside_of_another_rests_with_it_and_stays_bounded_by_it() -> None:
    watch = Watch()
    outer = Account(Budget(seconds=10), watch)
    resting, other = (Account(Budget(seconds=100), watch, above=outer) for _ in range(2))
    resting.rest(0.0)
    watch.time = 50.0
    resting.go_on(50.0)

    assert outer.ends == resting.ends == other.ends == 60.0

"""Malformed calls over stdio and HTTP to real servers; `make bench-fuzz` sends ten thousand."""

from helpers.fuzzing import fuzz
from helpers.malformed import malformed_messages

COUNT = 600


def test_malformed_calls_crash_hang_leak_and_touch_nothing() -> None:
    outcomes = fuzz(seed=20261125, count=COUNT)
    assert [outcome.problems for outcome in outcomes] == [[], []], "\n".join(outcome.line() for outcome in outcomes)
    assert sum(outcome.sent for outcome in outcomes) == COUNT


def test_the_same_seed_gives_the_same_calls_and_another_one_others() -> None:
    first, again, other = ([str(each) for each in malformed_messages(seed, 300)] for seed in (1, 1, 2))
    assert first == again
    assert first != other

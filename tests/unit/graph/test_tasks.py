"""Seeds, normal images, and which task may start when."""

import random

import pytest

from anomalyagent.graph.tasks import Ledger, Slot, TypePlan, choose_normal, derive_seed
from anomalyagent.graph.trace import Outcome


def test_seeds_depend_on_every_part_and_are_the_same_everywhere() -> None:
    assert derive_seed(0, "nut", "scratch", 0) == 184_759_585_445_609_709
    seeds = {
        derive_seed(seed, item, kind, i) for seed in (0, 1) for item in ("a", "b") for kind in ("c", "d") for i in range(5)
    }
    assert len(seeds) == 40
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed("a", "bc") != derive_seed("ab", "c")


def test_every_normal_image_is_used_once_before_any_is_used_again() -> None:
    chosen = [choose_normal(3, "nut", "dent", index, 7) for index in range(21)]
    for cycle in range(3):
        assert sorted(chosen[7 * cycle : 7 * cycle + 7]) == list(range(7))
    assert chosen[:7] != chosen[7:14]


def outcome_of(slot: Slot) -> Outcome:
    """A fixed outcome for each task, about half of them accepted."""
    value = derive_seed(slot.kind, slot.index) % 10
    return "accepted" if value < 5 else "rejected" if value < 9 else "failed"


def play(jobs: int, order: random.Random, counts: tuple[int, ...] = (6, 4)) -> dict[Slot, Outcome]:
    """Run all tasks with `jobs` at once, ending in a random order."""
    ledger = Ledger([TypePlan(str(kind), str(kind), count) for kind, count in enumerate(counts)], attempts_per_sample=10)
    running: list[Slot] = []
    done: dict[Slot, Outcome] = {}
    while True:
        while len(running) < jobs and (slot := ledger.start_next()) is not None:
            running.append(slot)
        if not running:
            return done
        slot = running.pop(order.randrange(len(running)))
        done[slot] = outcome_of(slot)
        ledger.types[slot.kind].record(slot.index, done[slot])


@pytest.mark.parametrize("jobs", [2, 3, 8, 50])
def test_any_number_of_jobs_runs_exactly_the_tasks_of_one_job(jobs: int) -> None:
    alone = play(1, random.Random(0))
    for seed in range(20):
        assert play(jobs, random.Random(seed)) == alone


def test_a_resumed_ledger_first_runs_the_gaps() -> None:
    ledger = Ledger([TypePlan("a", "a", 3)], 10)
    ledger.types[0].record(1, "accepted")
    ledger.types[0].record(3, "rejected")
    assert [ledger.start_next() for _ in range(3)] == [Slot(0, 0), Slot(0, 2), None]


def test_a_type_is_given_up_after_its_attempts_and_a_later_one_goes_on() -> None:
    ledger = Ledger([TypePlan("a", "a", 1), TypePlan("b", "b", 1)], 2)
    for index in range(2):
        assert ledger.start_next() == Slot(0, index)
        ledger.types[0].record(index, "rejected")
    assert ledger.types[0].given_up
    assert ledger.start_next() == Slot(1, 0)


def test_the_order_of_the_data_set_waits_for_the_first_unknown_task() -> None:
    ledger = Ledger([TypePlan("a", "a", 2)], 10)
    order = ledger.in_order()
    first, second = ledger.start_next(), ledger.start_next()
    assert first is not None
    assert second is not None
    ledger.types[0].record(second.index, "accepted")
    assert next(order) == (Slot(0, 0), None)
    ledger.types[0].record(first.index, "accepted")
    assert list(order) == [(Slot(0, 0), "accepted"), (Slot(0, 1), "accepted")]


def test_forgotten_failures_are_open_again() -> None:
    ledger = Ledger([TypePlan("a", "a", 1)], 10)
    ledger.types[0].record(0, "failed")
    assert ledger.types[0].forget("failed") == [0]
    assert ledger.start_next() == Slot(0, 0)

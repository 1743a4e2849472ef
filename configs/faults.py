"""What does not fit a model, in words: the one place that reads pydantic's ValidationError for people and for models."""

from typing import Any, NamedTuple

from pydantic import ValidationError

__all__ = ["Fault", "faults_of", "first_fault"]


class Fault(NamedTuple):
    """One thing that does not fit.

    Attributes:
        parts: keys and numbers that lead to it; none where it is the whole.
        where: the same with dots between, e.g. `limits.rounds`, or the name of the whole.
        problem: what is wrong with it, in pydantic's words.
        received: the value.
        kind: pydantic's name of the problem, e.g. `extra_forbidden`.
    """

    parts: tuple[int | str, ...]
    where: str
    problem: str
    received: Any
    kind: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


def faults_of(error: ValidationError, whole: str = "") -> list[Fault]:
    """All of them, in pydantic's order; `whole`: what the value as such is called."""
    found: list[Fault] = []
    for one in error.errors():
        where = ".".join(str(part) for part in one["loc"]) or whole
        found.append(Fault(one["loc"], where, one["msg"], one["input"], one["type"]))
    return found


def first_fault(error: ValidationError, whole: str = "") -> Fault:
    """The first of them, which is told where there is room for one."""
    return faults_of(error, whole)[0]

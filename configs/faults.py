"""What does not fit a model, in words: the one place that reads pydantic's ValidationError for people and for models."""

from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

__all__ = ["Fault", "faults_of", "first_fault", "tell_option"]

_PLAIN = {"tuple_type": "Input should be a list"}
"""Instead of pydantic's words, by its name of the problem: JSON and YAML have lists."""


class Fault(NamedTuple):
    """One thing that does not fit.

    Attributes:
        parts: keys and numbers that lead to it; none where it is the whole.
        where: the same with dots between, e.g. `limits.rounds`, or the name of the whole.
        problem: what is wrong with it, in pydantic's words but for those that only Python knows.
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
        problem = _PLAIN.get(one["type"], one["msg"]).removeprefix("Value error, ")
        found.append(Fault(one["loc"], where, problem, one["input"], one["type"]))
    return found


def first_fault(error: ValidationError, whole: str = "") -> Fault:
    """The first of them, which is told where there is room for one."""
    return faults_of(error, whole)[0]


def tell_option(fault: Fault, kind: type[BaseModel]) -> str:
    """What is wrong with one of the options that `kind` describes; of one that is missing, what it is for."""
    name = fault.where
    if fault.kind == "extra_forbidden":
        return f"unknown option {name!r}"
    if fault.kind == "missing":
        about = kind.model_fields[name].description if name in kind.model_fields else None
        return f"option {name!r} is not set{f' ({about})' if about else ''}"
    return f"option {name!r}: {fault.problem}, got {fault.received!r}"

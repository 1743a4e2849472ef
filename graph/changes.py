"""What differs between two records (by path) and between two texts (word by word)."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

__all__ = ["Change", "Span", "changes_between", "words_changed"]

_MOST_COMPARED = 40_000  # characters of two texts together that are compared word by word
_WORD = re.compile(r"\w+(?:\.\w+)*\s*|[^\w\s]\s*|\s+")


@dataclass(frozen=True)
class Change:
    """A value that differs: `path` with dots (`spec.severity`); None where it is missing."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Span:
    """A piece of a text: in both, only in the old one, or only in the new one."""

    kind: Literal["same", "gone", "new"]
    text: str


def changes_between(before: Any, after: Any, path: str = "") -> tuple[Change, ...]:
    """Every leaf that differs. Lists of plain values are leaves; lists of records are compared one by one."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after)
        keys = [*old, *(key for key in new if key not in old)]
        dot = f"{path}." if path else ""
        return tuple(change for key in keys for change in changes_between(old.get(key), new.get(key), f"{dot}{key}"))
    if _holds_records(before) and _holds_records(after):
        length = max(len(before), len(after))
        pairs = [(before[i] if i < len(before) else None, after[i] if i < len(after) else None) for i in range(length)]
        return tuple(change for i, (a, b) in enumerate(pairs) for change in changes_between(a, b, f"{path}.{i}"))
    return () if _plain(before) == _plain(after) else (Change(path, before, after),)


def words_changed(before: str, after: str) -> tuple[Span, ...]:
    """Two texts word by word; the `same` and `gone` pieces make the old one, the `same` and `new` ones the new one."""
    if len(before) + len(after) > _MOST_COMPARED:  # the comparison takes quadratic time
        return (Span("gone", before), Span("new", after))
    old, new = _WORD.findall(before), _WORD.findall(after)
    spans: list[Span] = []
    for kind, i0, i1, j0, j1 in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            spans.append(Span("same", "".join(old[i0:i1])))
            continue
        if i1 > i0:
            spans.append(Span("gone", "".join(old[i0:i1])))
        if j1 > j0:
            spans.append(Span("new", "".join(new[j0:j1])))
    return tuple(spans)


def _holds_records(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in cast("list[Any]", value))


def _plain(value: Any) -> Any:
    return list(cast("Sequence[Any]", value)) if isinstance(value, tuple) else value

"""Changing one member of a JSON file without touching any other byte: comments, trailing commas and layout stay.

The files are other programs' settings, written by hand as often as not (JSON with comments, as VS Code reads it). So
nothing is parsed and printed again: a value is put in at its place in the text, laid out as its neighbours are.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

from anomalyagent.errors import ConfigError

__all__ = ["parse", "set_member"]

MOST_DEPTH = 200

_SPACE = re.compile(r"[ \t\r\n]+")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])")


@dataclass(frozen=True)
class _Node:
    """A value and where it stands: `text[start:end]`. `members` of an object in their order; `after` the last comma in it."""

    start: int
    end: int
    value: Any
    members: "tuple[_Member, ...] | None" = None
    after: int | None = None


@dataclass(frozen=True)
class _Member:
    start: int
    name: str
    node: _Node


def parse(text: str) -> Any:
    """The value of JSON `text`, in which comments and trailing commas are allowed; {} if there is none at all.

    Numbers come as their text.

    Raises:
        ConfigError: it is broken; the message says where.
    """
    root = _Reader(text).document()
    return {} if root is None else root.value


def set_member(text: str, path: Sequence[str], value: Any) -> str:
    """`text` with `value` at `path` (names of members, outermost first); objects on the way are made when missing.

    Raises:
        ConfigError: the text is broken, or something on the way is no object.
    """
    node = _Reader(text).document()
    newline = "\r\n" if "\r\n" in text else "\n"
    if node is None:
        whole = _laid_out(_nested(path, value), "  ", "", newline) + newline
        return text + (newline if text and not text.endswith("\n") else "") + whole
    unit = _own_indent(text, node.members[0].start) if node.members else ""
    unit = unit or "  "
    for depth, name in enumerate(path):
        if node.members is None:
            where = ".".join(path[:depth]) or "the whole"
            raise ConfigError(f"{where} is {_kind(node.value)}, not an object ({_place(text, node.start)})")
        found = [member.node for member in node.members if member.name == name]
        if not found:
            return _inserted(text, node, name, _nested(path[depth + 1 :], value), unit, newline)
        node = found[-1]
    if node.value == value:
        return text
    prefix = _line_indent(text, node.start)
    return text[: node.start] + _laid_out(value, unit, prefix, newline) + text[node.end :]


def _inserted(text: str, node: _Node, name: str, value: Any, unit: str, newline: str) -> str:
    closing = _line_indent(text, node.start)
    members = node.members or ()
    if members and "\n" not in text[node.start : node.end]:
        at, comma = _after_last(text, node)
        return text[: comma[0]] + comma[1] + text[comma[0] : at] + f" {json.dumps(name)}: {_short(value)}" + text[at:]
    indent = (_own_indent(text, members[0].start) if members else "") or closing + unit
    member = f"{newline}{indent}{json.dumps(name)}: {_laid_out(value, unit, indent, newline)}"
    at, comma = _after_last(text, node)
    if "\n" not in text[at : node.end]:
        member += newline + closing
    return text[: comma[0]] + comma[1] + text[comma[0] : at] + member + text[at:]


def _after_last(text: str, node: _Node) -> tuple[int, tuple[int, str]]:
    """Where a new last member goes, and the comma that the one before it needs: (position, text)."""
    members = node.members or ()
    end = members[-1].node.end if members else node.start + 1
    comma = (end, "," if members and node.after is None else "")
    at = node.after if node.after is not None else end
    # Comments behind the last member on its line stay there; in an empty object all of them stay first.
    position = at
    while position < node.end - 1:
        if found := _COMMENT.match(text, position):
            at = position = found.end()
        elif text[position] in " \t" or (not members and text[position] in "\r\n"):
            position += 1
        else:
            break
    return at, comma


def _nested(path: Sequence[str], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


def _laid_out(value: Any, unit: str, prefix: str, newline: str) -> str:
    lines = json.dumps(value, indent=unit, ensure_ascii=False).split("\n")
    return (newline + prefix).join(lines)


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _own_indent(text: str, position: int) -> str:
    """White space before `position` if nothing else is before it on its line, else nothing."""
    line = text[text.rfind("\n", 0, position) + 1 : position] if "\n" in text[:position] else "-"
    return line if not line.strip(" \t") else ""


def _line_indent(text: str, position: int) -> str:
    line = text[text.rfind("\n", 0, position) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else json.dumps(value)[:40]


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"


class _Reader:
    """Recursive descent over JSON with comments and trailing commas."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> _Node | None:
        """The only value of the text; None when it holds nothing but white space and comments."""
        if self._next() == "":
            return None
        root = self._value(0)
        if self._next():
            self._refuse("the value ends here, but more follows")
        return root

    def _next(self) -> str:
        """The next character that is neither white space nor comment; "" at the end."""
        while found := _SPACE.match(self._text, self._at) or _COMMENT.match(self._text, self._at):
            self._at = found.end()
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> _Node:
        first = self._next()
        if depth > MOST_DEPTH:
            self._refuse(f"it is nested more than {MOST_DEPTH} deep")
        start = self._at
        if first == "{":
            return self._object(start, depth)
        if first == "[":
            return self._list(start, depth)
        if first == '"':
            value = self._string()
            return _Node(start, self._at, value)
        found = _SCALAR.match(self._text, self._at)
        if found is None:
            self._refuse("a value is needed")
        self._at = found.end()
        named = {"true": True, "false": False, "null": None}
        return _Node(start, self._at, named.get(found[0], found[0]))

    def _object(self, start: int, depth: int) -> _Node:
        self._at += 1
        members: list[_Member] = []
        after: int | None = None
        while (char := self._next()) != "}":
            if members and after is None:
                self._refuse("a comma or } is needed")
            if char != '"':
                self._refuse("a name in double quotes (or }) is needed" if char else "the object is not closed")
            at, name = self._at, self._string()
            if self._next() != ":":
                self._refuse(f"a colon is needed after {json.dumps(name)[:40]}")
            self._at += 1
            members.append(_Member(at, name, self._value(depth + 1)))
            after = self._comma()
        self._at += 1
        value = {member.name: member.node.value for member in members}
        return _Node(start, self._at, value, tuple(members), after)

    def _list(self, start: int, depth: int) -> _Node:
        self._at += 1
        values: list[Any] = []
        after: int | None = None
        while (char := self._next()) != "]":
            if not char:
                self._refuse("the list is not closed")
            if values and after is None:
                self._refuse("a comma or ] is needed")
            values.append(self._value(depth + 1).value)
            after = self._comma()
        self._at += 1
        return _Node(start, self._at, values)

    def _comma(self) -> int | None:
        if self._next() != ",":
            return None
        self._at += 1
        return self._at

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is None:
            self._refuse("the text in quotes is not closed on its line")
        try:
            value = json.loads(found[0])
        except ValueError:
            self._refuse("the text in quotes has an unknown escape in it")
        self._at = found.end()
        return value

    def _refuse(self, what: str) -> Never:
        raise ConfigError(f"{_place(self._text, self._at)}: {what}")

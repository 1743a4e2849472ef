"""Does the tool of another server fit our contract? Compared when the connection is opened, by JSON schema.

It fits when it takes what we always send, needs nothing that we never send, and promises the fields that we need.
"""

from collections.abc import Mapping
from typing import Any, cast

from mcp.types import Tool

from anomalyagent.mcp_tools.contracts import RESULT_TYPES, ToolName

__all__ = ["accepted_arguments", "contract_problems"]

Schema = Mapping[str, Any]


def contract_problems(tool: ToolName, expected_input: Schema, offered: Tool) -> list[str]:
    """What keeps `offered` from standing in for `tool`, one sentence each; empty when it fits.

    Args:
        expected_input: input schema of our own tool of that name.
    """
    problems: list[str] = []
    ours, theirs = _properties(expected_input), _properties(offered.input_schema)
    always_sent = set(cast(list[str], expected_input.get("required", [])))
    open_ended = bool(offered.input_schema.get("additionalProperties", False))
    for name in sorted(always_sent - set(theirs)):
        if not open_ended:
            problems.append(f"it has no argument {name!r}")
    for name in sorted(set(cast(list[str], offered.input_schema.get("required", []))) - always_sent):
        problems.append(f"it needs an argument {name!r} that is not sent")
    for name in sorted(set(ours) & set(theirs)):
        sent, taken = _types(ours[name], expected_input), _types(theirs[name], offered.input_schema)
        if not _overlap(sent, taken):
            problems.append(f"its argument {name!r} is {_named(taken)}, not {_named(sent)}")
    if offered.output_schema is None:
        return [*problems, "it declares no output schema"]
    result = RESULT_TYPES[tool].model_json_schema()
    ours, theirs = _properties(result), _properties(offered.output_schema)
    for name in sorted(cast(list[str], result.get("required", []))):
        if name not in theirs:
            problems.append(f"its result has no field {name!r}")
            continue
        needed, given = _types(ours[name], result), _types(theirs[name], offered.output_schema)
        if not _overlap(needed, given):
            problems.append(f"its result field {name!r} is {_named(given)}, not {_named(needed)}")
    return problems


def accepted_arguments(offered: Tool) -> frozenset[str] | None:
    """Names of the arguments that `offered` takes; None when it takes any."""
    if offered.input_schema.get("additionalProperties", False):
        return None
    return frozenset(_properties(offered.input_schema))


def _properties(schema: Schema) -> dict[str, Schema]:
    return dict(cast(Mapping[str, Schema], schema.get("properties", {})))


def _types(schema: Any, root: Schema) -> set[str] | None:
    """JSON types that `schema` allows; None for any."""
    if not isinstance(schema, Mapping):
        return None
    node = cast(Schema, schema)
    if "$ref" in node:
        found: Any = root
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            found = cast(Schema, found).get(part, {}) if isinstance(found, Mapping) else {}
        return _types(found, root) if found is not root else None
    for key in ("anyOf", "oneOf"):
        if key in node:
            kinds = [_types(each, root) for each in cast(list[Any], node[key])]
            return None if None in kinds else set[str]().union(*(kind for kind in kinds if kind is not None))
    kind = node.get("type")
    if kind is None:
        return None
    kinds = {kind} if isinstance(kind, str) else set(cast(list[str], kind))
    return kinds | {"integer"} if "number" in kinds else kinds


def _overlap(one: set[str] | None, other: set[str] | None) -> bool:
    return one is None or other is None or bool((one & other) - {"null"})


def _named(kinds: set[str] | None) -> str:
    return " or ".join(sorted(kinds)) if kinds else "anything"

"""JSON schemas as they are listed: short, flat and portable, because every listing costs the assistant's context.

What is left out here is still checked when a call comes in: arguments by the tool's own pydantic model, whose errors
name the field and what is accepted; results by the models in `contracts`. Flat because not every assistant follows
`$ref`, and without `anyOf`, `prefixItems` and lists of types, which some hosts refuse.
"""

from collections.abc import Mapping
from typing import Any, cast

__all__ = ["flat", "listed_input", "listed_output"]

Schema = dict[str, Any]

_LISTED = ("type", "enum", "minimum", "maximum", "default", "items", "properties", "required", "description")
_FOR_RECORDS_ONLY = frozenset({"backend", "cost_usd", "drawings", "knowledge_card", "notes", "references", "tokens", "web"})


def listed_input(schema: Mapping[str, Any]) -> Schema:
    """A tool's arguments: names, types, bounds, choices, descriptions; of a nested model the optional fields in words."""
    fields = {name: _in_words(flat(field, schema)) for name, field in _fields(schema).items()}
    return {"type": "object", "properties": fields, "required": list(schema.get("required", []))}


def listed_output(schema: Mapping[str, Any]) -> Schema:
    """A tool's result: names, types and choices; nested models as plain objects, bounds and descriptions left out."""
    fields = {name: _outline(flat(field, schema)) for name, field in _fields(schema).items() if name not in _FOR_RECORDS_ONLY}
    return {"type": "object", "properties": fields, "required": list(schema.get("required", []))}


def _fields(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], schema.get("properties", {}))


def flat(node: Mapping[str, Any], root: Mapping[str, Any]) -> Schema:
    """`node` with references followed, an optional value as the value, and a tuple as a list."""
    given = dict(node)
    if "$ref" in given:
        given = {**root["$defs"][str(given["$ref"]).rpartition("/")[2]], **given}
    if "anyOf" in given:
        kinds = [kind for kind in given["anyOf"] if kind.get("type") != "null"]
        given = {**flat(kinds[0], root), **given}
    if "prefixItems" in given:
        given["items"] = given["prefixItems"][0]
    found = {key: given[key] for key in _LISTED if key in given}
    if not found.get("default"):  # null, 0, "" and false: what anybody expects of an argument that is not given
        found.pop("default", None)
    if found.get("minimum") == 0 and "maximum" not in found:
        del found["minimum"]
    if "properties" in found:
        found["properties"] = {name: flat(field, root) for name, field in found["properties"].items()}
    if "items" in found:
        found["items"] = flat(found["items"], root)
    return found


def _in_words(field: Schema) -> Schema:
    if "properties" not in field:
        return field
    required = field.get("required", [])
    optional = [_sentence(name, each) for name, each in field["properties"].items() if name not in required]
    typed = {name: _outline(field["properties"][name]) for name in required}
    description = f"{field.get('description', '')} Optional fields: {'; '.join(optional)}.".strip()
    return {"type": "object", "properties": typed, "required": required, "description": description}


def _sentence(name: str, field: Schema) -> str:
    """`severity 0.5..60 (1 barely visible, 10 obvious)`."""
    said = [name]
    if "enum" in field:
        said.append("|".join(map(str, field["enum"])))
    elif "minimum" in field and "maximum" in field:
        said.append(f"{field['minimum']:g}..{field['maximum']:g}")
    if "description" in field:
        said.append(f"({field['description'].rstrip('.')})")
    return " ".join(said)


def _outline(field: Schema) -> Schema:
    outline = {key: field[key] for key in ("type", "enum") if key in field}
    if "items" in field:
        outline["items"] = _outline(field["items"])
    return outline

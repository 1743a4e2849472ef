"""Malformed MCP calls, seeded: the same seed gives the same calls.

Of every kind that a careless, broken or hostile client sends: text that is no JSON, JSON that is no request, requests with
wrong members, calls with wrong arguments, references that try to leave the workspace.
"""

import json
import random
import string
from collections.abc import Iterator
from typing import Any

__all__ = ["OUTSIDE_WORD", "Malformed", "malformed_messages"]

OUTSIDE_WORD = "kept-outside-7261"
"""Stands in a file beside the workspace; no answer may hold it."""

Malformed = str | dict[str, Any] | list[Any]

METHODS = (
    "tools/call",
    "tools/list",
    "resources/read",
    "resources/list",
    "resources/templates/list",
    "prompts/get",
    "prompts/list",
    "completion/complete",
    "initialize",
    "ping",
    "server/discover",
    "logging/setLevel",
    "resources/subscribe",
    "subscriptions/listen",
    "notifications/cancelled",
    "notifications/progress",
    "tasks/get",
    "rpc.discover",
    "",
    "tools/call\x00",
    "TOOLS/CALL",
)
TOOLS = ("prompt_gen", "image_gen", "quality_eval", "knowledge_retrieval", "mask_gen", "synthesize")
GOOD: dict[str, dict[str, Any]] = {
    "prompt_gen": {"image": "part.png", "item_name": "nut", "anomaly_type": "scratch"},
    "image_gen": {"image": "part.png", "prompt": "a scratch", "spec": {"mechanism": "scratch"}},
    "quality_eval": {"normal_image": "part.png", "anomaly_image": "part.png", "item_name": "nut", "anomaly_type": "scratch"},
    "knowledge_retrieval": {"item_name": "nut", "anomaly_type": "scratch"},
    "mask_gen": {"normal_image": "part.png", "anomaly_image": "part.png"},
    "synthesize": {"image": "part.png", "item_name": "nut", "anomaly_type": "scratch"},
}
REFERENCES = (
    "../outside.png",
    "../../../../../../etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "~/.ssh/id_rsa",
    "file:///etc/passwd",
    "image://../outside.png",
    "image://%2e%2e/outside.png",
    "%2e%2e/outside.png",
    "%252e%252e/outside.png",
    "..%2foutside.png",
    "..%c0%afoutside.png",
    "..\\outside.png",
    "C:\\Windows\\win.ini",
    "\\\\host\\share\\x.png",
    "link.png",
    "linked/outside.png",
    "linked/../outside.png",
    "loop.png",
    "./././part.png",
    "part.png/",
    "part.png/../../outside.png",
    "part.png\x00.txt",
    "．．/outside.png",
    "‥/outside.png",
    "∕etc∕passwd",
    "pipe.png",
    "notes.txt",
    "bomb.png",
    "cut.png",
    "con.png",
    "images",
    ".",
    "",
    " ",
    "part.png ",
    "a" * 300 + ".png",
    "a/" * 600 + "b.png",
    "\ud800.png",
    "part\u202egnp.png",
)
SCALARS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**40, 1e308, -0.0, 1e-320, "", "0", "null", "\x00", "é" * 50,
    [], {}, [[]], {"": ""}, float("nan"), float("inf"), "💥", "{{7*7}}", "${HOME}", "'; DROP TABLE x; --", "%s%n%x",
)  # fmt: skip
URIS = ("image://", "preview://", "card://", "trajectory://", "run://", "file://", "http://localhost/", "://", "")
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def malformed_messages(seed: int, count: int) -> Iterator[Malformed]:
    """`count` messages: text as it is sent, or a JSON value; requests among them have ids of their own, from 1."""
    rng = random.Random(seed)
    for number in range(1, count + 1):
        kind = rng.random()
        if kind < 0.12:
            yield _text(rng)
        elif kind < 0.22:
            yield _no_request(rng)
        elif kind < 0.40:
            yield _request(number, rng.choice(METHODS), _value(rng, 3), rng)
        elif kind < 0.60:
            yield _request(number, *_other_call(rng), rng)
        else:
            yield _request(number, "tools/call", _tool_call(rng), rng)


def _request(number: int, method: str, params: Any, rng: random.Random) -> dict[str, Any]:
    if isinstance(params, dict) and rng.random() < 0.3:
        params = {**params, "_meta": META if rng.random() < 0.7 else _value(rng, 2)}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def _text(rng: random.Random) -> str:
    good = json.dumps({"jsonrpc": "2.0", "id": "text", "method": "tools/call", "params": {"name": "mask_gen"}})
    way = rng.randrange(7)
    if way == 0:
        return good[: rng.randrange(len(good))]
    if way == 1:
        at = rng.randrange(len(good))
        return good[:at] + rng.choice(string.printable.replace("\n", "").replace("\r", "")) + good[at + 1 :]
    if way == 2:
        return rng.choice("[{") * rng.choice((3, 50, 2000, 20_000))
    if way == 3:
        return "".join(chr(rng.choice((0, 1, 0x7F, 0x85, 0xFEFF, 0x10FFFF, 65, 34, 92))) for _ in range(rng.randrange(1, 60)))
    if way == 4:
        return good.replace("2.0", rng.choice(("1.0", "2", "", "2.00"))) + rng.choice(("", "]", good))
    if way == 5:
        return good.replace('"text"', rng.choice(("1e999", "NaN", "-", "0x1", "'1'", "01", "\\u00")))
    return '{"jsonrpc": "2.0", "id": "text", "method": "ping", "params": ' + "9" * rng.choice((10, 400, 6000)) + "}"


def _no_request(rng: random.Random) -> Malformed:
    way = rng.randrange(5)
    if way == 0:
        return json.dumps(rng.choice(SCALARS))
    if way == 1:
        return [_value(rng, 2) for _ in range(rng.randrange(4))]
    if way == 2:
        return {"jsonrpc": "2.0", "id": _value(rng, 1), "method": _value(rng, 1)}
    if way == 3:
        return {"jsonrpc": "2.0", "id": rng.randrange(10**6, 10**7), "result": _value(rng, 3)}
    return {"jsonrpc": "2.0", "method": rng.choice(METHODS), "params": _value(rng, 2)}


def _other_call(rng: random.Random) -> tuple[str, Any]:
    reference = rng.choice(REFERENCES)
    way = rng.randrange(5)
    if way < 2:
        return "resources/read", {"uri": rng.choice(URIS) + reference}
    if way == 2:
        return "resources/list", {"cursor": rng.choice((reference, "", "OTk=", "A" * 3000, _value(rng, 1)))}
    if way == 3:
        arguments = {name: rng.choice((reference, *SCALARS)) for name in ("image", "item_name", "anomaly_type", "count", "x")}
        return "prompts/get", {"name": rng.choice(("make_data_set", "inspect_part", "none", "")), "arguments": arguments}
    what = rng.choice(
        ({"type": "ref/prompt", "name": "make_data_set"}, {"type": "ref/resource", "uri": "image://{+path}"}, _value(rng, 2))
    )
    typed = {
        "name": rng.choice(("image", "item_name", "anomaly_type", "path", "id", "")),
        "value": rng.choice((reference, "a")),
    }
    return "completion/complete", {"ref": what, "argument": typed}


def _tool_call(rng: random.Random) -> dict[str, Any]:
    name = rng.choice(TOOLS)
    arguments = json.loads(json.dumps(GOOD[name]))
    for _ in range(rng.randrange(1, 4)):
        way = rng.randrange(8)
        field = rng.choice(list(arguments) or ["image"])
        if way == 0:
            arguments.pop(field, None)
        elif way == 1:
            arguments[rng.choice(("seed", "preview", "spec", "sede", "", "__class__", "a" * 5000))] = _value(rng, 2)
        elif way in (2, 3):
            arguments[rng.choice([each for each in arguments if "image" in each] or ["image"])] = rng.choice(REFERENCES)
        elif way == 4:
            arguments[field] = "x" * rng.choice((201, 5000, 100_000))
        elif way == 5 and name == "image_gen":
            fields = (
                "mechanism",
                "zone",
                "center",
                "area_fraction",
                "elongation",
                "orientation_deg",
                "severity",
                "count",
                "seed",
            )
            arguments["spec"] = {each: _value(rng, 1) for each in rng.sample(fields, rng.randrange(1, 5))}
        else:
            arguments[field] = _value(rng, 2)
    arguments.setdefault("unknown", 1)  # whatever else happens the call stays wrong, and cheap
    whole: dict[str, Any] = {"name": name, "arguments": arguments}
    way = rng.randrange(12)
    if way == 0:
        whole["arguments"] = _value(rng, 2)
    elif way == 1:
        whole["name"] = rng.choice((*SCALARS, "mask_gen ", "MASK_GEN", "x" * 5000))
    elif way < 6:
        del arguments["unknown"]
    return whole


def _value(rng: random.Random, depth: int) -> Any:
    way = rng.random()
    if depth == 0 or way < 0.5:
        return rng.choice((*SCALARS, *REFERENCES))
    if way < 0.7:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(5))]
    if way < 0.95:
        return {rng.choice(("name", "uri", "arguments", "a", "")): _value(rng, depth - 1) for _ in range(rng.randrange(5))}
    nested: Any = 0
    for _ in range(rng.choice((10, 150))):
        nested = [nested] if rng.random() < 0.5 else {"a": nested}
    return nested
